"""One node read from its bytes, without making a ``Node`` of it: the two shapes that nearly all nodes have.

A node is taken here only if every byte of it is accounted for, exactly as ``decode_node`` would read it: a leaf, or a
branch without a value whose children are fields of one length. Whatever else there is, broken nodes above all, is None
here, and left to the decoder and its errors. Whoever calls has looked at the first byte: ``LEAF``, ``BRANCH``.
"""

from __future__ import annotations

from struct import Struct

from indexer.trie.codec import HASH_LENGTH, SLOTS_HIGH, SLOTS_LOW, nibbles, pack, run_of_fields

NIBBLE = [bytes([nibble]) for nibble in range(16)]
LEAF = range(0x20, 0x80)
"""First bytes of leaves, with a value (from 0x40 on) or with its hash."""
BRANCH = range(0x80, 0xC0)
"""First bytes of branches without a value."""


def leaf(path: bytes, raw: bytes) -> tuple[bytes, bytes, bool] | None:
    """The key of a leaf at ``path``, its value, and whether that is only its hash.

    None if the leaf is none, stands at no key, or has a value of 64 bytes or more, or a path of 318 nibbles.
    """
    head = raw[0]
    hashed = head < 0x40
    largest = 0x1F if hashed else 0x3F
    size, start = head & largest, 1
    if size == largest:
        if len(raw) < 2 or raw[1] == 255:
            return None
        size += raw[1]
        start = 2
    end = start + (size + 1 >> 1)
    if len(path) + size & 1:
        return None
    if hashed:
        at = end
        if len(raw) != end + HASH_LENGTH:
            return None
    else:
        at = end + 1
        if len(raw) < at or raw[end] & 3 or len(raw) != at + (raw[end] >> 2):
            return None
    if size & 1:
        return pack(path + NIBBLE[raw[start] & 0xF]) + raw[start + 1 : end], raw[at:], hashed
    return pack(path) + raw[start:end], raw[at:], hashed


def branch(raw: bytes) -> tuple[int, int, tuple[int, ...], Struct] | None:
    """How to read the children of a branch: nibbles of its partial, where the first child stands, slots, fields.

    None if it is none, or its children are not fields of one length below 64 bytes.
    """
    size = raw[0] & 0x3F
    if size == 0:
        at = 3
    elif size < 0x3F:
        at = 3 + (size + 1 >> 1)
    elif len(raw) < 2 or raw[1] == 255:
        return None
    else:
        size += raw[1]
        at = 4 + (size + 1 >> 1)
    if len(raw) <= at:
        return None
    slots = SLOTS_LOW[raw[at - 2]] + SLOTS_HIGH[raw[at - 1]]
    mark = raw[at]
    if mark & 3 or not slots:
        return None
    stride, marks, fields = run_of_fields(len(slots), mark)
    if len(raw) != at + fields.size or raw[at::stride] != marks:
        return None
    return size, at, slots, fields


def branch_path(path: bytes, raw: bytes, size: int, at: int) -> bytes:
    """Where the children of a branch at ``path`` part, from what ``branch`` told of it."""
    return path + nibbles(raw[at - 2 - (size + 1 >> 1) : at - 2])[size & 1 :] if size else path
