"""A first state, read in parts: however large it is, a few megabytes of it are in memory, and it can be gone on with.

Walks the whole state of one block in key order (``whole``), turns each stretch of keys into rows and lets them
wait in the database (``staging``), while the next one is read. What comes of it is a block whose own rows are few:
those that follow from the block and its runtime alone. Rows are those that the whole state would give at once, as
row functions of datasets with storage items make each row of one change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from indexer import staging
from indexer.capture import Progress, Tracked, capture, fetch, surveyed
from indexer.datasets.base import Dataset
from indexer.decode import block_rows, decode, stopped_by
from indexer.errors import DecodeError, Reorg, backoff
from indexer.heads import MISSING_BLOCK_PATIENCE_S
from indexer.heal import is_dropped
from indexer.metrics import Metrics
from indexer.model import BlockRef, BlockRows, Captured, Header, ItemRef, RawChange, Row
from indexer.node import Node
from indexer.runtimes import Runtimes
from indexer.scale import Runtime, StorageItem
from indexer.staging import Staged
from indexer.store import Store
from indexer.survey import Survey
from indexer.trie import HASH_LENGTH, NodeCache
from indexer.whole import Place, walk

log = structlog.get_logger()

STRETCH_KEYS, STRETCH_BYTES = 20_000, 16_000_000
"""Keys, or bytes of values, that become rows together."""
WANTED_AT_ONCE = 4_000

Followed: TypeAlias = "Callable[[], tuple[bool, int | None]]"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive keys of the state, and how many nodes and values were read up to their end."""

    entries: tuple[RawChange, ...]
    nodes: int


