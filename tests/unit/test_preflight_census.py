"""The size of a trie, told by a few walks, against the trie's own count."""

from __future__ import annotations

import random

import pytest

from indexer.devchain.trie_build import TrieStore
from indexer.model import HashedValue
from indexer.preflight.census import Census, census, drawn, interval
from indexer.trie import EMPTY_ROOT, MissingNode, decode_node, nibbles

SEEDS = 15
PREFIXES = [bytes([first]) * 32 for first in (0x11, 0x12, 0x5A, 0xC0)]


def made(seed: int, keys: int) -> dict[bytes, bytes]:
    """A state with a small map, a large one, one whose groups differ in size, and one of long values."""
    rng = random.Random(seed)
    state = {PREFIXES[0] + bytes([at]): b"small" for at in range(5)}
    state |= {PREFIXES[1] + rng.randbytes(32): rng.randbytes(rng.choice((8, 40))) for _ in range(keys)}
    for group in range(24):
        members = keys // 20 if group % 8 == 0 else 20 + group
        state |= {PREFIXES[2] + group.to_bytes(2, "little") + rng.randbytes(32): b"\1" for _ in range(members)}
    state |= {PREFIXES[3] + rng.randbytes(16): bytes([at % 7]) * 300 for at in range(200)}
    return state | {rng.randbytes(40): b"of another map" for _ in range(50)}


def taken(store: TrieStore, root: bytes, seed: int, **options: int) -> tuple[Census, int, int]:
    """The census over a store that serves proofs, the number of rounds and of nodes asked for."""
    rounds = asked = 0

    steps = census(root, PREFIXES, random.Random(seed), **options)
    try:
        asks = next(steps)
        while True:
            rounds, asked = rounds + 1, asked + len(asks)
            asks = steps.send({ask.hash: store.raw[ask.hash] for ask in asks})
    except StopIteration as end:
        return end.value, rounds, asked


def truth(store: TrieStore, root: bytes, prefixes: list[bytes]) -> tuple[int, int, int]:
    """Keys, nodes that stand by themselves with long values, and their bytes, by going everywhere."""
    wanted = [nibbles(prefix) for prefix in prefixes]
    keys = nodes = size = 0

    def visit(raw: bytes, path: bytes, by_hash: bool) -> None:
        nonlocal keys, nodes, size
        node = decode_node(raw)
        here = path + node.partial
        inside = any(here.startswith(prefix) for prefix in wanted)
        if inside and by_hash:
            nodes, size = nodes + 1, size + len(raw)
        if inside and node.value is not None:
            keys += 1
            if isinstance(node.value, HashedValue):
                nodes, size = nodes + 1, size + len(store.raw[node.value.hash])
        for slot, child in enumerate(node.children or ()):
            if child is not None:
                long = len(child) == 32
                visit(store.raw[child] if long else child, here + bytes([slot]), long)

    visit(store.raw[root], b"", True)
    return keys, nodes, size


def skewed(seed: int) -> dict[bytes, bytes]:
    """A double map as stake is: a few have thousands of entries below their first key, most have some."""
    rng = random.Random(seed)
    return {
        PREFIXES[0] + first + rng.randbytes(48): rng.randbytes(17)
        for at in range(300)
        for first in [rng.randbytes(48)]
        for _ in range(max(1, 3000 // (at + 1)))
    }


@pytest.mark.parametrize("state", [made(1, 4000), skewed(5)], ids=["several maps", "a skewed one"])
def test_the_range_holds_the_truth_in_most_cases(state: dict[bytes, bytes]) -> None:
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    keys, nodes, size = truth(store, root, PREFIXES)
    assert keys == sum(key.startswith(tuple(PREFIXES)) for key in state)
    within = 0
    likely, widths = [], []
    for seed in range(SEEDS):
        found, rounds, asked = taken(store, root, seed, most=400)
        assert not found.is_exact
        assert rounds < 25
        assert asked < nodes / 2, "a census reads a part, not all"
        widths.append(found.keys.high - found.keys.low)
        within += found.keys.low <= keys <= found.keys.high
        likely.append((found.keys.likely, found.nodes.likely, found.bytes.likely))
    assert within >= SEEDS * 0.75
    assert sum(widths) / SEEDS < keys / 2, "ranges that say little"
    for at, true in enumerate((keys, nodes, size)):
        assert sum(one[at] for one in likely) / len(likely) == pytest.approx(true, rel=0.06), "no bias"


def test_what_has_more_mass_is_drawn_more_often_and_each_as_often_as_is_said() -> None:
    masses = [1.0, 2.0, 50.0, 3.0, 0.5, 4.0] * 10
    times = [0] * len(masses)
    chances: dict[int, float] = {}
    for seed in range(2000):
        for at, chance in drawn(masses, 20, random.Random(seed)):
            times[at] += 1
            chances[at] = chance
    assert chances[2] == 1.0, "more than its share: always"
    for at, chance in chances.items():
        assert times[at] / 2000 == pytest.approx(chance, abs=0.04)
    assert sum(chances.values()) == pytest.approx(20, abs=1)


def test_of_many_large_values_some_tell_the_length_of_all() -> None:
    rng = random.Random(3)
    state = {PREFIXES[0] + rng.randbytes(16): bytes([at % 251]) * rng.randrange(100, 400) for at in range(1200)}
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    keys, nodes, size = truth(store, root, PREFIXES)
    found, _, asked = taken(store, root, 0)
    assert not found.is_exact
    assert asked < nodes
    assert (found.keys.likely, found.nodes.likely) == (keys, nodes)
    assert found.bytes.likely == pytest.approx(size, rel=0.05)


def test_a_small_state_is_counted_not_estimated() -> None:
    state = {PREFIXES[0] + bytes([at]): bytes([at]) * at for at in range(60)} | {b"\x99" * 33: b"other"}
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    found, _, _ = taken(store, root, 0)
    keys, nodes, size = truth(store, root, PREFIXES)
    assert found.is_exact
    assert (found.keys.low, found.keys.high) == (keys, keys) == (60, 60)
    assert (found.nodes.likely, found.bytes.likely) == (nodes, size)


@pytest.mark.parametrize("state", [{}, {b"\x99" * 33: b"of another map"}])
def test_nothing_is_found_where_nothing_is(state: dict[bytes, bytes]) -> None:
    store = TrieStore()
    found, _, _ = taken(store, store.update(EMPTY_ROOT, state), 0)
    assert (found.keys.high, found.nodes.high, found.bytes.high) == (0, 0, 0)


def test_a_node_that_is_not_sent_ends_it() -> None:
    store = TrieStore()
    steps = census(store.update(EMPTY_ROOT, made(2, 50)), PREFIXES, random.Random(0))
    next(steps)
    with pytest.raises(MissingNode):
        steps.send({})


def test_an_interval_grows_with_the_spread_and_one_value_tells_little() -> None:
    assert interval([5.0, 5.0, 5.0]).high == 5.0
    wide = interval([1.0, 9.0, 5.0])
    assert wide.low == 0.0
    assert wide.high > 9.0
    assert interval([1.0, 9.0, 5.0], least=2.0).low == 2.0
    alone = interval([4.0])
    assert (alone.low, alone.high) == (2.0, 8.0)
