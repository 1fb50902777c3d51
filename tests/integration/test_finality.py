"""What of the committed blocks is final: believed by hash, also hours before a catch-up meets the head."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import asyncpg
import pytest
from running import index, wait_for
from tables import all_rows, assert_equal

from indexer import finality
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import Reorg
from indexer.finality import Finality
from indexer.heads import Heads
from indexer.model import BlockRef
from indexer.node import open_node
from indexer.store import open_store

pytestmark = pytest.mark.anyio

HEAD = 40


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(HEAD)
    return chain


async def finalized_blocks(dsn: str) -> set[int | None]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row["finalized_block"] for row in await connection.fetch("SELECT finalized_block FROM cursors")}
    finally:
        await connection.close()


async def test_a_run_that_stops_far_below_the_finalized_head_notes_its_last_block_as_final(
    database: str, chain: Chain
) -> None:
    chain.finalize(HEAD)
    async with DevNode(chain) as node:
        await index(database, node.url, stop=15)
    assert await finalized_blocks(database) == {15}


async def test_finality_follows_a_catch_up_on_its_way(
    database: str, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finality, "CONFIRM_S", 0.0)
    chain.finalize(HEAD)
    known = 20

    async def hold_back(method: str, params: Any, result: Any) -> Any:
        if method != "chain_getBlockHash":
            return result
        if isinstance(params[0], list):
            return [one if number <= known else None for number, one in zip(params[0], result, strict=True)]
        return result if params[0] <= known else None

    async with DevNode(chain, tamper=hold_back) as node, anyio.create_task_group() as group:

        async def run() -> None:
            await index(database, node.url, stop=HEAD, batch=4)

        group.start_soon(run)
        await wait_for(database, 20)
        with anyio.fail_after(8):
            while await finalized_blocks(database) != {20}:  # noqa: ASYNC110 - the daemon writes it
                await anyio.sleep(0.02)
        known = HEAD
    assert await finalized_blocks(database) == {HEAD}


async def test_a_block_of_another_branch_is_never_taken_for_final_in_a_catch_up(
    database: str, another_database: str, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node tells the hashes of a branch that lost, once; far above them another chain is final."""
    monkeypatch.setattr(finality, "CONFIRM_S", 0.0)
    lost = {number: "0x" + chain.at(number).hash.hex() for number in range(8, 14)}
    chain.fork(7, HEAD)
    chain.finalize(chain.best.number)
    asked: Counter[int] = Counter()

    async def stale(method: str, params: Any, result: Any) -> Any:
        if method != "chain_getBlockHash" or params[0] not in lost:
            return result
        asked[params[0]] += 1
        return lost[params[0]] if asked[params[0]] == 1 else result

    async with DevNode(chain, tamper=stale) as node:
        await index(database, node.url, stop=HEAD, batch=2)
    assert asked[8] > 1, "the lost branch was indexed, and found out"
    async with DevNode(chain) as node:
        await index(another_database, node.url, stop=HEAD)
    found, wanted = await all_rows(database), await all_rows(another_database)
    used = {value for table, rows in wanted.items() if table != "accounts" for row in rows for value in row}
    found["accounts"] = [row for row in found["accounts"] if row[0] in used]  # those seen on the branch stay known
    assert_equal(found, wanted)


async def test_what_is_indexed_where_another_block_is_final_is_a_reorg_and_not_marked(
    database: str, chain: Chain
) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=12, follow="best")
        ours = BlockRef(12, chain.at(12).hash)
        chain.fork(7, HEAD)
        chain.finalize(10)
        async with open_node([devnode.url]) as node, open_store(database) as store:
            await store.lock_writer()
            heads = Heads(node, "best", lambda _kind, _number: None)
            await heads.look()
            with pytest.raises(Reorg, match="indexed at its height is another one"):
                await Finality(node, store, heads).settle(ours)
            chain.finalize(20)
            await heads.look()
            with pytest.raises(Reorg, match="that one is final"):
                await heads.confirm(ours)
            assert {cursor.finalized_block for cursor in (await store.cursors()).values()} <= {None, 0}


async def test_a_block_above_the_finalized_head_is_not_final_though_the_best_chain_has_it(chain: Chain) -> None:
    chain.finalize(10)
    async with DevNode(chain) as devnode, open_node([devnode.url]) as node:
        assert await node.is_final(BlockRef(15, chain.at(15).hash)) is None
        assert await node.is_final(BlockRef(10, chain.at(10).hash)) is True
        assert await node.is_final(BlockRef(10, chain.at(9).hash)) is False


async def test_a_dataset_that_catches_up_does_not_take_endpoints_back_to_an_earlier_final_block(chain: Chain) -> None:
    chain.finalize(30)
    async with DevNode(chain) as devnode, open_node([devnode.url]) as node:
        for number in (20, 8):
            node.stand_on(BlockRef(number, chain.at(number).hash))
        assert node._pool.footing.anchor == BlockRef(20, chain.at(20).hash)
