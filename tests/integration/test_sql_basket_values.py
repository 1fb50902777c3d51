"""What root baskets hold and are worth, and what of it is whose: against the runtime's formulas in Python."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from test_sql_states import ESCROW, Chain, FakeRuntime, change, item, share

from indexer.model import Change
from indexer.scale import ss58_encode

pytestmark = pytest.mark.anyio

TAO = 10**9
HALF = 5 * 10**17
ANNA, BERT, CLARA, XENIA, YURI, ZOE = (bytes([n]) * 32 for n in (11, 12, 13, 21, 22, 23))
A, B, C, X, Y, Z = (ss58_encode(account) for account in (ANNA, BERT, CLARA, XENIA, YURI, ZOE))
CAP = 6553
RUNTIME = FakeRuntime(475, {item("BasketTradingEnabled"): True, item("BasketDailyTurnoverCap"): CAP})


@dataclass(frozen=True)
class Pool:
    """A subnet's pool; ``quote``: the weight of TAO, /1e18; ``average``: the slow average of the price."""

    tao: int
    alpha: int
    quote: int = HALF
    average: float = 0.0
    mechanism: int = 1


POOLS = {
    0: Pool(0, 0, mechanism=0),
    1: Pool(5_000 * TAO, 80_000 * TAO, average=0.03125),
    2: Pool(70_000 * TAO, 3_000 * TAO, 550_000_000_000_000_000, average=64.0),
    3: Pool(10 * TAO, 10 * TAO, mechanism=0),
    4: Pool(999_999, 50 * TAO, average=1.0),
    5: Pool(60_000 * TAO, 7_000_000, average=1000.0),
}
"""Netuid 4 is too shallow for any sale; 5 holds so little alpha that it takes 7 alpha at once."""

HOLDINGS = {
    A: {0: 7 * TAO, 1: 900 * TAO, 2: 40 * TAO, 4: 3 * TAO},
    B: {1: 123_456_789_012, 3: 5 * TAO, 5: 20 * TAO},
}
STAKE = {(A, X): 1_000 * TAO, (A, Y): 333_333_333_333, (B, X): 77 * TAO, (C, X): 5 * TAO}
CLAIMED = {(A, X): 100 * TAO + 3, (A, Y): 10**15, (A, Z): -50 * TAO, (B, Z): -(10**14)}
SHARES = {A: 4_000 * TAO, B: 20 * TAO}
RATE_BITS = {A: 858_993_459, B: 42_949_672}
DEPOSITED, REDEEMED = {A: 900 * TAO, B: 7 * TAO}, {A: 100 * TAO, B: 0}
BY_TEXT = {A: ANNA, B: BERT, C: CLARA, X: XENIA, Y: YURI, Z: ZOE}


def stored() -> list[Change]:
    """The state of these funds, as the chain stores it."""
    changes = [
        change(name, netuid, value=value)
        for netuid, one in POOLS.items()
        for name, value in (
            ("NetworksAdded", True), ("SubnetMechanism", one.mechanism), ("SubnetTAO", one.tao),
            ("SubnetAlphaIn", one.alpha), ("Swap.SwapBalancer", {"quote": one.quote}),
            ("SubnetMovingPrice", int(one.average * 2**32)),
        )
    ]  # fmt: skip
    pools: dict[tuple[bytes, int], dict[bytes, int]] = {}
    for hot, held in HOLDINGS.items():
        for netuid, alpha in held.items():
            pools.setdefault((BY_TEXT[hot], netuid), {})[ESCROW] = alpha
    for (hot, cold), alpha in STAKE.items():
        pools.setdefault((BY_TEXT[hot], 0), {})[BY_TEXT[cold]] = alpha
    for (hotkey, netuid), owners in pools.items():
        total = sum(owners.values())
        changes += [
            change("TotalHotkeyAlpha", hotkey, netuid, value=total),
            change("TotalHotkeySharesV2", hotkey, netuid, value=share(total)),
            *(change("AlphaV2", hotkey, cold, netuid, value=share(part)) for cold, part in owners.items()),
        ]
    for hot in SHARES:
        changes += [
            change("BasketShares", BY_TEXT[hot], value=SHARES[hot]),
            change("BasketRate", BY_TEXT[hot], value=RATE_BITS[hot]),
            change("BasketDepositedTao", BY_TEXT[hot], value=DEPOSITED[hot]),
            change("BasketRedeemedTao", BY_TEXT[hot], value=REDEEMED[hot]),
        ]
    # The escrow's own stake on root earns nothing.
    changes.append(change("BasketClaimed", ANNA, ESCROW, value=-(10**12)))
    return [*changes, *(change("BasketClaimed", BY_TEXT[h], BY_TEXT[c], value=n) for (h, c), n in CLAIMED.items())]


