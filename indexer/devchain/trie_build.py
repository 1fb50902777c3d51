"""Builds state tries: each new root shares every node that did not change with the one before it.

Owns the simulated chain's trie, from changes to roots, read proofs and key listings. The product
never imports it: what the indexer verifies must not be made by the code that verifies it. Only the
node codec of ``indexer.trie`` is shared. Every past state stays readable until ``keep_only`` is told otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from indexer.model import HashedValue
from indexer.trie import (
    EMPTY_ROOT,
    HASH_LENGTH,
    INLINE_VALUE_MAX,
    Node,
    blake2_256,
    decode_node,
    encode_node,
    nibbles,
    pack,
)

Value = bytes | HashedValue
"""A value to store. ``HashedValue`` stands for bytes over 32 long that are not at hand."""

_Change = tuple[bytes, Value | None]
"""(nibbles still to walk, new value or None to remove)."""

_EMPTY_SLOTS: tuple[bytes | None, ...] = (None,) * 16
_CACHED_NODES = 200_000


class ValueNotRecorded(LookupError):
    """A value is known by its hash only: whoever recorded the state left the bytes out."""

    def __init__(self, value_hash: bytes) -> None:
        super().__init__(f"only the hash 0x{value_hash.hex()} of this value was recorded, not its bytes")
        self.value_hash = value_hash


@dataclass(slots=True)
class TrieStore:
    """All nodes and hashed values of all states, by hash.

    ``values_inline`` is the old layout V0: every value stands inside its node, whatever its length.
    Extrinsics roots are built that way.
    """

    values_inline: bool = False
    raw: dict[bytes, bytes] = field(default_factory=dict)
    _decoded: dict[bytes, Node] = field(default_factory=dict)

    def update(self, root: bytes, changes: Mapping[bytes, Value | None]) -> bytes:
        """The root of the state ``root`` with ``changes`` applied; None removes a key.

        Raises ``KeyError`` if ``root`` is no state of this store.
        """
        if not changes:
            return root
        todo = [(nibbles(key), self._stored(value)) for key, value in sorted(changes.items())]
        top = self._apply(None if root == EMPTY_ROOT else self._load(root), todo)
        return EMPTY_ROOT if top is None else self._keep(encode_node(top))

    def get(self, root: bytes, key: bytes) -> bytes | None:
        """The value of ``key`` in the state ``root``, None if absent. Raises ``ValueNotRecorded``."""
        value = self.stored(root, key)
        if not isinstance(value, HashedValue):
            return value
        if value.hash not in self.raw:
            raise ValueNotRecorded(value.hash)
        return self.raw[value.hash]

    def stored(self, root: bytes, key: bytes) -> Value | None:
        """As ``get``, but a value stored by its hash is given as such."""
        node, rest = self._root(root), nibbles(key)
        while node is not None and rest.startswith(node.partial):
            rest = rest[len(node.partial) :]
            if not rest:
                return node.value
            node, rest = self._child(node, rest[0]), rest[1:]
        return None

    def prove(self, root: bytes, keys: Iterable[bytes]) -> list[bytes]:
        """The nodes that a look-up of each key visits, once each, and the hashed values found.

        As Substrate's recorder: nodes that stand inline in their parent are part of it; a hashed
        value is recorded only where a key matches exactly. Raises ``ValueNotRecorded``.
        """
        proof: dict[bytes, None] = {}
        if root != EMPTY_ROOT:
            proof[self.raw[root]] = None
        for key in keys:
            node, rest = self._root(root), nibbles(key)
            while node is not None and rest.startswith(node.partial):
                rest = rest[len(node.partial) :]
                if not rest:
                    if isinstance(node.value, HashedValue):
                        proof[self._value_bytes(node.value)] = None
                    break
                slot = node.children[rest[0]] if node.children else None
                if slot is not None and len(slot) == HASH_LENGTH:
                    proof[self.raw[slot]] = None
                node, rest = self._child(node, rest[0]), rest[1:]
        return list(proof)

    def keys(self, root: bytes, prefix: bytes = b"", after: bytes | None = None) -> Iterator[bytes]:
        """Keys under ``prefix`` in order, those up to and including ``after`` left out."""
        top = self._root(root)
        if top is not None:
            last = None if after is None else nibbles(after)
            for path, _ in self._walk(top, b"", nibbles(prefix), last):
                yield pack(path)

    def items(self, root: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, Value]]:
        """Keys and values under ``prefix`` in order."""
        top = self._root(root)
        if top is not None:
            for path, value in self._walk(top, b"", nibbles(prefix), None):
                at_hand = isinstance(value, HashedValue) and value.hash in self.raw
                yield pack(path), self.raw[value.hash] if at_hand and isinstance(value, HashedValue) else value

    def keep_only(self, roots: Iterable[bytes]) -> None:
        """Forget all nodes and values that no state in ``roots`` has."""
        kept: set[bytes] = set()
        left = [root for root in roots if root != EMPTY_ROOT]
        while left:
            name = left.pop()
            if name in kept:
                continue
            kept.add(name)
            node = self._load(name)
            if isinstance(node.value, HashedValue):
                kept.add(node.value.hash)
            # An inline child is too short to hold a hash.
            left += [slot for slot in node.children or () if slot is not None and len(slot) == HASH_LENGTH]
        self.raw = {name: raw for name, raw in self.raw.items() if name in kept}
        self._decoded = {name: node for name, node in self._decoded.items() if name in kept}

    def _walk(self, node: Node, path: bytes, prefix: bytes, after: bytes | None) -> Iterator[tuple[bytes, Value]]:
        path += node.partial
        if not (path.startswith(prefix) or prefix.startswith(path)):
            return
        if after is not None and path < after and not after.startswith(path):
            return
        if node.value is not None and path.startswith(prefix) and (after is None or path > after):
            yield path, node.value
        for slot in range(16):
            child = self._child(node, slot)
            if child is not None:
                yield from self._walk(child, path + bytes([slot]), prefix, after)

    def _value_bytes(self, value: HashedValue) -> bytes:
        if value.hash not in self.raw:
            raise ValueNotRecorded(value.hash)
        return self.raw[value.hash]

    def _stored(self, value: Value | None) -> Value | None:
        if isinstance(value, bytes) and len(value) > INLINE_VALUE_MAX and not self.values_inline:
            return HashedValue(self._keep(value))
        return value

    def _keep(self, raw: bytes) -> bytes:
        name = blake2_256(raw)
        self.raw[name] = raw
        return name

    def _root(self, root: bytes) -> Node | None:
        return None if root == EMPTY_ROOT else self._load(root)

    def _load(self, slot: bytes) -> Node:
        if len(slot) < HASH_LENGTH:
            return decode_node(slot)
        node = self._decoded.get(slot)
        if node is None:
            if len(self._decoded) >= _CACHED_NODES:
                self._decoded.clear()
            node = self._decoded[slot] = decode_node(self.raw[slot])
        return node

    def _child(self, node: Node, slot: int) -> Node | None:
        child = node.children[slot] if node.children else None
        return None if child is None else self._load(child)

    def _slot(self, node: Node | None) -> bytes | None:
        """What a parent holds of a child: nothing, the short encoding itself, or its hash."""
        if node is None:
            return None
        raw = encode_node(node)
        return raw if len(raw) < HASH_LENGTH else self._keep(raw)

    def _apply(self, node: Node | None, changes: Sequence[_Change]) -> Node | None:
        """``node`` with ``changes`` (in key order) applied; None if nothing is left of it."""
        if node is None:
            changes = [change for change in changes if change[1] is not None]
            if not changes:
                return None
            shared = _shared(changes[0][0], changes[-1][0])
            node = Node(changes[0][0][:shared], _EMPTY_SLOTS, None)
        else:
            changes = [c for c in changes if c[1] is not None or c[0].startswith(node.partial)]
            if not changes:
                return node
            shared = min(_shared(node.partial, changes[0][0]), _shared(node.partial, changes[-1][0]))
        slots: list[bytes | None] = list(_EMPTY_SLOTS)
        whole: dict[int, Node] = {}
        if shared < len(node.partial):
            below = node.partial[shared]
            whole[below] = replace(node, partial=node.partial[shared + 1 :])
            node = Node(node.partial[:shared], None, None)
        elif node.children:
            slots = list(node.children)
        value = node.value
        groups: dict[int, list[_Change]] = {}
        for path, new in changes:
            if len(path) == shared:
                value = new
            else:
                groups.setdefault(path[shared], []).append((path[shared + 1 :], new))
        for slot, group in groups.items():
            before = whole.pop(slot, None)
            if before is None and slots[slot] is not None:
                before = self._load(slots[slot] or b"")
            slots[slot] = self._slot(self._apply(before, group))
        for slot, child in whole.items():
            slots[slot] = self._slot(child)
        return self._normal(node.partial, slots, value)

    def _normal(self, partial: bytes, slots: list[bytes | None], value: Value | None) -> Node | None:
        """The only legal form of a node with these children: gone, leaf, merged into its child, or branch."""
        taken = [slot for slot, child in enumerate(slots) if child is not None]
        if not taken:
            return None if value is None else Node(partial, None, value)
        if len(taken) == 1 and value is None:
            child = self._load(slots[taken[0]] or b"")
            return replace(child, partial=partial + bytes(taken) + child.partial)
        return Node(partial, tuple(slots), value)


def ordered_root(values: Sequence[bytes]) -> bytes:
    """The root of a list, keyed by compact index in layout V0: how headers name their extrinsics."""
    store = TrieStore(values_inline=True)
    return store.update(EMPTY_ROOT, {_compact(index): value for index, value in enumerate(values)})


def _compact(number: int) -> bytes:
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    return (number << 2 | 2).to_bytes(4, "little")


def _shared(a: bytes, b: bytes) -> int:
    """Length of the common beginning of two paths."""
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return at
    return min(len(a), len(b))
