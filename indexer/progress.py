"""How fast work goes on and how long it still takes, from what is told of it.

Pure: the clock is given. The rate comes from a moving window of a steady clock and falls by itself while nothing
is told. The time left is calm: it counts down, and is set anew only where the rate really changed. The fraction
never goes back, though totals that grow (a chain's head) or are estimated (a state's size) do move.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 120.0
"""Seconds over which a rate is taken: several commits of a slow backfill."""
SAMPLES = 60
FIRST_RATE_AFTER_S = 1.0
GROWTH_AFTER_S = 30.0
"""Seconds before a total's own growth counts: a head moves in jumps."""
CALM = 0.15
"""Part of the time left by which a new estimate must differ to replace the last one."""
_STEPS_S = ((90.0, 1.0, "s"), (5400.0, 60.0, "min"), (129_600.0, 3600.0, "h"), (float("inf"), 86_400.0, "days"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of work at one moment."""

    done: int
    total: int | None
    """None: not known."""
    is_estimate: bool
    """Whether ``total`` is an estimate."""
    fraction: float | None
    """0 to 1, never less than before; None without a total."""
    rate: float | None
    """Per second; None in the first moment."""
    eta_s: float | None
    """Seconds left; None if there is no telling, or if it falls behind."""

    def fields(self) -> dict[str, object]:
        """The same as fields of a log line: figures that are not known are None."""
        return {
            "done": self.done,
            "total": self.total,
            "percent": None if self.fraction is None else round(100 * self.fraction, 1),
            "rate": None if self.rate is None else float(f"{self.rate:.3g}"),
            "eta_s": None if self.eta_s is None else round(self.eta_s),
        }


class Meter:
    """Turns what is told of one piece of work into readings. ``clock``: any steady one, in seconds."""

    def __init__(self, *, window_s: float = WINDOW_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s, self._clock = window_s, clock
        self._told: deque[tuple[float, int, int | None]] = deque()
        self._is_estimate = False
        self._fraction = 0.0
        self._end_s: float | None = None

    def tell(self, done: int, total: int | None = None, *, is_estimate: bool = False) -> None:
        """So much is done by now. What the first call tells was done before, and counts for no rate."""
        now_s, told = self._clock(), self._told
        self._is_estimate = is_estimate
        if len(told) > 1 and told[-1][0] - told[-2][0] < self._window_s / SAMPLES:
            told[-1] = (now_s, done, total)
        else:
            told.append((now_s, done, total))
        while len(told) > 2 and told[1][0] <= now_s - self._window_s:
            told.popleft()

    def reading(self) -> Reading:
        """What is known now. Nothing is, before the first ``tell``."""
        if not self._told:
            return Reading(0, None, False, None, None, None)
        now_s = self._clock()
        since_s, before, total_before = self._told[0]
        _, done, total = self._told[-1]
        span_s = now_s - since_s
        rate = max(0.0, (done - before) / span_s) if span_s >= FIRST_RATE_AFTER_S else None
        if total is None:
            return Reading(done, None, False, None, rate, None)
        if total > 0:
            self._fraction = max(self._fraction, min(1.0, done / total))
        growth = 0.0
        if span_s >= GROWTH_AFTER_S and total_before is not None and not self._is_estimate:
            growth = (total - total_before) / span_s
        return Reading(
            done, total, self._is_estimate, self._fraction, rate, self._eta_s(total - done, rate, growth, now_s)
        )

    def _eta_s(self, left: int, rate: float | None, growth: float, now_s: float) -> float | None:
        if left <= 0:
            return 0.0
        if rate is None or rate <= growth:
            self._end_s = None
            return None
        fresh_s = left / (rate - growth)
        if self._end_s is None or abs(now_s + fresh_s - self._end_s) > max(CALM * fresh_s, 1.0):
            self._end_s = now_s + fresh_s
        return max(0.0, self._end_s - now_s)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 12 min, 2.5 h, 3 days."""
    unit_s, name = next((unit_s, name) for below_s, unit_s, name in _STEPS_S if seconds < below_s)
    value = round(max(seconds, 0.0) / unit_s, 1)
    is_exact = name in ("s", "min") or value >= 10 or value == int(value)
    return f"{value:.0f} {name}" if is_exact else f"{value:.1f} {name}"


def per_second(rate: float, unit: str = "") -> str:
    """A rate with the digits that mean something: 0.035/s, 1.7/s, 12,346/s."""
    return (f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{float(f'{rate:.2g}')}") + f"{unit}/s"
