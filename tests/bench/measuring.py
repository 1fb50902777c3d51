"""What a bench is and how two sides are timed: in one run and in turns, so that a busy machine hits both alike.

Owns cases, runs and the medians; knows nothing of what is measured. A figure is a ratio of two sides of one run,
never seconds: seconds are kept beside it for whoever wants to look.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio has to be."""

    limit: float
    sort: Literal["at least", "at most"]

    def is_met(self, ratio: float, slack: float = 1.0) -> bool:
        """Whether ``ratio`` is within the limit; ``slack`` 2 lets it miss by as much again."""
        return ratio >= self.limit / slack if self.sort == "at least" else ratio <= self.limit * slack

    def __str__(self) -> str:
        return f"{self.sort} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a bench is to do."""

    runs: int
    short: bool
    """Small loads, to see ratios that are far off; no figure of it is published."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one bench found."""

    name: str
    goal: Goal | None
    """None: told, and held to nothing."""
    ratios: tuple[float, ...]
    """One for each run."""
    ours: tuple[float, ...] = ()
    against: tuple[float, ...] = ()
    unit: str = "s"
    """Of ``ours`` and ``against``."""
    notes: Mapping[str, object] = field(default_factory=dict)
    """What else a reader should know: sizes, rates, counts."""

    @property
    def ratio(self) -> float:
        """The median of the runs."""
        return statistics.median(self.ratios)


@dataclass(frozen=True, slots=True)
class Case:
    """A bench: what is compared with what. ``run`` gives a figure for each goal that it looks at."""

    name: str
    what: str
    against: str
    run: Callable[[Effort], list[Figure]]


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of this thread that ``work`` takes, without the garbage collector's luck."""
    gc.collect()
    gc.disable()
    try:
        started_s = time.thread_time()
        work()
        return time.thread_time() - started_s
    finally:
        gc.enable()


def in_turns(
    name: str,
    goal: Goal | None,
    effort: Effort,
    ours: Callable[[], object],
    against: Callable[[], object],
    *,
    ours_times: int = 1,
    **notes: object,
) -> Figure:
    """Time two sides that compute, in turns. The ratio is how often ours fits into the other, or how often the
    floor fits into ours: above 1 is better for a goal of "at least", worse for one of "at most".

    A side that takes a hundredth of the other is done ``ours_times`` in a row, and the time of one of them is kept.
    """

    def ours_in_a_row() -> None:
        for _ in range(ours_times):
            ours()

    ours(), against()
    mine, theirs = [], []
    for at in range(effort.runs):
        sides = [(mine, ours_in_a_row, ours_times), (theirs, against, 1)]
        for times, work, often in sides if at % 2 == 0 else reversed(sides):
            times.append(timed(work) / often)
    faster = goal is None or goal.sort == "at least"
    ratios = tuple(other / own if faster else own / other for own, other in zip(mine, theirs, strict=True))
    return Figure(name, goal, ratios, tuple(mine), tuple(theirs), notes=notes)
