"""A state trie that changes in place and writes what it becomes to a file of nodes, state after state.

Owns the one living trie of a chain in the making; every state that was sealed stays readable in the file, see
``node_file``. Faster than ``trie_build``, which keeps all states in memory, by what it gives up: no past state can be
built upon. A test holds the two against each other.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Mapping
from hashlib import blake2b
from typing import BinaryIO

from indexer.devchain.node_file import HEAD, LENGTH, MAGIC, VALUE_APART
from indexer.devchain.scale_encode import compact
from indexer.trie import HASH_LENGTH, INLINE_VALUE_MAX, nibbles

_TO_HEX = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")
_LEAF, _LEAF_APART = (0b01, 6), (0b001, 5)
_BRANCH, _BRANCH_VALUE, _BRANCH_APART = (0b10, 6), (0b11, 6), (0b0001, 4)
"""Kinds of nodes: leading bits of the first byte, how many bits are left for the number of nibbles."""
_OFFSETS = tuple(struct.Struct(f"<{count}Q") for count in range(18))
"""Of up to 16 children and a value."""
_FLUSH_BYTES = 8 << 20

_Change = tuple[bytes, bytes | None]
"""(all nibbles of a key, new value or None to remove)."""


class _Twig:
    """A node of the living trie."""

    __slots__ = ("apart", "at", "children", "partial", "slot", "value")

    def __init__(self, partial: bytes, children: list[_Twig | None] | None) -> None:
        self.partial = partial
        self.children = children
        """16 of them; None for a leaf."""
        self.value: bytes | None = None
        """As it stands in the node: with its length, or the hash of a long one."""
        self.apart = 0
        """Offset of a long value."""
        self.slot: bytes | None = None
        """What the parent holds of it; None while it has changed since it was written."""
        self.at = 0
        """Offset of its record; 0 if it stands in its parent."""


class GrowingTrie:
    """The trie and the file it writes to."""

    def __init__(self, file: BinaryIO) -> None:
        """``file``: empty, open for writing; the caller closes it after ``flush``."""
        self._file = file
        self._waiting: list[bytes] = [MAGIC]
        self._waiting_bytes = self._end = len(MAGIC)
        self._top: _Twig | None = None
        self.nodes = 0
        """Nodes written so far."""

    @property
    def length(self) -> int:
        """Bytes of the file, those still to be written out with them."""
        return self._end

    def put(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Apply changes; None removes a key."""
        if changes:
            todo = sorted((nibbles(key), value) for key, value in changes.items())
            self._top = self._apply(self._top, 0, todo, 0, len(todo))

    def seal(self) -> tuple[bytes, int]:
        """Write all that changed: (hash of the root, offset of its record). Raises ``ValueError`` without a key."""
        if self._top is None:
            raise ValueError("a trie without keys has no root record")
        slot = self._top.slot or self._seal(self._top, top=True)
        return slot[1:], self._top.at

    def flush(self) -> None:
        """Hand what was written to the file."""
        self._file.writelines(self._waiting)
        self._waiting, self._waiting_bytes = [], 0

    def _write(self, *parts: bytes) -> int:
        """Append a record; its offset."""
        at, record = self._end, b"".join(parts)
        self._waiting.append(record)
        self._end += len(record)
        self._waiting_bytes += len(record)
        if self._waiting_bytes > _FLUSH_BYTES:
            self.flush()
        return at

    def _set(self, twig: _Twig, value: bytes | None) -> None:
        twig.slot, twig.apart = None, 0
        if value is None:
            twig.value = None
        elif len(value) > INLINE_VALUE_MAX:
            twig.value = blake2b(value, digest_size=32).digest()
            twig.apart = self._write(LENGTH.pack(len(value)), value)
        else:
            twig.value = compact(len(value)) + value

    def _apply(self, twig: _Twig | None, depth: int, todo: list[_Change], low: int, high: int) -> _Twig | None:
        """``twig``, which begins after ``depth`` nibbles, with the changes from ``low`` to ``high`` in it."""
        first, last = todo[low][0], todo[high - 1][0]
        if twig is None:
            if high - low == 1:
                value = todo[low][1]
                if value is None:
                    return None
                twig = _Twig(first[depth:], None)
                self._set(twig, value)
                return twig
            twig = _Twig(first[depth : _shared(first, last, depth)], None)
        elif high - low == 1 and twig.children is None and first[depth:] == twig.partial and todo[low][1] is not None:
            self._set(twig, todo[low][1])
            return twig
        else:
            partial, end = twig.partial, depth + len(twig.partial)
            if first[depth:end] != partial or last[depth:end] != partial:
                here = min(_shared_from(first, depth, partial), _shared_from(last, depth, partial))
                lower, twig = twig, _Twig(partial[:here], [None] * 16)
                assert twig.children is not None
                twig.children[partial[here]] = lower
                lower.partial, lower.slot = partial[here + 1 :], None
        twig.slot = None
        depth += len(twig.partial)
        if len(first) == depth:
            self._set(twig, todo[low][1])
            low += 1
        while low < high:
            slot, end = todo[low][0][depth], low + 1
            while end < high and todo[end][0][depth] == slot:
                end += 1
            if twig.children is None:
                twig.children = [None] * 16
            twig.children[slot] = self._apply(twig.children[slot], depth + 1, todo, low, end)
            low = end
        return _normal(twig)

    def _seal(self, twig: _Twig, *, top: bool = False) -> bytes:
        """Write a node and whatever changed below it; what its parent holds of it."""
        children, partial = twig.children, twig.partial
        bitmap, below, offsets = 0, list[bytes](), list[int]()
        if children is not None:
            for slot, child in enumerate(children):
                if child is not None:
                    below.append(child.slot or self._seal(child))
                    offsets.append(child.at)
                    bitmap |= 1 << slot
            kind = _BRANCH_APART if twig.apart else _BRANCH if twig.value is None else _BRANCH_VALUE
            below.insert(0, bitmap.to_bytes(2, "little") + (twig.value or b""))
        else:
            assert twig.value is not None
            kind = _LEAF_APART if twig.apart else _LEAF
            below.append(twig.value)
        packed = unhexlify((b"\0" + partial if len(partial) & 1 else partial).translate(_TO_HEX))
        raw = b"".join((_first_bytes(*kind, len(partial)), packed, *below))
        if len(raw) < HASH_LENGTH and not top:
            twig.at, twig.slot = 0, bytes([len(raw) << 2]) + raw
            return twig.slot
        if twig.apart:
            offsets.append(twig.apart)
        head = HEAD.pack(len(raw) | (VALUE_APART if twig.apart else 0), len(partial), bitmap)
        twig.at = self._write(head, partial, _OFFSETS[len(offsets)].pack(*offsets), raw)
        twig.slot = b"\x80" + blake2b(raw, digest_size=32).digest()
        self.nodes += 1
        return twig.slot


