"""The walk over a whole state: every wanted key once, in order, from any point on, and nothing that is not proven."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from indexer.devchain.trie_build import TrieStore
from indexer.model import RawChange
from indexer.trie import EMPTY_ROOT, MissingNode, Want, blake2_256, diff
from indexer.whole import Place, walk

PREFIXES = [bytes([first]) * 32 for first in (3, 5, 9)]


def made(seed: int, count: int = 400) -> tuple[TrieStore, bytes, list[RawChange]]:
    """A state with short and long values under three maps, one of them a single value, and what is not wanted."""
    chance = random.Random(seed)
    state = {
        prefix + chance.randbytes(chance.choice((2, 16, 16))): chance.randbytes(chance.choice((0, 1, 8, 33, 80)))
        for prefix in (*PREFIXES[:2], b"\x04" * 32, b"\x09" * 31 + b"\x08")
        for _ in range(count // 4)
    }
    state[PREFIXES[2]] = chance.randbytes(40)
    store = TrieStore()
    root = store.update(EMPTY_ROOT, dict(state))
    wanted = sorted(RawChange(key, value) for key, value in state.items() if key[:32] in PREFIXES)
    return store, root, wanted


def read(
    store: TrieStore, root: bytes, *, after: bytes | None = None, batch: int = 7
) -> tuple[list[RawChange], list[Want], int]:
    """All entries, all wants and how much lay ahead at most, from a node that gives what it is asked for."""
    entries: list[RawChange] = []
    wants: list[Want] = []
    ahead: list[Place] = []
    most = 0
    steps = walk(root, PREFIXES, {}, after=after, batch=batch, ahead=ahead)
    try:
        found = next(steps)
        while True:
            assert len(found.wants) <= batch
            most = max(most, len(ahead))
            entries += found.entries
            wants += found.wants
            found = steps.send({want.hash: store.raw[want.hash] for want in found.wants})
    except StopIteration:
        return entries, wants, most


@pytest.mark.parametrize("batch", [1, 7, 4096])
@pytest.mark.parametrize("seed", range(5))
def test_every_wanted_key_is_found_once_in_order_as_the_difference_to_nothing_finds_it(seed: int, batch: int) -> None:
    store, root, wanted = made(seed)
    entries, wants, _ = read(store, root, batch=batch)
    steps = diff(None, root, PREFIXES, store.raw)
    with pytest.raises(StopIteration) as done:
        next(steps)
    assert entries == wanted == done.value.value
    assert batch > 1 or len({want.hash for want in wants}) == len(wants), "no node is asked for twice"


@pytest.mark.parametrize("seed", range(3))
def test_from_any_key_on_the_rest_is_found_and_what_lies_before_is_not_read(seed: int) -> None:
    store, root, wanted = made(seed)
    every = len(read(store, root)[1])
    places = [*range(0, len(wanted), 13), len(wanted) - 1]
    for at in places:
        entries, wants, _ = read(store, root, after=wanted[at].key)
        assert entries == wanted[at + 1 :]
        assert len(wants) <= every * (1 - at / len(wanted)) + 40
    for odd in (b"", b"\x03" * 31, b"\x04" * 40, b"\xff" * 40):  # no key of the state
        assert read(store, root, after=odd)[0] == [entry for entry in wanted if entry.key > odd]


def test_what_lies_ahead_stays_small_however_large_the_state() -> None:
    small, large = made(1, 400), made(1, 40_000)
    most = [read(store, root, batch=16)[2] for store, root, _ in (small, large)]
    assert most[1] < 3 * most[0] + 200


def test_an_empty_state_and_no_prefix_have_no_keys() -> None:
    store, root, _ = made(1)
    assert list(walk(EMPTY_ROOT, PREFIXES, {})) == []
    assert list(walk(root, [], store.raw)) == []


def test_a_node_that_was_asked_for_and_is_not_sent_ends_the_walk() -> None:
    store, root, _ = made(1)
    steps = walk(root, PREFIXES, {})
    found = next(steps)
    altered: Mapping[bytes, bytes] = {blake2_256(raw + b"\0"): raw for raw in (store.raw[found.wants[0].hash],)}
    with pytest.raises(MissingNode):
        steps.send(altered)