class FirstState:
    """Reads the first state of some datasets; made for each."""

    def __init__(
        self,
        node: Node,
        store: Store,
        runtimes: Runtimes,
        cache: NodeCache,
        metrics: Metrics,
        tracked: Tracked,
        datasets: Sequence[Dataset],
    ) -> None:
        self._node, self._store, self._runtimes, self._cache = node, store, runtimes, cache
        self._metrics, self._tracked, self._datasets = metrics, tracked, tuple(datasets)
        self._by_item = tuple(dataset for dataset in datasets if dataset.items)
        self._tables = [table for dataset in self._by_item for table in dataset.tables]
        self._stopping = False

    def stop(self) -> None:
        """Read no further than the nodes asked for: ``read`` then returns None, and can be gone on with."""
        self._stopping = True

    async def read(
        self, header: Header, parent: Header | None, followed: Followed, progress: Progress
    ) -> BlockRows | None:
        """Read the state of ``header``'s block, or what is missing of it; its rows wait under ``staged``.

        ``followed`` tells, at the end, whether the block is final and where the head is. None if it was stopped.
        Raises as ``capture`` and ``decode`` do, and ``Reorg`` if the block is taken back meanwhile. What was read
        before is kept for the next try.
        """
        number, state = header.ref.number, (parent or header).ref.hash
        plain, began_s = replace(self._tracked, items=()), time.monotonic()
        captured = await capture(self._node, self._cache, plain, header, parent, None, bootstrap=True)
        try:
            runtime = await self._runtimes.of(captured.code_hash, number, state)
            with anyio.CancelScope(shield=True):
                staged = await self._going_on(header)
            try:
                staged = await self._read(captured, runtime, staged, progress)
            except DecodeError:
                better = await self._runtimes.corrected(captured.code_hash, runtime, state)
                if better is None:
                    raise
                with anyio.CancelScope(shield=True):
                    await forget(self._store, staged, "its metadata was corrected")
                    staged = await staging.begin(self._store, header.ref, self._datasets)
                runtime, staged = better, await self._read(captured, better, staged, progress)
            if self._stopping:
                return None
            await self._check(header.ref)
            log.info("bootstrap_decoded", block=number, keys=staged.keys, seconds=round(time.monotonic() - began_s, 1))
            return self._block(captured, runtime, staged, *followed())
        except DecodeError as error:
            error.block, error.datasets = number, stopped_by(error, self._datasets)
            raise

    async def _going_on(self, header: Header) -> Staged:
        """What was begun of this very state and is kept as it would be now; else it is begun."""
        names = {dataset.name for dataset in self._datasets}
        for staged in await staging.under_way(self._store):
            if staged.block == header.ref and staged.serves(self._datasets):
                log.info("first_state_resumed", block=header.ref.number, keys=staged.keys, nodes=staged.nodes)
                return await staging.narrow(self._store, staged, self._datasets)
            if names & staged.datasets.keys():
                await forget(self._store, staged, "another first state of its datasets begins")
        return await staging.begin(self._store, header.ref, self._datasets)

    async def _read(self, captured: Captured, runtime: Runtime, staged: Staged, progress: Progress) -> Staged:
        """Read on to the end of the state; one stretch becomes rows while the next is read."""
        send, stretches = anyio.create_memory_object_stream[Stretch](0)
        undecodable: DecodeError | None = None
        with stretches:
            async with anyio.create_task_group() as group:
                group.start_soon(self._walk, captured.header, staged, send, progress)
                try:
                    staged = await self._keep(captured, runtime, staged, stretches)
                except DecodeError as error:
                    undecodable = error
                    group.cancel_scope.cancel()
        if undecodable is not None:
            raise undecodable
        return staged

    async def _walk(
        self, header: Header, staged: Staged, send: MemoryObjectSendStream[Stretch], progress: Progress
    ) -> None:
        prefixes = list(self._tracked.item_of)
        ahead: list[Place] = []
        with send:
            found, surveyed_nodes, _ = await surveyed(self._node, self._cache, header, prefixes)
            read, entries, size = staged.nodes, list[RawChange](), 0

            def left() -> float:
                return _left(found, surveyed_nodes, ahead)

            steps = walk(
                header.state_root, prefixes, self._cache, after=staged.last_key, batch=WANTED_AT_ONCE, ahead=ahead
            )
            told = next(steps, None)
            while told is not None and not self._stopping:
                entries += told.entries
                size += sum(len(value) for _, value in told.entries if isinstance(value, bytes))
                if len(entries) >= STRETCH_KEYS or size >= STRETCH_BYTES:
                    await send.send(Stretch(tuple(entries), read))
                    entries, size = [], 0
                nodes, _ = await fetch(self._node, [(header, want) for want in told.wants])
                read += len(told.wants)
                self._cache.update(_branches(nodes))
                progress(read, left)
                try:
                    told = steps.send(nodes)
                except StopIteration:
                    told = None
            if entries:
                await send.send(Stretch(tuple(entries), read))

    async def _keep(
        self, captured: Captured, runtime: Runtime, staged: Staged, stretches: MemoryObjectReceiveStream[Stretch]
    ) -> Staged:
        async for stretch in stretches:
            await self._check(captured.header.ref)
            rows, untyped = await anyio.to_thread.run_sync(self._rows, captured, runtime, stretch.entries)
            reached = replace(
                staged,
                last_key=stretch.entries[-1].key,
                keys=staged.keys + len(stretch.entries),
                nodes=stretch.nodes,
                untyped=staged.untyped | untyped,
            )
            with anyio.CancelScope(shield=True):
                staged = await staging.add(self._store, staged, rows, self._tables, reached)
            self._metrics.progressed()
        return staged

    async def _check(self, block: BlockRef) -> None:
        """Raise ``Reorg`` if another block has taken its height: a node serves the state of one that lost, too."""
        there = await self._node.block_hash(block.number)
        if there is not None and there != block.hash:
            raise Reorg(f"block {block} is not on the chain any more: its first state is not read on")

    def _rows(
        self, captured: Captured, runtime: Runtime, entries: tuple[RawChange, ...]
    ) -> tuple[Sequence[Row], frozenset[ItemRef]]:
        """What a stretch of keys gives; nothing of what the block gives without them."""

        def progressed() -> None:
            self._metrics.progressed()
            anyio.from_thread.check_cancelled()  # nobody else ends a thread, and the process waits for it

        part = replace(captured, changes=entries, reads={}, parent_reads={}, runtime_changed=False, extrinsics=None)
        with self._metrics.step("decode"):
            decoded = decode(part, runtime, self._tracked.item_of, self._last_type(captured), progressed)
        with self._metrics.step("rows"):
            made = block_rows(part, decoded, runtime, self._by_item, finalized=False, head=None, progressed=progressed)
        return made.rows, decoded.untyped

    def _block(
        self, captured: Captured, runtime: Runtime, staged: Staged, finalized: bool, head: int | None
    ) -> BlockRows:
        """The block without what waits of it."""
        for item in staged.untyped:
            number = captured.header.ref.number
            log.warning("item_without_type", item=str(item), block=number, consequence="block is not complete")
        decoded = decode(captured, runtime, self._tracked.item_of, self._last_type(captured))
        block = replace(decoded.block, complete=not staged.untyped)
        decoded = replace(decoded, block=block, untyped=staged.untyped)
        rows = block_rows(captured, decoded, runtime, self._datasets, finalized=finalized, head=head)
        return replace(rows, staged=staged.id, staged_rows=sum(staged.rows.values()))

    def _last_type(self, captured: Captured) -> Callable[[ItemRef], StorageItem | None]:
        number = captured.header.ref.number
        return lambda item: self._runtimes.last_type(item, number)


