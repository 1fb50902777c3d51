"""LISTEN indexer_block and indexer_reorg: who is told finds the rows, a reorg is told, a catch-up does not flood."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest
from running import index, indexer_async
from verifying import connected

from indexer.datasets import load
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import IndexerError
from indexer.model import BlockRef, BlockRows
from indexer.store import open_store

pytestmark = pytest.mark.anyio

Told = list[tuple[str, dict[str, Any]]]


@asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[Told]:
    """What a listener is told, in order."""
    told: Told = []
    async with connected(dsn) as connection:

        def hear(_connection: object, _pid: int, channel: str, payload: object) -> None:
            told.append((channel, json.loads(str(payload))))

        await connection.add_listener("indexer_block", hear)
        await connection.add_listener("indexer_reorg", hear)
        yield told
        await connection.remove_listener("indexer_block", hear)
        await connection.remove_listener("indexer_reorg", hear)


async def drained(dsn: str, told: Told) -> Told:
    """All that was told up to now: a notification of our own comes last."""
    async with connected(dsn) as connection:
        await connection.execute("SELECT pg_notify('indexer_reorg', '{\"mark\": true}')")
    with anyio.fail_after(10):
        while not told or told[-1][1] != {"mark": True}:  # noqa: ASYNC110 - the driver's callback fills it
            await anyio.sleep(0.01)
    found = told[:-1]
    told.clear()
    return found


async def test_blocks_finality_and_a_reorg_are_told_in_order(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(8)
    chain.finalize(4)
    async with DevNode(chain) as devnode, listening(database) as told:
        await index(database, devnode.url, stop=8, datasets=("blocks", "balances"), follow="best")
        first = await drained(database, told)
        assert {channel for channel, _ in first} == {"indexer_block"}
        hashes = {number: "0x" + chain.at(number).hash.hex() for number in range(9)}
        assert all(set(one) == {"number", "hash", "finalized"} for _, one in first)
        assert all(one["hash"] == hashes[one["number"]] for _, one in first)
        assert max(one["number"] for _, one in first) == 8
        assert {one["number"] for _, one in first if one["finalized"]} >= {4}
        assert not [one for _, one in first if one["finalized"] and one["number"] > 4]

        chain.fork(6, 4)
        await index(database, devnode.url, stop=10, datasets=("blocks", "balances"), follow="best")
        second = await drained(database, told)
        ancestor = {"number": 6, "hash": "0x" + chain.at(6).hash.hex()}
        assert second[0] == ("indexer_reorg", {"first": 7, "last": 8, "ancestor": ancestor})
        assert {channel for channel, _ in second[1:]} == {"indexer_block"}
        assert second[-1][1]["number"] == 10
        assert second[-1][1]["hash"] == "0x" + chain.at(10).hash.hex()


async def test_a_catch_up_tells_of_each_commit_and_not_of_each_block(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(40)
    chain.finalize(40)
    async with DevNode(chain) as devnode, listening(database) as told:
        await index(database, devnode.url, stop=40, datasets=("blocks",), batch=40, window=64)
        found = await drained(database, told)
        async with connected(database) as connection:
            commits = await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM blocks")
    numbers = [one["number"] for _, one in found]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (0, 40)
    assert len(numbers) == commits < 40


def made(number: int) -> BlockRows:
    return BlockRows(
        ref=BlockRef(number, bytes([number]) * 32), parent_hash=bytes([number - 1]) * 32, timestamp_ms=None,
        finalized=False, complete=True, bootstrap=number == 1, rows=(),
    )  # fmt: skip


async def test_a_commit_that_fails_tells_nobody_and_one_without_the_blocks_neither(database: str) -> None:
    async with listening(database) as told:
        async with open_store(database) as store:
            await store.lock_writer()
            await store.write([made(1)], load(["blocks"]))
            await store.write([made(1)], load(["balances"]))  # a dataset that catches up on its own
        assert [one["number"] for _, one in await drained(database, told)] == [1]
        async with connected(database) as connection:
            await connection.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'no' USING errcode = '53100'; END $$"
            )
            await connection.execute(
                "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON cursors DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        async with open_store(database) as store:
            await store.lock_writer()
            with pytest.raises(IndexerError):
                await store.write([made(2)], load(["blocks"]))
        assert await drained(database, told) == []


async def test_a_rewind_by_hand_is_told_too(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(8)
    chain.finalize(8)
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=8, datasets=("blocks",))
    async with listening(database) as told:
        ended = await indexer_async("rewind", "5", "--yes", "--database-url", database)
        assert ended.code == 0, ended.err
        ancestor = {"number": 5, "hash": "0x" + chain.at(5).hash.hex()}
        found = await drained(database, told)
        assert found == [("indexer_reorg", {"first": 6, "last": 8, "ancestor": ancestor})]


async def test_who_is_told_of_a_block_finds_its_rows(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(12)
    chain.finalize(12)
    missing: list[int] = []
    send, receive = anyio.create_memory_object_stream[int](100)

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        send.send_nowait(json.loads(str(payload))["number"])

    async def look(reader: asyncpg.Connection[Any]) -> None:
        async for number in receive:
            there = await reader.fetchval("SELECT count(*) FROM blocks WHERE block_number = $1", number)
            missing.extend([] if there else [number])
            if number == 12:
                return

    async with DevNode(chain) as devnode, connected(database) as connection, connected(database) as reader:
        await connection.add_listener("indexer_block", hear)
        async with anyio.create_task_group() as group:
            group.start_soon(look, reader)
            await index(database, devnode.url, stop=12, datasets=("blocks",), batch=1)
        await connection.remove_listener("indexer_block", hear)
    send.close()
    receive.close()
    assert missing == []
