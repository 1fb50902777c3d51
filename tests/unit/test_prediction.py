"""What is learnt of a chain's habits: which keys change often, and which ones an event tells of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer import prediction as module
from indexer.model import Change, EventRecord, ItemRef
from indexer.prediction import UNLEARNT_MAX, Prediction
from indexer.scale import Runtime

ACCOUNT = ItemRef("System", "Account")
ALPHA = ItemRef("SubtensorModule", "Alpha")
Seen = dict[ItemRef, list[Change]]


def account(number: int) -> bytes:
    return number.to_bytes(2, "big") * 16


def hash_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture(scope="module")
def runtime(realdata: Path) -> Runtime:
    return Runtime.from_metadata((realdata / "metadata/spec424.v16.scale").read_bytes())


def key_of(runtime: Runtime, item: ItemRef, *parts: Any) -> bytes:
    kind = runtime.item(item)
    assert kind is not None
    return kind.key(*parts)


def changed(runtime: Runtime, item: ItemRef, *parts: Any) -> Change:
    return Change(item, parts, 1, b"\x01", key_of(runtime, item, *parts)[32:])


def event(fields: Any, name: str = "StakeAdded", pallet: str = "SubtensorModule") -> EventRecord:
    return EventRecord("ApplyExtrinsic", 0, pallet, name, fields, ())


def staked(runtime: Runtime, coldkey: int, hotkey: int, netuid: int) -> tuple[Seen, list[EventRecord]]:
    """A block in which somebody stakes: the event names all parts of two keys among other values."""
    changes = {
        ACCOUNT: [changed(runtime, ACCOUNT, account(coldkey))],
        ALPHA: [changed(runtime, ALPHA, account(hotkey), account(coldkey), netuid)],
    }
    return changes, [event((account(coldkey), account(hotkey), 10**9 + coldkey, 7 * 10**8, netuid, 0))]


def test_keys_an_event_named_before_are_asked_for_at_the_next_event_of_that_kind(runtime: Runtime) -> None:
    learnt = Prediction()
    learnt.saw(hash_of(1), *staked(runtime, 1001, 1002, 13))
    assert learnt.learn()
    _, events = staked(runtime, 2001, 2002, 64)
    found = set(learnt.named(hash_of(2), events, runtime))
    assert found == {
        key_of(runtime, ACCOUNT, account(2001)),
        key_of(runtime, ALPHA, account(2002), account(2001), 64),
    }
    assert not learnt.named(hash_of(3), [event(events[0].fields, name="StakeMoved")], runtime), "of another kind"


def test_each_element_of_a_list_names_a_key_with_what_stands_beside_the_list(runtime: Runtime) -> None:
    learnt = Prediction()
    hotkeys = [account(number) for number in (3001, 3002, 3003)]
    changes = {ALPHA: [changed(runtime, ALPHA, hotkey, account(4001), 5) for hotkey in hotkeys]}
    fields = {"hotkeys": hotkeys, "inner": ({"coldkey": account(4001)}, 5)}
    learnt.saw(hash_of(1), changes, [event(fields)])
    learnt.learn()
    others = [account(number) for number in (5001, 5002)]
    found = learnt.named(hash_of(2), [event({"hotkeys": others, "inner": ({"coldkey": account(6001)}, 9)})], runtime)
    assert set(found) == {key_of(runtime, ALPHA, hotkey, account(6001), 9) for hotkey in others}
    assert not learnt.named(hash_of(3), [event({"hotkeys": [], "inner": ({"coldkey": account(6001)}, 9)})], runtime)
    for shape in ((), {}, 7, {"hotkeys": account(1), "inner": ()}, {"hotkeys": others, "inner": ((), 9)}):
        assert not learnt.named(hash_of(4), [event(shape)], runtime), "an event of another runtime names nothing"


@pytest.mark.parametrize(
    "fields",
    [
        (account(1), 5, "text", None, True),
        {"who": account(1), "at": [3, 4, b"short"], "of": [{"hotkey": account(2)}, {"hotkey": account(3)}]},
        [[(account(1), 2), (account(3), 4)], []],
        ({"a": ({"b": [account(9), (1, 2)]},)},),
        {"many": list(range(100)), "wide": tuple(range(100))},
        account(7),
    ],
)
def test_what_is_read_at_one_place_of_an_event_is_what_a_walk_of_the_whole_finds_there(fields: Any) -> None:
    leaves = module._leaves(fields)
    assert leaves
    assert {path: module._at(fields, path) for path in leaves} == leaves


def test_a_rule_that_proves_wrong_is_given_up(runtime: Runtime) -> None:
    learnt = Prediction()
    learnt.saw(hash_of(1), *staked(runtime, 1001, 1002, 13))
    learnt.learn()
    asked = []
    for number in range(2, 40):
        _, events = staked(runtime, number, number + 500, 13)
        asked.append(len(learnt.named(hash_of(number), events, runtime)))
        learnt.saw(hash_of(number), {}, events)
        learnt.learn()
    assert asked[0] == 2
    assert asked[-1] == 0


def test_nothing_is_learnt_of_a_block_before_there_is_time(runtime: Runtime) -> None:
    learnt = Prediction()
    changes, events = staked(runtime, 1001, 1002, 13)
    learnt.saw(hash_of(1), changes, events)
    assert (learnt.often(), learnt.named(hash_of(2), events, runtime)) == ([], [])
    assert learnt.learn()
    assert not learnt.learn(), "one block was seen"
    assert set(learnt.often()) == {key_of(runtime, one.item, *one.key) for own in changes.values() for one in own}
    assert learnt.named(hash_of(3), events, runtime)


def test_of_blocks_nobody_had_time_for_only_the_last_are_kept(runtime: Runtime) -> None:
    learnt = Prediction()
    for number in range(UNLEARNT_MAX + 20):
        learnt.saw(hash_of(number), {ACCOUNT: [changed(runtime, ACCOUNT, account(number))]}, [])
    taken = 0
    while learnt.learn():
        taken += 1
    assert taken == UNLEARNT_MAX
    first = [key_of(runtime, ACCOUNT, account(number)) for number in (19, 20)]
    assert [key in learnt._seen for key in first] == [False, True]


def test_a_key_that_changes_in_every_block_is_asked_for_until_it_does_no_more(runtime: Runtime) -> None:
    learnt = Prediction()
    own = key_of(runtime, ACCOUNT, account(1))
    for number in range(40):
        learnt.saw(hash_of(number), {ACCOUNT: [changed(runtime, ACCOUNT, account(who)) for who in (1, number + 2)]}, [])
        learnt.learn()
    assert learnt.often()[0] == own
    for number in range(40, 60):
        learnt.saw(hash_of(number), {ACCOUNT: [changed(runtime, ACCOUNT, account(number + 2))]}, [])
        learnt.learn()
    assert own not in learnt.often()
