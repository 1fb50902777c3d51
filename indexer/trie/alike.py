"""Two nodes of one shape compared as bytes, without decoding either: most nodes that differ are of one shape.

Both are taken only if ``plain`` would read either: a header, a path and a bitmap that both have, then fields of one
length. All else is None here, and left to the decoder and its errors. That costs a third of two decoded nodes, and
most of a walk's time.
"""

from __future__ import annotations

from indexer.trie.plain import NIBBLE, branch, branch_path, leaf


def branches(path: bytes, old: bytes, new: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """The children that differ between two branches without values at ``path``: where each is, and both slots.

    None if the two are not alike but for their children, all of one length, or are no nodes.
    """
    read = branch(new)
    if read is None:
        return None
    size, at, slots, fields = read
    stride = fields.size // len(slots)
    if len(new) != len(old) or new[:at] != old[:at] or old[at::stride] != new[at::stride]:
        return None
    path = branch_path(path, new, size, at)
    apart: list[tuple[bytes, bytes, bytes]] = []
    before, after = fields.unpack_from(old, at), fields.unpack_from(new, at)
    at = 0
    for child in after:
        if child != before[at]:
            apart.append((path + NIBBLE[slots[at]], before[at], child))
        at += 1  # noqa: SIM113 - half of a walk's time goes by here, and enumerate() is slower
    return apart


def leaves(path: bytes, old: bytes, new: bytes) -> tuple[bytes, bytes, bool] | None:
    """The key of two leaves at ``path``, the new one's value, and whether that is only its hash.

    None if the two are not alike but for their values, are no nodes, or stand at no key.
    """
    found = leaf(path, new)
    if found is None or old == new:
        return None
    at = len(new) - len(found[1])
    if found[2]:
        return found if len(old) == len(new) and old[:at] == new[:at] else None
    end = at - 1  # where the value's length stands
    if old[:end] != new[:end] or len(old) < at or old[end] & 3 or len(old) != at + (old[end] >> 2):
        return None
    return found
