"""How one endpoint stands: why and for how long it is left alone, what it lacks, what it claims.

Every way in which an endpoint can be of no use has a name (``Cause``), a time for which it is then left alone, a log
line and a metric; the way back has one too. Knows nothing of connections and requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from indexer.gate import Gate
from indexer.metrics import Metrics
from indexer.model import BlockRef

log = structlog.get_logger()

FLAPPING_STRIKES = 3
RECENT_S = 60.0
"""An endpoint that answered so lately may do so again at once, however often it failed since."""


class Cause(StrEnum):
    """Why an endpoint is left alone."""

    UNREACHABLE = "unreachable"
    LOST = "lost"
    SILENT = "silent"
    BUSY = "busy"
    LAGGING = "lagging"
    FORK = "fork"
    OTHER_CHAIN = "other_chain"
    FALSE_HEAD = "false_head"
    LIE = "lie"


REST_S: dict[Cause, tuple[float, float]] = {
    Cause.UNREACHABLE: (1.0, 60.0),
    Cause.LOST: (0.5, 30.0),
    Cause.SILENT: (5.0, 300.0),
    Cause.OTHER_CHAIN: (600.0, 3600.0),
    Cause.FALSE_HEAD: (300.0, 3600.0),
    Cause.LIE: (3600.0, 24 * 3600.0),
}
"""Seconds of rest after the first failure in a row, and at most; each further one doubles it."""
_KEPT = frozenset({Cause.LIE, Cause.FALSE_HEAD})
"""Causes that an answer to the next question does not heal."""


@dataclass(slots=True)
class Footing:
    """What every endpoint must agree with. ``version`` counts up when all have to be looked at anew."""

    genesis: bytes | None = None
    anchor: BlockRef | None = None
    """A block that is final and committed: an endpoint with another one at its height is on a fork."""
    version: int = 0


class Health:
    """What is known of an endpoint. ``given_up`` is called with the reason when it is to be left alone."""

    def __init__(
        self, name: str, footing: Footing, gate: Gate, metrics: Metrics, given_up: Callable[[str], None]
    ) -> None:
        self.name, self.gate = name, gate
        self._footing, self._metrics, self._given_up = footing, metrics, given_up
        self.genesis: bytes | None = None
        self.cause: Cause | None = None
        self.until_s = 0.0
        self._left_s = 0.0
        self.strikes = 0
        self._answered_s = float("-inf")
        self._lies = 0
        self.forked = self.lagging = self.slow = False
        self.head: int | None = None
        """The best height it told of, as a claim."""
        self.state_floor = 0
        """Height below which it probably has no state: it is asked for that last."""
        self._state_step = 1
        self._state_from = float("inf")
        self.lacks: set[str] = set()
        """Methods it does not serve."""
        metrics.endpoint_lies.labels(endpoint=self.name)  # from 0 on: the first lie is an increase
        for cause in Cause:
            metrics.endpoint_left.labels(endpoint=self.name, cause=cause)
        self._show()

    @property
    def foreign(self) -> bool:
        """Whether it follows another chain."""
        expected = self._footing.genesis
        return expected is not None and self.genesis is not None and self.genesis != expected

    @property
    def ready(self) -> bool:
        """Whether it may be asked now."""
        return self.cause is None and not self.gate.shut()

    @property
    def health(self) -> int:
        """Worse is higher; endpoints of one health are asked in the order of configuration."""
        return 4 * self.forked + 2 * self.lagging + self.slow + (self.strikes >= FLAPPING_STRIKES)

    @property
    def is_hopeful(self) -> bool:
        """Whether one that rests may answer all the same: it seldom failed, or has answered a moment ago."""
        return self.strikes < FLAPPING_STRIKES or time.monotonic() - self._answered_s < RECENT_S

    def wait_s(self) -> float:
        """Seconds until it may be asked again."""
        until_s = self.until_s if self.cause is not None else 0.0
        return max(0.0, until_s - time.monotonic(), self.gate.open_s - time.monotonic())

    def saw_head(self, number: int) -> None:
        """It told of a head."""
        self.head = number
        self._metrics.endpoint_head_block.labels(endpoint=self.name).set(number)

    def flag(self, cause: Cause, on: bool, reason: str = "") -> None:
        """Enter or leave a state in which it is asked last but not left: ``LAGGING`` or ``FORK``."""
        name = "forked" if cause is Cause.FORK else "lagging"
        if getattr(self, name) == on:
            return
        setattr(self, name, on)
        if on:
            self._metrics.endpoint_left.labels(endpoint=self.name, cause=cause).inc()
            log.warning("endpoint_left", endpoint=self.name, cause=str(cause), reason=reason)
        elif self.cause is None:
            log.info("endpoint_back", endpoint=self.name, cause=str(cause))
        self._show()

    def leave(self, cause: Cause, reason: str) -> None:
        """Leave it alone for the time of ``cause``; the connection is given up."""
        now_s = time.monotonic()
        if cause is Cause.LIE:
            self._metrics.endpoint_lies.labels(endpoint=self.name).inc()
            if self.cause is cause and now_s < self.until_s:
                return  # was under way when the first lie was found out, or there is nobody else to ask
            self._lies += 1
        self.strikes += 1
        count = self._lies if cause is Cause.LIE else self.strikes
        first_s, most_s = REST_S[cause]
        rest_s = min(most_s, first_s * 2 ** min(count - 1, 20))
        tell = log.debug if self.cause is cause else log.warning
        tell("endpoint_left", endpoint=self.name, cause=str(cause), reason=reason, rest_s=rest_s)
        if self.cause is None:
            self._left_s = now_s
        if self.cause not in _KEPT or cause in _KEPT:  # a liar that is then lost stays a liar
            self.cause, self.until_s = cause, now_s + rest_s
        self._metrics.endpoint_left.labels(endpoint=self.name, cause=cause).inc()
        self._given_up(reason)
        self._show()

    def answered(self) -> None:
        """It gave what was asked: what it was left for is over. Only time makes up for a lie."""
        self._answered_s = time.monotonic()
        if self.cause is None or (self.cause in _KEPT and time.monotonic() < self.until_s):
            return
        log.info(
            "endpoint_back",
            endpoint=self.name,
            cause=str(self.cause),
            after_s=round(time.monotonic() - self._left_s, 1),
        )
        self.cause = None
        self._show()

    def steady(self) -> None:
        """Some seconds went by without a failure: one strike less."""
        self.strikes = max(0, self.strikes - 1)

    def lacks_state(self, number: int, reason: str) -> None:
        """It has no state at a height below its head: the next tries are ever further apart.

        So a backfill of a million blocks from an archive asks it some twenty times in vain, not a million times.
        """
        self._state_from = float("inf")
        if self.head is None or not self.state_floor <= number < self.head:
            return
        tell = log.info if self._state_step == 1 else log.debug
        tell("endpoint_lacks_state", endpoint=self.name, block=number, reason=reason)
        self.state_floor = number + min(self._state_step, max(1, (self.head - number) // 2))
        self._state_step *= 2

    def surely_has_state(self, number: int) -> bool:
        """Whether it gave the state at this height or a lower one, and refused none since."""
        return number >= self._state_from

    def has_state(self, number: int) -> None:
        """It gave the state at a height."""
        self._state_from = min(self._state_from, number)
        if number >= self.state_floor:
            self._state_step = 1

    def _show(self) -> None:
        usable = self.cause is None and not (self.forked or self.lagging)
        self._metrics.endpoint_usable.labels(endpoint=self.name).set(usable)
        self._metrics.endpoint_concurrency.labels(endpoint=self.name).set(self.gate.limit)
