"""Finality that stands still while the chain goes on, as log and readiness tell it.

It has happened for thousands of blocks. Whoever follows the best head goes on, and may have to take all of them
back; whoever follows finality waits. Either way a person wants to know. What is final is not decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import structlog

from indexer.metrics import Metrics

log = structlog.get_logger()

STALLED_BLOCKS = 30
"""Blocks between the heads from which finality counts as stalled: about six minutes; two or three are usual."""
BACK_BLOCKS = 10
CONSEQUENCES = {
    "best": "goes on along the best head, which may have to be taken back that far",
    "finalized": "waits for it: nothing new is indexed; --follow best would go on",
}


class Stall:
    """The distance of the two heads; lives as long as the process, over many runs."""

    def __init__(self, metrics: Metrics, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._now_s = metrics, monotonic_s
        self._finalized: int | None = None
        self._since_s: float | None = None

    def head(self, kind: Literal["finalized", "best"], number: int) -> None:
        """A node told of a head; the finalized one before the best one, as seen at the same time."""
        self._metrics.head(kind, number)
        if kind == "finalized":
            self._finalized = number
        elif self._finalized is not None:
            self._judge(self._finalized, number)

    def _judge(self, finalized: int, best: int) -> None:
        lag, follow = best - finalized, self._metrics.follow
        if self._since_s is None and lag >= STALLED_BLOCKS:
            self._since_s = self._now_s()
            log.warning(
                "finality_stalled", finalized=finalized, best=best, lag_blocks=lag, consequence=CONSEQUENCES[follow]
            )
        elif self._since_s is not None and lag <= BACK_BLOCKS:
            log.info("finality_back", finalized=finalized, best=best, after_s=round(self._now_s() - self._since_s, 1))
            self._since_s = None
        if follow == "finalized":
            stalled = self._since_s is not None
            self._metrics.condition(
                "finality", not stalled, f"nothing is final above block {finalized}, best is {best}"
            )
