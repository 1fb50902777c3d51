"""What a run shows of its pipelines: a whole state being read, blocks being caught up with, then the head.

Looks at pipelines from beside them and changes nothing. Far behind, blocks are counted against the head, or against
what is to be mended; at the head a terminal has one quiet line and the log next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol

import structlog

from indexer import board
from indexer.capture import Progress
from indexer.heads import Heads
from indexer.metrics import Metrics
from indexer.model import BlockRef, BlockRows, Captured
from indexer.plan import Plan
from indexer.progress import duration

log = structlog.get_logger()

AT_HEAD_BLOCKS, BEHIND_BLOCKS = 2, 10
"""Blocks to the head at which catching up is over, and from which on it begins again."""
LINE_EVERY_S = 10.0
AT_HEAD_LINE_EVERY_S = 600.0
LOOK_EVERY_S = 1.0
"""Seconds between two looks at how much of a state is left to read: each goes through all that lies ahead."""


class Pursued(Protocol):
    """What is looked at of a pipeline."""

    read_blocks: int

    @property
    def plan(self) -> Plan: ...

    @property
    def tip(self) -> BlockRef | None: ...

    @property
    def heals(self) -> bool: ...


class Pursuit:
    """One pipeline on its way. Made by ``pursuit``; ``look`` is called now and then."""

    def __init__(self, pipeline: Pursued, heads: Heads, metrics: Metrics, stack: ExitStack) -> None:
        self._pipeline, self._heads, self._metrics, self._stack = pipeline, heads, metrics, stack
        self._first = pipeline.tip.number + 1 if pipeline.tip else pipeline.plan.first
        self._work: board.Work | None = None
        self._is_at_head = False
        self._line_s = time.monotonic()

    def look(self) -> None:
        """See how far it is, and show it."""
        plan, tip = self._pipeline.plan, self._pipeline.tip
        if tip is None and not self._pipeline.heals:
            return  # a whole state is read first, and shown by itself
        committed = self._committed()
        goal = self._goal()
        if plan.leads and plan.stop is None and self._at_head(goal - committed):
            return
        if self._work is None:
            if not self._pipeline.heals and goal - committed <= AT_HEAD_BLOCKS:
                return
            self._work = self._stack.enter_context(self._shown(plan))
        self._work.tell(committed - self._first + 1, goal - self._first + 1, block=committed, head=self._heads.target)
        if not self._pipeline.heals:
            self._work.label = f"block {committed:,}"

    def _shown(self, plan: Plan) -> AbstractContextManager[board.Work]:
        names = [dataset.name for dataset in plan.datasets]
        if self._pipeline.heals:
            doing = "proving" if plan.proves else "filling_hole"
            label = f"{doing.replace('_hole', ' in')} {self._first:,}-{(plan.stop or self._first) - 1:,}"
            return board.shown("progress", label, "blocks", LINE_EVERY_S, doing=doing, datasets=names)
        beside = {} if plan.leads else {"datasets": names}
        return board.shown("progress", "", "blocks", LINE_EVERY_S, doing="catching_up", **beside)

    def _committed(self) -> int:
        """The last block that is done; of blocks that are replaced at once, those that are read count."""
        if self._pipeline.plan.proves:
            return self._first - 1 + self._pipeline.read_blocks
        return self._pipeline.tip.number if self._pipeline.tip else self._first - 1

    def _goal(self) -> int:
        stop = self._pipeline.plan.stop
        return self._heads.target if stop is None else min(self._heads.target, stop)

    def _at_head(self, left: int) -> bool:
        """Whether it follows the head, and if so, shows that."""
        was, self._is_at_head = self._is_at_head, left <= (BEHIND_BLOCKS if self._is_at_head else AT_HEAD_BLOCKS)
        if self._is_at_head and not was:
            if self._work is None:
                self._work = self._stack.enter_context(self._shown(self._pipeline.plan))
            self._work.quiet(self._line)
            self._log("caught_up")
        elif was and not self._is_at_head and self._work is not None:
            self._first = self._committed() + 1
            self._work.quiet(None)
        elif self._is_at_head and time.monotonic() - self._line_s >= AT_HEAD_LINE_EVERY_S:
            self._log("progress")
        return self._is_at_head

    def _log(self, event: str) -> None:
        self._line_s = time.monotonic()
        lag_s = round(self._metrics.lag_s(), 1)
        log.info(event, doing="following", block=self._committed(), head=self._heads.target, lag_s=lag_s)

    def _line(self) -> str:
        """The line of a terminal at the head; its lag grows also while nothing else moves."""
        lag = f"{duration(self._metrics.lag_s())} behind the clock"
        return f"block {self._committed():,} · {lag} · following the {self._metrics.follow} head {self._heads.target:,}"


@contextmanager
def pursuit(pipeline: Pursued, heads: Heads, metrics: Metrics, among: set[Pursuit]) -> Iterator[None]:
    """A pipeline that is ``among`` those looked at, and shown, for as long as the context."""
    with ExitStack() as stack:
        one = Pursuit(pipeline, heads, metrics, stack)
        among.add(one)
        stack.callback(among.discard, one)
        yield


@contextmanager
def whole_state(number: int, unit: str, *, is_shown: bool) -> Iterator[Progress]:
    """Takes what a capture tells of a whole state while it reads one; ``is_shown`` is False where it reads none."""
    if not is_shown:
        yield lambda _done, _left: None
        return
    with board.shown("bootstrap_progress", f"state {number:,}", unit, block=number, unit=unit) as work:
        looked_s, rest = 0.0, None

        def tell(done: int, left: Callable[[], float] | None) -> None:
            nonlocal looked_s, rest
            if left is not None and time.monotonic() - looked_s >= LOOK_EVERY_S:
                looked_s, rest = time.monotonic(), done + round(left())
            work.tell(done, None if rest is None else max(rest, done), is_estimate=True)

        yield tell


def decoding(captured: Captured) -> AbstractContextManager[None]:
    """A whole state that becomes rows."""
    number, keys = captured.header.ref.number, len(captured.changes)
    return _step("bootstrap_decoded", f"decoding {keys:,} keys of block {number:,}", block=number, keys=keys)


def writing(blocks: Sequence[BlockRows]) -> AbstractContextManager[None]:
    """A transaction: shown if a whole state is in it."""
    if not blocks[0].bootstrap:
        return nullcontext()
    number, rows = blocks[0].ref.number, sum(len(block.rows) + block.staged_rows for block in blocks)
    return _step("bootstrap_written", f"writing {rows:,} rows of block {number:,}", block=number, rows=rows)


@contextmanager
def _step(event: str, label: str, **fields: object) -> Iterator[None]:
    """A step with nothing to count in between: how long it takes, on a terminal, and a log line at its end."""
    began_s = time.monotonic()
    with board.shown(event, label, "") as work:
        work.quiet(lambda: f"{label}, {duration(time.monotonic() - began_s)}")
        yield
    log.info(event, **fields, seconds=round(time.monotonic() - began_s, 1))
