"""What the SDK reads of accounts, stake and subnets, against the recorded state of the chain, block by block."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from loader import load_tape
from oracle import public_key
from scalecodec.utils.ss58 import ss58_encode
from tape import State, blake, blocks, compact, prefix

from indexer.datasets._parameters import PARAMETERS

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

SUBTENSOR = "SubtensorModule."
NEVER_SEEN = ss58_encode(bytes(range(32)).hex())


@pytest.fixture
async def tape(database: str, realdata: Path) -> AsyncIterator[Any]:
    """A connection to a database that holds the tape of specs 293 and 300."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def entries(state: State, item: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys, without the prefix, and values of a map."""
    of = prefix(item)
    return ((key[32:], value) for key, value in state.items() if key[:32] == of)


def number(state: State, item: str, key: bytes = b"", default: int = 0) -> int:
    raw = state.get(prefix(SUBTENSOR + item) + key)
    return default if raw is None else int.from_bytes(raw, "little")


def relations(state: State, item: str) -> dict[tuple[bytes, int], list[tuple[int, bytes]]]:
    """ChildKeys or ParentKeys by (hotkey, netuid): [(proportion, other)]."""
    found = {}
    for key, raw in entries(state, SUBTENSOR + item):
        count, at = compact(raw, 0)
        each = [(int.from_bytes(raw[n : n + 8], "little"), raw[n + 8 : n + 40]) for n in range(at, at + 40 * count, 40)]
        found[key[16:48], int.from_bytes(key[48:50], "little")] = each
    return found


def stake_weight(state: State, hotkey: bytes, netuid: int) -> tuple[int, int, int]:
    """The chain's ``get_stake_weights_for_hotkey_on_subnet``: U96F32, written out in integers of 2^-32."""
    children, parents = relations(state, "ChildKeys"), relations(state, "ParentKeys")

    def part(proportion: int) -> int:
        return (proportion << 32) // (2**64 - 1)

    def inherited(of: int) -> int:
        def pool(key: bytes) -> int:
            return number(state, "TotalHotkeyAlpha", blake(key) + struct.pack("<H", of))

        bits = pool(hotkey) << 32
        bits = max(bits - sum(pool(hotkey) * part(p) for p, _ in children.get((hotkey, netuid), [])), 0)
        return (bits + sum(pool(parent) * part(p) for p, parent in parents.get((hotkey, netuid), []))) >> 32

    own = number(state, "TotalHotkeyAlpha", blake(hotkey) + bytes(2))
    alpha, tao = inherited(netuid) if netuid else own, inherited(0)
    weight = part(number(state, "TaoWeight", default=971718665099567868))
    return alpha, tao, alpha + (tao * weight >> 32)


async def test_stake_weights_follow_children_parents_and_the_weight_of_root(tape: Any, realdata: Path) -> None:
    lent = 0
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        if recorded.number % 8 and recorded.number not in (33, 85):
            continue
        state = recorded.state
        rows = await tape.fetch("select * from metagraph_at($1)", recorded.number)
        assert len(rows) == len(list(entries(state, SUBTENSOR + "Keys")))
        for row in rows:
            expected = stake_weight(state, public_key(row["hotkey"]), row["netuid"])
            found = (row["alpha_stake"], row["tao_stake"], row["total_stake"])
            assert found == expected, (recorded.number, row["netuid"], row["uid"])
            lent += row["alpha_stake"] != row["stake_alpha"]
    assert lent > 10, "children and parents that matter are on the tape"


