"""Share arithmetic against exact fractions and against the one-line formula the product's SQL uses."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.devchain import shares
from indexer.devchain.shares import SafeFloat

amounts = st.integers(1, 2**63)
ratios = st.integers(1, 10**6)


def exact(value: SafeFloat) -> Fraction:
    return Fraction(value.mantissa) * Fraction(10) ** value.exponent


def floats(low: int = -40, high: int = 3) -> st.SearchStrategy[SafeFloat]:
    return st.builds(shares.normal, st.integers(1, 10**25), st.integers(low, high))


@given(floats())
def test_a_normal_form_has_its_mantissa_between_the_21st_and_22nd_digit(value: SafeFloat):
    assert 10**20 < value.mantissa <= 10**21


@given(st.integers(0, 2**128 - 1))
def test_a_v1_share_keeps_twenty_digits_as_safe_float(bits: int):
    converted, truth = exact(shares.from_v1(bits)), Fraction(bits, 2**64)
    assert converted <= truth
    assert truth - converted <= max(truth / 10**19, Fraction(1, 10**20))


@settings(max_examples=500)
@given(amounts, floats(-20, -18), floats(-20, -18))
def test_alpha_of_a_v2_share_is_the_formula_of_the_sql_view(total: int, share: SafeFloat, denominator: SafeFloat):
    """LEAST(V, div(V * S, D)) on the stored decimals, as the model of October 2026 proves it."""
    up, down = max(share.exponent - denominator.exponent, 0), max(denominator.exponent - share.exponent, 0)
    formula = total * share.mantissa * 10**up // (denominator.mantissa * 10**down)
    assert shares.v2_value(total, share, denominator) == min(formula, total)


@given(amounts, ratios, ratios)
def test_what_goes_into_a_pool_comes_out_within_one_rao(total: int, put_in: int, rate: int):
    denominator = shares.normal(total * rate, -3)
    bought = shares.v2_shares_for(put_in, total, denominator)
    value = shares.v2_value(total + put_in, bought, shares.add(denominator, bought))
    assert put_in - 1 <= value <= put_in


@given(amounts, ratios)
def test_alpha_of_a_v1_share_never_exceeds_its_part(total: int, parts: int):
    denominator = parts << 64
    value = shares.v1_value(total, 1 << 64, denominator)
    assert value <= Fraction(total, parts)
    assert Fraction(total, parts) - value < 1 + Fraction(1, 2**63)


@given(floats(), floats())
def test_subtracting_what_was_added_leaves_what_was_there(a: SafeFloat, b: SafeFloat):
    left = exact(shares.subtract(shares.add(a, b), b))
    assert abs(left - exact(a)) <= (exact(a) + exact(b)) / 10**19


def test_the_v1_quotient_is_cut_before_it_is_multiplied():
    """1/3 loses its tail at 64 bits, so three thirds of one rao are none: as the runtime computes."""
    assert shares.v1_value(1, 3 << 64, 3 << 64) == 0
    assert shares.v1_value(3, 3 << 64, 3 << 64) == 3


def test_a_share_of_an_empty_pool_is_worth_nothing():
    assert shares.v1_value(100, 1 << 64, 0) == 0
    assert shares.v2_value(100, shares.normal(1, 0), shares.ZERO) == 0
