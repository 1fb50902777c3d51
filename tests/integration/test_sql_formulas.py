"""Formulas of the SDK's reads where the recorded chain is silent: returns, void shares, parents without stake, prices.

Rows are made up; what is expected is the chain's own fixed-point arithmetic, written out in integers.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from made_blocks import block

from indexer import datasets
from indexer.model import Row
from indexer.scale import ss58_encode
from indexer.store import open_store

pytestmark = pytest.mark.anyio

ONE = 1 << 64
U64_MAX = ONE - 1
NETUIDS = (0, 3, 9)
DATASETS = datasets.load()


def account(n: int) -> bytes:
    return n.to_bytes(32, "big")


def parameter(netuid: int, name: str, value: object) -> Row:
    number = value if isinstance(value, int) else None
    return Row("stored_hyperparameters", (netuid, name), {"value": number, "value_json": value, "raw": b""})


def vector(netuid: int, name: str, elements: list[int]) -> Row:
    return Row("neuron_vectors", (netuid, 0, name), {"elements": elements})


class Database:
    """Made-up blocks in a migrated database, and a connection that asks."""

    def __init__(self, dsn: str, connection: Any) -> None:
        self.dsn, self.sql, self.last = dsn, connection, 0

    async def write(self, spec: int, *rows: Row) -> int:
        self.last += 1
        async with open_store(self.dsn) as store:
            await store.lock_writer()
            if self.last == 1:
                await store.adopt_chain(bytes(32), "test", 42)
            await store.write([block(self.last, *rows, spec=spec)], DATASETS)
        return self.last

    async def told(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.sql.fetch(query, *arguments)]


@pytest.fixture
async def made(database: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database)
    yield Database(database, connection)
    await connection.close()


def per_1000(daily: int, take: int, stake: int) -> int:
    """``return_per_1000_tao``: U64F64 throughout, ``daily`` in bits; a quotient that overflows is 0."""
    without_take = ONE - take * ONE // 65535
    thousands = stake * ONE // 10**12
    quotient = 0 if thousands == 0 else (daily * without_take >> 64) * ONE // thousands
    return quotient >> 64 if quotient < 1 << 128 else 0


async def test_returns_of_delegates_are_the_runtimes_fixed_point(made: Database) -> None:
    """Of 60 delegates with any take, any root stake (also 0 and 1 rao) and neurons on three subnets."""
    chance = random.Random(20)
    tempos = {0: 100, 3: 360, 9: 0}
    emission = {n: [chance.randrange(10**13) for _ in range(40)] for n in NETUIDS}
    permits = {n: [chance.randrange(2) for _ in range(40)] for n in NETUIDS}
    rows = [parameter(n, "tempo", tempo) for n, tempo in tempos.items()]
    rows += [parameter(n, "networks_added", 1) for n in NETUIDS]
    rows += [vector(n, "emission", emission[n]) for n in NETUIDS]
    rows += [vector(n, "validator_permit", permits[n]) for n in NETUIDS]
    expected = {}
    for n in range(1, 61):
        hotkey, take = account(n), chance.choice([0, 65535, chance.randrange(65536)])
        stake = chance.choice([0, 1, 10**3, chance.randrange(10**9), chance.randrange(10**16)])
        rows.append(Row("delegates", (hotkey,), {"owner": account(100 + n), "take": take}))
        rows.append(Row("hotkey_pools", (0, hotkey), {"alpha": stake}))
        uids = {netuid: chance.randrange(50) for netuid in NETUIDS if chance.random() < 0.7}
        for netuid, uid in uids.items():
            rows.append(Row("registrations", (hotkey, netuid), {"is_network_member": True, "uid": uid}))
        rows.append(Row("registrations", (hotkey, 12), {"is_network_member": False, "uid": None}))
        daily = sum(
            emission[netuid][uid] * (7200 * ONE // tempos[netuid])
            for netuid, uid in uids.items()
            if tempos[netuid] and uid < 40
        )
        expected[ss58_encode(hotkey)] = (
            take,
            sorted(uids),
            sorted(netuid for netuid, uid in uids.items() if uid < 40 and permits[netuid][uid]),
            daily >> 64,
            per_1000(daily, take, stake),
            stake,
        )
    rows.append(Row("delegates", (account(99),), {"owner": account(7), "take": None}))
    at = await made.write(343, *rows)
    found = await made.told("select * from delegates_at($1)", at)
    assert {
        row["hotkey"]: (
            row["take"],
            row["registrations"],
            row["validator_permits"],
            row["total_daily_return"],
            row["return_per_1000"],
            row["root_stake"],
        )
        for row in found
    } == expected
    assert len({one[4] for one in expected.values()}) == 18
    assert all(row["take_share"] == round(Decimal(row["take"]) / 65535, 20) for row in found)
    assert all(row["root_stake_tao"] * 10**9 == row["root_stake"] for row in found)


async def test_nominators_are_those_whose_share_is_not_void(made: Database) -> None:
    hotkey, cold = account(1), [account(10 + n) for n in range(6)]

    def share(netuid: int, coldkey: bytes, **of: int | None) -> Row:
        return Row("stake_shares", (netuid, hotkey, coldkey), {"share_exponent": 0, **of})

    def pool(netuid: int, epoch: int | None) -> Row:
        return Row("hotkey_pools", (netuid, hotkey), {"alpha": 5, "share_mantissa": 5, "pool_epoch": epoch})

    first = await made.write(
        475,
        Row("delegates", (hotkey,), {"owner": cold[0], "take": 1}),
        *(parameter(netuid, "networks_added", 1) for netuid in (0, 3)),
        share(0, cold[0], share_mantissa=1),
        share(3, cold[0], share_mantissa=1),
        share(0, cold[1], share_mantissa=0),
        share(3, cold[2], share_bits=1, share_mantissa=0),
        share(3, cold[3], share_mantissa=1, share_epoch=1),
        share(9, cold[4], share_mantissa=1),
        pool(0, None),
        pool(3, None),
    )
    reopened = await made.write(475, pool(3, 1))
    gone = await made.write(475, Row("stake_shares", (0, hotkey, cold[0]), None), parameter(9, "networks_added", 1))

    async def nominators(block: int) -> int:
        (row,) = await made.told("select nominators from delegates_at($1)", block)
        return int(row["nominators"])

    assert await nominators(first) == 3, "without a share of 0, and one on a subnet that does not exist"
    assert await nominators(reopened) == 2, "without those of the pool before it was opened again"
    assert await nominators(gone) == 2, "one has gone, another's subnet has come"
    assert await nominators(first) == 3


async def test_a_parent_without_enough_stake_counts_only_on_the_subnet_it_owns(made: Database) -> None:
    parent, child, other = account(1), account(2), account(3)
    half, third = U64_MAX // 2, U64_MAX // 3

    def lent(netuid: int) -> list[Row]:
        children = [{"proportion": p, "child": ss58_encode(key)} for p, key in ((half, child), (third, other))]
        return [
            Row("childkeys", (netuid, parent), {"children": children}),
            Row("childkeys", (netuid, child), {"parents": [{"proportion": half, "parent": ss58_encode(parent)}]}),
        ]

    alpha = {(parent, 3): 10**12 + 7, (child, 3): 5, (parent, 9): 999, (parent, 0): 10**10 + 1, (child, 0): 3}
    weight = U64_MAX * 18 // 100
    before = await made.write(
        424,
        *(parameter(n, "networks_added", 1) for n in NETUIDS),
        parameter(-1, "tao_weight", weight),
        parameter(9, "subnet_owner_hotkey", ss58_encode(parent)),
        *(Row("uids", (n, uid), {"hotkey": hotkey}) for n in NETUIDS for uid, hotkey in enumerate((parent, child))),
        *(Row("hotkey_pools", (netuid, hotkey), {"alpha": value}) for (hotkey, netuid), value in alpha.items()),
        *lent(3),
        *lent(9),
    )
    suspended = await made.write(475, Row("childkey_suspensions", (parent,), {"suspended": True}))

    def expected(inert: tuple[int, ...]) -> Mapping[tuple[int, str], tuple[int, int, int]]:
        found = {}
        for netuid in NETUIDS:
            parts = [(p << 32) // U64_MAX for p in (half, third)] if netuid and netuid not in inert else [0, 0]
            for hotkey, lends, gets in ((parent, sum(parts), 0), (child, 0, parts[0])):

                def inherited(of: int, hotkey: bytes = hotkey, lends: int = lends, gets: int = gets) -> int:
                    own, lender = alpha.get((hotkey, of), 0), alpha.get((parent, of), 0)
                    return (own * ((1 << 32) - lends) + lender * gets) >> 32

                a, t = inherited(netuid), inherited(0)
                found[netuid, ss58_encode(hotkey)] = (a, t, a + (t * ((weight << 32) // U64_MAX) >> 32))
        return found

    for block_number, inert in ((before, ()), (suspended, (3,))):
        rows = await made.told("select * from metagraph_at($1)", block_number)
        assert {
            (row["netuid"], row["hotkey"]): (row["alpha_stake"], row["tao_stake"], row["total_stake"]) for row in rows
        } == expected(inert)


async def test_collateral_dividends_and_identity_stand_beside_each_neuron(made: Database) -> None:
    hotkey, owner, other = account(1), account(2), account(3)
    at = await made.write(
        475,
        parameter(3, "networks_added", 1),
        Row("uids", (3, 0), {"hotkey": hotkey}),
        Row("delegates", (hotkey,), {"owner": owner, "take": None}),
        Row("identities", (owner,), {"identity": {"name": "one"}}),
        Row("dividends", (3, hotkey), {"alpha_dividends": 11, "root_alpha_dividends": 12}),
        *(
            Row("miner_collateral", (3, hotkey, coldkey), {"locked": n, "min_locked": n + 1, "earned": n + 2})
            for coldkey, n in ((owner, 20), (other, 30))
        ),
    )
    (row,) = await made.told("select * from metagraph_at($1)", at)
    names = ("alpha_dividends", "tao_dividends", "root_alpha_dividends", "collateral_locked", "collateral_min")
    assert [row[name] for name in (*names, "collateral_earned")] == [11, 0, 12, 20, 21, 22]
    assert row["identity"] == '{"name": "one"}'
    (told,) = await made.told("select * from hotkey_identities_at($1, $2)", at, [ss58_encode(hotkey)])
    assert told == {"hotkey": ss58_encode(hotkey), "owner": ss58_encode(owner), "identity": '{"name": "one"}'}
    await made.sql.execute("delete from cursors where dataset in ('dividends', 'collateral', 'identities')")
    (row,) = await made.told("select * from metagraph_at($1)", at)
    assert {row[name] for name in (*names, "identity")} == {None}, "not indexed is not zero"


async def test_the_last_registration_is_where_the_runtime_keeps_it(made: Database) -> None:
    cost = [
        parameter(-1, "network_last_lock_cost", 10**12),
        parameter(-1, "network_min_lock_cost", 10**11),
        parameter(-1, "network_lock_reduction_interval", 100),
    ]
    never = await made.write(343, *cost)
    sold = await made.write(343, Row("rate_limits", ("NetworkLastRegistered",), {"last_block": 2}))
    for _ in range(3):
        await made.write(343, Row("rate_limits", ("LastTxBlock:5G",), {"last_block": 9}))
    raised = await made.write(343, parameter(-1, "network_min_lock_cost", 3 * 10**12))
    costs = [await made.sql.fetchval("select subnet_registration_cost($1)", n) for n in (never, sold, sold + 3, raised)]
    assert costs == [10**12 - 10**10, 2 * 10**12, 2 * 10**12 - 3 * 10**10, 3 * 10**12]


async def test_parameters_in_force_are_what_the_runtime_makes_of_the_stored(made: Database) -> None:
    stored = [("activity_cutoff", 5000), ("activity_cutoff_factor", 1234), ("tempo", 100), ("max_weights_limit", 9)]
    rows = [parameter(3, "networks_added", 1), *(parameter(3, name, value) for name, value in stored)]
    rows += [Row("hyperparameter_defaults", (name, False), {"value": 0, "value_json": 0}) for name, _ in stored]
    seen = []
    for spec, changed in ((411, ()), (423, ()), (475, ()), (475, (parameter(3, "tempo", 0),))):
        at = await made.write(spec, *(changed if seen else rows))
        found = {row["name"]: row for row in await made.told("select * from subnet_hyperparameters_at($1)", at)}
        seen.append((found["activity_cutoff"]["value"], found["max_weights_limit"]["value"]))
        assert found["activity_cutoff"]["value_json"] == str(seen[-1][0])
    assert seen == [(5000, 9), (123, 9), (123, 65535), (1, 65535)]


async def test_amounts_in_tao_are_the_same_number(made: Database) -> None:
    for rao in (0, 1, -1, 10**9, 21 * 10**15 + 1, 2**63 - 1):
        assert await made.sql.fetchval("select tao($1::bigint)", rao) == Decimal(rao) / 10**9
    assert await made.sql.fetchval("select tao(null)") is None


WRONG = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ"
OTHER_NETWORK = ss58_encode(bytes(range(32)), 2)
OF_ACCOUNTS = (
    "balances_at({block}, array[{address}])",
    "hotkey_owners_at({block}, array[{address}])",
    "hotkey_owner({address}, {block})",
    "hotkey_identities_at({block}, array[{address}])",
    "stake_for_coldkeys(array[{address}], {block})",
    "stake_value_for_coldkeys(array[{address}], {block})",
    "total_stake_for_coldkeys(array[{address}], {block})",
    "total_stake_for_hotkeys(array[{address}], {block})",
    "delegates_at({block}, array[{address}])",
    "delegated_at({block}, array[{address}])",
    "is_delegate({address}, {block})",
    "delegate_take({address}, {block})",
)
OF_SUBNETS = (
    "alpha_prices_at({block}, {netuids})",
    "total_alpha_staked_at({block}, {netuids})",
    "subnet_hyperparameters_at({block}, {netuids})",
    "subnet_start_schedule_at({block}, {netuids})",
    "dynamic_info_at({block}, {netuids})",
    "metagraph_at({block}, {netuids})",
)
OTHERS = ("subnet_registration_cost({block})", "hyperparameter('tempo', 3, {block})")


async def test_what_cannot_be_answered_is_an_error_that_says_why(made: Database) -> None:
    await made.write(475, parameter(3, "networks_added", 1), parameter(3, "tempo", 9))
    asked = {"address": "null", "netuids": "null", "block": "null"}

    async def ask(function: str, **changed: str) -> list[dict[str, Any]]:
        return await made.told(f"select * from {function.format(**asked | changed)}")

    for function in (*OF_ACCOUNTS, *OF_SUBNETS, *OTHERS):
        await ask(function)  # the last block
        for missing in ("0", "2"):
            for changed in ({}, {"netuids": "array[]::integer[]"}):
                with pytest.raises(
                    asyncpg.InvalidParameterValueError, match=f"block {missing} is not indexed.*1 to 1 are"
                ):
                    await ask(function, block=missing, **changed)
    for function in OF_ACCOUNTS:
        for address, problem in (
            (WRONG, "wrong checksum"),
            (OTHER_NETWORK, "another network: its prefix is 2, here it is 42"),
            ("", "is not an SS58 address"),
            ("nobody", "is not an SS58 address"),
        ):
            with pytest.raises(asyncpg.InvalidParameterValueError, match=problem):
                await ask(function, address=f"'{address}'")
        if "array[" in function:
            empty = function.replace("array[{address}]", "array[]::text[]")
            assert await ask(empty) == []
            with pytest.raises(asyncpg.InvalidParameterValueError, match="block 7 is not indexed"):
                await ask(empty, block="7")
            assert await ask(function) == [], "an address that is NULL is none"
    for function in OF_SUBNETS:
        assert await ask(function, netuids="array[]::integer[]") == []
        assert await ask(function, netuids="array[77]") == []
