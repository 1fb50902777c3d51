"""A whole state, read in key order and in bounded memory: what a first state is read by.

Pure, like ``trie.diff``: a generator that yields the nodes it lacks, and what it has found by then. It goes down
the trie from the left, many nodes at once but always those in front, so that all keys up to the last one found
are done with: whoever keeps that key can go on behind it. Every node is taken by the hash that its parent, and
at last the state root, gives it; what lies up to ``after`` is passed over unread.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from indexer.model import HashedValue, RawChange
from indexer.trie import EMPTY_ROOT, HASH_LENGTH, BadNode, MissingNode, Nodes, Want, decode_node, nibbles, pack
from indexer.trie.plain import BRANCH, LEAF, NIBBLE, branch, branch_path, leaf
from indexer.trie.wanted import is_inside, is_relevant, outermost


class Place(msgspec.Struct, frozen=True, gc=False):
    """Something that lies ahead: a node behind a slot, a value behind its hash, or a key that is done.

    A struct, as one is made for each node of the state and this is the cheapest to make; none is part of a cycle.
    """

    path: bytes
    """Nibbles from the root."""
    ref: bytes
    """The node's hash, or its encoding if that stands inline; the value's hash, or the value."""
    is_value: bool
    is_at_hand: bool
    """Whether ``ref`` is the thing itself and not its hash."""
    is_wanted: bool
    """Whether every key from here on down is wanted."""
    is_behind: bool
    """Whether every key from here on down lies behind ``after``."""


class Found(NamedTuple):
    """What the walk tells each time: keys in order, with their values, and what it lacks to go on."""

    entries: list[RawChange]
    wants: list[Want]
    """Each hash once; none at the end."""


_SLOTS = tuple(bytes((slot,)) for slot in range(15, -1, -1))
_LEAF_WITH_VALUE = range(0x40, LEAF.stop)

Walk: TypeAlias = Generator[Found, Mapping[bytes, bytes], None]


def walk(
    root: bytes,
    prefixes: Collection[bytes],
    nodes: Nodes,
    *,
    after: bytes | None = None,
    batch: int = 4096,
    ahead: list[Place] | None = None,
) -> Walk:
    """Every key under ``prefixes`` behind ``after`` in the state ``root``, with its value, in order.

    Must be sent a mapping that holds each wanted node by its hash, else raises ``MissingNode``. At most about
    ``batch`` are wanted at once, and about so many entries found. ``ahead``: an empty list in which the caller can
    see, between two yields, what lies ahead, the next one last.
    """
    wanted = outermost(prefixes)
    last = None if after is None else nibbles(after)
    stack: list[Place] = [] if ahead is None else ahead
    if wanted and root != EMPTY_ROOT:
        stack.append(Place(b"", root, False, False, False, last is None))
    sent: Mapping[bytes, bytes] = {}
    while stack:
        wants: dict[bytes, Want] = {}
        waiting: list[Place] = []
        entries: list[RawChange] = []
        while stack and len(wants) < batch and len(entries) < batch:
            place = stack.pop()
            raw = place.ref
            if not place.is_at_hand:
                read = sent.get(raw)
                if read is None:
                    read = nodes.get(raw)
                if read is None:
                    wants.setdefault(raw, Want(place.path, raw, False, place.is_value))
                    waiting.append(place)
                    continue
                raw = read
            if place.is_value:
                if waiting:  # what lies before it is not read yet
                    waiting.append(place if place.is_at_hand else Place(place.path, raw, True, True, True, True))
                else:
                    entries.append(RawChange(pack(place.path), raw))
            elif not (place.is_wanted and place.is_behind and raw):
                stack += _below(place, raw, wanted, last)
            elif raw[0] in _LEAF_WITH_VALUE and waiting:  # nothing below it is to be asked for
                waiting.append(place if place.is_at_hand else Place(place.path, raw, False, True, True, True))
            else:
                read_whole = _leaf(place.path, raw, entries) if raw[0] in LEAF else _children(place.path, raw)
                stack += _below(place, raw, wanted, last) if read_whole is None else read_whole
        stack.extend(reversed(waiting))
        if entries or wants:
            sent = yield Found(entries, list(wants.values()))
            for name in wants:
                if name not in sent:
                    raise MissingNode(
                        f"node 0x{name.hex()} at path {wants[name].path.hex()[1::2] or 'root'} is missing"
                    )


def _leaf(path: bytes, raw: bytes, entries: list[RawChange]) -> Collection[Place] | None:
    """A leaf that is wanted: the value behind its hash if it has one, else it is a key that is done."""
    found = leaf(path, raw)
    if found is None:
        return None
    key, value, is_hashed = found
    if is_hashed:
        return (Place(nibbles(key), value, True, False, True, True),)
    entries.append(RawChange(key, value))
    return ()


def _children(path: bytes, raw: bytes) -> list[Place] | None:
    """All children of a branch that is wanted with all below it, the first one last."""
    read = branch(raw) if raw[0] in BRANCH else None
    if read is None:
        return None
    size, at, slots, fields = read
    path = branch_path(path, raw, size, at)
    is_inline = fields.size // len(slots) <= HASH_LENGTH
    children = fields.unpack_from(raw, at)
    return [
        Place(path + NIBBLE[slots[at]], children[at], False, is_inline, True, True)
        for at in range(len(slots) - 1, -1, -1)
    ]


def _below(place: Place, raw: bytes, wanted: Sequence[bytes], last: bytes | None) -> list[Place]:
    """What a node's own value and its children are, as far as they are wanted; the first one last."""
    node = decode_node(raw)
    path, value = place.path + node.partial, node.value
    is_wanted = place.is_wanted or is_inside(path, wanted)
    is_behind = place.is_behind or last is None or (path > last and not last.startswith(path))
    found: list[Place] = []
    for slot, child in zip(_SLOTS, reversed(node.children), strict=True) if node.children is not None else ():
        if child is None:
            continue
        below = path + slot
        if not (is_wanted or is_relevant(below, wanted)):
            continue
        if not is_behind and last is not None and below < last[: len(below)]:
            continue
        found.append(Place(below, child, False, len(child) < HASH_LENGTH, is_wanted, is_behind))
    if value is not None and is_wanted and (is_behind or last is None or path > last):
        if len(path) % 2:
            raise BadNode(f"a value stands at the odd path {path.hex()[1::2]}")
        is_hashed = isinstance(value, HashedValue)
        found.append(
            Place(path, value.hash if isinstance(value, HashedValue) else value, True, not is_hashed, True, True)
        )
    return found
