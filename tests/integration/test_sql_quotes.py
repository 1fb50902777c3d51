"""Quotes in SQL: against the swap's formula in high precision, and what the runtime refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal, localcontext

import asyncpg
import pytest
from test_sql_states import Chain, FakeRuntime, change, item

from indexer.model import Change

pytestmark = pytest.mark.anyio

TAO = 10**9
FEE = 33
RUNTIME = FakeRuntime(424, {item("Swap.FeeRate"): FEE})


@pytest.fixture
async def chain(database: str) -> AsyncIterator[Chain]:
    connection = await asyncpg.connect(database)
    yield Chain(database, connection)
    await connection.close()


def subnet(netuid: int, tao: int, alpha: int, quote: int | None = None, mechanism: int = 1) -> list[Change]:
    """A subnet with a pool; ``quote``: the weight of TAO, /1e18."""
    return [
        change("NetworksAdded", netuid, value=True), change("SubnetMechanism", netuid, value=mechanism),
        change("SubnetTAO", netuid, value=tao), change("SubnetAlphaIn", netuid, value=alpha),
        *([] if quote is None else [change("Swap.SwapBalancer", netuid, value={"quote": quote})]),
    ]  # fmt: skip


def swapped(taken: int, reserve: int, other: int, weight: int, fee: int = FEE) -> tuple[int, int, int]:
    """What a pool gives for an amount: what goes in, what comes out, the fee. ``weight``: of what goes in, /1e18."""
    with localcontext(prec=80):
        paid = taken * fee // 65535
        rest = (Decimal(reserve) / (reserve + taken - paid)) ** (Decimal(weight) / (10**18 - weight))
        return taken - paid, int(other * (1 - rest)), paid


POOLS = [
    (5_000 * TAO, 80_000 * TAO, None), (5_000 * TAO, 80_000 * TAO, 480_000_000_000_000_000),
    (70 * TAO, 3 * TAO, 550_000_000_000_000_000), (10**16, 9 * 10**15, 512_345_678_901_234_567),
]  # fmt: skip


async def test_a_quote_is_what_the_formula_gives_to_within_a_few_rao(chain: Chain) -> None:
    await chain.block(
        RUNTIME, [c for n, (tao, alpha, quote) in enumerate(POOLS, 1) for c in subnet(n, tao, alpha, quote)]
    )
    for netuid, (tao, alpha, given) in enumerate(POOLS, 1):
        quote = given or 5 * 10**17
        for amount in (1_000, 123_456_789, TAO, 40 * TAO, 3 * max(tao, alpha)):
            bought = await chain.sql.fetchrow("select * from quote_stake_estimate($1, $2)", netuid, amount)
            sold = await chain.sql.fetchrow("select * from quote_unstake_estimate($1, $2)", netuid, amount)
            price = bought["price"]
            for found, reserve, other, weight, spot in (
                (bought, tao, alpha, quote, amount / price), (sold, alpha, tao, 10**18 - quote, amount * price),
            ):  # fmt: skip
                went_in, out, fee = swapped(amount, reserve, other, weight)
                assert (found[0], found[2]) == (went_in if found[1] else 0, fee if found[1] else 0)
                assert abs(found[1] - out) <= 2 + other // 10**17, (netuid, amount)
                assert abs(found[3] - (max(0, int(spot) - found[1]) if found[1] else 0)) <= 1


async def test_what_the_runtime_refuses_is_zero(chain: Chain) -> None:
    pools = [*subnet(1, 10 * TAO, 999_999), *subnet(2, 10 * TAO, 10 * TAO), *subnet(3, 0, 5 * TAO)]
    await chain.block(RUNTIME, pools)
    for netuid, amount in ((1, TAO), (2, 10_011 * TAO), (2, 0), (2, -5), (3, TAO)):
        found = await chain.sql.fetchrow("select * from quote_stake_estimate($1, $2)", netuid, amount)
        assert tuple(found)[:4] == (0, 0, 0, 0), (netuid, amount)


async def test_a_swap_stops_at_the_limit_of_the_price(chain: Chain) -> None:
    """1,000,000 TAO per alpha, and a millionth of a TAO."""
    await chain.block(RUNTIME, [*subnet(1, 5_000 * TAO, TAO // 100), *subnet(2, TAO // 10, 900 * TAO)])
    bought = await chain.sql.fetchrow("select * from quote_stake_estimate(1, $1)", 4_000_000 * TAO)
    sold = await chain.sql.fetchrow("select * from quote_unstake_estimate(2, $1)", 800_000 * TAO)
    for found, reserve, other, price in (
        (bought, 5_000 * TAO, TAO // 100, 500_000),
        (sold, 900 * TAO, TAO // 10, 9_000),
    ):
        with localcontext(prec=50):
            went_in = int(reserve * ((Decimal(1_000_000) / price).sqrt() - 1))
        assert abs(found[0] - went_in) <= 1
        assert found[2] == found[0] * FEE // (65535 - FEE)
        assert abs((reserve + found[0]) / (other - found[1]) / 1_000_000 - 1) < 1e-4


async def test_where_alpha_is_tao_nothing_is_swapped(chain: Chain) -> None:
    await chain.block(RUNTIME, [*subnet(0, 0, 0, mechanism=0), *subnet(4, 5, 5, mechanism=0)])
    for netuid in (0, 4):
        for quote in ("quote_stake_estimate", "quote_unstake_estimate"):
            assert tuple(await chain.sql.fetchrow(f"select * from {quote}({netuid}, 77)")) == (77, 77, 0, 0, 1)
    assert tuple(await chain.sql.fetchrow("select * from quote_stake_estimate(9, 77)")) == (None,) * 5


async def test_pools_of_other_kinds_are_refused_and_not_guessed(chain: Chain) -> None:
    await chain.block(FakeRuntime(422, RUNTIME.defaults), subnet(1, 50 * TAO, 50 * TAO))
    for quote in ("quote_stake_estimate", "quote_unstake_estimate"):
        with pytest.raises(asyncpg.PostgresError, match=r"block 0 \(spec 422\) are not simulated"):
            await chain.sql.fetchrow(f"select * from {quote}(1, 77)")
