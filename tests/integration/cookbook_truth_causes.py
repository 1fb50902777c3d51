"""The same as ``cookbook_truth`` for questions of who did something and what else was told of it.

Beside the recorded states it reads the recorded events and extrinsics, by another decoder than the indexer's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from another_decoder import AnotherDecoder, expected, extrinsics
from cookbook_truth import HUGO, NOBODY, Rows, answers
from cookbook_truth_subnets import parameters
from recorded_state import LAST, RecordedStates, address, tao

CHARLIE = "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y"
DAVE = "5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy"
ITEM = "SubtensorModule.LastColdkeyHotkeyStakeBlock"
DEFAULT_BURN = 100_000_000


class Extrinsic(NamedTuple):
    """A recorded extrinsic and how it ended."""

    signer: str | None
    pallet: str
    call: str
    args: dict[str, Any]
    fee: int | None
    failed: dict[str, Any] | None
    """``dispatch_error``; None if it was applied."""


class Told(NamedTuple):
    """Events and extrinsics of a tape, in order."""

    events: dict[int, list[dict[str, Any]]]
    extrinsics: dict[int, dict[int, Extrinsic]]


def acts(chain: RecordedStates) -> Told:
    """What was recorded beside the states."""
    return _acts(chain.file)


@cache
def _acts(file: Path) -> Told:
    told = Told(defaultdict(list), defaultdict(dict))
    fees, failed = {}, {}
    for block, _, event, fee in expected(file.parents[1], file.name):
        told.events[block].append(event)
        fees[block, event["extrinsic_idx"]] = fee
        if event["event_id"] == "ExtrinsicFailed":
            failed[block, event["extrinsic_idx"]] = event["attributes"]["dispatch_error"]
    for block, at, given in extrinsics(file.parents[1], file.name):
        call = given["call"]
        told.extrinsics[block][at] = Extrinsic(
            given.get("address"),
            call["call_module"],
            call["call_function"],
            {one["name"]: one["value"] for one in call["call_args"]},
            fees.get((block, at)),
            failed.get((block, at)),
        )
    return told


@answers("Account statement with the cause of each change")
def _(chain: RecordedStates) -> Rows:
    """By the calls and the states: the statement goes by the events."""
    found: Rows = []
    for block in range(5, 58):
        was, now = (chain.accounts(at).get(DAVE, NOBODY) for at in (block - 1, block))
        rest = now.free - was.free
        for given in acts(chain).extrinsics[block].values():
            change, cause = _moved(chain, block, given)
            if change:
                fee = given.fee if given.signer == DAVE else None
                found.append((block, change, cause, f"{given.pallet}.{given.call}", given.signer, fee))
            rest -= change
        if rest:
            found.append((block, rest, "no event", None, None, None))
    return found


def _moved(chain: RecordedStates, block: int, given: Extrinsic) -> tuple[int, str]:
    """What an extrinsic did to Dave's free balance, and how it is called."""
    own = given.signer == DAVE
    fee = (given.fee or 0) if own else 0
    if given.failed or (not own and given.args.get("dest") != DAVE):
        return -fee, "fee"
    if given.call == "transfer_keep_alive":
        return given.args["value"] * (-1 if own else 1) - fee, "Transfer"
    if given.call == "add_stake":
        return -given.args["amount_staked"] - fee, "StakeAdded"
    if given.call == "burned_register":
        burn = chain.subnet(block - 1, "Burn", given.args["netuid"])
        return -(DEFAULT_BURN if burn is None else burn) - fee, "call"
    assert given.call == "add_proxy"
    return chain.accounts(block - 1)[DAVE].reserved - chain.accounts(block)[DAVE].reserved - fee, "call"


@answers("Who changed a hyperparameter")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in range(LAST, 30, -1):
        was, now = (parameters(chain, at, 1) for at in (block - 1, block))
        for name in sorted(now):
            if was[name] != (value := now[name]):
                by = [(one.args["call"]["call_function"], one.signer) for one in _setters(chain, block, value)]
                (call, signer), *others = by or [(None, None)]
                assert not others
                names = [
                    event["event_id"]
                    for event in acts(chain).events[block]
                    if isinstance(event["attributes"], tuple) and [*map(_text, event["attributes"])] == ["1", value]
                ]
                assert len(names) < 2
                found.append((block, name, was[name], value, call, signer, *(names or ["none"])))
    return found


def _setters(chain: RecordedStates, block: int, value: str | None) -> list[Extrinsic]:
    """The sudo calls that give subnet 1 this value."""
    found = []
    for given in acts(chain).extrinsics[block].values():
        if given.call == "sudo":
            args = {one["name"]: _text(one["value"]) for one in given.args["call"]["call_args"]}
            if args.pop("netuid", None) == "1" and value in args.values():
                found.append(given)
    return found


def _text(value: object) -> str:
    return json.dumps(value, default=str)


