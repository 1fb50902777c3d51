"""The trie of a sorted list of keys and values, built from nothing: what the chain must have if the list is right.

Pure. Owns the way from pairs to node encodings and hashes, at any path, without keeping a node: whoever
compares asks for the few that differ. It shares the node codec with ``trie`` and nothing else, least of all
the walk that found the pairs. Also finds, in nodes sent by the chain, the one at the root of a map.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from indexer.model import HashedValue
from indexer.trie import HASH_LENGTH, INLINE_VALUE_MAX, MissingNode, Node, blake2_256, decode_node, encode_node, nibbles


@dataclass(frozen=True, slots=True)
class Pairs:
    """Storage keys in order, each once, and the value of each."""

    keys: Sequence[bytes]
    values: Sequence[bytes]
    values_inline: bool = False
    """Trie layout V0, in which a value of any length stands in its node: lists of extrinsics may be so."""

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, None if it is not among them."""
        at = bisect_left(self.keys, key)
        return self.values[at] if at < len(self.keys) and self.keys[at] == key else None

    def node(self, path: bytes = b"") -> bytes:
        """The encoding of the node whose partial begins at ``path`` (nibbles, one per byte) in the trie of all pairs.

        There must be a key at or below ``path``.
        """
        start, end = self._below(path)
        return self._encode(start, end, len(path))

    def _below(self, path: bytes) -> tuple[int, int]:
        """The range of keys that begin with ``path``."""
        # A key is compared as bytes: pad an odd path with its lowest, then its highest, last nibble.
        low = bytes(a << 4 | b for a, b in zip(path[::2], path[1::2], strict=False))
        if len(path) % 2:
            low += bytes([path[-1] << 4])
        return bisect_left(self.keys, low), self._next(low, len(path), 0)

    def _next(self, key: bytes, length: int, start: int) -> int:
        """The first position from ``start`` whose key does not begin with the first ``length`` nibbles of ``key``.

        The keys at ``start`` and behind it must not be before those nibbles.
        """
        step = 0x10 if length % 2 else 0x01
        size = (length + 1) // 2
        number = int.from_bytes(key[:size], "big") & ~(step - 1)
        if number + step >= 1 << 8 * size:
            return len(self.keys)
        # A carry leaves zero bytes at the end: the shorter key before them is behind the range already.
        return bisect_left(self.keys, (number + step).to_bytes(size, "big").rstrip(b"\0"), start)

    def _encode(self, start: int, end: int, depth: int) -> bytes:
        """The node that holds the keys from ``start`` to ``end``, all alike in their first ``depth`` nibbles."""
        first = self.keys[start]
        if end - start == 1:
            return encode_node(Node(nibbles(first)[depth:], None, self._stored(self.values[start])))
        shared = _shared(first, self.keys[end - 1])
        value = None
        at = start
        if 2 * len(first) == shared:
            value, at = self._stored(self.values[start]), start + 1
        children: list[bytes | None] = [None] * 16
        while at < end:
            key = self.keys[at]
            behind = min(end, self._next(key, shared + 1, at + 1))
            raw = self._encode(at, behind, shared + 1)
            slot = key[shared >> 1] & 15 if shared % 2 else key[shared >> 1] >> 4
            children[slot] = raw if len(raw) < HASH_LENGTH else blake2_256(raw)
            at = behind
        return encode_node(Node(nibbles(first)[depth:shared], tuple(children), value))

    def _stored(self, value: bytes) -> bytes | HashedValue:
        is_inline = self.values_inline or len(value) <= INLINE_VALUE_MAX
        return value if is_inline else HashedValue(blake2_256(value))


def pairs(found: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """``found`` in order of its keys. Raises ``ValueError`` if a key is there twice."""
    ordered = sorted(found)
    keys = [key for key, _ in ordered]
    for one, other in pairwise(keys):
        if one == other:
            raise ValueError(f"key 0x{one.hex()} is there twice")
    return Pairs(keys, [value for _, value in ordered])


class Top(NamedTuple):
    """Where the sub-trie of all keys under a prefix begins in a state's trie."""

    path: bytes
    """Nibbles to the node: its partial reaches to the prefix's end or past it."""
    node: bytes
    """The node's encoding."""


def top(state_root: bytes, prefix: bytes, nodes: Mapping[bytes, bytes]) -> Top | None:
    """The root of a map's sub-trie, by the nodes of a read proof under their own hashes; None if the map is empty.

    Raises ``MissingNode`` if the nodes do not lead from ``state_root`` to an answer.
    """
    wanted = nibbles(prefix)
    path, slot = b"", state_root
    while True:
        raw = slot if len(slot) < HASH_LENGTH else nodes.get(slot)
        if raw is None:
            raise MissingNode(f"node 0x{slot.hex()} on the path of 0x{prefix.hex()} is missing")
        node = decode_node(raw)
        reached = path + node.partial
        if reached.startswith(wanted):
            return None if node.children is None and node.value is None else Top(path, raw)
        if not wanted.startswith(reached) or node.children is None:
            return None
        child = node.children[wanted[len(reached)]]
        if child is None:
            return None
        path, slot = reached + wanted[len(reached) : len(reached) + 1], child


def value_at(state_root: bytes, key: bytes, nodes: Mapping[bytes, bytes]) -> bytes | None:
    """The value of ``key`` by the nodes of a read proof under their own hashes; None: proven absent.

    Raises ``MissingNode`` if the nodes do not lead from ``state_root`` to an answer.
    """
    found = top(state_root, key, nodes)
    if found is None:
        return None
    node = decode_node(found.node)
    if len(found.path) + len(node.partial) != 2 * len(key):
        return None
    if isinstance(node.value, HashedValue):
        if node.value.hash not in nodes:
            raise MissingNode(f"the value of 0x{key.hex()} is missing")
        return nodes[node.value.hash]
    return node.value


def _shared(first: bytes, last: bytes) -> int:
    """How many nibbles two keys have in common from the start."""
    for at, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return 2 * at + (one >> 4 == other >> 4)
    return 2 * min(len(first), len(last))
