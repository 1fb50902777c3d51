"""Share arithmetic of the two runtimes, in integers, as the chain rounds it. Pure.

U64F64 (before AlphaV2): 128 bits, the low 64 of them a fraction. SafeFloat (after): mantissa times ten to
the exponent, normalised to 10^20 < mantissa <= 10^21, every division truncating. Source: the share-pool
crate as transcribed in the project's model of the chain (MODEL.md 2.2 and its October 2026 delta).
"""

from __future__ import annotations

from typing import NamedTuple

U64_MAX = (1 << 64) - 1
_FRACTION_BITS = 64
_LARGEST = 10**21
_SMALLEST = 10**20
_DIGITS = 21


class SafeFloat(NamedTuple):
    """``mantissa * 10**exponent``."""

    mantissa: int
    exponent: int


ZERO = SafeFloat(0, 0)


def v1_value(total: int, shares: int, denominator: int) -> int:
    """Alpha of a U64F64 share (its bits) of a pool of ``total``: the quotient is cut to 64 fraction bits first."""
    if denominator == 0:
        return 0
    quotient = (total << 2 * _FRACTION_BITS) // denominator
    if quotient >> 128:
        return min(total * shares // denominator, U64_MAX)
    return min((quotient * shares) >> 2 * _FRACTION_BITS, U64_MAX)


def v1_shares_for(alpha: int, total: int, denominator: int) -> int:
    """U64F64 bits of the shares that ``alpha`` buys in (or takes out of) a pool."""
    if denominator == 0 or total == 0:
        return alpha << _FRACTION_BITS
    return alpha * denominator // total


def normal(mantissa: int, exponent: int) -> SafeFloat:
    """The normal form."""
    if mantissa == 0:
        return ZERO
    while mantissa > _LARGEST:
        mantissa, exponent = mantissa // 10, exponent + 1
    while mantissa <= _SMALLEST:
        mantissa, exponent = mantissa * 10, exponent - 1
    return SafeFloat(mantissa, exponent)


def from_v1(bits: int) -> SafeFloat:
    """A U64F64 share as SafeFloat: whole part plus fraction, each normalised."""
    whole, fraction = bits >> _FRACTION_BITS, bits & U64_MAX
    return add(normal(whole, 0), divide(normal(fraction, 0), normal(1 << _FRACTION_BITS, 0)))


def divide(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """a / b; zero for b = 0."""
    if b.mantissa == 0:
        return ZERO
    return normal(a.mantissa * _LARGEST // b.mantissa, a.exponent - b.exponent - _DIGITS)


def add(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """a + b: the one with the smaller exponent is cut to the other's."""
    if not a.mantissa or not b.mantissa:
        return a if a.mantissa else b
    low, high = sorted((a, b), key=lambda one: one.exponent)
    return normal(high.mantissa + _aligned(low, high.exponent), high.exponent)


def subtract(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """a - b, not below zero."""
    if not a.mantissa or not b.mantissa:
        return a
    exponent = max(a.exponent, b.exponent)
    left = _aligned(a, exponent) - _aligned(b, exponent)
    return normal(left, exponent) if left > 0 else ZERO


def mul_div(a: SafeFloat, b: SafeFloat, c: SafeFloat) -> SafeFloat:
    """a * b / c with one rounding; zero for c = 0."""
    if c.mantissa == 0:
        return ZERO
    return normal(a.mantissa * b.mantissa // c.mantissa, a.exponent + b.exponent - c.exponent)


def to_u64(value: SafeFloat) -> int:
    """The whole part, cut at 2^64 - 1."""
    if value.exponent >= 0:
        return min(value.mantissa * _power(value.exponent), U64_MAX)
    return min(value.mantissa // _power(min(-value.exponent, _DIGITS + 1)), U64_MAX)


def v2_value(total: int, shares: SafeFloat, denominator: SafeFloat) -> int:
    """Alpha of a SafeFloat share of a pool of ``total`` alpha, never more than the pool (the cap of spec 458)."""
    return min(to_u64(mul_div(normal(total, 0), shares, denominator)), total)


def v2_shares_for(alpha: int, total: int, denominator: SafeFloat) -> SafeFloat:
    """The shares that ``alpha`` buys in (or takes out of) a pool."""
    if denominator.mantissa == 0 or total == 0:
        return normal(alpha, 0)
    return mul_div(normal(alpha, 0), denominator, normal(total, 0))


def _aligned(value: SafeFloat, exponent: int) -> int:
    """The mantissa of ``value`` at a larger exponent, truncated."""
    return value.mantissa // _power(min(exponent - value.exponent, _DIGITS + 1))


def _power(exponent: int) -> int:
    return int(10**exponent)
