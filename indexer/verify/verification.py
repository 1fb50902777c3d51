"""``verify`` and ``repair``: one block's tables against the chain, from the choice of the block to the report.

Reads a snapshot and proofs; writes nothing but what ``repair`` is asked to. The runtime's decoders come from
the database, chosen by the hash of the code that the parent's state proves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import structlog

from indexer import board
from indexer.capture import Tracked, capture
from indexer.datasets.base import Dataset
from indexer.decode import decode
from indexer.errors import ConfigError, DecodeError, NodeError
from indexer.model import BlockRef, ItemRef, Row
from indexer.node import Node
from indexer.scale import Runtime, StorageItem
from indexer.schema import Keyed
from indexer.store import Store
from indexer.trie import NodeCache
from indexer.verify.comparison import Comparison, fixed_rows
from indexer.verify.crosscheck import ASKED_OF, Checked, crosscheck
from indexer.verify.report import Difference, Report
from indexer.verify.snapshot import Snapshot, open_snapshot
from indexer.verify.standing import standing
from indexer.verify.truth import Truth

log = structlog.get_logger()

CACHE_BYTES = 8 << 20

Key = tuple[object, ...]


async def verify(
    node: Node,
    dsn: str,
    datasets: Sequence[Dataset],
    *,
    block: int | None = None,
    sample: int | None = None,
    is_awaited: bool = False,
) -> Report:
    """Compare the tables of ``datasets`` with the chain as of ``block`` (None: the last finalized committed one).

    ``sample`` looks at about so many random rows, and as many random absent ones, instead of at all.
    ``is_awaited``: somebody waits for it, and is shown how far it is. Raises ``ConfigError`` if the block is not
    indexed, ``Retryable`` if node or database fail.
    """
    started_s = time.monotonic()
    async with AsyncExitStack() as stack:
        snapshot = await stack.enter_async_context(open_snapshot(dsn))
        datasets = [dataset for dataset in datasets if dataset.by_default or dataset.name in snapshot.cursors]
        ref = await _chosen(node, snapshot, datasets, block)
        truth = await truth_of(node, snapshot, datasets, ref)
        work = Comparison(snapshot, truth, ref.number)
        if is_awaited and sample is None:
            tables = [table for dataset in datasets for table in dataset.tables if isinstance(table, Keyed)]
            shown = stack.enter_context(
                board.shown("verify_progress", f"block {ref.number:,}", "rows", block=ref.number)
            )
            work.told = partial(_tell, shown, await snapshot.about(tables))
        skipped: list[str] = []
        for dataset in datasets:
            cursor = snapshot.cursors.get(dataset.name)
            if cursor is None or not cursor.start_block <= ref.number <= cursor.block.number:
                skipped.append(f"{dataset.name}: block {ref.number} is not indexed")
            elif dataset.bodies and truth.block.extrinsics is None:
                skipped.append(f"{dataset.name}: no endpoint has the extrinsics of block {ref.number} any more")
            elif sample is None:
                await work.whole(dataset)
            else:
                await work.sampled(dataset, sample)
        itself: list[Difference] = []
        if sample is None:
            await work.accounts(datasets)
            itself = await standing(node, snapshot, datasets)
        left_out = {word.partition(":")[0] for word in skipped}
        asks = ASKED_OF.issubset({dataset.name for dataset in datasets} - left_out)
        answers = await crosscheck(truth, snapshot, sample) if asks else Checked([], [], 0)
    return Report(
        block=ref,
        is_whole=sample is None,
        maps=work.maps,
        rows=work.rows,
        api_values=answers.values,
        seconds=round(time.monotonic() - started_s, 3),
        skipped=(*skipped, *answers.skipped),
        differences=(*work.differences, *itself, *answers.differences),
    )


def _tell(shown: board.Work, about: int, rows: int) -> None:
    """The guess counts until it turns out to have been too low."""
    shown.tell(rows, about if rows <= about else None, is_estimate=True)


async def repair(node: Node, dsn: str, store: Store, datasets: Sequence[Dataset], report: Report) -> int:
    """Write the rows that ``report`` names as the chain has them, as rows of its block; returns their number.

    ``store`` must be the writer. Raises ``ConfigError`` if the block is no longer the last committed one.
    """
    named: dict[str, set[Key]] = {}
    for difference in report.differences:
        if difference.key is not None and difference.is_repairable:
            named.setdefault(difference.table, set()).add(difference.key)
    rows: list[Row] = []
    async with open_snapshot(dsn) as snapshot:
        truth = await truth_of(node, snapshot, datasets, report.block)
        for dataset in datasets:
            fixed = {(row.table, row.key): row for row in fixed_rows(dataset, truth)}
            for table in dataset.tables:
                keys = named.get(table.name, set())
                if table.name in {source.table for source in dataset.sources}:
                    assert isinstance(table, Keyed)
                    rows += await truth.rows(dataset, table, keys)
                else:
                    rows += [fixed.get((table.name, key), Row(table.name, key, None)) for key in keys]
        accounts = [key[0] for key in named.get("accounts", ()) if isinstance(key[0], bytes)]
    indexed = [dataset for dataset in datasets if any(row.table in {t.name for t in dataset.tables} for row in rows)]
    await store.repair(report.block, rows, indexed, accounts)
    log.info("repaired", block=report.block.number, rows=len(rows), accounts=len(accounts))
    return len(rows) + len(accounts)


async def _chosen(node: Node, snapshot: Snapshot, datasets: Sequence[Dataset], block: int | None) -> BlockRef:
    """The block to compare, by the hash that was committed, or for a past block the one the node has."""
    cursors = [snapshot.cursors[dataset.name] for dataset in datasets if dataset.name in snapshot.cursors]
    known = [min(c.block.number, c.finalized_block) for c in cursors if c.finalized_block is not None]
    if not cursors:
        raise ConfigError("nothing is indexed yet: there is nothing to compare")
    if block is None and not known:
        raise ConfigError("no committed block is finalized yet: name one with --block")
    number = max(known) if block is None else block
    for cursor in cursors:
        if cursor.block.number == number:
            return cursor.block
    if not any(cursor.start_block <= number <= cursor.block.number for cursor in cursors):
        raise ConfigError(f"block {number} is not indexed; the last committed is {max(c.block for c in cursors)}")
    block_hash = await node.block_hash(number)
    if block_hash is None:
        raise NodeError(f"{node.endpoint} does not know block {number}")
    return BlockRef(number, block_hash)


async def truth_of(node: Node, snapshot: Snapshot, datasets: Sequence[Dataset], ref: BlockRef) -> Truth:
    """The block's state with the runtime that executed it, whose code the parent's state proves."""
    header = await node.header(ref.hash)
    parent = await node.header(header.parent_hash) if ref.number else None
    grandparent = await node.header(parent.parent_hash) if parent is not None and parent.ref.number else None
    tracked = Tracked(
        items=(),
        reads=tuple(dict.fromkeys(item for dataset in datasets for item in dataset.reads)),
        parent_reads=tuple(dict.fromkeys(item for dataset in datasets for item in dataset.parent_reads)),
        bodies=any(dataset.bodies for dataset in datasets if dataset.name in snapshot.cursors),
    )
    captured = await capture(node, NodeCache(CACHE_BYTES), tracked, header, parent, grandparent, bootstrap=False)
    runtimes = _Runtimes(snapshot, captured.code_hash, ref)
    block = decode(captured, runtimes.current, {}, lambda _: None).block
    current = replace(block, runtime_changed=False)
    return Truth(node, header, current, runtimes.current, runtimes.types, runtimes.types_at)


class _Runtimes:
    """The decoders of the database's runtimes up to a block, parsed when they are first needed."""

    def __init__(self, snapshot: Snapshot, code_hash: bytes, ref: BlockRef) -> None:
        known = [(code, first, raw) for code, first, raw in reversed(snapshot.runtimes) if first <= ref.number]
        self._raw = {code: raw for code, _, raw in known}
        self._first = {code: first for code, first, _ in known}
        if code_hash not in self._raw:
            raise ConfigError(f"the database holds no runtime with the code that executed block {ref}")
        self._parsed: dict[bytes, Runtime] = {}
        self.current = self._runtime(code_hash)
        self._order = [code_hash, *(code for code in self._raw if code != code_hash)]
        self._types: dict[ItemRef, list[StorageItem]] = {}

    def _runtime(self, code_hash: bytes) -> Runtime:
        if code_hash not in self._parsed:
            self._parsed[code_hash] = Runtime.from_metadata(self._raw[code_hash])
        return self._parsed[code_hash]

    def types(self, item: ItemRef) -> Sequence[StorageItem]:
        """The item as each runtime types it, the one that executed the block first."""
        if item not in self._types:
            found = (self._item(code, item) for code in self._order)
            self._types[item] = [kind for kind in found if kind is not None]
        return self._types[item]

    def types_at(self, item: ItemRef, number: int) -> Sequence[StorageItem]:
        """The item as the runtimes up to block ``number`` type it, the one that executed that block first."""
        found = (self._item(code, item) for code, first in self._first.items() if first <= number)
        return [kind for kind in found if kind is not None]

    def _item(self, code_hash: bytes, item: ItemRef) -> StorageItem | None:
        """None too where the runtime's metadata cannot be read: that is a difference of its own."""
        try:
            return self._runtime(code_hash).item(item)
        except DecodeError:
            return None
