"""The one writer: becoming it, standing by for it, staying it.

A dead writer's session ends with its connection, and its lock with it. One that is suspended, or cut
off without the server's knowledge, would hold the lock for ever: a standby ends its session once that
has shown no sign of life for ``SILENT_S``, and an instance ends the session it had itself before.
Silence is told by the server's own view of sessions and this process' steady clock, never by wall clocks.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

import anyio
import structlog

from indexer.metrics import Metrics
from indexer.session import Holder, locked_by
from indexer.store import Store

log = structlog.get_logger()

POLL_S = 1.0
GRACE_S = 2.0
"""Seconds that the session of a process just killed may take to end: not yet another instance."""
PING_S = 3.0
SESSIONS_KEPT = 64
SILENT_S = 20.0
"""Silence after which a standby ends the writer's session: several pings, and less than a hung loop's 30 s."""
SLOW_S = 10.0
"""Seconds without an answer after which the database counts as not ready, before its call is given up."""


class Leader:
    """This process' claim to be the writer; lives as long as the process, over many sessions."""

    def __init__(self, metrics: Metrics, *, standby: bool) -> None:
        self._metrics, self._standby = metrics, standby
        self._own: deque[tuple[int, datetime | None]] = deque(maxlen=SESSIONS_KEPT)

    async def take(self, store: Store) -> None:
        """Become the writer; a standby waits for its turn. Raises ``WriterLocked`` if it is not our turn."""
        self._own.append(await store.session_id())  # before the lock: its answer may never arrive
        watch = Watch()
        waiting = False
        grace_until_s = anyio.current_time() + GRACE_S
        while (holder := await store.try_lock()) is not None:
            if holder.session in self._own:
                log.info("own_session_ended", reason="the server had not noticed that its connection was lost")
                await store.end_session(holder.session)
            elif not self._standby:
                if anyio.current_time() >= grace_until_s:
                    raise locked_by(holder)
            elif await self._silent(store, watch, holder):
                log.warning("silent_writer_ended", writer=holder.name, silent_s=SILENT_S)
                await store.end_session(holder.session)
            if self._standby and not waiting:
                waiting = True
                self._metrics.standby.set(1)
                self._metrics.condition("writer", False, "standby: another instance writes")
                self._metrics.started()
                log.info("standby", reason=str(locked_by(holder)))
            self._metrics.progressed()
            await anyio.sleep(POLL_S)
        self._metrics.standby.set(0)
        self._metrics.condition("writer", True)
        if waiting:
            log.info("took_over")

    async def _silent(self, store: Store, watch: Watch, holder: Holder) -> bool:
        """Whether to end the holder's session. Never before anything is committed: a bootstrap holds the loop long."""
        return watch.silent_s(holder, anyio.current_time()) >= SILENT_S and bool(await store.cursors())


class Watch:
    """For how long the writer's session has shown nothing new while Postgres waited for it."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] | None = None
        self._since_s = 0.0

    def silent_s(self, holder: Holder, now_s: float) -> float:
        """Seconds of silence as of ``now_s``, any steady clock."""
        if not holder.waits_for_client or holder.sign_of_life != self._seen:
            self._seen, self._since_s = holder.sign_of_life, now_s
        return now_s - self._since_s


async def keep(store: Store, metrics: Metrics) -> None:
    """Stay the writer, for ever: say so to the server, and notice when it is silent or has another writer.

    Raises ``StoreError`` or ``WriterFenced``.
    """
    metrics.writer.set(1)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_watch_answers, store, metrics, name="database watch")
            while True:
                await anyio.sleep(PING_S)
                if not store.busy:
                    await store.ping()
    finally:
        metrics.writer.set(0)


async def _watch_answers(store: Store, metrics: Metrics) -> None:
    slow = False
    while True:
        await anyio.sleep(1.0)
        waiting_s = store.waiting_s()
        if slow != (waiting_s > SLOW_S):
            slow = not slow
            metrics.condition("database", not slow, f"no answer for {SLOW_S:g} s")
            if slow:
                log.warning("database_slow", waiting_s=round(waiting_s, 1))
            else:
                log.info("database_answers", waiting_s=round(waiting_s, 1))
