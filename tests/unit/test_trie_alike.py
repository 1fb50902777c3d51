"""Nodes compared as bytes: the same as decoded ones, and nothing passes that the decoder refuses."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.model import HashedValue, RawChange
from indexer.trie import (
    BadNode,
    Diff,
    Node,
    NodeCache,
    blake2_256,
    decode_node,
    diff,
    difference,
    encode_node,
    nibbles,
    pack,
)
from indexer.trie.alike import branches, leaves
from indexer.trie.cache import KEPT_BLOCKS

PATHS = [b"", b"\x01", b"\x01\x02"]


def plainly(raw: bytes) -> Node:
    """One field after the other, as the specification of layout V1 has them."""
    left = list(raw)

    def take(count: int) -> bytes:
        if len(left) < count:
            raise BadNode("too short")
        taken, left[:count] = bytes(left[:count]), []
        return taken

    def compact() -> int:
        first = take(1)[0]
        if first & 3 == 3:
            raise BadNode("too long")
        more = take((0, 1, 3)[first & 3])
        return int.from_bytes(bytes([first]) + more, "little") >> 2

    head = take(1)[0]
    if head == 0:
        node = Node(b"", None, None)
    else:
        kinds = [(0b01, 2, "l"), (0b10, 2, "b"), (0b11, 2, "bv"), (0b001, 3, "lh"), (0b0001, 4, "bvh")]
        found = [(what, 8 - bits) for prefix, bits, what in kinds if head >> 8 - bits == prefix]
        if not found:
            raise BadNode("no node")
        what, bits = found[0]
        size = head & (1 << bits) - 1
        if size == (1 << bits) - 1:
            more = 255
            while more == 255:
                more = take(1)[0]
                size += more
        partial = nibbles(take((size + 1) // 2))[size % 2 :]
        bitmap = int.from_bytes(take(2), "little") if "b" in what else 0
        value: bytes | HashedValue | None = None
        if "h" in what:
            value = HashedValue(take(32))
        elif what != "b":
            value = take(compact())
        slots = tuple(take(compact()) if bitmap >> slot & 1 else None for slot in range(16))
        node = Node(partial, slots if "b" in what else None, value)
    if left:
        raise BadNode("too long")
    return node


def decoded(raw: bytes) -> Node | None:
    try:
        return plainly(raw)
    except BadNode:
        return None


def bent(raw: bytes, random: Random) -> bytes:
    """A node with a few bits turned, most of them near its beginning, and perhaps another end."""
    other = bytearray(raw)
    for _ in range(random.choice([1, 1, 2])):
        other[random.randrange(min(len(other), random.choice([1, 4, 1000])))] ^= 1 << random.randrange(8)
    return bytes(other[: len(other) - random.choice([0, 0, 0, 1])]) + random.choice([b"", b"", b"\0", bytes(33)])


def a_pair(random: Random) -> tuple[bytes, bytes]:
    """Two nodes that are alike in most of what they have, in bytes; often one of them, or both, with some bytes off."""
    partial = bytes(
        random.randrange(16) for _ in range(random.choice([0, 0, 1, 2, 29, 30, 31, 62, 63, 64, 317, 318, 400]))
    )
    length = random.choice([32, 32, 32, 1, 12, 31, 0, 33, 63, 70])
    taken = random.sample(range(16), random.choice([0, 1, 2, 5, 16]))
    kind = random.choice(["branch", "branch", "leaf", "hashed", "branch with a value"])
    raws = []
    for _ in range(2):
        children = [random.randbytes(length) if slot in taken else None for slot in range(16)]
        if kind.startswith("branch"):
            if raws and random.random() < 0.7:
                before = plainly(raws[0]).children or ()
                keep = random.sample(range(16), 14)
                children = [before[slot] if slot in keep else children[slot] for slot in range(16)]
            node = Node(partial, tuple(children), None if kind == "branch" else b"v")
        else:
            node = Node(
                partial,
                None,
                HashedValue(random.randbytes(32))
                if kind == "hashed"
                else random.randbytes(random.choice([0, 1, 16, 63, 64, 80])),
            )
        raws.append(encode_node(node))
    raws = [bent(raw, random) if random.random() < 0.3 else raw for raw in raws]
    if random.random() < 0.1:
        raws[1] = raws[0]
    return raws[0], raws[1]


@settings(max_examples=2500, deadline=None)
@given(seed=st.integers(0, 2**32), path=st.sampled_from(PATHS))
def test_what_two_alike_nodes_differ_in_is_what_decoding_both_says(seed: int, path: bytes) -> None:
    old, new = a_pair(Random(seed))
    for raw in (old, new):
        expected = decoded(raw)
        if expected is None:
            with pytest.raises(BadNode):
                decode_node(raw)
        else:
            assert decode_node(raw) == expected
    if not old or not new:
        return
    before, after = decoded(old), decoded(new)
    below = branches(path, old, new) if 0x80 <= new[0] < 0xC0 else None
    if below is not None:
        assert before is not None, "a broken node was taken for a branch"
        assert after is not None, "a broken node was taken for a branch"
        assert before.children is not None
        assert after.children is not None
        assert (before.partial, before.value, after.value) == (after.partial, None, None)
        pairs = list(zip(before.children, after.children, strict=True))
        here = path + after.partial
        assert below == [(here + bytes([slot]), a, b) for slot, (a, b) in enumerate(pairs) if a != b]
    found = leaves(path, old, new) if 0x20 <= new[0] < 0x80 else None
    if found is not None:
        assert before is not None, "a broken node was taken for a leaf"
        assert after is not None, "a broken node was taken for a leaf"
        assert (before.children, after.children, before.partial) == (None, None, after.partial)
        assert before.value != after.value
        assert len(path + after.partial) % 2 == 0
        value = after.value.hash if isinstance(after.value, HashedValue) else after.value
        assert found == (pack(path + after.partial), value, isinstance(after.value, HashedValue))


def everything(raw: bytes, path: bytes, store: dict[bytes, bytes]) -> dict[bytes, bytes | HashedValue]:
    """Each value below a node by its path, plainly."""
    node = plainly(raw)
    path += node.partial
    found = {} if node.value is None else {path: node.value}
    for slot, child in enumerate(node.children or ()):
        if child is not None:
            found |= everything(child if len(child) < 32 else store[child], path + bytes([slot]), store)
    return found


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_walk_through_alike_leaves_finds_what_decoding_all_of_them_does_or_refuses(seed: int) -> None:
    random = Random(seed)
    store: dict[bytes, bytes] = {}
    slots = random.sample(range(16), random.randrange(1, 6))
    pairs = {
        slot: [bent(raw, random) if random.random() < 0.1 else raw for raw in two_leaves(random)] for slot in slots
    }
    roots = []
    for side in range(2):
        children: list[bytes | None] = [None] * 16
        for slot, pair in pairs.items():
            store[blake2_256(pair[side])] = pair[side]
            children[slot] = pair[side] if len(pair[side]) < 32 else blake2_256(pair[side])
        top = encode_node(Node(b"", tuple(children), None))
        store[blake2_256(top)] = top
        roots.append(blake2_256(top))
    nodes = [{slot: decoded(pair[side]) for slot, pair in pairs.items() if pair[0] != pair[1]} for side in range(2)]
    every = [node for each in nodes for node in each.values()]
    if None in every:
        assert end_of(diff(*roots, [b""], store)) is None
        return
    if any(node is not None and node.children is not None for node in every):
        return  # bits turned a leaf into a branch: another test's matter
    before, after = (
        {bytes([slot]) + node.partial: node.value for slot, node in each.items() if node is not None} for each in nodes
    )
    apart = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    expected = [RawChange(pack(path), after.get(path)) for path in apart]
    is_odd = any(len(path) % 2 for path in apart)
    assert end_of(diff(*roots, [b""], store, hash_only=map(pack, apart))) == (None if is_odd else expected)


def end_of(walk: Diff) -> list[RawChange] | None:
    """What a walk that has every node finds; None if it refuses one, or wants what an honest state would not name."""
    try:
        next(walk)
    except BadNode:
        return None
    except StopIteration as stop:
        changes: list[RawChange] = stop.value
        return changes
    return None


def two_leaves(random: Random) -> tuple[bytes, bytes]:
    partial = bytes(random.randrange(16) for _ in range(random.choice([1, 1, 3, 31, 63, 65, 2])))
    values = [random.choice([random.randbytes(16), HashedValue(random.randbytes(32))]) for _ in range(2)]
    one, other = (encode_node(Node(partial, None, value)) for value in values)
    return one, other


BRANCH = encode_node(Node(b"", (bytes(32), *[None] * 14, bytes(32)), None))
LEAF = encode_node(Node(b"\1" * 65, None, bytes(16)))
HASHED = encode_node(Node(b"\1" * 65, None, HashedValue(bytes(32))))


@pytest.mark.parametrize("raw", [BRANCH, LEAF, HASHED], ids=["branch", "leaf", "hashed"])
@pytest.mark.parametrize(
    "ends", [b"\0", bytes(33), None], ids=["a byte too many", "a field too many", "a byte too few"]
)
def test_a_node_of_another_length_than_it_says_is_refused(raw: bytes, ends: bytes | None) -> None:
    bent = raw[:-1] if ends is None else raw + ends
    refused_beside_a_sound_one(raw, bent)


@pytest.mark.parametrize(
    ("raw", "at", "length"), [(BRANCH, 3, 0x84), (BRANCH, 36, 0x7C), (BRANCH, 3, 0x83), (LEAF, 35, 0x44)]
)
def test_a_length_that_does_not_fit_is_refused(raw: bytes, at: int, length: int) -> None:
    refused_beside_a_sound_one(raw, raw[:at] + bytes([length]) + raw[at + 1 :])


def refused_beside_a_sound_one(raw: bytes, bent: bytes) -> None:
    """On both sides, on the old one, and on the new one."""
    other, bent_too = (each[:-4] + b"\7" + each[-3:] for each in (raw, bent))
    for old, new in [(bent, bent_too), (bent, other), (raw, bent_too)]:
        tops = [encode_node(Node(b"", (blake2_256(each), *[None] * 15), None)) for each in (old, new)]
        store = {blake2_256(each): each for each in (old, new, *tops)}
        with pytest.raises(BadNode):
            next(diff(blake2_256(tops[0]), blake2_256(tops[1]), [b""], store))


def test_nodes_of_one_shape_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the walk is right all the same, and takes three times as long."""
    seen = []
    monkeypatch.setattr(difference, "decode_node", lambda raw: seen.append(raw) or decode_node(raw))
    roots = []
    store: dict[bytes, bytes] = {}
    for value in (b"a" * 16, b"b" * 16):
        children = []
        for slot in range(16):
            raw = encode_node(Node(bytes([slot]) * 91, None, value))
            store[blake2_256(raw)] = raw
            children.append(blake2_256(raw))
        top = encode_node(Node(b"", tuple(children), None))
        store[blake2_256(top)] = top
        roots.append(blake2_256(top))
    with pytest.raises(StopIteration) as done:
        next(diff(*roots, [b""], store))
    assert len(done.value.value) == 16
    assert seen == []


@pytest.mark.parametrize("size", [40, 130, 531])
def test_the_limit_of_the_cache_is_what_it_takes_of_memory(size: int) -> None:
    """Within a fifth, whatever the nodes' size."""
    random = Random(size)
    limit = 1 << 20
    tracemalloc.start()
    try:
        cache = NodeCache(limit)
        before = tracemalloc.get_traced_memory()[0]
        most = 0
        for _ in range(2 * limit // (size + 100)):
            cache.update({random.randbytes(32): random.randbytes(size)})
            most = max(most, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert 0.8 < most / limit < 1.2


def test_a_node_that_no_block_uses_for_longer_than_an_epoch_is_dropped_and_others_stay() -> None:
    cache = NodeCache(1 << 20)
    cache.update({b"rests": b"1", b"used": b"2"})
    for block in range(2 * KEPT_BLOCKS):
        if block % 360 == 0:  # an epoch
            assert cache.get(b"used") == b"2"
        cache.block_passed()
    assert cache.get(b"rests") is None
    assert cache.get(b"used") == b"2"