def _normal(twig: _Twig) -> _Twig | None:
    """The only legal form of a changed node: gone, leaf, merged into its only child, or branch."""
    if twig.children is None:
        return None if twig.value is None else twig
    taken = 16 - twig.children.count(None)
    if taken == 0:
        twig.children = None
        return None if twig.value is None else twig
    if taken == 1 and twig.value is None:
        slot, child = next((slot, child) for slot, child in enumerate(twig.children) if child is not None)
        child.partial, child.slot = twig.partial + bytes([slot]) + child.partial, None
        return child
    return twig


def _first_bytes(bits: int, width: int, size: int) -> bytes:
    """A node's kind and how many nibbles its partial path has."""
    largest = (1 << width) - 1
    if size < largest:
        return bytes([bits << width | size])
    more, rest = divmod(size - largest, 255)
    return bytes([bits << width | largest]) + b"\xff" * more + bytes([rest])


def _shared(a: bytes, b: bytes, start: int) -> int:
    """Where two paths that agree up to ``start`` part."""
    at, end = start, min(len(a), len(b))
    while at < end and a[at] == b[at]:
        at += 1
    return at


def _shared_from(path: bytes, start: int, partial: bytes) -> int:
    """How many nibbles of ``partial`` a path has from ``start`` on."""
    at, end = 0, min(len(path) - start, len(partial))
    while at < end and path[start + at] == partial[at]:
        at += 1
    return at