async def test_balances_of_all_accounts_and_of_some_are_the_states(tape: Any, realdata: Path) -> None:
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        if recorded.number not in (5, 21, 48, 49, 88):
            continue
        expected = {
            key[16:]: struct.unpack_from("<QQQ", info, 16) for key, info in entries(recorded.state, "System.Account")
        }
        rows = await tape.fetch("select * from balances_at($1)", recorded.number)
        assert len(rows) == len(expected)
        for row in rows:
            assert (row["free"], row["reserved"], row["frozen"]) == expected[public_key(row["account"])]
            assert (row["tao"] * 10**9, row["reserved_tao"] * 10**9) == (row["free"], row["reserved"])
        some = [row["account"] for row in rows[:3]]
        asked = [*some, "0x" + public_key(some[0]).hex(), NEVER_SEEN, None]
        few = await tape.fetch("select * from balances_at($1, $2)", recorded.number, asked)
        told = {row["account"]: row for row in few}
        assert len(few) == len(told) == 4
        assert {row["account"]: row for row in rows if row["account"] in some}.items() <= told.items()
        assert tuple(told[NEVER_SEEN])[:5] == (NEVER_SEEN, 0, 0, 0, 0)
        one = await tape.fetchrow("select * from balance_at($1, $2)", some[0], recorded.number)
        assert tuple(one) == tuple(told[some[0]])[1:6]


async def test_the_price_of_a_subnet_falls_with_every_block(tape: Any, realdata: Path) -> None:
    seen = set()
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        state = recorded.state
        last, at = number(state, "NetworkLastLockCost", default=10**12), number(state, "NetworkLastRegistered")
        floor = number(state, "NetworkMinLockCost", default=10**12)
        interval = number(state, "NetworkLockReductionInterval", default=100_800)
        fallen = last // interval * (recorded.number - at)
        cost = await tape.fetchval("select subnet_registration_cost($1)", recorded.number)
        assert cost == max(floor, last * (2 if at else 1) - fallen), recorded.number
        seen.add(cost)
    assert len(seen) > 70


async def test_pools_of_hotkeys_and_of_subnets_sum_up(tape: Any, realdata: Path) -> None:
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        if recorded.number % 11:
            continue
        pools: dict[tuple[bytes, int], int] = {}
        for key, raw in entries(recorded.state, SUBTENSOR + "TotalHotkeyAlpha"):
            pools[key[16:48], int.from_bytes(key[48:50], "little")] = int.from_bytes(raw, "little")
        rows = await tape.fetch("select * from total_alpha_staked_at($1)", recorded.number)
        by_netuid = {netuid: sum(v for (_, n), v in pools.items() if n == netuid) for _, netuid in pools}
        assert {row["netuid"]: row["alpha_rao"] for row in rows} == by_netuid
        prices = {
            row["netuid"]: int(row["price"] * 2**32)
            for row in await tape.fetch("select * from alpha_prices_at($1)", recorded.number)
        }
        hotkeys = sorted({hotkey for hotkey, _ in pools})
        asked = [ss58_encode(hotkey.hex()) for hotkey in hotkeys] + [NEVER_SEEN]
        rows = await tape.fetch("select * from total_stake_for_hotkeys($1, $2)", asked, recorded.number)
        assert {row["hotkey"]: row["tao_rao"] for row in rows} == {
            **{
                ss58_encode(hotkey.hex()): sum(v * prices[n] for (h, n), v in pools.items() if h == hotkey) >> 32
                for hotkey in hotkeys
            },
            NEVER_SEEN: 0,
        }


