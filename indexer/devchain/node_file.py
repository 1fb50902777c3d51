"""Trie nodes of many states in one file, read where they lie: look-ups, read proofs and key listings over a mmap.

Owns the records' layout. Each record has the node's own bytes and, before them, where its children's records begin: a
state is the offset of its root, no index by hash is needed, and a look-up parses a few fixed fields per node. Nothing
is written here; ``growing_trie`` makes the file.

A record: HEAD (length of the node; whether its value lies apart; nibbles of its partial path; bitmap of children), the
nibbles one per byte, eight bytes per child, eight for a value that lies apart, the node. A child within its parent has
the offset 0. A value over 32 bytes is a record of its own: four bytes of length, then the value.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from indexer.model import HashedValue
from indexer.trie import Node, decode_node, nibbles, pack

MAGIC = b"devnodes"
"""The file begins with it, so that no record has the offset 0."""
HEAD = struct.Struct("<IHH")
OFFSET = struct.Struct("<Q")
LENGTH = struct.Struct("<I")
VALUE_APART = 1 << 31
"""Bit of a record's first field: the value lies in a record of its own."""
_LENGTH_MASK = VALUE_APART - 1
_BELOW = tuple((1 << slot) - 1 for slot in range(16))
"""Bits of a bitmap that stand for the slots before this one."""
_MAP_BYTES = 32


class NodeFile:
    """The file of nodes, open for reading."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError`` if it cannot be opened, ``ValueError`` if it is no such file."""
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{path} holds no trie nodes")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def close(self) -> None:
        """Give up the mapping."""
        with suppress(BufferError):
            self._data.close()

    def prove(self, root: int, keys: Iterable[bytes]) -> list[bytes]:
        """What ``TrieStore.prove`` gives, in the same order: the nodes on the paths to ``keys``, their long values."""
        data, head, offset = self._data, HEAD.unpack_from, OFFSET.unpack_from
        found = {root: self.raw(root)}
        """Offset of a record -> the node, or the value that lies apart."""
        entrances: dict[bytes, tuple[int, int]] = {}
        """First bytes of keys, mostly a map's prefix -> (a node that all of them pass, nibbles walked before it)."""
        for key in keys:
            path = nibbles(key)
            size, begins = len(path), key[:_MAP_BYTES]
            node, walked = entrance = entrances.get(begins) or (root, 0)
            while True:
                length, partial, bitmap = head(data, node)
                fields = node + 8 + partial
                if node not in found:
                    raw = fields + 8 * (bitmap.bit_count() + (length >> 31))
                    found[node] = data[raw : raw + (length & _LENGTH_MASK)]
                if partial:
                    if data[node + 8 : fields] != path[walked : walked + partial]:
                        break
                    walked += partial
                if walked == size:
                    if length & VALUE_APART:
                        at = offset(data, fields + 8 * bitmap.bit_count())[0]
                        found[at] = self.value(at)
                    break
                slot = path[walked]
                if not bitmap >> slot & 1:
                    break
                node = offset(data, fields + 8 * (bitmap & _BELOW[slot]).bit_count())[0]
                if not node:
                    break
                walked += 1
                if walked <= 2 * _MAP_BYTES:
                    entrance = node, walked
            entrances[begins] = entrance
        # Two records may hold the same bytes; a proof names them once.
        return list(dict.fromkeys(found.values()))

    def get(self, root: int, key: bytes) -> bytes | None:
        """The value of ``key`` in the state with this root, None if absent."""
        data, path, node, walked = self._data, nibbles(key), root, 0
        while True:
            length, partial, bitmap = HEAD.unpack_from(data, node)
            fields = node + 8 + partial
            if data[node + 8 : fields] != path[walked : walked + partial]:
                return None
            walked += partial
            if walked == len(path):
                if length & VALUE_APART:
                    return self.value(OFFSET.unpack_from(data, fields + 8 * bitmap.bit_count())[0])
                value = decode_node(self.raw(node)).value
                assert not isinstance(value, HashedValue)
                return value
            slot = path[walked]
            if not bitmap >> slot & 1:
                return None
            child: int = OFFSET.unpack_from(data, fields + 8 * (bitmap & _BELOW[slot]).bit_count())[0]
            if not child:
                return _get_within(self._inline(node, slot), path[walked + 1 :])
            node, walked = child, walked + 1

    def keys(self, root: int, prefix: bytes = b"", after: bytes | None = None, count: int | None = None) -> list[bytes]:
        """At most ``count`` keys under ``prefix`` in order, after the key ``after``."""
        last = None if after is None else nibbles(after)
        return [pack(path) for path in islice(self._walk(root, b"", nibbles(prefix), last), count)]

    def raw(self, node: int) -> bytes:
        """The encoding of a node."""
        length, partial, bitmap = HEAD.unpack_from(self._data, node)
        begin = node + 8 + partial + 8 * (bitmap.bit_count() + (length >> 31))
        return self._data[begin : begin + (length & _LENGTH_MASK)]

    def value(self, at: int) -> bytes:
        """A value that lies apart."""
        begin = at + LENGTH.size
        return self._data[begin : begin + LENGTH.unpack_from(self._data, at)[0]]

    def _inline(self, node: int, slot: int) -> Node:
        children = decode_node(self.raw(node)).children
        assert children is not None
        return decode_node(children[slot] or b"\0")

    def _walk(self, at: int | Node, path: bytes, prefix: bytes, after: bytes | None) -> Iterator[bytes]:
        """Paths of values below a node, which is a record or stands in its parent."""
        node = decode_node(self.raw(at)) if isinstance(at, int) else at
        path += node.partial
        if not (path.startswith(prefix) or prefix.startswith(path)):
            return
        if after is not None and path < after and not after.startswith(path):
            return
        if node.value is not None and path.startswith(prefix) and (after is None or path > after):
            yield path
        if node.children is None:
            return
        fields = at + 8 + len(node.partial) if isinstance(at, int) else 0
        for slot, child in enumerate(node.children):
            if child is not None:
                below: int = OFFSET.unpack_from(self._data, fields)[0] if fields else 0
                fields += 8 if fields else 0
                yield from self._walk(below or decode_node(child), path + bytes([slot]), prefix, after)


def _get_within(node: Node, rest: bytes) -> bytes | None:
    """As ``NodeFile.get`` below a node that stands in its parent, where all else does too."""
    while rest.startswith(node.partial):
        rest = rest[len(node.partial) :]
        if not rest:
            assert not isinstance(node.value, HashedValue)
            return node.value
        child = node.children[rest[0]] if node.children else None
        if child is None:
            return None
        node, rest = decode_node(child), rest[1:]
    return None
