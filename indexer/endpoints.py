"""One endpoint: its connection, what it may be asked, and what we learnt about it.

Every way in which an endpoint can be of no use has a name (``Cause``), a time for which it is then
left alone, a log line and a metric; the way back has one too. Nothing here knows the other
endpoints: whom to ask is ``pool``'s business, and what an answer means is ``node``'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

from indexer.errors import NodeError
from indexer.gate import Gate
from indexer.link import Busy, Link, RpcRefused, Silent, TooLarge, Unreachable, open_link
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.redaction import quoted, redact

log = structlog.get_logger()

KEYS_MAX = 1000
"""Keys per read proof at most; about 1 MB of proof, far below a node's 15 MiB."""
KEYS_GROW_AFTER = 64
"""Full proofs in a row after which the endpoint is asked for a few more keys."""
CUTS_APART_S = 5.0
"""Seconds between two losses of the connection that have no common cause: a request is tried again sooner."""
FLAPPING_STRIKES = 3


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


class Endpoint:
    """One endpoint of the pool. ``request`` may be called by many tasks at once."""

    def __init__(
        self,
        url: str,
        group: TaskGroup,
        footing: Footing,
        metrics: Metrics,
        *,
        name: str = "",
        place: int,
        archive: bool,
        timeout_s: float,
        connect_timeout_s: float,
        concurrency: int,
    ) -> None:
        self.name = name or redact(url)
        self.place, self.archive = place, archive
        self._url, self._group, self._footing, self._metrics = url, group, footing, metrics
        self._timeout_s, self._connect_timeout_s = timeout_s, min(timeout_s, connect_timeout_s)
        self.gate = Gate(concurrency)
        self._connecting = anyio.Lock()
        self.link: Link | None = None
        self._recognised = -1
        self.genesis: bytes | None = None
        self.cause: Cause | None = None
        self.until_s = 0.0
        self._left_s = 0.0
        self.strikes = 0
        self._lies = 0
        self.forked = self.lagging = self.slow = False
        self.head: int | None = None
        """The best height it told of, as a claim."""
        self.state_floor = 0
        """Height below which it probably has no state: it is asked for that last."""
        self._state_step = 1
        self.lacks: set[str] = set()
        """Methods it does not serve."""
        self.keys_max = KEYS_MAX
        self.promised: tuple[int, float] | None = None
        """A height below its head that nobody knows, and since when."""
        self._full = 0
        self._fitted = 0
        self._cut_s = float("-inf")
        self._failed: tuple[float, str] = (0.0, "")
        metrics.endpoint_lies.labels(endpoint=self.name)  # from 0 on: the first lie is an increase
        for cause in Cause:
            metrics.endpoint_left.labels(endpoint=self.name, cause=cause)
        self._show()

    # -- what is known of it

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
        self.drop(reason)
        self._show()

    def answered(self) -> None:
        """It gave what was asked: what it was left for is over. Only time makes up for a lie."""
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
        if self.head is None or not self.state_floor <= number < self.head:
            return
        tell = log.info if self._state_step == 1 else log.debug
        tell("endpoint_lacks_state", endpoint=self.name, block=number, reason=reason)
        self.state_floor = number + min(self._state_step, max(1, (self.head - number) // 2))
        self._state_step *= 2

    def has_state(self, number: int) -> None:
        """It gave the state at a height."""
        if number >= self.state_floor:
            self._state_step = 1

    def fewer_keys(self, asked: int) -> None:
        """A proof of ``asked`` keys was too large for it."""
        smaller = max(1, min(self.keys_max, asked) // 2)
        if smaller < self.keys_max:
            log.info("endpoint_proof_size", endpoint=self.name, keys=smaller)
        self.keys_max, self._full, self._fitted = smaller, 0, min(self._fitted, smaller)

    def cut_over(self, asked: int, asked_s: float) -> None:
        """The connection was lost while ``asked`` keys, asked for at ``asked_s``, were under way: maybe over them.

        What was under way at an earlier loss tells nothing new: of many on one connection, one counts. As many keys
        as were answered before are above suspicion, unless it is one loss after the other.
        """
        last_s = self._cut_s
        if asked_s < last_s:
            return
        self._cut_s = time.monotonic()
        if asked > self._fitted or self._cut_s - last_s < CUTS_APART_S:
            self.fewer_keys(asked)

    def proof_fits(self, asked: int) -> None:
        """A proof of ``asked`` keys arrived; after many of full size a larger one is tried."""
        self._fitted = max(self._fitted, asked)
        if asked == self.keys_max < KEYS_MAX:
            self._full += 1
            if self._full >= KEYS_GROW_AFTER:
                self.keys_max, self._full = min(KEYS_MAX, self.keys_max + max(1, self.keys_max // 8)), 0

    def _show(self) -> None:
        usable = self.cause is None and not (self.forked or self.lagging)
        self._metrics.endpoint_usable.labels(endpoint=self.name).set(usable)
        self._metrics.endpoint_concurrency.labels(endpoint=self.name).set(self.gate.limit)

    # -- the connection

    async def connected(self) -> Link:
        """The open link to a node of our chain. Raises ``NodeError``."""
        link = self.link
        if link is not None and not link.lost and self._recognised == self._footing.version:
            return link
        began_s = time.monotonic()
        async with self._connecting:
            failed_s, problem = self._failed
            if failed_s >= began_s:  # another task has tried while this one waited
                raise Unreachable(problem)
            try:
                return await self._connect()
            except Busy as busy:
                self.paused(self.gate.refused(began_s, busy.retry_after_s), str(busy))
                raise
            except NodeError as error:
                self._failed = time.monotonic(), str(error)
                self.leave(_cause(error, self.foreign), str(error))
                raise

    async def _connect(self) -> Link:
        link = self.link
        if link is None or link.lost:
            link = self.link = await open_link(self._url, self._connect_timeout_s)
            self._group.start_soon(link.read, name=f"node link {self.name}")
            self._recognised, self.lacks = -1, set()
            log.info("node_connected", endpoint=self.name)
        if self._recognised != self._footing.version:
            version = self._footing.version
            await self._recognise(link)
            self._recognised = version
        return link

    async def _recognise(self, link: Link) -> None:
        """Look whether it follows our chain, and not a fork that leaves a final block out."""
        genesis = await self._hash_at(link, 0)
        if genesis is not None:
            self.genesis = genesis
        if self.foreign and genesis is not None:
            expected = self._footing.genesis or b""
            raise NodeError(
                f"{self.name} follows a chain with genesis 0x{genesis.hex()}, not the expected 0x{expected.hex()}"
            )
        await self.check_anchor(link)

    async def check_anchor(self, link: Link) -> None:
        """Flag an endpoint that has another block where one of ours is final."""
        anchor = self._footing.anchor
        if anchor is None or anchor.number == 0:
            return
        found = await self._hash_at(link, anchor.number)
        if found is not None:
            has = f"it has block 0x{found.hex()} at {anchor.number}, where {anchor} is final"
            self.flag(Cause.FORK, found != anchor.hash, has)

    async def _hash_at(self, link: Link, number: int) -> bytes | None:
        text, _ = await link.request("chain_getBlockHash", [number], self._connect_timeout_s)
        try:
            return None if text is None else bytes.fromhex(text.removeprefix("0x"))
        except (AttributeError, TypeError, ValueError):
            shown = quoted(text, self._url)
            raise NodeError(f"{self.name} answered {shown} where a block hash was expected") from None

    def drop(self, reason: str) -> None:
        """Give the connection up; what waits on it fails at once."""
        link, self.link = self.link, None
        if link is not None:
            link.end(reason)
            self._group.start_soon(link.close, name=f"close {self.name}")

    # -- requests

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """The result of one request. Raises ``NodeError``; what that says of the endpoint is noted before."""
        async with self.gate.entered() as started_s:
            size, outcome = 0, "failed"
            link: Link | None = None
            try:
                link = await self.connected()
                result, size = await link.request(method, params, self._timeout_s)
                outcome = "ok"
            except RpcRefused:
                outcome = "refused"
                self.gate.answered()
                raise
            except TooLarge:
                outcome = "too_large"
                raise
            except Busy as busy:
                outcome = "busy"
                if link is not None:
                    self.paused(self.gate.refused(started_s, busy.retry_after_s), str(busy))
                raise
            except NodeError as error:
                if link is not None:
                    self.failed(link, error)
                raise
            finally:
                self._metrics.rpc(method, outcome, time.monotonic() - started_s, size)
            self.gate.answered()
            self.answered()
            return result

    def paused(self, pause_s: float, reason: str) -> None:
        """It refused for load: it rests for ``pause_s``, its connection kept."""
        self._metrics.endpoint_left.labels(endpoint=self.name, cause=Cause.BUSY).inc()
        log.info(
            "endpoint_busy",
            endpoint=self.name,
            reason=reason,
            pause_s=round(pause_s, 2),
            concurrency=self.gate.limit,
            spacing_s=self.gate.spacing_s,
        )
        self._show()

    def failed(self, link: Link, error: NodeError) -> None:
        """Note that a request on ``link`` failed; of many on one link, the first tells."""
        if self.link is link:
            self.leave(_cause(error, self.foreign), str(error))


def _cause(error: NodeError, foreign: bool) -> Cause:
    if foreign:
        return Cause.OTHER_CHAIN
    if isinstance(error, Unreachable):
        return Cause.UNREACHABLE
    return Cause.SILENT if isinstance(error, Silent) else Cause.LOST
