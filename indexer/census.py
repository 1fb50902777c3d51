"""What the database says of itself, told to the metrics now and again: holes, blocks without proof, size, free disk.

A task of the daemon's, on a connection of its own, so that no commit waits for it. It changes nothing, and never
ends the run: what it cannot ask now it asks a minute later, and until then the last figures stay.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import structlog
from prometheus_client import Gauge

from indexer.datasets.base import Dataset
from indexer.errors import IndexerError, root_cause
from indexer.metrics import Metrics
from indexer.session import Connection, open_session

log = structlog.get_logger()

CENSUS_S = 60.0
"""Seconds between two counts: what is counted changes by the hour, and costs some milliseconds."""
POLL_S = 1.0
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Count:
    """What is indexed of one dataset."""

    dataset: str
    missing_blocks: int
    """Between its first and its last block."""
    incomplete_blocks: int
    """Stored, and not proven complete."""


async def census_for_ever(dsn: str, datasets: Sequence[Dataset], metrics: Metrics, data_dir: Path | None) -> None:
    """Tell ``metrics`` what the database lacks of ``datasets``, and its size; with ``data_dir``, the free disk."""
    looks = [partial(_look_at_database, dsn, [dataset.name for dataset in datasets], metrics)]
    if data_dir is not None:
        looks.append(partial(_look_at_disk, data_dir, metrics))
    while True:
        begun = _datasets_of(metrics.dataset_committed_block)
        for look in looks:
            try:
                await look()
            except (IndexerError, OSError, BaseExceptionGroup) as error:
                cause = root_cause(error)
                if not isinstance(cause, IndexerError | OSError):
                    raise
                log.warning("census_failed", cause=type(cause).__name__, reason=str(cause))
        with anyio.move_on_after(CENSUS_S):
            # One that begins is looked at soon.
            while _datasets_of(metrics.dataset_committed_block) == begun:  # noqa: ASYNC110 - a gauge has no event
                await anyio.sleep(POLL_S)


async def _look_at_disk(data_dir: Path, metrics: Metrics) -> None:
    # A file system that does not answer must not hold up the end of the run.
    free_bytes = await anyio.to_thread.run_sync(_free_bytes, data_dir, abandon_on_cancel=True)
    metrics.disk_free_bytes.labels(data_dir=str(data_dir)).set(free_bytes)


async def _look_at_database(dsn: str, names: Sequence[str], metrics: Metrics) -> None:
    async with (
        open_session(dsn, application="bittensor-indexer census") as session,
        session.calls("count what is indexed", TIMEOUT_S) as connection,
    ):
        # Postgres itself ends what we no longer wait for.
        await connection.execute("SELECT set_config('statement_timeout', $1, false)", f"{TIMEOUT_S:g}s")
        counts = await count(connection, names)
        database_bytes = await connection.fetchval("SELECT pg_database_size(current_database())")
    metrics.database_bytes.set(database_bytes)
    for one in counts:
        metrics.dataset_missing_blocks.labels(dataset=one.dataset).set(one.missing_blocks)
        metrics.dataset_incomplete_blocks.labels(dataset=one.dataset).set(one.incomplete_blocks)
    for gauge in (metrics.dataset_missing_blocks, metrics.dataset_incomplete_blocks):
        for gone in _datasets_of(gauge) - {one.dataset for one in counts}:
            gauge.remove(gone)


async def count(connection: Connection, names: Sequence[str]) -> list[Count]:
    """What is indexed of those of the datasets ``names`` that have begun."""
    rows = await connection.fetch(
        "SELECT v.dataset, "
        "max(v.last_block) - min(v.first_block) + 1 - sum(v.last_block - v.first_block + 1) AS missing_blocks, "
        "coalesce(sum(v.last_block - v.first_block + 1) FILTER (WHERE NOT v.complete), 0) AS incomplete_blocks "
        "FROM coverage v WHERE v.dataset = ANY($1) GROUP BY v.dataset ORDER BY v.dataset",
        names,
    )
    return [Count(row["dataset"], int(row["missing_blocks"]), int(row["incomplete_blocks"])) for row in rows]


def _datasets_of(gauge: Gauge) -> set[str]:
    return {sample.labels["dataset"] for family in gauge.collect() for sample in family.samples}


def _free_bytes(folder: Path) -> int:
    """Bytes that an unprivileged user may still write where ``folder`` lies."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