def _left(found: Survey, surveyed_nodes: int, ahead: Sequence[Place]) -> float:
    """About how many nodes and values are still to be read: those ahead, but for the part that the survey has read."""
    values = sum(place.is_value and not place.is_at_hand for place in ahead)
    nodes = found.left(place.path for place in ahead if not place.is_value and not place.is_at_hand)
    return values + nodes * max(0.0, 1 - surveyed_nodes / max(found.below(b""), 1.0))


def _branches(nodes: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Nodes that hold another one's hash: what the blocks after this one are compared along."""
    return {name: raw for name, raw in nodes.items() if len(raw) > HASH_LENGTH and raw[0] >= 0x80}


async def forget(store: Store, staged: Staged, reason: str) -> None:
    """Drop what waits of a first state, and say why."""
    await staging.drop(store, staged)
    log.warning("first_state_dropped", block=staged.block.number, keys=staged.keys, reason=reason)


async def still_served(node: Node, store: Store, datasets: Sequence[Dataset], head_hash: bytes) -> list[Staged]:
    """First states that can be gone on with, for some of ``datasets``; all others are dropped."""
    found: list[Staged] = []
    for staged in await staging.under_way(store):
        wanted = [dataset for dataset in datasets if dataset.name in staged.datasets]
        if not wanted:
            await forget(store, staged, "nobody wants its datasets any more")
        elif not staged.serves(wanted):
            await forget(store, staged, "this version keeps its datasets otherwise")
        elif (there := await _block_hash(node, staged.block.number)) != staged.block.hash:
            reason = "no endpoint has its block" if there is None else "its block is not on the chain any more"
            await forget(store, staged, reason)
        elif await is_dropped(node, staged.block.hash, head_hash):
            await forget(store, staged, "no endpoint has its state any more")
        else:
            found.append(staged)
    return found


async def _block_hash(node: Node, number: int) -> bytes | None:
    """What is at a height. Waited for for a while: an endpoint that lags proves nothing."""
    delays = backoff(0.1, 3.0)
    with anyio.move_on_after(MISSING_BLOCK_PATIENCE_S):
        while True:
            found = await node.block_hash(number)
            if found is not None:
                return found
            await anyio.sleep(next(delays))
    return None
