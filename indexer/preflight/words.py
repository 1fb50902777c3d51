"""Numbers as people read them: sizes, durations, counts and ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from indexer.preflight.findings import Range

NAMES_SHOWN = 4
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_TIMES = ((86_400 * 2, 86_400, "days"), (7_200, 3_600, "h"), (120, 60, "min"), (1, 1, "s"))


def size(number: float) -> str:
    """Bytes, to three digits."""
    for unit, name in _SIZES:
        if number >= unit:
            return f"{_digits(number / unit)} {name}"
    return f"{number:.0f} bytes"


def duration(seconds: float) -> str:
    """A length of time, to three digits."""
    for least, unit, name in _TIMES:
        if seconds >= least:
            return f"{_digits(seconds / unit)} {name}"
    return "0 s" if seconds <= 0 else f"{_digits(seconds * 1000)} ms"


def count(number: float, what: str) -> str:
    """So many things."""
    return f"{number:,.0f} {what}" + ("" if round(number) == 1 else "s")


def between(found: Range, shown: str = "number") -> str:
    """A range as one number where it is one; ``shown`` as ``number``, ``size`` or ``duration``."""
    tell: Callable[[float], str] = {"size": size, "duration": duration, "number": _rounded}[shown]
    low, high = tell(found.low), tell(found.high)
    return low if low == high else f"{low} to {high}"


def listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many there are."""
    if len(names) <= NAMES_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: NAMES_SHOWN - 1])} and {len(names) - NAMES_SHOWN + 1} more datasets"


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2g}"


def _rounded(number: float) -> str:
    """To three digits: an estimate is no more exact."""
    whole = round(number)
    return f"{round(whole, min(0, 3 - len(str(whole)))):,}"