def spot(netuid: int, alpha: int) -> int:
    one = POOLS[netuid]
    if netuid == 0 or one.mechanism == 0:
        return alpha
    return alpha * (10**18 - one.quote) * one.tao // (one.quote * one.alpha)


def sold(netuid: int, alpha: int) -> int:
    """What selling gives without a fee; in parts of a thousand times the pool's alpha, all or nothing."""
    one, parts, total = POOLS[netuid], 0, 0
    if netuid == 0 or one.mechanism == 0:
        return alpha
    tao, reserve = one.tao, one.alpha
    with localcontext(prec=80):
        while alpha:
            if tao < 1_000_000:
                return 0
            part = min(alpha, 1000 * reserve)
            out = int(tao * (1 - (Decimal(reserve) / (reserve + part)) ** (Decimal(10**18 - one.quote) / one.quote)))
            tao, reserve, alpha, total, parts = tao - out, reserve + part, alpha - part, total + out, parts + 1
    assert parts == (2 if netuid == 5 else 1)
    return total


def nav(hot: str) -> int:
    return sum(sold(netuid, alpha) for netuid, alpha in HOLDINGS[hot].items())


def spot_nav(hot: str) -> int:
    return sum(spot(netuid, alpha) for netuid, alpha in HOLDINGS[hot].items())


def owed(hot: str, cold: str) -> int:
    earned = RATE_BITS[hot] * STAKE.get((hot, cold), 0) // 2**32
    return min(max(0, earned - CLAIMED.get((hot, cold), 0)), SHARES[hot])


OWED = {(hot, cold): n for hot in SHARES for cold in (X, Y, Z) if (n := owed(hot, cold))}
NEAR = 20
"""Rao by which an estimate may differ from the formula in high precision: some for each holding."""


@pytest.fixture
async def chain(database: str) -> AsyncIterator[Chain]:
    connection = await asyncpg.connect(database)
    made = Chain(database, connection)
    await made.block(RUNTIME)
    await made.block(RUNTIME, stored())
    yield made
    await connection.close()


async def rows(chain: Chain, query: str, *arguments: object) -> list[Any]:
    return list(await chain.sql.fetch(query, *arguments))


def test_the_made_up_funds_show_every_case() -> None:
    assert set(OWED) == {(A, X), (A, Z), (B, X), (B, Z)}, "what is claimed for good is nothing, and not less"
    assert 0 < OWED[B, X] < OWED[B, Z] == SHARES[B], "claims without stake, and never more than the fund"
    assert sold(4, 3 * TAO) == 0 < spot(4, 3 * TAO)
    assert all(sold(n, 20 * TAO) > 0 for n in POOLS if n != 4)


async def test_holdings_are_the_escrows_stake_at_spot_and_as_sold_alone(chain: Chain) -> None:
    found = await rows(chain, "select * from basket_holdings_at()")
    assert {(row["hotkey"], row["netuid"]): (row["alpha_rao"], row["spot_rao"]) for row in found} == {
        (hot, netuid): (alpha, spot(netuid, alpha)) for hot, held in HOLDINGS.items() for netuid, alpha in held.items()
    }
    for row in found:
        value = sold(row["netuid"], row["alpha_rao"])
        assert abs(row["value_rao_estimate"] - value) <= NEAR, row
        assert row["value_rao_estimate"] == 0 or value != 0
        assert (row["alpha"], row["spot_tao"], row["value_tao_estimate"]) == tuple(
            Decimal(row[name]) / TAO for name in ("alpha_rao", "spot_rao", "value_rao_estimate")
        )
    one = await rows(chain, "select netuid, alpha_rao from basket_holdings_at(1, array[$1])", B)
    assert dict(map(tuple, one)) == HOLDINGS[B]


