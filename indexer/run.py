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

from indexer.capture import NodeCache
from indexer.config import Settings, redact
from indexer.datasets.base import Dataset
from indexer.errors import NodeError, WrongChain
from indexer.heads import Heads
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.node import Node
from indexer.pipeline import Pipeline, Plan
from indexer.recover import align
from indexer.runtimes import Runtimes
from indexer.store import Cursor, Store

log = structlog.get_logger()

PROGRESS_LOG_S = 10.0
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
        stopping: anyio.Event,
    ) -> None:
        self._settings, self._datasets = settings, tuple(datasets)
        self._node, self._store, self._cache, self._metrics = node, store, cache, metrics
        self._stopping = stopping
        self._heads = Heads(node, settings.follow, metrics.head)
        self._runtimes = Runtimes(node, store)
        self._active: set[Pipeline] = set()
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
        await self._runtimes.load()  # after align: a rewind forgets runtimes of blocks that are no more
        await self._heads.look()
        self._metrics.condition("node", True)
        self.aligned = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._heads.watch, name="heads")
            group.start_soon(self._heads.listen, name="subscription")
            group.start_soon(self._report, name="progress")
            group.start_soon(self._stop_when_asked, name="stop")
            while not self._stopping.is_set() and not self._done(cursors):
                await self._advance(cursors)
                cursors = await self._store.cursors()
            group.cancel_scope.cancel()
        self._log_progress("stopped" if self._stopping.is_set() else "done")

    async def _check_chain(self) -> None:
        """Hold every endpoint to the chain of the settings or the database, and to the last final block."""
        expected = self._settings.genesis_hash
        self._node.expect(expected or await self._store.genesis(), await self._last_final())
        genesis = await self._node.block_hash(0)
        self.connected = True
        if genesis is None:
            raise NodeError(f"{self._node.endpoint} does not know block 0 yet")
        if expected is not None and genesis != expected:
            raise WrongChain(
                f"{self._node.endpoint} follows a chain with genesis 0x{genesis.hex()}, but --network "
                f"{','.join(map(redact, self._settings.network))} means 0x{expected.hex()}: check --network"
            )
        name, ss58_prefix = await self._node.chain()
        await self._store.adopt_chain(genesis, name, ss58_prefix)
        self._node.expect(genesis, await self._last_final())

    async def _last_final(self) -> BlockRef | None:
        """The last committed block that is final; None before the first."""
        cursors = await self._store.cursors()
        numbers = [cursor.finalized_block for cursor in cursors.values() if cursor.finalized_block is not None]
        block_hash = await self._store.block_hash(max(numbers)) if numbers else None
        return None if block_hash is None else BlockRef(max(numbers), block_hash)

    def _done(self, cursors: dict[str, Cursor]) -> bool:
        stop = self._settings.stop
        return stop is not None and all(
            dataset.name in cursors and cursors[dataset.name].block.number >= stop for dataset in self._datasets
        )

    def _first_block(self) -> int:
        """Where datasets without a cursor begin. Never above finality: a first block must not be taken back."""
        start = self._settings.start
        if start == "genesis":
            return 0
        if isinstance(start, int):
            return start
        assert self._heads.finalized is not None
        return min(self._heads.finalized.number, self._settings.stop or self._heads.finalized.number)

    def _plans(self, cursors: dict[str, Cursor]) -> list[Plan]:
        """A plan per group of datasets with one cursor, the one furthest ahead last."""
        groups: dict[BlockRef | None, list[Dataset]] = {}
        for dataset in self._datasets:
            cursor = cursors.get(dataset.name)
            groups.setdefault(cursor.block if cursor else None, []).append(dataset)
        plans = []
        for after, members in groups.items():
            first = after.number + 1 if after else self._first_block()
            if after is None and self._settings.start == "latest" and len(groups) > 1:
                first = max(block.number for block in groups if block is not None)
            plans.append(
                Plan(
                    datasets=tuple(members),
                    after=after,
                    first=first,
                    stop=self._settings.stop,
                    workers=self._settings.workers,
                    window=self._settings.window,
                    batch=self._settings.batch,
                )
            )
        return sorted(plans, key=lambda plan: plan.first)

    async def _advance(self, cursors: dict[str, Cursor]) -> None:
        """One pipeline if all datasets are level; else the last group catches up, beside the others if it is far."""
        plans = self._plans(cursors)
        lead = plans[-1]
        if len(plans) == 1:
            await self._pipe(lead)
            return
        behind = plans[0]
        level = plans[1].first - 1
        behind = replace(behind, stop=min(level, behind.stop or level), leads=False)
        if level - behind.first < CATCH_UP_TOGETHER or len(plans) > 2:
            await self._pipe(behind)
            return
        log.info("catching_up", datasets=[d.name for d in behind.datasets], first=behind.first, level=level)
        async with anyio.create_task_group() as group:
            leading = self._pipeline(lead)
            group.start_soon(self._keep, leading, name="leading pipeline")
            await self._pipe(behind)
            leading.drain()

    def _pipeline(self, plan: Plan) -> Pipeline:
        return Pipeline(self._node, self._store, self._runtimes, self._heads, self._cache, self._metrics, plan)

    async def _pipe(self, plan: Plan) -> None:
        await self._keep(self._pipeline(plan))

    async def _keep(self, pipeline: Pipeline) -> None:
        """Run a pipeline where ``drain`` on stop reaches it."""
        self._active.add(pipeline)
        started_at = pipeline.tip
        try:
            if not self._stopping.is_set():
                await pipeline.run()
        finally:
            self._active.discard(pipeline)
            self.progressed = self.progressed or pipeline.tip != started_at

    async def _stop_when_asked(self) -> None:
        """Let the blocks in hand finish, for as long as the settings allow; then end the run all the same."""
        await self._stopping.wait()
        for pipeline in self._active:
            pipeline.drain()
        await anyio.sleep(self._settings.stop_timeout_s)
        self._store.give_up()  # a commit is shielded from cancellation, and a hung one would take its time
        raise NodeError(f"blocks in hand did not finish within {self._settings.stop_timeout_s:g} s")

    async def _report(self) -> None:
        """A line on progress every few seconds while it catches up, rarely at the head."""
        while True:
            await anyio.sleep(PROGRESS_LOG_S)
            self._log_progress("progress")

    def _log_progress(self, event: str) -> None:
        for pipeline in self._active:
            log.info(event, block=pipeline.tip.number if pipeline.tip else None, head=self._heads.target)
        if not self._active:
            log.info(event, head=self._heads.target)
