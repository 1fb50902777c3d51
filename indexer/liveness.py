"""Whether the process lives and gets on: its heartbeat, its progress, and the rule for what counts as progress.

Ages are computed when somebody asks, by a steady clock, so a process that hangs grows old by doing nothing. This
module decides when a restart would help; it restarts nothing. ``exposition`` (/healthz) and ``supervisor`` (systemd's
watchdog) tell others.

**The rule.** Progress is that something came to an end which could have hung: rows that Postgres took, nodes of the
state trie that were read and checked, a stretch of a whole state decoded, a look at the heads that finds all up to
them committed (idle at the head, or finality that stands still), a standby's look at the writer, a failed run that is
waited out: restarting would help neither the node nor the database. It is never the turn of a loop, and never a look
that finds something left to do: what hangs with work before it must grow old. So every wait either ends by a time-out
of its own, as an error that is logged, counted and waited out, or it is seen here. A process has one age: a pipeline
that hangs beside one that commits is seen in the metrics of its datasets only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

BEAT_S = 1.0
STALLED_AFTER_S = 30.0
"""Age of the last heartbeat at which the event loop counts as hung: far above any step that holds the loop."""
LOOP_HANGS = "the event loop hangs"
NO_PROGRESS_AFTER_S = 600.0
"""Age of the last progress at which the process counts as hung: above the time-outs that end a step by an error."""


class Liveness:
    """Heartbeat and progress of one process. Setters may be called in any thread."""

    def __init__(self, *, stalled_after_s: float, no_progress_after_s: float, monotonic_s: Callable[[], float]) -> None:
        self.stalled_after_s, self.no_progress_after_s = stalled_after_s, no_progress_after_s
        self._steady_s = monotonic_s
        self._beaten_s = self._progressed_s = monotonic_s()
        self.is_started = False
        """Whether the start is over: aligned with node and database once, or standing by for another writer."""

    def started(self) -> None:
        """The start is over."""
        self.is_started = True

    def progressed(self) -> None:
        """Something that was to be done is done, or was looked at and found done: see the rule above."""
        self._progressed_s = self._steady_s()

    @property
    def progressed_at_s(self) -> float:
        """When ``progressed`` was last called, by the steady clock."""
        return self._progressed_s

    def progress_age_s(self) -> float:
        """Seconds since ``progressed``, as of now."""
        return self._steady_s() - self._progressed_s

    @contextmanager
    def granted(self, group: TaskGroup) -> Iterator[None]:
        """Count the whole body as progress: only for what has a time-out of its own, and nothing to tell before.

        A migration may rewrite a large table in one statement, a Postgres of ours go through its log after a crash.
        """
        scope = anyio.CancelScope()

        async def grant() -> None:
            with scope:
                while True:
                    self.progressed()
                    await anyio.sleep(BEAT_S)

        group.start_soon(grant, name="granted")
        try:
            yield
        finally:
            scope.cancel()

    def heartbeat(self) -> None:
        """The event loop turns."""
        self._beaten_s = self._steady_s()

    async def beat(self) -> None:
        """Call ``heartbeat`` every second, for ever: a task of the daemon's group."""
        while True:
            self.heartbeat()
            await anyio.sleep(BEAT_S)

    def loop_hangs(self) -> bool:
        """Whether the event loop has not turned lately."""
        return self._steady_s() - self._beaten_s >= self.stalled_after_s

    def health(self) -> tuple[bool, dict[str, object]]:
        """Whether the process would not be better off restarted, and the answer of /healthz with the reasons."""
        progress_age_s = self.progress_age_s()
        reasons = {"loop": LOOP_HANGS} if self.loop_hangs() else {}
        if progress_age_s >= self.no_progress_after_s:
            limit = f"the limit is {self.no_progress_after_s:g} s"
            reasons["progress"] = f"nothing was got on with for {progress_age_s:.0f} s, {limit}"
        return not reasons, {
            "alive": not reasons,
            "reasons": reasons,
            "heartbeat_age_seconds": round(self._steady_s() - self._beaten_s, 3),
            "progress_age_seconds": round(progress_age_s, 3),
        }
