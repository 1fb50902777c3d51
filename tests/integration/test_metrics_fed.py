"""What the running daemon tells of itself: who writes, how far each dataset is, comparisons that could not be made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families
from watched import Watched, watched

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import NodeError
from indexer.store import open_store

pytestmark = pytest.mark.anyio

LENGTH = 8
NAMES = ("blocks", "balances", "stake")


@pytest.fixture
async def devnode() -> AsyncIterator[DevNode]:
    chain = simulated_chain(7, upgrade_at=None)
    grow(chain, LENGTH)
    async with DevNode(chain) as node:
        yield node


def grow(chain: Chain, blocks: int) -> None:
    chain.grow(blocks)
    chain.finalize(chain.best.header.ref.number)


async def series(daemon: Watched, name: str) -> dict[Sequence[str], float]:
    """Value by label values of one metric."""
    _, body = await daemon.get("/metrics")
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == name
    }


async def until(daemon: Watched, name: str, expected: dict[Sequence[str], float]) -> None:
    with anyio.fail_after(20):
        while await series(daemon, name) != expected:  # noqa: ASYNC110 - only the scrape tells
            await anyio.sleep(0.02)


def each(number: float) -> dict[Sequence[str], float]:
    return {(name,): number for name in NAMES}


async def test_a_standby_says_so_until_it_writes_and_then_how_far_each_dataset_is(
    database: str, devnode: DevNode
) -> None:
    async with open_store(database) as leader:
        await leader.lock_writer()
        async with watched(database, devnode.url, stop=LENGTH + 1, datasets=NAMES, standby=True) as daemon:
            with anyio.fail_after(20):
                await until(daemon, "indexer_standby", {(): 1})
            assert await series(daemon, "indexer_dataset_committed_block") == {}
            leader.give_up()
            await until(daemon, "indexer_dataset_committed_block", each(LENGTH))
            await until(daemon, "indexer_dataset_missing_blocks", each(0))
            assert await series(daemon, "indexer_standby") == {(): 0}
            assert await series(daemon, "indexer_disk_free_bytes") == {}
            grow(devnode.chain, 1)


async def test_after_a_restart_each_dataset_is_where_the_database_has_it(database: str, devnode: DevNode) -> None:
    async with watched(database, devnode.url, stop=LENGTH, datasets=NAMES):
        pass
    async with watched(database, devnode.url, stop=LENGTH + 1, datasets=NAMES) as daemon:
        await until(daemon, "indexer_dataset_committed_block", each(LENGTH))
        grow(devnode.chain, 1)


async def test_a_comparison_that_could_not_be_made_is_counted_and_the_next_one_is(
    database: str, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> None:
        raise NodeError("no endpoint serves the proofs of that block")

    monkeypatch.setattr("indexer.verify.schedule.POLL_S", 0.05)
    options = {"datasets": NAMES, "verify_every_blocks": 1}
    async with watched(database, devnode.url, stop=LENGTH + 3, **options) as daemon:
        await until(daemon, "indexer_committed_block", {(): LENGTH})
        assert await series(daemon, "indexer_verify_every_blocks") == {(): 1}
        assert await series(daemon, "indexer_verify_failures_total") == {(): 0}
        with monkeypatch.context() as bent:
            bent.setattr("indexer.verify.schedule.verify", refused)
            grow(devnode.chain, 1)
            await until(daemon, "indexer_verify_failures_total", {(): 1})
        grow(devnode.chain, 1)
        await until(daemon, "indexer_verified_block", {(): LENGTH + 2})
        assert await series(daemon, "indexer_verify_failures_total") == {(): 1}
        grow(devnode.chain, 1)


async def test_a_first_lie_or_failure_is_an_increase_from_0(database: str, devnode: DevNode) -> None:
    async with watched(database, devnode.url, stop=LENGTH + 1, datasets=NAMES) as daemon:
        await until(daemon, "indexer_committed_block", {(): LENGTH})
        lies = await series(daemon, "indexer_endpoint_lies_total")
        assert (len(lies), set(lies.values())) == (1, {0})
        causes = {labels[0] for labels in await series(daemon, "indexer_endpoint_left_total")}
        assert causes >= {"unreachable", "lost", "silent", "busy", "lagging", "fork", "lie"}
        grow(devnode.chain, 1)
