"""The comparison on a schedule, beside a run that indexes: a task of the daemon's.

It never ends the run: a node or database that fails in between is met by the next round. Catching up is left
alone, for there the node's time is better spent.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from indexer.datasets.base import Dataset
from indexer.errors import IndexerError, root_cause
from indexer.metrics import Metrics
from indexer.node import Node
from indexer.store import Store
from indexer.verify.report import Report, shown
from indexer.verify.verification import verify

log = structlog.get_logger()

POLL_S = 5.0
NEAR_HEAD_BLOCKS = 64
NAMED_AT_MOST = 20
"""Differences that get a log line of their own."""


async def patrol(
    node: Node, dsn: str, store: Store, datasets: Sequence[Dataset], metrics: Metrics, every_blocks: int
) -> None:
    """Verify whenever a multiple of ``every_blocks`` has been committed and is finalized, for ever."""
    rounds: int | None = None
    while True:
        try:
            at = await _finalized(store)
            rounds = at // every_blocks if rounds is None else rounds
            if at // every_blocks > rounds and (await node.finalized()).number - at <= NEAR_HEAD_BLOCKS:
                rounds = at // every_blocks
                _tell(await verify(node, dsn, datasets), metrics)
        except (IndexerError, BaseExceptionGroup) as error:
            cause = root_cause(error)
            if not isinstance(cause, IndexerError):
                raise
            metrics.verify_failures.inc()
            log.warning("verify_failed", cause=type(cause).__name__, reason=str(cause))
        await anyio.sleep(POLL_S)


async def _finalized(store: Store) -> int:
    """The last finalized committed block; -1 if there is none."""
    cursors = (await store.cursors()).values()
    return max((min(c.block.number, c.finalized_block) for c in cursors if c.finalized_block is not None), default=-1)


def _tell(report: Report, metrics: Metrics) -> None:
    metrics.verified(report.block.number, len(report.differences), report.seconds)
    tell = log.error if report.differences else log.info
    tell(
        "verified", block=report.block.number, differences=len(report.differences), maps=report.maps,
        rows=report.rows, seconds=report.seconds, skipped=list(report.skipped),
    )  # fmt: skip
    for one in report.differences[:NAMED_AT_MOST]:
        key = None if one.key is None else [shown(part) for part in one.key]
        log.error("difference", table=one.table, key=key, what=one.what, stored=one.stored, chain=one.chain)
