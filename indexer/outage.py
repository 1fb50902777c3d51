"""A stretch of failed runs as the log tells it: how it began, a line a minute, how it ended.

Knows only the clock it is given; what a failure means and how long to wait is the daemon's affair.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

REPEAT_S = 60.0


class Outage:
    """From the first failed run to the first that works again; lives as long as the process."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic_s
        self._began_s: float | None = None
        self._told_s = 0.0
        self._told: str | None = None
        self._tries = 0
        self._untold = 0

    @property
    def lasts(self) -> bool:
        """Whether the last run failed and none has worked since."""
        return self._began_s is not None

    def failed(self, cause: Exception, delay_s: float) -> None:
        """A run failed and the next one comes in ``delay_s``. The same cause again is told once a minute."""
        now_s, kind = self._now_s(), type(cause).__name__
        if self._began_s is None:
            self._began_s = now_s
        self._tries += 1
        if kind == self._told and now_s - self._told_s < REPEAT_S:
            self._untold += 1
            return
        again = {"tries": self._tries, "untold": self._untold} if self._tries > 1 else {}
        log.warning("restart", cause=kind, reason=str(cause), delay_s=round(delay_s, 2), **again)
        self._told, self._told_s, self._untold = kind, now_s, 0

    def over(self) -> None:
        """A run works again."""
        if self._began_s is not None:
            log.info("restored", after_s=round(self._now_s() - self._began_s, 1), tries=self._tries)
        self._began_s, self._told, self._tries, self._untold = None, None, 0, 0
