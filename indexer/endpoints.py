"""One endpoint: its connection, and what it is asked, alone or in batches.

Notes what each answer says of the endpoint. Nothing here knows the other endpoints: whom to ask is ``pool``'s
business, and what an answer means is ``node``'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

from indexer.errors import NodeError
from indexer.gate import Gate
from indexer.health import Cause, Footing, Health
from indexer.link import (
    BatchRefused,
    Busy,
    Call,
    GivenUp,
    LeftOut,
    Link,
    RpcRefused,
    Silent,
    TooLarge,
    Unreachable,
    open_link,
)
from indexer.metrics import Metrics
from indexer.portions import Portions
from indexer.redaction import quoted, redact

log = structlog.get_logger()


class Endpoint(Health):
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
        super().__init__(name or redact(url), footing, Gate(concurrency), metrics, self.drop)
        self.place, self.archive = place, archive
        self._url, self._group = url, group
        self._timeout_s, self._connect_timeout_s = timeout_s, min(timeout_s, connect_timeout_s)
        self._connecting = anyio.Lock()
        self.link: Link | None = None
        self._recognised = -1
        self.portions = Portions(self.name)
        self.promised: tuple[int, float] | None = None
        """A height below its head that nobody knows, and since when."""
        self._failed: tuple[float, str] = (0.0, "")

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
            link.give_up(reason)
            self._group.start_soon(link.close, name=f"close {self.name}")

    # -- requests

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """The result of one request. Raises ``NodeError``; what that says of the endpoint is noted before."""
        async with self.gate.entered() as started_s:
            size, noted = 0, False
            problem: NodeError | None = None
            link: Link | None = None
            try:
                link = await self.connected()
                result, size = await link.request(method, params, self._timeout_s)
                noted = True
            except NodeError as error:
                problem, noted = error, True
                raise
            finally:
                self._metrics.rpc(method, _outcome(problem) if noted else "failed", time.monotonic() - started_s, size)
                self._metrics.rpc_messages.inc()
                if problem is not None:
                    self._note(problem, link, started_s)
            self.gate.answered()
            self.answered()
            return result

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The result of each call, or the ``NodeError`` it came to; in as few messages as the endpoint takes.

        Raises ``NodeError`` if a message was not answered at all.
        """
        outcomes: list[Any] = []
        while len(outcomes) < len(calls):
            part = calls[len(outcomes) : len(outcomes) + self.portions.batch_max]
            if len(part) == 1:  # the last one, or none may go with another
                outcomes += await self._one_by_one(calls[len(outcomes) :])
                break
            try:
                answered = await self._batch(part)
            except BatchRefused as refused:
                self.portions.batch_refused(len(part), too_large=refused.too_large)
                continue
            except TooLarge:  # the connection was cut over it
                self.portions.batch_refused(len(part), too_large=True)
                continue
            except (Busy, GivenUp, Unreachable):
                raise
            except NodeError:
                self.portions.batch_lost()
                raise
            left_out = [at for at, outcome in enumerate(answered) if isinstance(outcome, LeftOut)]
            if left_out:
                self.portions.batch_lost()
                for at, outcome in zip(left_out, await self._one_by_one([part[at] for at in left_out]), strict=True):
                    answered[at] = outcome
            else:
                self.portions.batch_fits()
            outcomes += answered
        return outcomes

    async def _batch(self, calls: Sequence[Call]) -> list[Any]:
        """One message; each member of its answer counts for itself."""
        async with self.gate.entered(len(calls)) as started_s:
            link: Link | None = None
            size, sent_s, outcomes = 0, started_s, list[Any]()
            problem: NodeError | None = None
            try:
                link = await self.connected()
                sent_s = time.monotonic()
                outcomes, size = await link.batch(calls, self._timeout_s)
            except NodeError as error:
                problem = error
                is_alive = isinstance(error, Silent) and link is not None and link.heard_s > sent_s
                if not (is_alive or isinstance(error, BatchRefused)):
                    self._note(error, link, started_s)
                raise
            finally:
                self._metrics.rpc_messages.inc()
                for at, (method, _) in enumerate(calls):
                    told = outcomes[at] if outcomes else problem
                    kind = _outcome(told) if outcomes or problem else "failed"
                    self._metrics.rpc(method, kind, time.monotonic() - started_s, 0 if at else size)
            busy = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
            if busy:
                self.portions.batch_busy(len(outcomes) - len(busy))
                self._note(busy[0], link, started_s)
            else:
                self.gate.answered()
            self.answered()
            return outcomes

    async def _one_by_one(self, calls: Sequence[Call]) -> list[Any]:
        """The same as single requests, as many at once as the endpoint allows."""
        outcomes: list[Any] = [None] * len(calls)

        async def ask(at: int, method: str, params: Sequence[Any]) -> None:
            try:
                outcomes[at] = await self.request(method, params)
            except NodeError as error:
                outcomes[at] = error

        async with anyio.create_task_group() as group:
            for at, (method, params) in enumerate(calls):
                group.start_soon(ask, at, method, params)
        return outcomes

    def _note(self, error: NodeError, link: Link | None, started_s: float) -> None:
        """What an error says of the endpoint; of a connection that was not made, ``connected`` has noted it."""
        if isinstance(error, RpcRefused):
            self.gate.answered()
        elif link is None or isinstance(error, TooLarge):
            pass
        elif isinstance(error, Busy):
            self.paused(self.gate.refused(started_s, error.retry_after_s), str(error))
        else:
            self.failed(link, error)

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


def _outcome(told: object) -> str:
    """The result of a request, or its error, as the metric names it."""
    kinds = {RpcRefused: "refused", TooLarge: "too_large", Busy: "busy"}
    return kinds.get(type(told), "failed") if isinstance(told, NodeError) else "ok"


def _cause(error: NodeError, foreign: bool) -> Cause:
    if foreign:
        return Cause.OTHER_CHAIN
    if isinstance(error, Unreachable):
        return Cause.UNREACHABLE
    return Cause.SILENT if isinstance(error, Silent) else Cause.LOST
