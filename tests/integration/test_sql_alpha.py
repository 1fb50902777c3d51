"""``alpha_rao`` and ``subnet_price`` against plain transcriptions of the chain's arithmetic, spec by spec."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

pytestmark = pytest.mark.anyio

MAX = 10**21
U64 = 2**64 - 1
Float = tuple[int, int]


def normal(m: int, e: int) -> Float:
    """MODEL.md 2.2, step 1."""
    if m == 0:
        return 0, 0
    while m > MAX:
        m, e = m // 10, e + 1
    while m <= MAX // 10:
        m, e = m * 10, e - 1
    return m, e


def of_bits(bits: int) -> Float:
    """Step 2: U64F64 to SafeFloat."""
    whole, part = normal(bits >> 64, 0), normal(bits % 2**64, 0)
    if part[0]:
        two64 = normal(2**64, 0)
        part = normal(part[0] * MAX // two64[0], part[1] - two64[1] - 21)
    if not whole[0] or not part[0]:
        return whole if whole[0] else part
    (big, e), (small, f) = (whole, part) if whole[1] >= part[1] else (part, whole)
    return normal(big + small // 10 ** min(e - f, 22), e)


def value(total: int, share: Float, denominator: Float) -> int:
    """Steps 3 and 4: the runtime's own road, with every normalisation it does."""
    if not denominator[0]:
        return 0
    t = normal(total, 0)
    m, e = normal(t[0] * share[0] // denominator[0], t[1] + share[1] - denominator[1])
    if e > 0:
        return min(m * 10 ** min(e, 22), U64)
    return min(m // 10 ** min(-e, 22), U64)


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Any]:
    """A connection to an empty, migrated database."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def alpha(sql: Any, spec: int, **given: int | None) -> int:
    """``alpha_rao`` with the named arguments, the others NULL."""
    names = (
        "stake", "pool_alpha", "share_bits", "share_mantissa", "share_exponent",
        "total_bits", "total_mantissa", "total_exponent", "share_epoch", "pool_epoch",
    )  # fmt: skip
    assert set(given) <= set(names)
    arguments = ", ".join(f"{name} => ${at}" for at, name in enumerate(names, 2))
    found: int = await sql.fetchval(
        f"select alpha_rao(spec_version => $1, {arguments})", spec, *(given.get(n) for n in names)
    )
    return found


def some_share(rng: random.Random) -> Float:
    return normal(rng.randrange(1, 10 ** rng.randrange(1, 25)), rng.randrange(-8, 4))


async def test_safe_float_of_a_u64f64_is_what_the_chain_makes_of_it(sql: Any) -> None:
    rng = random.Random(1)
    special = [0, 1, 2**64 - 1, 2**64, 2**64 + 1, 10**20 << 44, 2**128 - 1, (10**19) << 64, (1 << 64) // 10]
    for bits in special + [rng.randrange(2 ** rng.randrange(1, 129)) for _ in range(2000)]:
        row = await sql.fetchrow("select mantissa, exponent from safe_float($1)", bits)
        assert (row["mantissa"], row["exponent"]) == of_bits(bits), bits


async def test_safe_float_shares_are_worth_what_the_runtime_says(sql: Any) -> None:
    rng = random.Random(2)
    for _ in range(2000):
        total, denominator = rng.randrange(10 ** rng.randrange(1, 17)), some_share(rng)
        # Shares as a pool has them: parts of the denominator.
        share = normal(denominator[0] * rng.randrange(10**6) // 10**6, denominator[1])
        found = await alpha(
            sql, 401, pool_alpha=total, share_mantissa=share[0], share_exponent=share[1],
            total_mantissa=denominator[0], total_exponent=denominator[1],
        )  # fmt: skip
        assert found == value(total, share, denominator), (total, share, denominator)


async def test_v1_and_v2_are_chosen_for_share_and_total_independently(sql: Any) -> None:
    rng = random.Random(3)
    for spec in (397, 401, 457, 458, 472):
        for _ in range(20):
            total, bits, total_bits = rng.randrange(10**15), rng.randrange(2**100), rng.randrange(2**100, 2**104)
            v2, total_v2 = some_share(rng), some_share(rng)
            for v1_share in (True, False):
                for v1_total in (True, False):
                    share = of_bits(bits) if v1_share else v2
                    denominator = of_bits(total_bits) if v1_total else total_v2
                    expected = value(total, share, denominator)
                    found = await alpha(
                        sql, spec, pool_alpha=total, share_bits=bits if v1_share else None, share_mantissa=v2[0],
                        share_exponent=v2[1], total_bits=total_bits if v1_total else None,
                        total_mantissa=total_v2[0], total_exponent=total_v2[1],
                    )  # fmt: skip
                    expected = min(expected, total) if spec >= 458 else min(expected, 2**63 - 1)
                    assert found == expected


async def test_u64f64_shares_divide_first_and_multiply_first_on_overflow(sql: Any) -> None:
    rng = random.Random(4)
    for _ in range(1000):
        total, bits, total_bits = rng.randrange(10**16), rng.randrange(2**110), rng.randrange(2**90, 2**112)
        ratio = (total << 128) // total_bits
        assert ratio < 2**128
        expected = (ratio * bits) >> 128
        assert await alpha(sql, 393, pool_alpha=total, share_bits=bits, total_bits=total_bits) == expected
    # One holder of the whole pool: the truncated quotient costs the last rao, as it does on chain.
    for total, bits in ((1, 3 << 64), (10, 3 << 64), (10**15 + 2, 7 << 64), (10**9, 10**9 << 64)):
        expected = (((total << 128) // bits) * bits) >> 128
        assert await alpha(sql, 293, pool_alpha=total, share_bits=bits, total_bits=bits) == expected
        assert expected == (total if total == 10**9 else total - 1)
    # V / D does not fit U64F64: the product is taken first.
    assert await alpha(sql, 393, pool_alpha=1000, share_bits=5, total_bits=7) == 1000 * 5 // 7
    assert await alpha(sql, 393, pool_alpha=10**17, share_bits=3, total_bits=3) == 10**17
    assert await alpha(sql, 293, pool_alpha=1000, share_bits=5, total_bits=0) == 0
    assert await alpha(sql, 293, pool_alpha=1000, share_bits=None, total_bits=7) == 0


async def test_a_share_of_another_generation_of_the_pool_is_worth_nothing(sql: Any) -> None:
    generations = [(None, None, 250), (None, 0, 250), (2, 2, 250), (None, 1, 0), (1, 2, 0), (3, 2, 0)]
    for spec in (233, 293, 401, 459, 475):
        for share_epoch, pool_epoch, worth in generations:
            given = {"share_epoch": share_epoch, "pool_epoch": pool_epoch}
            found = await alpha(sql, spec, pool_alpha=500, share_bits=1 << 64, total_bits=2 << 64, **given)
            assert found == worth, (spec, share_epoch, pool_epoch)


async def test_a_share_above_the_total_is_capped_by_the_pool_only_since_458(sql: Any) -> None:
    given = {"pool_alpha": 100, "share_mantissa": 3 * 10**20, "share_exponent": -20}
    given |= {"total_mantissa": 2 * 10**20, "total_exponent": -20}
    assert await alpha(sql, 457, **given) == 150
    assert await alpha(sql, 458, **given) == 100


async def test_before_dtao_the_stake_is_the_value(sql: Any) -> None:
    assert await alpha(sql, 232, stake=77, pool_alpha=1, share_bits=1, total_bits=1) == 77
    assert await alpha(sql, 233, stake=77) == 0


PRICES = [
    # (spec, netuid, mechanism, tao, alpha_in, initialized, sqrt_price, balancer, superellipse) -> price
    ((300, 0, 1, 5, 10, True, 3, None, None), 1),
    ((300, 4, 0, 5, 10, True, 3, None, None), 1),
    ((300, 4, None, 5, 10, True, 3, None, None), 1),
    ((232, 4, 1, 5, 10, None, None, None, None), 1),
    ((233, 4, 1, 5, 10, None, None, None, None), Decimal("0.5")),
    ((282, 4, 1, 5, 10, True, 3, None, None), Decimal("0.5")),
    ((283, 4, 1, 5, 10, True, 3, None, None), 9),
    ((300, 4, 1, 5, 10, False, 3, None, None), Decimal("0.5")),
    ((300, 4, 1, 5, 10, None, None, None, None), Decimal("0.5")),
    ((422, 4, 1, 5, 0, None, None, None, None), 0),
    ((422, 4, 1, None, 10, None, None, None, None), 0),
    ((423, 4, 1, 5, 10, True, 3, None, None), Decimal("0.5")),
    ((475, 4, 1, 5, 10, None, None, "250000000000000000", None), Decimal("1.5")),
    ((475, 4, 1, 5, 10, None, None, '{"quote": 200000000000000000}', None), 2),
    ((475, 4, 1, 5, 0, None, None, None, None), 0),
    # X = 30 - 10 and Y = 25 - 5 in Q32; price = tao_scale^2 X / (alpha_scale^2 Y) = 9 / 4.
    (
        (
            480, 4, 1, 5, 10, None, None, None,
            f'{{"alpha_scale": 2, "tao_scale": 3, "center_alpha": {30 << 32}, "center_tao": {25 << 32}}}',
        ),
        Decimal("2.25"),
    ),
]  # fmt: skip


async def test_the_price_follows_the_rule_of_the_spec(sql: Any) -> None:
    query = "select subnet_price($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb)"
    for arguments, price in PRICES:
        assert await sql.fetchval(query, *arguments) == price, arguments


async def test_the_one_expression_tells_what_the_steps_tell(database: str) -> None:
    """For all specs and for values that are absent, zero, of another generation, or far apart."""
    dice = random.Random(7)

    def drawn(*usual: object) -> object:
        return dice.choice([None, 0, *usual])

    rows = []
    for _ in range(3000):
        mantissa = dice.randrange(10**20, 10**21)
        rows.append((
            dice.choice([200, 232, 233, 300, 396, 397, 457, 458, 475]),
            drawn(10**9), drawn(1, 10**12, dice.randrange(2**55)),
            dice.choice([None, None, None, 2**64, dice.randrange(2**80)]), drawn(mantissa, 1),
            dice.choice([None, -30, -8, 0, 3, 14]),
            dice.choice([None, None, None, 2**70]), drawn(mantissa * 3, 10**20 + 1),
            dice.choice([None, -20, -9, 0, 2]), drawn(1, 2), drawn(1, 2),
        ))  # fmt: skip
    connection = await asyncpg.connect(database)
    parameters = ", ".join(
        f"${at}::{kind}[]"
        for at, kind in enumerate(
            ("int", "bigint", "bigint", "numeric", "numeric", "bigint", "numeric", "numeric", "bigint", "bigint",
             "bigint"), 1,
        )
    )  # fmt: skip
    found = await connection.fetch(
        "SELECT alpha_rao(a, b, c, d, e, f, g, h, i, j, k) AS one, alpha_rao_of_any(a, b, c, d, e, f, g, h, i, j, k) "
        f"AS steps FROM unnest({parameters}) u (a, b, c, d, e, f, g, h, i, j, k)",
        *map(list, zip(*rows, strict=True)),
    )
    await connection.close()
    assert [row["one"] for row in found] == [row["steps"] for row in found]
    assert len({row["one"] for row in found}) > 80
