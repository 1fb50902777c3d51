"""One block's view of the state while it executes: typed reads and writes over the parent's trie.

Writes stay in an overlay until the block is done, so a failed call can be taken back. Items are named
``Pallet.Item``, or by the item alone where the pallet is SubtensorModule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from indexer.devchain.pallet import Item
from indexer.devchain.runtimes import RuntimeDeclaration
from indexer.devchain.state import State

OWN_PALLET = "SubtensorModule"


class Ledger:
    """The state as a runtime sees it while it executes one block."""

    def __init__(self, runtime: RuntimeDeclaration, state: State | None) -> None:
        """``state``: of the parent block; None before the first state."""
        self.runtime = runtime
        self._state = state
        self._overlay: dict[bytes, bytes | None] = {}

    def get(self, name: str, *key: Any) -> Any:
        """The stored value, else the item's default, else None."""
        pallet, item = self._find(name)
        raw = self.raw(item.key(pallet, *key))
        return self.runtime.default(pallet, item.name) if raw is None else item.value.decode(raw)

    def has(self, name: str, *key: Any) -> bool:
        """Whether the key is stored."""
        pallet, item = self._find(name)
        return self.raw(item.key(pallet, *key)) is not None

    def put(self, name: str, *key: Any, value: Any) -> None:
        """Store a value."""
        pallet, item = self._find(name)
        self._overlay[item.key(pallet, *key)] = item.value.encode(value)

    def remove(self, name: str, *key: Any) -> None:
        """Remove a key; nothing happens if it is absent."""
        pallet, item = self._find(name)
        self._overlay[item.key(pallet, *key)] = None

    def add(self, name: str, *key: Any, amount: int) -> int:
        """Add to a number and store it; the sum. A negative amount stops at zero only for unsigned types."""
        value = int(self.get(name, *key)) + amount
        self.put(name, *key, value=value)
        return value

    def take_away(self, name: str, *key: Any, amount: int) -> int:
        """Subtract from an unsigned number, not below zero; the difference, which is stored."""
        value = max(0, int(self.get(name, *key)) - amount)
        self.put(name, *key, value=value)
        return value

    def rows(self, name: str, *first: Any) -> list[tuple[tuple[Any, ...], Any]]:
        """(key parts, value) of all stored keys of an item that begin with these parts, in key order."""
        pallet, item = self._find(name)
        prefix = item.prefix(pallet) + b"".join(
            hasher.hash(kind.encode(part)) for (hasher, kind), part in zip(item.keys, first, strict=False)
        )
        return [(item.split(key), item.value.decode(raw)) for key, raw in self._under(prefix)]

    def raw(self, key: bytes) -> bytes | None:
        """The bytes under a storage key."""
        if key in self._overlay:
            return self._overlay[key]
        return None if self._state is None else self._state.get(key)

    def put_raw(self, key: bytes, value: bytes) -> None:
        """Store bytes under a storage key."""
        self._overlay[key] = value

    def snapshot(self) -> dict[bytes, bytes | None]:
        """What ``restore`` brings back."""
        return dict(self._overlay)

    def restore(self, snapshot: dict[bytes, bytes | None]) -> None:
        """Forget all writes since the snapshot."""
        self._overlay = snapshot

    def changes(self) -> dict[bytes, bytes | None]:
        """The keys whose value differs from the parent's state."""
        if self._state is None:
            return {key: value for key, value in self._overlay.items() if value is not None}
        return {key: value for key, value in self._overlay.items() if self._state.get(key) != value}

    def _find(self, name: str) -> tuple[str, Item]:
        pallet, _, item = name.rpartition(".")
        return pallet or OWN_PALLET, self.runtime.item(pallet or OWN_PALLET, item)

    def _under(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = set() if self._state is None else set(self._state.keys(prefix))
        keys |= {key for key in self._overlay if key.startswith(prefix)}
        for key in sorted(keys):
            raw = self.raw(key)
            if raw is not None:
                yield key, raw
