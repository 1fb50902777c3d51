"""A block that one dataset cannot read: that one stops, loudly; the others go on; a better version resumes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import anyio
import anyio.to_thread
import asyncpg
import pytest
from running import index, indexer_async, wait_for
from tables import all_rows, assert_equal

from indexer import datasets
from indexer.datasets._values import located
from indexer.datasets.base import RuntimeView
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef, Row

pytestmark = pytest.mark.anyio

ACCOUNT = ItemRef("System", "Account")
UNREADABLE = 6
PORT = 19477


@pytest.fixture(scope="module")
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(12)
    chain.finalize(12)
    return chain


@pytest.fixture
def old_version() -> Iterator[pytest.MonkeyPatch]:
    """A version of the indexer that cannot read accounts from block UNREADABLE on."""
    balances = datasets.DATASETS["balances"]

    def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
        for change in changes:
            if block.number >= UNREADABLE and change.item == ACCOUNT:
                raise located(ACCOUNT, DecodeError("AccountInfo has a field this version does not know"))
        return balances.rows(block, changes, runtime)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "balances", replace(balances, rows=rows))
        yield patch


async def committed_by_dataset(database: str) -> dict[str, int]:
    connection = await asyncpg.connect(database)
    cursors = await connection.fetch("SELECT dataset, block_number FROM cursors")
    await connection.close()
    return {row["dataset"]: row["block_number"] for row in cursors}


async def test_one_dataset_stops_the_others_go_on_and_a_better_version_resumes(
    database: str, another_database: str, chain: Chain, old_version: pytest.MonkeyPatch
) -> None:
    async with DevNode(chain) as node:
        with pytest.raises(DecodeError, match=rf"block {UNREADABLE}: System.Account: .* of 0x[0-9a-f]{{20}}"):
            await index(database, node.url, stop=12)
        reached = await committed_by_dataset(database)
        assert reached.pop("balances") == UNREADABLE - 1
        assert set(reached.values()) == {12}
        connection = await asyncpg.connect(database)
        gaps = await connection.fetch("SELECT * FROM gaps")
        await connection.close()
        assert [tuple(row)[:3] for row in gaps] == [("balances", UNREADABLE, 12)]
        assert "System.Account" in gaps[0]["reason"]
        status = await indexer_async("status", "--database-url", database)
        assert f"gap {UNREADABLE}-12" in status.out
        old_version.undo()
        await index(database, node.url, stop=12)
        await index(another_database, node.url, stop=12)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_an_item_chosen_by_name_goes_on_where_a_dataset_of_the_same_item_cannot(
    database: str, chain: Chain, old_version: pytest.MonkeyPatch
) -> None:
    assert old_version
    async with DevNode(chain) as node:
        with pytest.raises(DecodeError, match=rf"block {UNREADABLE}: System.Account"):
            await index(database, node.url, stop=12, datasets=("balances",), item=("System.Account",))
    reached = await committed_by_dataset(database)
    assert reached == {"blocks": 12, "System.Account": 12, "balances": UNREADABLE - 1}


async def test_a_stopped_dataset_shows_in_metrics_and_readiness_while_the_head_is_followed(
    database: str, old_version: pytest.MonkeyPatch
) -> None:
    assert old_version
    own = simulated_chain(7)
    own.grow(8)
    own.finalize(8)
    async with DevNode(own) as node, anyio.create_task_group() as group:

        async def serve() -> None:
            await index(database, node.url, stop=100, metrics_address=f"127.0.0.1:{PORT}", ready_lag_s=1e12)

        group.start_soon(serve)
        with anyio.fail_after(20):
            while (await committed_by_dataset(database)).get("blocks", -1) < 8:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        own.grow(2)
        own.finalize(10)
        with anyio.fail_after(20):
            while (await committed_by_dataset(database))["blocks"] < 10:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        metrics = await anyio.to_thread.run_sync(_get, "/metrics")
        ready = json.loads(await anyio.to_thread.run_sync(_get, "/readyz"))
        group.cancel_scope.cancel()
    told = [line for line in metrics.splitlines() if line.startswith("indexer_undecodable{")]
    assert len(told) == 1
    assert 'dataset="balances",item="System.Account",raw="' in told[0]
    assert told[0].endswith(f" {UNREADABLE}.0")
    assert list(ready["reasons"]) == ["dataset balances"]
    assert (await committed_by_dataset(database))["balances"] == UNREADABLE - 1


async def test_without_the_blocks_themselves_nothing_goes_on(database: str, chain: Chain) -> None:
    """Events that cannot be read belong to the dataset blocks."""
    blocks = datasets.DATASETS["blocks"]

    def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
        if block.number >= UNREADABLE:
            raise located(ItemRef("System", "EventCount"), DecodeError("no number"))
        return blocks.rows(block, changes, runtime)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "blocks", replace(blocks, rows=rows))
        async with DevNode(chain) as node:
            with anyio.fail_after(20), pytest.raises(DecodeError, match=f"block {UNREADABLE}: System.EventCount"):
                await index(database, node.url, stop=100)
    await wait_for(database, UNREADABLE - 1, within_s=1)


async def test_metadata_that_was_stored_wrong_is_corrected_from_the_node(database: str, another_database: str) -> None:
    """As if a node had once told the metadata of another runtime, and blocks so far had decoded all the same."""
    upgraded = simulated_chain(7, upgrade_at=5)
    upgraded.grow(12)
    upgraded.finalize(12)
    async with DevNode(upgraded) as node:
        await index(database, node.url, stop=8)
        connection = await asyncpg.connect(database)
        await connection.execute(
            "UPDATE runtimes SET metadata = (SELECT metadata FROM runtimes WHERE spec_version = 293) "
            "WHERE spec_version = 475"
        )
        await connection.close()
        await index(database, node.url, stop=12)
        await index(another_database, node.url, stop=12)
    assert_equal(await all_rows(database), await all_rows(another_database))


def _get(path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read().decode()
