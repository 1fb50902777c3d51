"""One run: align with the chain, then pipelines until stopped, done, or failed.

Datasets with one cursor share a pipeline. One that was added later catches up in a pipeline of its
own beside the others, and joins them once it is level: nobody waits for it, and it costs no second
mechanism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio
import structlog

from indexer.config import Settings
from indexer.coverage import STATE_DROPPED, Cursor
from indexer.datasets.base import Dataset
from indexer.errors import RAW_SHOWN, DecodeError, IndexerError, NodeError, ProofError, root_cause
from indexer.fallback import serves_proofs
from indexer.heads import Heads
from indexer.heal import alike, cannot_continue, check_start, has_body, provable, together
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.node import Node
from indexer.pipeline import Pipeline
from indexer.plan import Plan
from indexer.pursuit import Pursuit, pursuit
from indexer.recover import align
from indexer.runtimes import Runtimes
from indexer.stall import Stall
from indexer.store import Store
from indexer.trie import NodeCache

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
"""Seconds between two looks at how far the pipelines are."""
FILL_POLL_S = 60.0
"""Seconds between two looks at whether a hole can be filled in."""
PROOFS_POLL_S = 60.0
"""Seconds between two looks at whether an endpoint serves read proofs by now."""
CATCH_UP_TOGETHER = 500
"""Blocks between two groups of datasets below which the leading one waits for the other."""


class Run:
    """From ``align`` to the end of the pipelines. Made for each run; never reused."""

    def __init__(
        self,
        settings: Settings,
        datasets: Sequence[Dataset],
        node: Node,
        store: Store,
        cache: NodeCache,
        metrics: Metrics,
        stall: Stall,
        stopping: anyio.Event,
    ) -> None:
        self._settings, self._datasets = settings, tuple(datasets)
        self._node, self._store, self._cache, self._metrics = node, store, cache, metrics
        self._stopping = stopping
        self._heads = Heads(node, settings.follow, stall.head)
        self._runtimes = Runtimes(node, store)
        self._active: set[Pipeline] = set()
        self._pursuits: set[Pursuit] = set()
        self._dropped: set[BlockRef] = set()
        self._stopped: dict[str, DecodeError] = {}
        self._proofs = True
        self._doubtful: set[str] = set()
        self.aligned = False
        """Whether database and node answered and agree: from here on it indexes."""
        self.connected = False
        """Whether the node answered at all."""
        self.progressed = False
        """Whether at least one block was committed."""

    async def execute(self) -> None:
        """Index until ``stopping`` or ``settings.stop``; else raises why it cannot go on."""
        await self._check_chain()
        cursors = await align(self._node, self._store, self._datasets, self._metrics)
        self._metrics.dataset_committed_block.clear()
        for dataset in self._datasets:
            if dataset.name in cursors:
                self._metrics.committed_by([dataset.name], cursors[dataset.name].block.number)
        tip = await self._store.tip()
        if tip is not None:
            self._metrics.resumed(*tip)
        await self._runtimes.load()  # after align: a rewind forgets runtimes of blocks that are no more
        newest = self._runtimes.newest()
        notes = {dataset.name: None if newest is None else dataset.note(newest) for dataset in self._datasets}
        await self._store.follow(notes)
        self._runtimes.tell(notes)
        await self._heads.look()
        await self._find_dropped(cursors)
        await self._look_for_proofs()
        await self._store.forget_stops()
        for dataset in self._datasets:  # each run tries anew: this may be a version that can decode it
            self._metrics.decodable(dataset.name)
        self._metrics.condition("node", True)
        self._metrics.started()
        self.aligned = True
        self._tell_begin(cursors)
        async with anyio.create_task_group() as group:
            group.start_soon(self._heads.watch, self._looked, name="heads")
            group.start_soon(self._heads.listen, name="subscription")
            group.start_soon(self._report, name="progress")
            group.start_soon(self._stop_when_asked, name="stop")
            group.start_soon(self._fill_holes, name="holes")
            group.start_soon(self._await_proofs, name="proofs")
            while not self._stopping.is_set() and not self._done(cursors):
                await self._advance(cursors)
                cursors = await self._store.cursors()
            group.cancel_scope.cancel()
        if self._stopped and not self._stopping.is_set():
            raise next(iter(self._stopped.values()))
        done = {cursor.block.number for cursor in cursors.values()}
        event = "stopped" if self._stopping.is_set() else "done"
        log.info(event, block=max(done, default=None), head=self._heads.target)

    def _tell_begin(self, cursors: dict[str, Cursor]) -> None:
        """Where it begins, and how far the head is."""
        at = min((cursor.block.number + 1 for cursor in cursors.values()), default=None)
        first = self._first_block() if at is None else at
        log.info("begin", first=first, head=self._heads.target, stop=self._settings.stop, resumed=at is not None)

    async def _check_chain(self) -> None:
        """Hold every endpoint to the chain of the settings or the database, and to the last final block."""
        expected = self._settings.genesis_hash
        final = await self._last_final()
        self._node.expect(expected or await self._store.genesis(), final)
        genesis = await self._node.block_hash(0)
        self.connected = True
        if genesis is None:
            raise NodeError(f"{self._node.endpoint} does not know block 0 yet")
        name, ss58_prefix = await self._node.chain()
        await self._store.adopt_chain(genesis, name, ss58_prefix)
        self._node.expect(genesis, final)

    async def _last_final(self) -> BlockRef | None:
        """The last committed block that is final; None before the first."""
        cursors = await self._store.cursors()
        numbers = [cursor.finalized_block for cursor in cursors.values() if cursor.finalized_block is not None]
        block_hash = await self._store.block_hash(max(numbers)) if numbers else None
        return None if block_hash is None else BlockRef(max(numbers), block_hash)

    async def _look_for_proofs(self) -> None:
        """Choose between proofs and the fallback; with proofs, what was read without is read anew, and proven."""
        assert self._heads.finalized is not None
        self._proofs = await serves_proofs(self._node, self._heads.finalized.hash)
        self._doubtful = await self._store.doubtful() if self._proofs else set()
        if not self._proofs:
            log.warning("no_proofs", endpoint=self._node.endpoint, consequence="blocks are not complete between scans")

    async def _await_proofs(self) -> None:
        """End a run without proofs as soon as some endpoint serves them: the next one heals what is not proven."""
        while not self._proofs:
            await anyio.sleep(PROOFS_POLL_S)
            assert self._heads.finalized is not None
            if await serves_proofs(self._node, self._heads.finalized.hash):
                raise NodeError(f"{self._node.endpoint} serves read proofs now: what was read without is read anew")

    async def _find_dropped(self, cursors: dict[str, Cursor]) -> None:
        """Look for cursors after which the chain cannot be followed any more, its state being dropped."""
        assert self._heads.finalized is not None
        head = self._heads.finalized
        for block in {cursor.block for cursor in cursors.values()}:
            is_behind = block.number < min(head.number, self._settings.stop or head.number)
            if is_behind and await cannot_continue(self._node, block, head.hash):
                self._dropped.add(block)
        new = [dataset for dataset in self._datasets if dataset.name not in cursors]
        if (new and self._settings.start != "latest") or self._dropped:
            await check_start(self._node, self._first_block(anew=bool(self._dropped)), head.hash)

    def _done(self, cursors: dict[str, Cursor]) -> bool:
        stop = self._settings.stop
        return stop is not None and all(
            dataset.name in cursors and cursors[dataset.name].block.number >= stop for dataset in self._going()
        )

    def _going(self) -> tuple[Dataset, ...]:
        """The datasets that are not stopped by what cannot be decoded."""
        return tuple(dataset for dataset in self._datasets if dataset.name not in self._stopped)

    def _first_block(self, *, anew: bool = False) -> int:
        """Where datasets without a cursor begin, or go on ``anew`` at the head. Never above finality: a first
        block must not be taken back."""
        start = "latest" if anew else self._settings.start
        if start == "genesis":
            return 0
        if isinstance(start, int):
            return start
        assert self._heads.finalized is not None
        return min(self._heads.finalized.number, self._settings.stop or self._heads.finalized.number)

    def _plans(self, cursors: dict[str, Cursor]) -> list[Plan]:
        """A plan per group of datasets with one cursor, the one furthest ahead last.

        Datasets whose next block cannot be captured any more go on anew where the others are, or at the head.
        """
        groups: dict[tuple[BlockRef | None, bool], list[Dataset]] = {}
        for dataset in self._going():
            cursor = cursors.get(dataset.name)
            anew = cursor is not None and cursor.block in self._dropped
            groups.setdefault((None if cursor is None or anew else cursor.block, anew), []).append(dataset)
        level = max((block.number for block, _ in groups if block is not None), default=None)
        plans = []
        for (after, anew), members in groups.items():
            first = after.number + 1 if after else self._first_block(anew=anew)
            if after is None and level is not None and (anew or self._settings.start == "latest"):
                first = level
            if anew:
                log.error("gap", datasets=[d.name for d in members], until=first - 1, reason=STATE_DROPPED)
            doubtful = any(dataset.name in self._doubtful for dataset in members)
            plans.append(self._plan(tuple(members), after, first, anew=after is None or doubtful))
        return sorted(plans, key=lambda plan: plan.first)

    def _plan(self, members: tuple[Dataset, ...], after: BlockRef | None, first: int, *, anew: bool = False) -> Plan:
        return Plan(
            datasets=members,
            after=after,
            first=first,
            anew=anew,
            scan_every_blocks=None if self._proofs else self._settings.scan_every_blocks,
            stop=self._settings.stop,
            workers=self._settings.workers,
            window=self._settings.window,
            batch=self._settings.batch,
        )

    async def _advance(self, cursors: dict[str, Cursor]) -> None:
        """One pipeline if all datasets are level; else the last group catches up, beside the others if it is far."""
        plans = self._plans(cursors)
        lead = plans[-1]
        if len(plans) == 1:
            await self._pipe(lead)
            return
        behind = plans[0]
        level = max(plans[1].first - 1, behind.first)
        behind = replace(behind, stop=min(level, behind.stop or level), leads=False)
        if level - behind.first < CATCH_UP_TOGETHER or len(plans) > 2:
            await self._pipe(behind)
            return
        log.info("catching_up", datasets=[d.name for d in behind.datasets], first=behind.first, until=level)
        async with anyio.create_task_group() as group:
            leading = self._pipeline(lead)
            group.start_soon(self._guard, leading, name="leading pipeline")
            await self._pipe(behind)
            leading.drain()

    async def _fill_holes(self) -> None:
        """Fill in holes whose state some endpoint has, now and again, beside the pipelines that follow the head."""
        while self._proofs:
            for (after, last), names in together(await self._store.holes()).items():
                members = tuple(dataset for dataset in self._datasets if dataset.name in names)
                if members:
                    await self._fill_hole(members, after, last)
            await self._prove_blocks()
            await anyio.sleep(FILL_POLL_S)

    async def _prove_blocks(self) -> None:
        """Read blocks again that were read without proofs or bodies, as far as some endpoint has their state."""
        assert self._heads.finalized is not None
        for run, names in alike(await self._store.unproven()).items():
            members = tuple(dataset for dataset in self._datasets if dataset.name in names)
            if not members or run.last >= self._heads.finalized.number:
                continue
            first: int | None = None
            try:
                if any(dataset.bodies for dataset in members) and not await has_body(self._node, run.last):
                    members = tuple(dataset for dataset in members if not dataset.bodies)
                found = await provable(self._node, run, self._heads.finalized.hash) if members else None
                if found is None:
                    continue
                first, anew = found
                log.info("proving", datasets=names, first=first, last=run.last)
                plan = self._plan(members, None, first, anew=anew)
                await self._keep(self._pipeline(replace(plan, stop=run.last + 1, leads=False, proves=True)))
                log.info("proven", datasets=names, first=first, last=run.last)
            except (IndexerError, BaseExceptionGroup) as error:
                cause = root_cause(error)
                if not isinstance(cause, (NodeError, ProofError, DecodeError)):
                    raise
                log.warning("not_proven", datasets=names, first=first, last=run.last, reason=str(cause))

    async def _fill_hole(self, members: tuple[Dataset, ...], after: BlockRef, last: int) -> None:
        """Fill in one hole as far as it goes; what an endpoint cannot give stays missing until the next try."""
        names = [dataset.name for dataset in members]
        plan = self._plan(members, after, after.number + 1)
        try:
            assert self._heads.finalized is not None
            if await cannot_continue(self._node, after, self._heads.finalized.hash):
                return
            log.info("filling_hole", datasets=names, first=plan.first, last=last)
            await self._keep(self._pipeline(replace(plan, stop=last + 1, leads=False, hole_last=last)))
            log.info("hole_filled", datasets=names, last=last)
        except (IndexerError, BaseExceptionGroup) as error:
            cause = root_cause(error)
            if not isinstance(cause, (NodeError, ProofError, DecodeError)):
                raise
            log.warning("hole_stays", datasets=names, last=last, reason=str(cause))

    def _pipeline(self, plan: Plan) -> Pipeline:
        return Pipeline(self._node, self._store, self._runtimes, self._heads, self._cache, self._metrics, plan)

    async def _pipe(self, plan: Plan) -> None:
        await self._guard(self._pipeline(plan))

    async def _guard(self, pipeline: Pipeline) -> None:
        """Run a pipeline; what one dataset cannot decode stops that dataset, and the others go on.

        Without ``blocks`` there is no finding back after a reorg: if that stops, or the last one, all does.
        """
        try:
            await self._keep(pipeline)
        except (IndexerError, BaseExceptionGroup) as error:
            cause = root_cause(error)
            if not isinstance(cause, DecodeError) or cause.block is None:
                raise
            self._stopped.update(dict.fromkeys(cause.datasets, cause))
            for name in cause.datasets:
                raw = cause.raw[:RAW_SHOWN].hex()
                log.error("undecodable", dataset=name, block=cause.block, item=cause.item, raw=raw, reason=str(cause))
                self._metrics.stopped(name, cause.block, cause.item, raw, str(cause))
                await self._store.stop_dataset(name, cause.block, str(cause))
            if "blocks" in self._stopped or not self._going():
                raise cause from None

    async def _keep(self, pipeline: Pipeline) -> None:
        """Run a pipeline where ``drain`` on stop reaches it."""
        self._active.add(pipeline)
        started_at = pipeline.tip
        try:
            with pursuit(pipeline, self._heads, self._metrics, self._pursuits):
                if not self._stopping.is_set():
                    await pipeline.run()
        finally:
            self._active.discard(pipeline)
            if pipeline.tip != started_at:
                self.progressed = True
            if pipeline.tip != started_at and not pipeline.heals:
                self._doubtful.difference_update(pipeline.names)

    async def _stop_when_asked(self) -> None:
        """Let the blocks in hand finish, for as long as the settings allow; then end the run all the same."""
        await self._stopping.wait()
        for pipeline in self._active:
            pipeline.drain()
        await anyio.sleep(self._settings.stop_timeout_s)
        self._store.give_up()  # a commit is shielded from cancellation, and a hung one would take its time
        raise NodeError(f"blocks in hand did not finish within {self._settings.stop_timeout_s:g} s")

    def _looked(self) -> None:
        """The heads were looked at. With all up to them committed, that was all there is to do."""
        following = [pipeline for pipeline in self._active if not pipeline.heals]
        if following and all(pipeline.is_level for pipeline in following):
            self._metrics.progressed()

    async def _report(self) -> None:
        """Show how far the pipelines are, for ever."""
        while True:
            for one in tuple(self._pursuits):
                one.look()
            await anyio.sleep(LOOK_EVERY_S)
