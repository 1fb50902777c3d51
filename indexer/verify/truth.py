"""What the chain has at one block, by proof: single keys, whole rows, and how two versions of a map differ.

Every answer is checked from the header's state root. Rows are made by the datasets' own functions; the keys
they stand for come from ``Dataset.places``. Knows nothing of the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import anyio
from anyio import to_thread

from indexer.datasets.base import Dataset
from indexer.errors import DecodeError
from indexer.model import Block, Change, HashedValue, Header, ItemRef, RawChange, Row
from indexer.node import Node
from indexer.scale import EncodeError, RawKey, Runtime, StorageItem
from indexer.schema import Keyed
from indexer.subtrie import Pairs, value_at
from indexer.trie import Want, blake2_256, diff, pack

KEYS_PER_CALL = 1000
CALLS_AT_ONCE = 4


Key: TypeAlias = tuple[object, ...]
_Place: TypeAlias = tuple[Sequence[StorageItem], Key, bytes]
"""Types of an item, the parts of a key, the key."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One block's state as the node can prove it, and the types it is read with."""

    node: Node
    header: Header
    block: Block
    runtime: Runtime
    types: Callable[[ItemRef], Sequence[StorageItem]]
    """How the runtime that executed the block, then each one before it, types an item; may be none."""
    types_at: Callable[[ItemRef, int], Sequence[StorageItem]]
    """The same as of an earlier block: of the runtime that executed that, then each one before it."""

    async def proof(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Nodes and values on the paths of some keys, under their own hashes."""
        ordered = sorted(set(keys))
        nodes: dict[bytes, bytes] = {}
        limit = anyio.Semaphore(CALLS_AT_ONCE)

        async def ask(part: list[bytes]) -> None:
            async with limit:
                nodes.update((await self.node.read_proof(part, self.header.ref.hash))[0])

        async with anyio.create_task_group() as group:
            for start in range(0, len(ordered), KEYS_PER_CALL):
                group.start_soon(ask, ordered[start : start + KEYS_PER_CALL])
        return nodes

    async def values(self, keys: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """The value of each key; None: proven absent. Raises ``MissingNode`` if a proof does not lead there."""
        asked = list(keys)
        nodes = await self.proof(asked)
        return {key: value_at(self.header.state_root, key, nodes) for key in asked}

    async def rows(
        self, dataset: Dataset, table: Keyed, keys: Iterable[Key], *, since: Mapping[Key, int] | None = None
    ) -> list[Row]:
        """Rows of a table, each whole, as they have to be; ``values = None`` for one that must not be.

        ``since``: blocks by whose runtime some rows were read; the others by that of this block.
        """
        places: dict[Key, list[_Place]] = {}
        for key in keys:
            places[key] = []
            block = (since or {}).get(key)
            for source, parts in dataset.places(table.name, key):
                kinds = self.types(source.item) if block is None else self.types_at(source.item, block)
                try:
                    if kinds := kinds or self.types(source.item):
                        name = kinds[0].key(*parts)
                        self.change(source.item, parts, name, None, kinds)
                        places[key].append((kinds, parts, name))
                except (EncodeError, DecodeError):
                    continue  # no key of the chain
        values = await self.values({name for found in places.values() for _, _, name in found})
        return [
            self._row(
                dataset,
                table,
                key,
                [self.change(kinds[0].ref, parts, name, values[name], kinds) for kinds, parts, name in found],
            )
            for key, found in places.items()
        ]

    def _row(self, dataset: Dataset, table: Keyed, key: Key, changes: Sequence[Change]) -> Row:
        values: dict[str, object] = dict.fromkeys(table.values)
        for row in dataset.rows(self.block, changes, self.runtime):
            if (row.table, row.key) == (table.name, key):
                values.update(row.values or {})
        return Row(table.name, key, values if any(value is not None for value in values.values()) else None)

    def decoded(self, item: ItemRef, raw: bytes) -> object:
        """A stored value with the first of the item's types that fits it. Raises ``DecodeError``."""
        return self.change(item, (), b"", raw, self.types(item)).value

    def change(self, item: ItemRef, parts: Key, name: bytes, raw: bytes | None, kinds: Sequence[StorageItem]) -> Change:
        """A key and its value as row functions take them, with the first of ``kinds`` that fits.

        Raises ``DecodeError``. ``parts`` are those of the storage key ``name``, where they are not a ``RawKey``.
        """
        problem = DecodeError(f"no runtime so far lists {item}")
        for kind in kinds:
            try:
                key = kind.split_key(name) if any(isinstance(part, RawKey) for part in parts) else parts
                value = None if raw is None else kind.decode(raw)
            except DecodeError as error:
                problem = error
                continue
            return Change(item, key, value, raw, name[32:], kind)
        raise problem

    async def differing(self, prefix: bytes, mine: Pairs) -> list[RawChange]:
        """The keys under ``prefix`` that are not as in ``mine``, each with the chain's value (None: it has none)."""
        mine_root = blake2_256(await in_thread(mine.node)) if mine.keys else None
        walk = diff(mine_root, self.header.state_root, [prefix], {})
        try:
            wants = next(walk)
            while True:
                wants = walk.send(await self._wanted(wants, mine))
        except StopIteration as stop:
            changes: list[RawChange] = stop.value
            return changes

    async def _wanted(self, wants: Sequence[Want], mine: Pairs) -> Mapping[bytes, bytes]:
        sent = await self.proof(pack(want.path) for want in wants if not want.old)
        for want in wants:
            if want.old:
                sent[want.hash] = await in_thread(mine.node, want.path)
        return sent


async def in_thread(function: Callable[..., bytes], *given: object) -> bytes:
    """Long arithmetic beside the loop; a cancellation does not wait for it."""
    return await to_thread.run_sync(function, *given, abandon_on_cancel=True)


def plain(value: object) -> object:
    """A column's value in the form in which two of them can be compared."""
    return json.loads(json.dumps(value)) if isinstance(value, dict | list | tuple) else value


def not_hashed(value: bytes | HashedValue | None) -> bytes | None:
    """A value as ``diff`` gives it when nothing is asked for by hash only."""
    assert not isinstance(value, HashedValue), "only the code is read by hash"
    return value
