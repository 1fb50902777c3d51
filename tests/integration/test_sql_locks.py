"""Locks and conviction in SQL: the chain's arithmetic bit for bit, and records rolled forward to a block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from loader import load_tape
from lock_vectors import DECAYS, ROLLED
from test_sql_states import COLD, HOT, OTHER, Chain, FakeRuntime, change, item, pool

from indexer.model import Change
from indexer.scale import ss58_encode

pytestmark = pytest.mark.anyio

ONE = 1 << 64
UNLOCK, MATURITY = 3, 5
RATES = {item("UnlockRate"): UNLOCK, item("MaturityRate"): MATURITY}
HOTKEY, COLDKEY, RIVAL, LEADER = (ss58_encode(account) for account in (HOT, COLD, OTHER, b"\x04" * 32))


def decay(blocks: int, rate: int) -> int:
    """e^(-blocks/rate) in 2^-64, from the definition: the series in whole numbers."""
    if blocks == 0 or rate == 0:
        return ONE if blocks == 0 else 0
    x = min(blocks * ONE // rate, 40 * ONE)
    series, term = ONE + x, x
    for n in range(2, 64):
        term = term * x // ONE // n
        series += term
    return ONE * ONE // series


def rolled(mass: int, bits: int, blocks: int, unlock: int, maturity: int, *, perpetual: bool) -> tuple[int, int]:
    """A lock some blocks later: what is locked, and the bits of its conviction."""
    unlocking, maturing = decay(blocks, unlock), decay(blocks, maturity)
    if perpetual:
        gained = ONE - maturing
    elif unlock == maturity:
        gained = blocks * ONE // maturity * maturing // ONE if maturity else 0
    elif unlock == 0 or maturity == 0:
        gained = 0
    else:
        gained = max(0, unlock * (unlocking - maturing) // (unlock - maturity))
    return (mass if perpetual else unlocking * mass // ONE), maturing * bits // ONE + mass * gained


def number(bits: int) -> Decimal:
    """Bits of a fixed-point number as the exact decimal."""
    with localcontext(prec=100):
        return Decimal(bits) / ONE


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def test_decay_is_that_of_the_chain_bit_for_bit_and_almost_the_exponential(sql: Any) -> None:
    worst = Decimal(0)
    for blocks, rate, bits in DECAYS:
        assert await sql.fetchval("select exp_decay($1, $2)", blocks, rate) == bits == decay(blocks, rate)
        with localcontext(prec=60):
            exact = (-min(Decimal(blocks) / rate, Decimal(40))).exp()
            worst = max(worst, abs(bits - exact * ONE))
    assert worst < 6, "units of 2^-64"
    assert await sql.fetchval("select exp_decay(5, 0)") == 0
    assert await sql.fetchval("select exp_decay(-5, 7)") == ONE


async def test_a_lock_is_rolled_as_the_chain_does_it_bit_for_bit(sql: Any) -> None:
    for mass, bits, blocks, unlock, maturity, perpetual, locked, conviction in ROLLED:
        assert rolled(mass, bits, blocks, unlock, maturity, perpetual=perpetual) == (locked, conviction)
        found = await sql.fetchrow(
            "select * from roll_lock(422, $1, $2, $3, $4, $5, false, $6)",
            mass, number(bits), blocks, unlock, maturity, perpetual,
        )  # fmt: skip
        assert tuple(found) == (locked, number(conviction))


async def test_owners_and_dust_and_what_is_not_in_the_past(sql: Any) -> None:
    roll = "select locked_rao, conviction_rao from roll_lock($1, $2, $3, $4, 3, 5, $5, true)"
    for given, expected in (
        ((425, 1000, Decimal(7), 10, True), (1000, 1000)),  # an owner's lock counts whole
        ((425, 1000, Decimal("7.5"), 0, False), (1000, Decimal("7.5"))),
        ((425, 1000, Decimal("7.5"), -3, False), (1000, Decimal("7.5"))),  # stored after the block
        ((425, 99, Decimal("99.5"), 0, False), (0, 0)),
        ((422, 99, Decimal("99.5"), 0, False), (99, Decimal("99.5"))),  # dust counts before spec 423
        ((425, 99, Decimal(100), 0, False), (99, 100)),
        ((425, 100, Decimal(0), 0, False), (100, 0)),
    ):
        assert tuple(await sql.fetchrow(roll, *given)) == expected, given


def lock(name: str, *key: object, mass: int, conviction: int = 0, at: int) -> Change:
    """A ``LockState``; ``conviction`` in rao."""
    return change(name, *key, value={"locked_mass": mass, "conviction": conviction * ONE, "last_update": at})


SUBNET = [
    change("NetworksAdded", 7, value=True), change("SubnetOwnerHotkey", 7, value=HOT),
    change("NetworkRegisteredAt", 7, value=0), change("SubnetAlphaOut", 7, value=90_000),
    change("SubnetProtocolAlpha", 7, value=30_000), change("AlphaAssets.AlphaBurned", 7, value=10_000),
]  # fmt: skip


@pytest.fixture
async def chain(database: str) -> AsyncIterator[Chain]:
    """Blocks 0 to 12 of subnet 7: stored at 0 and left alone, but for a lock made perpetual at 4."""
    connection = await asyncpg.connect(database)
    made = Chain(database, connection)
    spec = FakeRuntime(475, RATES)
    leader = b"\x04" * 32
    await made.block(
        spec,
        [
            *SUBNET,
            lock("Lock", COLD, 7, HOT, mass=5000, at=0),
            lock("Lock", OTHER, 7, leader, mass=8000, conviction=2000, at=0),
            change("DecayingLock", OTHER, 7, value=False),
            lock("HotkeyLock", 7, leader, mass=8000, conviction=2000, at=0),
            lock("DecayingHotkeyLock", 7, leader, mass=4000, conviction=100, at=0),
            lock("DecayingHotkeyLock", 7, OTHER, mass=900, at=0),
            lock("DecayingOwnerLock", 7, mass=5000, at=0),
            lock("OwnerLock", 7, mass=50, at=0),
            *pool(7, 9000, 9, cold=6, other=3),
            change("ColdkeyMinerCollateral", 7, COLD, value=1000),
        ],
    )
    for number_ in range(1, 13):
        await made.block(spec, [change("DecayingLock", COLD, 7, value=False)] if number_ == 4 else [])
    yield made
    await connection.close()


async def test_locks_decay_with_the_block_alone(chain: Chain) -> None:
    for block in (0, 1, 3, 4, 12):
        await locks_are_rolled(chain, block)


async def locks_are_rolled(chain: Chain, block: int) -> None:
    """At one block."""
    found = await chain.sql.fetch("select * from locks_at($1) order by locked_rao desc", block)
    kept, conviction = rolled(8000, 2000 * ONE, block, UNLOCK, MATURITY, perpetual=True)
    mine, _ = rolled(5000, 0, block, UNLOCK, MATURITY, perpetual=block >= 4)
    assert [tuple(row) for row in found] == [
        (RIVAL, 7, LEADER, kept, number(conviction), True, False, 0),
        (COLDKEY, 7, HOTKEY, mine, mine, block >= 4, True, 0),
    ]
    for query, key in (("of_coldkey => $2", COLDKEY), ("of_hotkey => $2", HOTKEY)):
        assert await chain.sql.fetch(f"select * from locks_at($1, {query})", block, [key]) == found[1:]
    assert await chain.sql.fetch("select * from locks_at($1, of_netuid => '{1}')", block) == []


async def test_conviction_of_a_hotkey_is_that_of_all_its_buckets(chain: Chain) -> None:
    for block in (0, 2, 12):
        await convictions_are_sums(chain, block)


async def convictions_are_sums(chain: Chain, block: int) -> None:
    """At one block."""
    buckets = [
        rolled(8000, 2000 * ONE, block, UNLOCK, MATURITY, perpetual=True),
        rolled(4000, 100 * ONE, block, UNLOCK, MATURITY, perpetual=False),
        rolled(900, 0, block, UNLOCK, MATURITY, perpetual=False),
        (owned := rolled(5000, 0, block, UNLOCK, MATURITY, perpetual=False)[0], owned * ONE),
    ]
    leads, decays, other, owner = [(0, 0) if m < 100 and c < 100 * ONE else (m, c) for m, c in buckets]
    found = await chain.sql.fetch("select * from convictions_at($1, '{7}') order by conviction_rao desc", block)
    expected = {
        LEADER: (leads[0] + decays[0], number(leads[1] + decays[1]), False),
        RIVAL: (other[0], number(other[1]), False),
        HOTKEY: (owner[0], owner[0], True),  # the perpetual 50 are dust
    }
    assert {row["hotkey"]: tuple(row)[2:] for row in found} == expected
    first = max(expected, key=lambda hotkey: expected[hotkey][1])
    assert found[0]["hotkey"] == first
    assert await chain.sql.fetchval("select most_convicted_hotkey(7, $1)", block) == first
    for hotkey in (LEADER, HOTKEY):
        one = await chain.sql.fetch("select * from convictions_at($1, null, $2)", block, [hotkey])
        assert one == [row for row in found if row["hotkey"] == hotkey]


async def test_of_equal_convictions_the_greatest_account_leads(chain: Chain) -> None:
    low, high = (lock("HotkeyLock", 8, account, mass=700, at=0) for account in (OTHER, b"\x04" * 32))
    await chain.block(FakeRuntime(475, RATES), [low, high])
    assert await chain.sql.fetchval("select most_convicted_hotkey(8)") == LEADER
    assert await chain.sql.fetchval("select most_convicted_hotkey(9)") is None


async def test_the_threshold_of_a_takeover_follows_the_spec(chain: Chain) -> None:
    ask = "select eligible_rao, threshold_rao, changeable_at_block, leader_hotkey from subnet_ownership(7, $1)"
    assert tuple(await chain.sql.fetchrow(ask, 2)) == (50_000, 9_000, 2_629_800, LEADER)
    older = [await chain.block(FakeRuntime(spec, RATES)) for spec in (446, 445, 444)]
    found = [tuple(await chain.sql.fetchrow(ask, block))[:2] for block in older]
    assert found == [(50_000, 5_000), (50_000, 5_000), (90_000, 9_000)]
    assert await chain.sql.fetch("select * from subnet_ownership(3)") == []


async def test_blocks_to_the_threshold_are_when_conviction_gets_there(chain: Chain) -> None:
    """Against a walk forward block by block with the exact arithmetic."""
    share = {}
    for block in (0, 1, 5):
        found = await chain.sql.fetch("select * from subnet_convictions(7, $1)", block)
        share[block] = {row["hotkey"]: row for row in found}
        for hotkey, parts in {
            LEADER: [(8000, 2000 * ONE, True), (4000, 100 * ONE, False)], RIVAL: [(900, 0, False)],
        }.items():  # fmt: skip
            first = next(
                (
                    t
                    for t in range(block, 200)
                    if sum(rolled(m, c, t, UNLOCK, MATURITY, perpetual=p)[1] for m, c, p in parts) > 9000 * ONE
                ),
                None,
            )
            assert share[block][hotkey]["blocks_to_threshold_estimate"] == (None if first is None else first - block)
    assert share[0][HOTKEY]["is_owner"]
    assert abs(share[0][HOTKEY]["of_threshold"] - Decimal(5000) / 9000) < Decimal("1e-15")
    assert [row["blocks_to_threshold_estimate"] for row in share[5].values()].count(None) >= 1


SITUATIONS = [
    ((8000, 2000, 4000, 100, 0), 9000), ((0, 0, 4000, 0, 0), 1500), ((0, 0, 4000, 0, 0), 1900),
    ((0, 0, 4000, 3000, 0), 3100), ((9000, 0, 0, 5000, 0), 6000), ((9000, 0, 4000, 9000, 0), 9500),
    ((9000, 9000, 0, 0, 5000), 9000), ((100, 0, 0, 0, 0), 100), ((9000, 0, 100, 8000, 0), 8500),
]  # fmt: skip
"""(perpetual mass, its conviction, decaying mass, its conviction, decaying mass of the owner), threshold."""


async def test_the_first_crossing_is_found_also_where_conviction_falls_first(sql: Any) -> None:
    seen = set()
    for unlock, maturity in ((300, 500), (500, 300), (400, 400)):
        for buckets, threshold in SITUATIONS:
            walked = next((t for t in range(6000) if held(buckets, t, unlock, maturity) > threshold * ONE), None)
            found = await sql.fetchval(
                "select blocks_to_conviction_estimate($1, $2, $3, $4, $5, $6, $7, $8)",
                *buckets, unlock, maturity, threshold,
            )  # fmt: skip
            assert found == walked, (buckets, threshold, unlock, maturity)
            seen.add(None if walked is None else walked > 0)
    assert seen == {None, False, True}


def held(buckets: tuple[int, ...], blocks: int, unlock: int, maturity: int) -> int:
    """Bits of the conviction of some buckets after some blocks."""
    perpetual, perpetual_conviction, decaying, conviction, owner = buckets
    first = rolled(perpetual, perpetual_conviction * ONE, blocks, unlock, maturity, perpetual=True)[1]
    second = rolled(decaying, conviction * ONE, blocks, unlock, maturity, perpetual=False)[1]
    return first + second + decay(blocks, unlock) * owner


async def test_what_can_be_unstaked_is_neither_locked_nor_collateral(chain: Chain) -> None:
    for block in (0, 1, 12):
        await availability_is_the_rest(chain, block)


async def availability_is_the_rest(chain: Chain, block: int) -> None:
    """At one block."""
    found = await chain.sql.fetch("select * from stake_availability_at($1) order by total_rao desc", block)
    mine, _ = rolled(5000, 0, block, UNLOCK, MATURITY, perpetual=block >= 4)
    assert [tuple(row) for row in found] == [
        (COLDKEY, 7, 6000, mine, 1000, max(0, 5000 - mine)),
        (RIVAL, 7, 3000, 8000, 0, 0),
    ]
    assert await chain.sql.fetch("select * from stake_availability_at($1, $2, '{7}')", block, [COLDKEY]) == found[:1]
    assert await chain.sql.fetch("select * from stake_availability_at($1, of_netuid => '{1}')", block) == []


async def test_a_subnet_that_is_gone_has_nothing_available(chain: Chain) -> None:
    await chain.block(FakeRuntime(475, RATES), [change("NetworksAdded", 7, value=None)])
    assert await chain.sql.fetch("select * from stake_availability_at()") == []
    assert len(await chain.sql.fetch("select * from stake_availability_at(12)")) == 2


@pytest.mark.realdata
async def test_without_locks_all_stake_of_the_recorded_chain_is_available(
    database: str, sql: Any, realdata: Path
) -> None:
    """Totals are those of the positions, which the runtime's own answers confirm (test_sql_tape)."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    positions = (
        "select coldkey, netuid, sum(alpha_rao)::bigint as total from delegations_at($1) "
        "where not is_dissolving group by 1, 2 order by 1, 2"
    )
    for block in (5, 30, 49, 84, 88):
        expected = [(*row, 0, 0, row["total"]) for row in await sql.fetch(positions, block)]
        found = await sql.fetch("select * from stake_availability_at($1) order by coldkey, netuid", block)
        assert [tuple(row) for row in found] == expected
        assert len(expected) >= 1 + 2 * (block > 5)
