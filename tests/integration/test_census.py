"""The census: what the database lacks, its size and its disk, as metrics of the daemon's; a failure stops nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import pytest
from running import index

from indexer import census, datasets
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.metrics import Metrics

pytestmark = pytest.mark.anyio

LENGTH = 12
NAMES = ("blocks", "balances", "stake")


@pytest.fixture
async def filled(database: str) -> str:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    async with DevNode(chain) as node:
        await index(database, node.url, stop=LENGTH, datasets=NAMES)
    return database


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@asynccontextmanager
async def counting(dsn: str, metrics: Metrics, data_dir: Path | None = None) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(census.census_for_ever, dsn, datasets.load(NAMES), metrics, data_dir)
        yield
        group.cancel_scope.cancel()


async def shows(metrics: Metrics, name: str, expected: float | None, **labels: str) -> None:
    with anyio.fail_after(10):
        while metrics.registry.get_sample_value(name, labels) != expected:  # noqa: ASYNC110 - the census has no event
            await anyio.sleep(0.01)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "CENSUS_S", 0.05)


async def test_holes_and_blocks_without_proof_are_counted_per_dataset(filled: str) -> None:
    await execute(
        filled,
        "DELETE FROM coverage WHERE dataset = 'stake'",
        "INSERT INTO coverage VALUES ('stake', 0, 2, true, NULL), ('stake', 5, 6, false, 'no proofs'), "
        "('stake', 9, 12, true, NULL)",
    )
    metrics = Metrics()
    async with counting(filled, metrics):
        await shows(metrics, "indexer_dataset_missing_blocks", 4, dataset="stake")
        await shows(metrics, "indexer_dataset_incomplete_blocks", 2, dataset="stake")
        await shows(metrics, "indexer_dataset_missing_blocks", 0, dataset="balances")
        await shows(metrics, "indexer_dataset_incomplete_blocks", 0, dataset="balances")
    assert (metrics.registry.get_sample_value("indexer_database_bytes") or 0) > 1 << 20
    assert not next(iter(metrics.disk_free_bytes.collect())).samples, "another server's disk is not ours to measure"


@pytest.mark.usefixtures("hasty")
async def test_a_dataset_that_is_gone_is_told_no_longer(filled: str) -> None:
    metrics = Metrics()
    async with counting(filled, metrics):
        await shows(metrics, "indexer_dataset_missing_blocks", 0, dataset="stake")
        await execute(filled, "DELETE FROM coverage WHERE dataset = 'stake'")
        await shows(metrics, "indexer_dataset_missing_blocks", None, dataset="stake")
        await shows(metrics, "indexer_dataset_incomplete_blocks", None, dataset="stake")
        await shows(metrics, "indexer_dataset_missing_blocks", 0, dataset="blocks")


@pytest.mark.usefixtures("hasty")
async def test_a_database_that_refuses_is_asked_again_and_the_disk_is_measured_meanwhile(
    filled: str, tmp_path: Path
) -> None:
    metrics = Metrics()
    await execute(filled, "ALTER TABLE coverage RENAME TO elsewhere")
    async with counting(filled, metrics, tmp_path):
        with anyio.fail_after(10):
            while not metrics.registry.get_sample_value("indexer_disk_free_bytes", {"data_dir": str(tmp_path)}):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert metrics.registry.get_sample_value("indexer_dataset_missing_blocks", {"dataset": "stake"}) is None
        await execute(filled, "ALTER TABLE elsewhere RENAME TO coverage")
        await shows(metrics, "indexer_dataset_missing_blocks", 0, dataset="stake")


async def test_a_folder_that_is_gone_hides_nothing_else(filled: str, tmp_path: Path) -> None:
    metrics = Metrics()
    async with counting(filled, metrics, tmp_path / "unmounted"):
        await shows(metrics, "indexer_dataset_missing_blocks", 0, dataset="stake")
