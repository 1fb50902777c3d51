"""The recorded chains, replayed: known roots, the runtime's own answers, and every way a tape can be broken."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.devchain.chain import Chain
from indexer.devchain.declare import read_compact
from indexer.devchain.heartbeat import fill
from indexer.devchain.rpc import RpcError, call
from indexer.devchain.tape import load_tape
from indexer.errors import ConfigError
from indexer.scale import Runtime

pytestmark = pytest.mark.realdata

ROOTS = {
    "blocks": {0: "969c39efb20abe95", 1: "1df3dfa6b64987ee", 50: "0ec95cb9eb3704f4", 84: "f633cee8bfcf2c33"}
    | {88: "74413937407fdb24"},
    "blocks_spec143": {0: "197baab13bf31c84", 1: "dcc5be701e5aee48", 20: "2d35bae3b7688c71", 41: "43b1bc5487066e7f"},
}


def replay(realdata: Path, name: str) -> Chain:
    chain = load_tape(realdata / "tape" / f"{name}.jsonl.gz", realdata / "metadata")
    fill(chain)
    return chain


@pytest.fixture(scope="module")
def tape(realdata: Path) -> Chain:
    return replay(realdata, "blocks")


@pytest.mark.parametrize("name", ROOTS)
def test_a_replay_has_the_known_state_roots_and_is_finalized_to_its_end(realdata: Path, name: str):
    chain = replay(realdata, name)
    assert {number: chain.at(number).header.state_root.hex()[:16] for number in ROOTS[name]} == ROOTS[name]
    assert chain.finalized == chain.best == chain.at(max(ROOTS[name]))


def test_the_runtime_changes_in_the_state_one_block_before_it_executes(tape: Chain):
    assert [tape.runtime(tape.at(n).hash).spec_version for n in (83, 84, 85)] == [293, 300, 300]
    assert [tape.executed_by(tape.at(n).hash).spec_version for n in (0, 83, 84, 85)] == [293, 293, 293, 300]


def test_the_code_left_out_of_the_recording_is_refused_by_name(tape: Chain):
    with pytest.raises(RpcError, match=r"only the hash 0x76896e4ea7739878.* was recorded"):
        call(tape, "state_getStorage", ["0x3a636f6465"])
    with pytest.raises(RpcError, match="was recorded"):
        call(tape, "state_getReadProof", [["0x3a636f6465"]])


def test_the_extrinsic_that_carried_code_is_replaced_by_a_remark_that_says_so(tape: Chain, realdata: Path):
    runtime = Runtime.from_metadata((realdata / "metadata" / "spec293.v15.scale").read_bytes())
    stand_in = runtime.decode_extrinsic(tape.at(84).extrinsics[1])
    assert (stand_in.pallet, stand_in.call, stand_in.signed) == ("System", "remark", False)
    assert b"1824584 bytes" in stand_in.args["remark"]  # type: ignore[operator]


def answers(realdata: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(realdata / "tape" / "oracle.jsonl.gz", "rt") as lines:
        yield from map(json.loads, lines)


def stake_infos(raw: bytes) -> dict[tuple[bytes, bytes, int], int]:
    """``Vec<(coldkey, Vec<StakeInfo>)>``, taken apart by hand."""
    stakes = {}
    count, at = read_compact(raw, 0)
    for _ in range(count):
        infos, at = read_compact(raw, at + 32)
        for _ in range(infos):
            hotkey, coldkey, at = raw[at : at + 32], raw[at + 32 : at + 64], at + 64
            numbers = []
            for _ in range(6):
                number, at = read_compact(raw, at)
                numbers.append(number)
            at += 1  # is_registered
            stakes[hotkey, coldkey, numbers[0]] = numbers[1]
    assert at == len(raw)
    return stakes


def test_stakes_equal_the_real_runtimes_own_answers_in_all_631_positions(tape: Chain, realdata: Path):
    compared = 0
    for answer in answers(realdata):
        if not isinstance(answer["stake_info_for_coldkeys"], str):
            continue
        truth = stake_infos(bytes.fromhex(answer["stake_info_for_coldkeys"][2:]))
        coldkeys = {coldkey for _, coldkey, _ in truth}
        ours = tape.stake_at(tape.at(answer["number"]).hash)
        positions = set(truth) | {tuple(one) for one in ours if one.coldkey in coldkeys}
        compared += len(positions)
        for position in positions:
            assert ours.get(position, 0) == truth.get(position, 0), (answer["number"], position)  # type: ignore[call-overload]
    assert compared == 631


def test_prices_equal_the_real_runtimes_own_answers_within_one_rao(tape: Chain, realdata: Path):
    compared = 0
    for answer in answers(realdata):
        prices = tape.prices_at(tape.at(answer["number"]).hash)
        for netuid, price in prices.items():
            told = answer.get(f"price_{netuid}")
            if isinstance(told, str):
                compared += 1
                assert abs(int.from_bytes(bytes.fromhex(told[2:])[:8], "little") - price) <= 1
    assert compared == 83


def test_before_shares_the_stored_tao_is_the_stake(realdata: Path):
    chain = replay(realdata, "blocks_spec143")
    stakes = chain.stake_at(chain.best.hash)
    assert len(stakes) == 11
    assert sum(stakes.values()) == 3_379_000_000_028


def test_a_fork_of_a_replay_has_the_same_states_under_other_hashes(realdata: Path):
    chain = load_tape(realdata / "tape" / "blocks.jsonl.gz", realdata / "metadata")
    chain.grow(3)
    side = chain.fork(at=1, length=2)
    assert [b.header.state_root for b in side] == [chain.at(n).header.state_root for n in (2, 3)]
    assert all(chain.at(block.number).hash != block.hash for block in side)


Breaker = Callable[[list[Any]], object]
BREAKS: dict[str, tuple[Breaker, str]] = {
    "a missing block": (lambda lines: lines.pop(2), r"line 3: number 3 where block 2 is due"),
    "a change that is no pair": (lambda lines: lines[1]["changes"].append(["0x00"]), r"line 2: a change is not"),
    "a key that is no hex": (lambda lines: lines[1]["changes"].append(["zz", "0x00"]), r"line 2: a key is not 0x-hex"),
    "a lost change": (lambda lines: lines[1]["changes"].pop(1), r"line 2: \d+ keys in the state, but keys says \d+"),
    "a removal of nothing": (
        lambda lines: lines[1]["changes"].append(["0xabcd", None]),
        r"line 2: removes key 0xabcd, which is not stored",
    ),
    "a doubled key": (lambda lines: lines[1]["changes"].append(lines[1]["changes"][0]), r"line 2: key 0x\w+ twice"),
    "an altered extrinsic": (
        lambda lines: lines[2]["extrinsics"].__setitem__(0, lines[1]["extrinsics"][0]),
        r"line 3: the extrinsics do not have the recorded extrinsics_root",
    ),
    "a short value left out": (
        lambda lines: lines[1]["changes"].append(["0xabcd", {"len": 5, "blake2_256": "0x" + "00" * 32}]),
        r"line 2: a value of 5 bytes may not be left out",
    ),
    "a hash cut short": (
        lambda lines: lines[0]["changes"][0][1].update(blake2_256="0x00"),
        r"line 1: blake2_256 is not 32 bytes",
    ),
    "a spec without metadata": (lambda lines: lines[0].update(spec_version=9), r"no spec9\.v\*\.scale"),
    "a digest of the wrong type": (lambda lines: lines[1].update(digest="0x00"), r"line 2: digest is missing or not"),
    "a state without code": (lambda lines: lines[0]["changes"].pop(0), r"line 1: "),
    "a line that is no object": (lambda lines: lines.insert(1, [1]), r"line 2: not a JSON object"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_tape_is_one_error_that_names_file_line_and_fault(realdata: Path, tmp_path: Path, fault: str):
    with gzip.open(realdata / "tape" / "blocks.jsonl.gz", "rt") as lines:
        records = [json.loads(next(lines)) for _ in range(4)]
    breaker, message = BREAKS[fault]
    breaker(records)
    broken = tmp_path / "broken.jsonl"
    broken.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(ConfigError, match=message) as raised:
        load_tape(broken, realdata / "metadata")
    assert "broken.jsonl" in str(raised.value) or "metadata" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_tape_cut_off_in_the_middle_of_its_bytes_is_one_error(realdata: Path, tmp_path: Path):
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes((realdata / "tape" / "blocks.jsonl.gz").read_bytes()[:50_000])
    with pytest.raises(ConfigError, match=r"cut\.jsonl\.gz, after line \d+: not a readable tape"):
        load_tape(cut, realdata / "metadata")


def test_a_tape_that_is_not_there_is_one_error(realdata: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        load_tape(tmp_path / "none.jsonl.gz", realdata / "metadata")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ConfigError, match="holds no blocks"):
        load_tape(tmp_path / "empty.jsonl", realdata / "metadata")
