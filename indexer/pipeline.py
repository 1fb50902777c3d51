"""Many blocks at once, written in order.

One planner turns heights into tickets on a bounded stream; workers capture, decode and build rows;
one writer awaits the tickets in the stream's order and commits runs of them. So order is the order
of the stream, and at most ``window + batch`` blocks are in memory. A block that fails fails at its
place: what lies before it is committed first.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import structlog
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from indexer import staging
from indexer.capture import capture, track
from indexer.decode import block_rows, decode, stopped_by
from indexer.errors import DecodeError, IndexerError, Reorg
from indexer.fallback import Fallback
from indexer.finality import Finality
from indexer.first_state import FirstState
from indexer.heads import Heads, header_at
from indexer.lookahead import Lookahead
from indexer.metrics import Metrics
from indexer.model import BlockRef, BlockRows, Captured, ItemRef
from indexer.node import Node
from indexer.plan import Plan
from indexer.prediction import Prediction
from indexer.pursuit import decoding, whole_state, writing
from indexer.runtimes import Runtimes
from indexer.scale import Runtime
from indexer.scans import Scans
from indexer.store import Store
from indexer.trie import NodeCache

log = structlog.get_logger()

ROWS_PER_COMMIT = 50_000


@dataclass(slots=True)
class _Ticket:
    """One block on its way. ``done`` is set when ``rows`` or ``error`` is there, or when it is given up unbegun."""

    number: int
    done: anyio.Event = field(default_factory=anyio.Event)
    rows: BlockRows | None = None
    error: Exception | None = None


class Pipeline:
    """One run from a cursor to ``stop``. Ends by itself, by ``drain``, or by the error of the first failed block."""

    def __init__(
        self, node: Node, store: Store, runtimes: Runtimes, heads: Heads, cache: NodeCache, metrics: Metrics, plan: Plan
    ) -> None:
        self._node, self._store, self._runtimes = node, store, runtimes
        self._heads, self._cache, self._metrics, self._plan = heads, cache, metrics, plan
        self.read_blocks = 0
        self._tracked = track(plan.datasets)
        self._fallback = Fallback(node, self._tracked, metrics.progressed) if plan.scan_every_blocks else None
        self._scans = Scans(every, self._whole, self._rescan) if (every := plan.scan_every_blocks) else None
        self._prediction = Prediction()
        guess = self._prediction if self._fallback is None else None
        self._ahead = Lookahead(node, cache, self._tracked, guess, runtimes.known, max(1, plan.workers // 4))
        self._planner = anyio.CancelScope()
        self._warned: set[ItemRef] = set()
        self._tip = plan.after
        self._draining = False
        self._finality = Finality(node, store, heads)
        self._group: TaskGroup
        self._first_state = FirstState(node, store, runtimes, cache, metrics, self._tracked, plan.datasets)

    @property
    def plan(self) -> Plan:
        """What it is to do."""
        return self._plan

    @property
    def tip(self) -> BlockRef | None:
        """The last block this run committed, or found committed."""
        return self._tip

    @property
    def is_level(self) -> bool:
        """Whether all up to the followed head is committed."""
        return (self._plan.first - 1 if self._tip is None else self._tip.number) >= self._heads.target

    @property
    def heals(self) -> bool:
        """Whether it mends the past, and leaves cursors alone."""
        return self._plan.proves or self._plan.hole_last is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets it indexes."""
        return tuple(dataset.name for dataset in self._plan.datasets)

    def drain(self) -> None:
        """Take on no further block; those in hand are finished and committed, then ``run`` returns."""
        self._draining = True
        self._planner.cancel()
        self._ahead.stop()
        self._first_state.stop()
        if self._scans is not None:
            self._scans.cancel()

    async def run(self) -> None:
        """Index from ``plan.first`` to ``plan.stop``.

        Raises ``Retryable``, ``Reorg`` or ``Fatal``, bundled by the task group, after committing every
        block before the one that failed.
        """
        send_order, order = anyio.create_memory_object_stream[_Ticket](self._plan.window)
        # Never full: a ticket is in here only while it is in ``order`` or in the writer's hands.
        send_jobs, jobs = anyio.create_memory_object_stream[_Ticket](math.inf)
        self._metrics.queue("order", lambda: order.statistics().current_buffer_used)
        self._metrics.queue("jobs", lambda: jobs.statistics().current_buffer_used)
        # The owner keeps the receivers open: a task that closed one while failing would make its
        # sender raise too, and hide the real error.
        with order, jobs:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._plan_blocks, send_order, send_jobs, name="planner")
                for at in range(self._plan.workers):
                    group.start_soon(self._work, jobs, name=f"worker {at}")
                await (self._rewrite(order) if self._plan.proves else self._write(order))
                if self._scans is not None and not self._draining:
                    await self._scans.finish()
        if self._tip is not None and not self.heals and not self._draining:
            await self._finality.settle(self._tip, at_end=True)

    async def _plan_blocks(self, order: MemoryObjectSendStream[_Ticket], jobs: MemoryObjectSendStream[_Ticket]) -> None:
        """Send a ticket per height, as the head allows; only ``order`` makes it wait."""
        number = self._plan.first
        with order, jobs, self._planner:
            while self._plan.stop is None or number <= self._plan.stop:
                await self._heads.reached(number)
                ticket = _Ticket(number)
                await order.send(ticket)
                jobs.send_nowait(ticket)
                if self._is_bootstrap(number):
                    await ticket.done.wait()  # it fills the memory that others would, and the processor
                number += 1

    async def _work(self, jobs: MemoryObjectReceiveStream[_Ticket]) -> None:
        """Serve tickets until there are no more; an error belongs to its ticket, for the writer to meet in order."""
        with jobs.clone() as own:
            async for ticket in own:
                try:
                    if self._draining:
                        continue
                    ticket.rows = await self._rows(ticket.number)
                    self.read_blocks += 1
                except IndexerError as error:
                    ticket.error = error
                except BaseExceptionGroup as bundle:
                    mine, others = bundle.split(IndexerError)
                    if others is not None or mine is None:
                        raise
                    ticket.error = mine
                finally:
                    ticket.done.set()

    def _is_bootstrap(self, number: int) -> bool:
        """Whether the block is taken as a whole state instead of as a difference to its parent."""
        return self._plan.anew and number == self._plan.first

    async def _whole(self, number: int) -> BlockRows:
        rows = await self._rows(number, whole=True)
        assert rows is not None, "only a first state is stopped on its way"
        return rows

    async def _rescan(self, blocks: Sequence[BlockRows]) -> None:
        with anyio.CancelScope(shield=True):
            await self._store.write(blocks, self._plan.datasets, again=True)

    async def _rows(self, number: int, *, whole: bool = False) -> BlockRows | None:
        """One block from height to rows; ``whole``: as a whole state, wherever it lies. None: given up by ``drain``."""
        metrics = self._metrics
        bootstrap = whole or self._is_bootstrap(number)
        with metrics.step("header"):
            known = None if bootstrap else await self._ahead.block(number, self._last_final, self._group)
            header = await header_at(self._node, number) if known is None else known.header
            parent = await self._node.header(header.parent_hash) if number else None
        grandparent = None
        if parent is not None and parent.ref.number and not bootstrap:
            grandparent = await self._node.header(parent.parent_hash)
        unit = "nodes" if self._fallback is None else "entries"
        with whole_state(number, unit, is_shown=bootstrap) as progress, metrics.step("capture"):
            if self._fallback is not None:
                known_runtime = self._runtimes.known
                captured = await self._fallback.capture(
                    header, parent, grandparent, scan=bootstrap, runtime_of=known_runtime, progress=progress
                )
                return await self._build(captured, (parent or header).ref.hash)
            if bootstrap and not self._plan.proves:  # what is proven anew is written with the blocks after it

                def followed() -> tuple[bool, int | None]:
                    return self._finality.of(header.ref), self._heads.target

                return await self._first_state.read(header, parent, followed, progress)
            messages = 2.0 if known is None else known.messages
            if not bootstrap and (known is None or known.changes is None):
                messages += await self._ahead.prepare([header], parent)
            captured = await capture(
                self._node,
                self._cache,
                self._tracked,
                header,
                parent,
                grandparent,
                bootstrap=bootstrap,
                predicted=None,
                changes=None if known is None else known.changes,
                hints=self._prediction.below,
                progress=progress,
            )
        metrics.node_calls_per_block.observe(captured.calls + messages)
        return await self._build(captured, (parent or header).ref.hash)

    async def _build(self, captured: Captured, state: bytes) -> BlockRows:
        """From captured bytes to rows. A whole state takes its time: then in a thread, so that the loop turns."""
        number = captured.header.ref.number
        try:
            runtime = await self._runtimes.of(captured.code_hash, number, state)
            try:
                return await self._in_turn(captured, runtime)
            except DecodeError:
                better = await self._runtimes.corrected(captured.code_hash, runtime, state)
                if better is None:
                    raise
                return await self._in_turn(captured, better)
        except DecodeError as error:
            error.block, error.datasets = number, stopped_by(error, self._plan.datasets)
            raise

    async def _in_turn(self, captured: Captured, runtime: Runtime) -> BlockRows:
        if not captured.bootstrap:
            return self._typed_rows(captured, runtime)

        def progressed() -> None:
            self._metrics.progressed()
            anyio.from_thread.check_cancelled()  # nobody else ends a thread, and the process waits for it

        with decoding(captured):
            return await anyio.to_thread.run_sync(self._typed_rows, captured, runtime, progressed)

    def _typed_rows(
        self, captured: Captured, runtime: Runtime, progressed: Callable[[], None] = lambda: None
    ) -> BlockRows:
        ref = captured.header.ref
        with self._metrics.step("decode"):
            last_type = partial(self._runtimes.last_type, number=ref.number)
            decoded = decode(captured, runtime, self._tracked.item_of, last_type, progressed)
        if captured.proven and not captured.bootstrap:
            self._prediction.saw(ref.hash, decoded.changes, decoded.block.events)
            if ref.number < self._heads.target:  # nobody waits for this one, and those after it gain
                self._prediction.learn()
        for item in decoded.untyped - self._warned:
            self._warned.add(item)
            log.warning("item_without_type", item=str(item), block=ref.number, consequence="block is not complete")
        with self._metrics.step("rows"):
            final, head = self._finality.of(ref), self._heads.target
            datasets = self._plan.datasets
            return block_rows(captured, decoded, runtime, datasets, finalized=final, head=head, progressed=progressed)

    @property
    def _last_final(self) -> int:
        """The last height that may be read ahead: one that stays as it is, and is asked for."""
        last = -1 if self._heads.finalized is None else self._heads.finalized.number
        return last if self._plan.stop is None else min(last, self._plan.stop)

    async def _write(self, order: MemoryObjectReceiveStream[_Ticket]) -> None:
        """Commit tickets in order; one transaction takes the run of them that is ready by then."""
        waiting, ready = deque[_Ticket](), list[BlockRows]()
        while True:
            if not waiting:
                try:
                    waiting.append(await order.receive())
                except anyio.EndOfStream:
                    return
            await waiting[0].done.wait()
            problem: Exception | None = None
            while waiting and waiting[0].done.is_set() and problem is None and self._room(ready):
                ticket = waiting.popleft()
                if ticket.rows is None and ticket.error is None:  # not begun when ``drain`` was called
                    await self._commit(ready)
                    return
                problem = ticket.error or self._not_continuing(ticket.rows, ready)
                if problem is None and ticket.rows is not None and ticket.rows.bootstrap and ready:
                    await self._commit(ready)  # a whole state begins a transaction
                    ready = []
                if problem is None and ticket.rows is not None:
                    ready.append(ticket.rows)
                if not waiting:
                    with suppress(anyio.WouldBlock, anyio.EndOfStream):
                        waiting.append(order.receive_nowait())
            await self._commit(ready)
            if problem is not None:
                raise problem
            ready = ready[-1:] if self._ends_hole(ready) else []

    async def _rewrite(self, order: MemoryObjectReceiveStream[_Ticket]) -> None:
        """Wait for every block, then replace what is stored of them in one transaction."""
        ready: list[BlockRows] = []
        async for ticket in order:
            await ticket.done.wait()
            if ticket.rows is None and ticket.error is None:
                return  # not begun when ``drain`` was called
            problem = ticket.error or self._not_continuing(ticket.rows, ready)
            if problem is not None:
                raise problem
            assert ticket.rows is not None
            ready.append(ticket.rows)
        if not ready or ready[-1].ref.number != self._plan.stop:
            return
        if await self._store.block_hash(ready[-1].ref.number) not in (None, ready[-1].ref.hash):
            raise Reorg(f"block {ready[-1].ref} is not the one that is indexed")
        await self._commit(ready)

    def _room(self, ready: Sequence[BlockRows]) -> bool:
        """Whether the transaction may grow by another block."""
        if ready and ready[0].staged is not None:
            return False
        rows = sum(len(block.rows) for block in ready)
        return self._ends_hole(ready) or (len(ready) < self._plan.batch and rows < ROWS_PER_COMMIT)

    def _ends_hole(self, ready: Sequence[BlockRows]) -> bool:
        """Whether the last one is written with the block after it: with no hole left, nobody would join the two."""
        return bool(ready) and ready[-1].ref.number == self._plan.hole_last

    def _not_continuing(self, rows: BlockRows | None, ready: Sequence[BlockRows]) -> Reorg | None:
        """Every block continues the one before it; one that does not ends the run."""
        tip = ready[-1].ref if ready else self._tip
        if rows is None or tip is None or (rows.parent_hash == tip.hash and rows.ref.number == tip.number + 1):
            return None
        return Reorg(f"block {rows.ref} does not continue {tip}")

    async def _commit(self, ready: Sequence[BlockRows]) -> None:
        """Write a run of blocks; a cancellation waits until it is committed or has failed."""
        ready = ready[:-1] if self._ends_hole(ready) else ready
        if not ready:
            return
        with writing(ready), self._metrics.step("commit"), anyio.CancelScope(shield=True):
            # Ends in time, whatever the database does.
            if ready[0].staged is not None:
                written = await staging.commit(self._store, ready[0], self._plan.datasets, self._metrics.progressed)
            elif self._plan.proves:
                written = await self._store.prove(ready, self._plan.datasets)
            elif self._plan.hole_last is None:
                written = await self._store.write(ready, self._plan.datasets)
            else:
                written = await self._store.fill(ready, self._plan.datasets, self._plan.hole_last)
        self._tip = ready[-1].ref
        self._measure(ready, written)
        for block in ready if not self.heals else ():
            self._runtimes.tell(block.notes)
        log.debug("committed", first=ready[0].ref.number, last=ready[-1].ref.number, rows=sum(written.values()))
        if ready[-1].finalized:
            self._finality.committed(ready[-1].ref)
        if not self.heals:
            await self._finality.settle(ready[-1].ref)
        if self._scans is not None:
            await self._scans.committed(ready, self._group)
        while self._prediction.learn():  # last, so that no block waits for it
            self._prediction.often()  # made now, and not when the next block has come
            await anyio.lowlevel.checkpoint()

    def _measure(self, ready: Sequence[BlockRows], written: Mapping[str, int]) -> None:
        metrics, last = self._metrics, ready[-1]
        metrics.progressed()
        metrics.blocks.inc(len(ready))
        metrics.incomplete_blocks.inc(sum(not block.complete for block in ready))
        for table, count in written.items():
            metrics.rows.labels(table=table).inc(count)
        if not self.heals:
            metrics.committed_by(self.names, last.ref.number)
        if self._plan.leads:
            metrics.committed(last.ref.number, (last.timestamp_ms or 0) / 1000)
            for block in ready:
                seen_s = self._heads.seen_s.pop(block.ref.number, None)
                if seen_s is not None:
                    metrics.head_to_commit_seconds.observe(time.monotonic() - seen_s)