async def test_a_holding_that_is_sold_in_parts_is_sold_whole_or_worth_nothing(chain: Chain) -> None:
    """The first part leaves too little TAO for the second, and the runtime takes the first back."""
    sale = "select alpha_sale_estimate(475, 7, 1, $1, 1000, null, null, $2)"
    assert abs(await chain.sql.fetchval(sale, 1_500_000, 1_000_000) - 1_500_000 * 1000 // 1001) <= 1
    assert await chain.sql.fetchval(sale, 1_500_000, 1_000_001) == 0
    assert await chain.sql.fetchval(sale, 10**10, 1_000_001) > 10**10 * 1000 // 1001
    for nothing in (0, -5):
        assert await chain.sql.fetchval(sale, 10**10, nothing) == 0
    assert await chain.sql.fetchval(sale, 10**10, None) is None
    assert await chain.sql.fetchval("select alpha_sale_estimate(475, 7, 1, 5000000, 0, null, null, 9)") == 0


async def test_a_fund_is_told_with_its_value_and_what_went_in_and_out(chain: Chain) -> None:
    found = {row["hotkey"]: row for row in await rows(chain, "select * from baskets_at()")}
    assert set(found) == {A, B}
    for hot, row in found.items():
        assert (row["shares"], row["holdings"], row["spot_nav_rao"]) == (SHARES[hot], len(HOLDINGS[hot]), spot_nav(hot))
        assert (row["deposited_rao"], row["redeemed_rao"]) == (DEPOSITED[hot], REDEEMED[hot])
        assert (row["deposited_tao"], row["beta"]) == (DEPOSITED[hot] // TAO, SHARES[hot] // TAO)
        assert (Fraction(row["rate"]), row["twr"], row["frozen"]) == (Fraction(RATE_BITS[hot], 2**32), 1, False)
        assert abs(row["spot_price"] - Decimal(spot_nav(hot)) / SHARES[hot]) < Decimal("1e-19")
        assert abs(row["nav_rao_estimate"] - nav(hot)) <= NEAR
        assert abs(row["price_estimate"] - Decimal(row["nav_rao_estimate"]) / SHARES[hot]) < Decimal("1e-19")
        performance = Decimal(row["nav_rao_estimate"] + REDEEMED[hot]) / DEPOSITED[hot]
        assert abs(row["performance_estimate"] - performance) < Decimal("1e-19")
    (total,) = await rows(chain, "select * from root_basket_total_nav_estimate()")
    assert total["nav_rao_estimate"] == sum(row["nav_rao_estimate"] for row in found.values())
    assert await rows(chain, "select hotkey from baskets_at(0)") == []
    assert await rows(chain, "select * from root_basket_total_nav_estimate(0)") == [(0, 0)]
    assert await rows(chain, "select hotkey from baskets_at(1, array[$1])", B) == [(B,)]


async def test_what_a_staker_owns_is_the_rate_on_its_root_stake_less_its_claims(chain: Chain) -> None:
    found = {(row["hotkey"], row["coldkey"]): row for row in await rows(chain, "select * from basket_positions_at()")}
    assert {key: row["shares"] for key, row in found.items()} == OWED
    for (hot, cold), row in found.items():
        beta = OWED[hot, cold]
        assert row["fund_shares"] == SHARES[hot]
        assert row["root_stake_rao"] == STAKE.get((hot, cold), 0)
        assert row["spot_rao"] == beta * spot_nav(hot) // SHARES[hot]
        assert abs(row["nav_rao_estimate"] - nav(hot)) <= NEAR
        assert row["value_rao_estimate"] == beta * row["nav_rao_estimate"] // SHARES[hot]
        assert abs(row["share_of_fund"] - Decimal(beta) / SHARES[hot]) < Decimal("1e-19")
        assert (row["beta"], row["fund_beta"], row["value_tao_estimate"]) == tuple(
            Decimal(n) / TAO for n in (beta, SHARES[hot], row["value_rao_estimate"])
        )
    for hots, colds in (
        ([A], None), (None, [X]), ([A, B], [Z, Y]), ([C], None), ([B], [Y]), (["0x" + ANNA.hex()], [X]),
    ):  # fmt: skip
        some = await rows(chain, "select hotkey, coldkey from basket_positions_at(1, $1, $2)", hots, colds)
        named = None if hots is None else [A if hot.startswith("0x") else hot for hot in hots]
        assert {tuple(row) for row in some} == {
            (h, c) for h, c in OWED if (named is None or h in named) and (colds is None or c in colds)
        }


async def test_what_is_owed_is_the_sum_over_all_funds_with_a_row_for_who_owns_nothing(chain: Chain) -> None:
    values = dict[str, int]()
    for row in await rows(chain, "select coldkey, value_rao_estimate as value from basket_positions_at()"):
        values[row["coldkey"]] = values.get(row["coldkey"], 0) + row["value"]
    found = await rows(chain, "select * from root_basket_owed_estimate($1)", [X, Z, Y, X])
    assert {row["coldkey"]: row["value_rao_estimate"] for row in found} == {**values, Y: 0}
    assert all(row["value_tao_estimate"] == Decimal(row["value_rao_estimate"]) / TAO for row in found)
    assert len(found) == 3


async def test_a_bucket_is_a_share_of_the_guarded_value_and_fills_with_time(chain: Chain) -> None:
    budgets = {
        hot: sum(
            min(sold(n, alpha), alpha if n in (0, 3) else int(alpha * POOLS[n].average)) for n, alpha in held.items()
        ) * CAP // 65535
        for hot, held in HOLDINGS.items()
    }  # fmt: skip
    full = {row["hotkey"]: row for row in await rows(chain, "select * from basket_trading_at()")}
    for hot, row in full.items():
        assert (row["enabled"], row["frozen"], row["refill_blocks"]) == (True, False, 7200)
        assert abs(row["budget_rao_estimate"] - budgets[hot]) <= NEAR
        assert (row["available_rao_estimate"], row["used_rao_estimate"]) == (row["budget_rao_estimate"], 0)
    assert set(full) == {A, B}
    traded = [
        change("BasketTradeBucket", ANNA, value=(TAO, 2)), change("BasketTradingFrozen", ANNA, value=()),
        change("BasketTradeBucket", BERT, value=(10**18, 2)),
    ]  # fmt: skip
    await chain.block(RUNTIME, traded)
    for _ in range(3):
        later = await chain.block(RUNTIME)
    now = {row["hotkey"]: row for row in await rows(chain, "select * from basket_trading_at($1)", later)}
    budget = now[A]["budget_rao_estimate"]
    assert now[A]["frozen"]
    assert now[A]["available_rao_estimate"] == TAO + budget * 3 // 7200
    assert now[A]["used_rao_estimate"] == budget - now[A]["available_rao_estimate"]
    assert now[B]["available_rao_estimate"] == now[B]["budget_rao_estimate"], "never more than full"


async def test_where_a_pool_is_not_simulated_the_estimate_is_null_and_all_else_is_told(chain: Chain) -> None:
    curve = {"center_alpha": 0, "center_tao": 0, "alpha_scale": 1, "tao_scale": 1}
    await chain.block(RUNTIME, [change("Swap.SwapSuperellipse", 2, value=curve)])
    found = {row["hotkey"]: row for row in await rows(chain, "select * from baskets_at()")}
    assert found[A]["nav_rao_estimate"] is found[A]["price_estimate"] is found[A]["performance_estimate"] is None
    assert found[A]["spot_nav_rao"] > 0
    assert abs(found[B]["nav_rao_estimate"] - nav(B)) <= NEAR
    positions = await rows(chain, "select hotkey, coldkey, shares, value_rao_estimate from basket_positions_at()")
    assert {(row[0], row[1]): row[2] for row in positions} == OWED
    assert {row[0]: row[3] is None for row in positions} == {A: True, B: False}
    owes = await rows(chain, "select coldkey, value_rao_estimate from root_basket_owed_estimate($1)", [X, Y])
    assert dict(map(tuple, owes)) == {X: None, Y: 0}
    assert await rows(chain, "select * from root_basket_total_nav_estimate()") == [(None, None)]
    trading = await rows(chain, "select hotkey, enabled, budget_rao_estimate is null from basket_trading_at()")
    assert {tuple(row) for row in trading} == {(A, True, True), (B, True, False)}
    before = await rows(chain, "select value_rao_estimate is null from basket_holdings_at(1)")
    assert {row[0] for row in before} == {False}


async def test_before_the_balancer_no_pool_is_simulated(database: str) -> None:
    connection = await asyncpg.connect(database)
    chain = Chain(database, connection)
    await chain.block(FakeRuntime(422), stored())
    found = await rows(chain, "select netuid, value_rao_estimate is null from basket_holdings_at()")
    assert {tuple(row) for row in found} == {(0, False), (1, True), (2, True), (3, False), (4, True), (5, True)}
    await connection.close()
