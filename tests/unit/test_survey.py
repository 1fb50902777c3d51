"""The size of a state before it is read: near the truth, and exact in the end whatever the guess was."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from indexer.devchain.trie_build import TrieStore
from indexer.survey import Survey, survey
from indexer.trie import EMPTY_ROOT, Ahead, MissingNode, diff

NOTHING: Mapping[bytes, bytes] = {}
LARGE, SMALL, BY_SUBNET, ABSENT = (bytes([first]) * 32 for first in (0x11, 0x12, 0xA0, 0xB0))


def a_state() -> tuple[TrieStore, bytes]:
    """A large hashed map, a single value, and a map of 60 subnets with 50 keys each, as the chain has them."""
    draw, store = random.Random(5), TrieStore()
    keys = {LARGE + draw.randbytes(48): draw.randbytes(40) for _ in range(6000)}
    keys |= {SMALL: b"x" * 8}
    keys |= {
        BY_SUBNET + netuid.to_bytes(2, "little") + draw.randbytes(24): draw.randbytes(30)
        for netuid in range(60)
        for _ in range(50)
    }
    return store, store.update(EMPTY_ROOT, keys)


def surveyed(store: TrieStore, root: bytes, seed: int) -> tuple[Survey, int]:
    """What a survey finds, and the nodes it read."""
    steps = survey(root, [LARGE, SMALL, BY_SUBNET, ABSENT], NOTHING, pick=random.Random(seed).choice)
    read = 0
    try:
        wants = next(steps)
        while True:
            read += len(wants)
            wants = steps.send({want.hash: store.raw[want.hash] for want in wants})
    except StopIteration as stop:
        return stop.value, read


def test_the_estimate_is_near_what_the_walk_reads_and_costs_little() -> None:
    store, root = a_state()
    guesses = []
    for seed in range(10):
        found, cost = surveyed(store, root, seed)
        assert cost < 250
        guesses.append(found.below(b""))
    truth = walked(store, root, found)[0][-1]
    assert all(0.7 * truth < guess < 1.3 * truth for guess in guesses)
    assert sum(guesses) / len(guesses) == pytest.approx(truth, rel=0.1)


def walked(store: TrieStore, root: bytes, found: Survey) -> tuple[list[int], list[float]]:
    """What is read and what is left, step by step, of a walk in small steps."""
    ahead: list[Ahead] = []
    cache: dict[bytes, bytes] = {}
    steps = diff(None, root, [LARGE, SMALL, BY_SUBNET, ABSENT], cache, batch=256, ahead=ahead)
    read, left = [0], []
    try:
        wants = next(steps)
        while True:
            left.append(found.left(path for path, _, _ in ahead))
            read.append(read[-1] + len({want.hash for want in wants}))
            cache |= {want.hash: store.raw[want.hash] for want in wants}
            wants = steps.send(cache)
    except StopIteration:
        return read, left


def test_what_is_read_and_what_is_left_add_up_to_the_truth_more_and_more() -> None:
    store, root = a_state()
    found, _ = surveyed(store, root, 3)
    read, left = walked(store, root, found)
    total = read[-1]
    totals = [done + rest for done, rest in zip(read, left, strict=False)]
    assert len(totals) > 20
    assert all(0.75 * total < guess < 1.25 * total for guess in totals)
    assert totals[-1] == pytest.approx(total, rel=0.05), "it does not sit at 99 %"
    assert left[len(left) // 2] < 0.7 * left[0], "half of the steps are not for a last percent"


def test_an_empty_state_and_a_map_without_keys_cost_nothing() -> None:
    assert surveyed(TrieStore(), EMPTY_ROOT, 1)[0].below(b"") == 0
    store, root = a_state()
    steps = survey(root, [ABSENT], store.raw)
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value.below(b"") == 0


def test_a_node_that_is_not_sent_is_missed() -> None:
    _, root = a_state()
    steps = survey(root, [LARGE], NOTHING)
    next(steps)
    with pytest.raises(MissingNode):
        steps.send({})
