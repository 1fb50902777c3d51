"""Two nodes of one shape compared as bytes, without decoding either: most nodes that differ are of one shape.

A node is taken here only if every byte of it is accounted for, exactly as ``decode_node`` would read it: a header, a
path and a bitmap that both nodes have, then fields of one length. Whatever else there is, broken nodes above all, is
None here, and left to the decoder and its errors. That costs a third of two decoded nodes, and most of a walk's time.
"""

from __future__ import annotations

from indexer.trie.codec import HASH_LENGTH, SLOTS_HIGH, SLOTS_LOW, nibbles, pack, run_of_fields

_NIBBLE = [bytes([nibble]) for nibble in range(16)]


def branches(path: bytes, old: bytes, new: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """The children that differ between two branches without values at ``path``: where each is, and both slots.

    None if the two are not alike but for their children, all of one length, or are no nodes.
    """
    size = new[0] & 0x3F
    if size == 0:
        at = 3
    elif size < 0x3F:
        at = 3 + (size + 1 >> 1)
    elif len(new) < 2 or new[1] == 255:
        return None
    else:
        size += new[1]
        at = 4 + (size + 1 >> 1)
    if len(new) <= at or len(new) != len(old) or new[:at] != old[:at]:
        return None
    slots = SLOTS_LOW[new[at - 2]] + SLOTS_HIGH[new[at - 1]]
    mark = new[at]
    if mark & 3 or not slots:
        return None
    stride, marks, fields = run_of_fields(len(slots), mark)
    if len(new) != at + fields.size or new[at::stride] != marks or old[at::stride] != marks:
        return None
    if size:
        path += nibbles(new[at - 2 - (size + 1 >> 1) : at - 2])[size & 1 :]
    apart: list[tuple[bytes, bytes, bytes]] = []
    before, after = fields.unpack_from(old, at), fields.unpack_from(new, at)
    at = 0
    for child in after:
        if child != before[at]:
            apart.append((path + _NIBBLE[slots[at]], before[at], child))
        at += 1  # noqa: SIM113 - half of a walk's time goes by here, and enumerate() is slower
    return apart


def leaves(path: bytes, old: bytes, new: bytes) -> tuple[bytes, bytes, bool] | None:
    """The key of two leaves at ``path``, the new one's value, and whether that is only its hash.

    None if the two are not alike but for their values, are no nodes, or stand at no key.
    """
    head = new[0]
    hashed = head < 0x40
    largest = 0x1F if hashed else 0x3F
    size, start = head & largest, 1
    if size == largest:
        if len(new) < 2 or new[1] == 255:
            return None
        size += new[1]
        start = 2
    end = start + (size + 1 >> 1)
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
        return pack(path + _NIBBLE[new[start] & 0xF]) + new[start + 1 : end], new[at:], hashed
    return pack(path) + new[start:end], new[at:], hashed
