"""How much one endpoint is asked at once and how often: additive increase, multiplicative decrease.

Nobody tells the limits of a public endpoint, and they change with its load. So each refusal halves
what is asked at once and stretches the distance between requests; answers win both back slowly.
Knows nothing of connections or methods: it only makes requests wait.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 30.0
SPACING_FIRST_S = 0.02
SPACING_MAX_S = 2.0
SPACING_GONE_S = 0.005
"""Below this a distance is no longer kept."""


class Gate:
    """What one endpoint allows as far as we know. May be entered by many tasks at once."""

    def __init__(self, concurrency: int) -> None:
        self._most = concurrency
        self._limit = float(concurrency)
        self._inside = 0
        self._freed = anyio.Event()
        self._spacing_s = 0.0
        self._next_s = 0.0
        self._pause_s = PAUSE_FIRST_S
        self._cut_s = 0.0
        self.open_s = 0.0
        """Monotonic time before which nothing is to be asked."""

    @property
    def limit(self) -> int:
        """Requests that may be under way at once."""
        return int(self._limit)

    @property
    def spacing_s(self) -> float:
        """Seconds kept between the starts of two requests; 0 where the endpoint never refused."""
        return self._spacing_s

    def shut(self) -> bool:
        """Whether the endpoint is paused."""
        return time.monotonic() < self.open_s

    @asynccontextmanager
    async def entered(self, requests: int = 1) -> AsyncIterator[float]:
        """Wait for a place and for the time; yields the monotonic time of the start, which ``refused`` wants.

        ``requests`` that go in one message take one place, and the time of as many.
        """
        while self._inside >= self.limit:
            await self._freed.wait()
        self._inside += 1
        try:
            now_s = time.monotonic()
            start_s = max(now_s, self._next_s)
            self._next_s = start_s + self._spacing_s * requests
            if start_s > now_s:
                await anyio.sleep(start_s - now_s)
            yield time.monotonic()
        finally:
            self._inside -= 1
            freed, self._freed = self._freed, anyio.Event()
            freed.set()

    def answered(self) -> None:
        """A request was answered: a place more per round of answers, and less distance."""
        self._limit = min(self._most, self._limit + 1 / self._limit)
        self._pause_s = max(PAUSE_FIRST_S, self._pause_s * 0.98)
        self._spacing_s *= 0.99
        if self._spacing_s < SPACING_GONE_S:
            self._spacing_s = 0.0

    def refused(self, started_s: float, retry_after_s: float = 0.0) -> float:
        """A request that began at ``started_s`` was refused for load; returns the seconds of the pause.

        Requests that were under way when an earlier refusal came tell nothing new: only the first counts.
        """
        now_s = time.monotonic()
        if started_s >= self._cut_s:
            self._cut_s = now_s
            self._limit = max(1.0, self._limit / 2)
            self._spacing_s = min(SPACING_MAX_S, max(SPACING_FIRST_S, self._spacing_s * 2))
            self.open_s = now_s + max(retry_after_s, self._pause_s)
            self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)
        return max(0.0, self.open_s - now_s)