@answers("Biggest transfers of the last day")
def _(chain: RecordedStates) -> Rows:
    found = []
    for block in range(LAST - 59, LAST + 1):
        for event in acts(chain).events[block]:
            if (event["module_id"], event["event_id"]) == ("Balances", "Transfer"):
                fee = acts(chain).extrinsics[block][event["extrinsic_idx"]].fee
                parts = event["attributes"]
                found.append((parts["amount"], block, parts["from"], parts["to"], fee))
    found.sort(key=lambda one: -one[0])
    return [(block, chain.time(block), *who, tao(amount), fee) for amount, block, *who, fee in found[:6]]


@answers("What an address paid in fees")
def _(chain: RecordedStates) -> Rows:
    own: dict[str, list[Extrinsic]] = defaultdict(list)
    for given in (one for block in acts(chain).extrinsics.values() for one in block.values()):
        if given.signer == CHARLIE:
            own[f"{given.pallet}.{given.call}"].append(given)
    sums = [
        (call, len(every), sum(one.failed is not None for one in every), sum(one.fee or 0 for one in every))
        for call, every in own.items()
    ]
    return [(*row, tao(row[3])) for row in sorted(sums, key=lambda row: (-row[3], row[0]))]


@answers("Failed extrinsics by error")
def _(chain: RecordedStates) -> Rows:
    decoder = AnotherDecoder(chain.file.parents[1] / "metadata/spec293.v14.scale")
    failures: dict[tuple[str, str], list[tuple[int, str | None]]] = defaultdict(list)
    for block in range(10, 61):
        for at, given in acts(chain).extrinsics[block].items():
            name, results = f"{given.pallet}.{given.call}", []
            if given.failed:
                results.append(decoder.error(given.failed["Module"]))
            for event in acts(chain).events[block]:
                if event["extrinsic_idx"] == at and event["event_id"] == "Sudid":
                    results += [
                        f"inside: {text}" for key, text in event["attributes"]["sudo_result"].items() if key == "Err"
                    ]
            for result in results:
                failures[result, name].append((block, given.signer))
    rows = [
        (error, call, len(every), len({who for _, who in every}), max(block for block, _ in every))
        for (error, call), every in failures.items()
    ]
    return [tuple(row) for row in sorted(rows, key=lambda row: (-row[2], row[0], row[1]))]


@answers("Who registered which neuron")
def _(chain: RecordedStates) -> Rows:
    """By the states: whose uids are new, and which call of the block names the hotkey."""
    found: Rows = []
    for block in range(1, LAST + 1):
        new = {place: key for place, key in chain.uids(block).items() if place not in chain.uids(block - 1)}
        for (netuid, uid), hotkey in sorted(new.items()):
            calls = [one for one in acts(chain).extrinsics[block].values() if one.args.get("hotkey") == hotkey]
            assert len(calls) == (block != 85), "the upgrade gave the owner of a subnet a neuron"
            for one in calls:
                if one.call != "register_network":
                    found.append((block, netuid, uid, hotkey, one.signer, f"{one.pallet}.{one.call}"))
    return found


@answers("Biggest moves of stake, and which of them no event told")
def _(chain: RecordedStates) -> Rows:
    moves = [move for move in chain.flows(LAST - 60, LAST) if not move[6]]
    moves.sort(key=lambda move: (-abs(move[5]), move[0], move[2], move[1]))
    found: Rows = []
    for block, hotkey, coldkey, netuid, _, worth, _ in moves[:8]:
        names = {
            event["event_id"]
            for event in acts(chain).events[block]
            if event["event_id"].startswith("Stake") and {hotkey, coldkey, netuid} <= {*event["attributes"]}
        }
        found.append((block, coldkey, hotkey, netuid, tao(worth), ", ".join(sorted(names)) or "none"))
    return found


@answers("Whose weights equal those of another one epoch earlier")
def _(chain: RecordedStates) -> Rows:
    def vectors(block: int) -> dict[int, bytes]:
        every = chain.entries(block, "SubtensorModule.Weights").items()
        return {int.from_bytes(key[2:4], "little"): value for key, value in every if key[:2] == b"\x01\x00"}

    def set_at(block: int, uid: int) -> int:
        return next(at for at in range(block, 0, -1) if vectors(at - 1).get(uid) != vectors(block)[uid])

    assert {chain.subnet(block, "LastMechansimStepBlock", 1) for block in range(27, 34)} == {27, 33}
    return [
        (uid, other, set_at(33, uid), set_at(27, other))
        for uid, vector in sorted(vectors(33).items())
        for other, earlier in sorted(vectors(27).items())
        if other != uid and earlier == vector and set_at(33, uid) >= set_at(27, other)
    ]


@answers("A storage item that no dataset has")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in range(21, LAST + 1):
        was, now = (chain.entries(at, ITEM) for at in (block - 1, block))
        changed = [key for key in now if was.get(key) != now[key] and address(key[8:40]) == HUGO]
        assert now.keys() >= was.keys()
        rows = [(block, address(key[48:80]), str(int.from_bytes(now[key], "little"))) for key in changed]
        found += sorted(rows)
    return found