async def test_owners_of_hotkeys_and_their_stake_by_coldkey(tape: Any, realdata: Path) -> None:
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        if recorded.number not in (7, 50, 88):
            continue
        owners = {key[16:]: value for key, value in entries(recorded.state, SUBTENSOR + "Owner")}
        rows = await tape.fetch("select * from hotkey_owners_at($1)", recorded.number)
        assert {public_key(row["hotkey"]): public_key(row["owner"]) for row in rows} == owners
        takes = {
            key[16:]: int.from_bytes(value, "little") for key, value in entries(recorded.state, SUBTENSOR + "Delegates")
        }
        for hotkey, owner in owners.items():
            address, block = ss58_encode(hotkey.hex()), recorded.number
            assert public_key(await tape.fetchval("select hotkey_owner($1, $2)", address, block)) == owner
            assert await tape.fetchval("select is_delegate($1, $2)", address, block) == (hotkey in takes)
            assert await tape.fetchval("select take from delegate_take($1, $2)", address, block) == takes.get(hotkey)
        coldkeys = [ss58_encode(owner.hex()) for owner in set(owners.values())]
        values = await tape.fetch("select * from stake_value_for_coldkeys($1, $2)", coldkeys, recorded.number)
        totals = await tape.fetch("select * from total_stake_for_coldkeys($1, $2)", coldkeys, recorded.number)
        for total in totals:
            each = [row for row in values if row["coldkey"] == total["coldkey"]]
            assert total["tao_rao"] == sum(int(row["alpha_rao"] * row["price"]) for row in each)
            assert {row["total_rao"] for row in each} <= {total["tao_rao"]}
        assert len(totals) == len(coldkeys)
    assert await tape.fetchval("select hotkey_owner($1)", NEVER_SEEN) is None


async def test_a_parameter_is_found_by_the_name_of_its_storage_item(tape: Any) -> None:
    for parameter in PARAMETERS:
        names = await tape.fetchval("select hyperparameter_names($1)", parameter.item.item)
        assert parameter.name in names, parameter
        assert await tape.fetchval("select hyperparameter_names($1)", parameter.name) == [parameter.name]
    for netuid in (None, 0, 1, 2):
        for row in await tape.fetch("select * from hyperparameters_at($1, 47)", netuid):
            assert await tape.fetch("select * from hyperparameter($1, $2, 47)", row["name"], netuid) == [row]
    found = await tape.fetch("select name, value from hyperparameter('AlphaValues', 1, 47)")
    assert [tuple(row) for row in found] == [("alpha_high", 58982), ("alpha_low", 45875)]
    assert await tape.fetch("select * from hyperparameter('tempo', 7, 47)") == [], "a subnet that does not exist"
    with pytest.raises(asyncpg.InvalidParameterValueError, match='has a parameter "tempos" of a subnet'):
        await tape.fetch("select * from hyperparameter('tempos', 1)")
    with pytest.raises(asyncpg.InvalidParameterValueError, match='has a parameter "tempo" of the network'):
        await tape.fetch("select * from hyperparameter('tempo')")


async def test_before_dtao_sums_are_the_chains_own(database: str, realdata: Path) -> None:
    await load_tape(database, realdata / "tape/blocks_spec143.jsonl.gz", {143: realdata / "metadata/spec143.v14.scale"})
    connection = await asyncpg.connect(database)
    compared = 0
    for recorded in blocks(realdata / "tape/blocks_spec143.jsonl.gz"):
        if recorded.number % 5:
            continue
        state, block = recorded.state, recorded.number
        for item, function, key in (
            ("TotalHotkeyStake", "total_stake_for_hotkeys", "hotkey"),
            ("TotalColdkeyStake", "total_stake_for_coldkeys", "coldkey"),
        ):
            expected = {k: int.from_bytes(v, "little") for k, v in entries(state, SUBTENSOR + item)}
            rows = await connection.fetch(
                f"select * from {function}($1, $2)", [ss58_encode(k.hex()) for k in expected], block
            )
            assert {public_key(row[key]): row["tao_rao"] for row in rows} == expected, (block, item)
            compared += len(rows)
        stakes = [key[16:48] for key, value in entries(state, SUBTENSOR + "Stake") if any(value)]
        for row in await connection.fetch("select * from delegates_at($1)", block):
            hotkey = public_key(row["hotkey"])
            assert row["nominators"] == stakes.count(hotkey)
            assert row["root_stake"] == number(state, "TotalHotkeyStake", hotkey)
            assert row["return_per_1000"] is None
            compared += 1
        assert await connection.fetchval("select count(alpha_stake) from metagraph_at($1)", block) == 0
    assert compared == 84
    await connection.close()
