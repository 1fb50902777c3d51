"""Two nodes of one shape compared as bytes, without decoding either: most nodes that differ are of one shape.

A node is looked at here only if every byte of it is accounted for, exactly as ``decode_node`` would read it: a header,
a path and a bitmap that both have, then fields of one length. Whatever else there is, broken nodes above all, is None
here, and left to the decoder and its errors.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from indexer.trie.codec import HASH_LENGTH, nibbles, pack

_SLOTS_LOW = [tuple(bytes([slot]) for slot in range(8) if bits >> slot & 1) for bits in range(256)]
"""The slots that are taken, by the first byte of a branch's bitmap."""
_SLOTS_HIGH = [tuple(bytes([slot + 8]) for slot in range(8) if bits >> slot & 1) for bits in range(256)]
"""The same by its second byte."""

_NIBBLE = [bytes([nibble]) for nibble in range(16)]


class _Row(NamedTuple):
    """So many fields of one length under 64, one behind the other, each with its length before it."""

    stride: int
    lengths: bytes
    size: int
    fields: Struct


@lru_cache(maxsize=1024)  # 64 lengths, 16 counts
def _row(count: int, mark: int) -> _Row:
    stride = (mark >> 2) + 1
    return _Row(stride, bytes([mark]) * count, stride * count, Struct(f"x{stride - 1}s" * count))


def branches(path: bytes, old: bytes, new: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """The children that differ between two branches without values at ``path``: where, and both slots.

    None if the two are not alike but for children of one length, or are no nodes.
    """
    size, at = new[0] & 0x3F, 1
    if size == 0x3F:
        if len(new) < 2 or new[1] == 255:
            return None
        size += new[1]
        at = 2
    partial, at = at, at + (size + 1 >> 1) + 2
    if len(new) <= at or len(new) != len(old) or new[:at] != old[:at]:
        return None
    slots = _SLOTS_LOW[new[at - 2]] + _SLOTS_HIGH[new[at - 1]]
    mark = new[at]
    if mark & 3 or not slots:
        return None
    stride, lengths, length, fields = _row(len(slots), mark)
    if len(new) != at + length or new[at::stride] != lengths or old[at::stride] != lengths:
        return None
    if size:
        path += nibbles(new[partial : at - 2])[size & 1 :]
    unpack = fields.unpack_from
    return [
        (path + slot, before, after)
        for slot, before, after in zip(slots, unpack(old, at), unpack(new, at), strict=True)
        if before != after
    ]


def leaves(path: bytes, old: bytes, new: bytes) -> tuple[bytes, bytes, bool] | None:
    """The key of two leaves at ``path``, the new one's value, and whether that is its hash only.

    None if the two are not alike but for their values, are no nodes, or stand at no key.
    """
    head = new[0]
    hashed = head < 0x40
    largest = 0x1F if hashed else 0x3F
    size, at = head & largest, 1
    if size == largest:
        if len(new) < 2 or new[1] == 255:
            return None
        size += new[1]
        at = 2
    partial, end = at, at + (size + 1 >> 1)
    if len(path) + size & 1 or old[:end] != new[:end] or old == new:
        return None
    if hashed:
        at = end
        if len(new) != end + HASH_LENGTH or len(old) != len(new):
            return None
    else:
        at = end + 1
        if len(new) < at or len(old) < at or new[end] & 3 or old[end] & 3:
            return None
        if len(new) != at + (new[end] >> 2) or len(old) != at + (old[end] >> 2):
            return None
    if size & 1:
        return pack(path + _NIBBLE[new[partial] & 0xF]) + new[partial + 1 : end], new[at:], hashed
    return pack(path) + new[partial:end], new[at:], hashed
