"""The store over a real Postgres: whole transactions, one writer, exact rewinds."""

from __future__ import annotations

import asyncpg
import pytest

from indexer import datasets
from indexer.datasets.base import Dataset
from indexer.errors import StoreError, WriterLocked, WrongChain
from indexer.model import BlockRef, BlockRows, Row
from indexer.store import open_store

pytestmark = pytest.mark.anyio

ALICE, BOB = b"a" * 32, b"b" * 32
CHOSEN: tuple[Dataset, ...] = datasets.load(["balances", "blocks"])


def block(number: int, *rows: Row, complete: bool = True, finalized: bool = True, fork: int = 0) -> BlockRows:
    """A block row with what a test wants in it."""
    own = Row(
        "blocks",
        (),
        {
            "hash": hash_of(number, fork),
            "parent_hash": hash_of(number - 1, fork),
            "spec_version": 1,
            "extrinsic_count": 0,
            "state_root": bytes(32),
            "extrinsics_root": bytes(32),
            "complete": complete,
        },
    )
    return BlockRows(
        ref=BlockRef(number, hash_of(number, fork)),
        parent_hash=hash_of(number - 1, fork),
        timestamp_ms=None,
        finalized=finalized,
        complete=complete,
        bootstrap=number == 0,
        rows=(own, *rows),
    )


def hash_of(number: int, fork: int) -> bytes:
    return bytes([fork]) + (number + 1).to_bytes(31, "big")


def balance(account: bytes, free: int | None) -> Row:
    if free is None:
        return Row("balances", (account,), None)
    names = datasets.DATASETS["balances"].tables[0].values
    return Row("balances", (account,), {**dict.fromkeys(names), "free": free, "nonce": 0})


async def frees(connection: asyncpg.Connection[asyncpg.Record], block: int | None = None) -> dict[bytes, int]:
    """Free balance by account: current, or as of a block from the history alone."""
    if block is None:
        rows = await connection.fetch("SELECT account, free FROM balances")
        return {row["account"]: row["free"] for row in rows}
    rows = await connection.fetch(
        "SELECT DISTINCT ON (account) account, free, exists FROM balance_history WHERE block_number <= $1 "
        "ORDER BY account, block_number DESC",
        block,
    )
    return {row["account"]: row["free"] for row in rows if row["exists"]}


async def test_history_current_rows_cursor_and_coverage_are_written_together(database: str) -> None:
    connection = await asyncpg.connect(database)
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write(
            [block(0, balance(ALICE, 5)), block(1, balance(BOB, 7)), block(2, balance(ALICE, None))], CHOSEN
        )
        assert await frees(connection) == {BOB: 7}
        assert await frees(connection, 1) == {ALICE: 5, BOB: 7}
        assert await frees(connection, 2) == {BOB: 7}
        cursors = await store.cursors()
        assert {name: cursor.block.number for name, cursor in cursors.items()} == {"balances": 2, "blocks": 2}
        assert await store.block_hash(1) == hash_of(1, 0)
    ranges = await connection.fetch("SELECT dataset, first_block, last_block, complete FROM coverage ORDER BY dataset")
    assert [tuple(row) for row in ranges] == [("balances", 0, 2, True), ("blocks", 0, 2, True)]
    addresses = await connection.fetch("SELECT account, address FROM accounts WHERE account = ANY($1)", [ALICE, BOB])
    assert {row["account"] for row in addresses} == {ALICE, BOB}
    assert all(row["address"].startswith("5") for row in addresses)
    await connection.close()


async def test_a_batch_that_fails_leaves_no_trace(database: str) -> None:
    connection = await asyncpg.connect(database)
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0, balance(ALICE, 5))], CHOSEN)
        await connection.execute("ALTER TABLE blocks ADD CONSTRAINT no_two CHECK (block_number <> 2)")
        with pytest.raises(Exception, match="no_two"):
            await store.write([block(1, balance(ALICE, 6)), block(2)], CHOSEN)
        assert await frees(connection) == {ALICE: 5}
        assert (await store.cursors())["balances"].block.number == 0
        assert await connection.fetchval("SELECT count(*) FROM balance_history") == 1
    await connection.close()


async def test_incomplete_blocks_get_a_range_of_their_own(database: str) -> None:
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0), block(1), block(2, complete=False), block(3)], CHOSEN)
        await store.write([block(4)], CHOSEN)
    connection = await asyncpg.connect(database)
    ranges = await connection.fetch(
        "SELECT first_block, last_block, complete FROM coverage WHERE dataset = 'blocks' ORDER BY first_block"
    )
    assert [tuple(row) for row in ranges] == [(0, 1, True), (2, 2, False), (3, 4, True)]
    await connection.close()


async def test_rewind_and_write_again_equals_never_having_written_the_fork(database: str) -> None:
    connection = await asyncpg.connect(database)
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0, balance(ALICE, 5)), block(1, balance(BOB, 7))], CHOSEN)
        before = await frees(connection)
        await store.write(
            [
                block(2, balance(ALICE, 1), finalized=False),
                block(3, balance(BOB, None), balance(b"c" * 32, 9), finalized=False),
            ],
            CHOSEN,
        )
        await store.rewind(BlockRef(1, hash_of(1, 0)), CHOSEN)
        assert await frees(connection) == before
        assert await frees(connection, 99) == before
        cursors = await store.cursors()
        assert {cursor.block for cursor in cursors.values()} == {BlockRef(1, hash_of(1, 0))}
        await store.write([block(2, balance(BOB, 8))], CHOSEN)
        assert await frees(connection) == {ALICE: 5, BOB: 8}
    assert await connection.fetchval("SELECT max(last_block) FROM coverage") == 2
    await connection.close()


async def test_finality_is_recorded_only_for_the_block_that_is_indexed(database: str) -> None:
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0), block(1, finalized=False), block(2, finalized=False)], CHOSEN)
        assert not await store.mark_finalized(BlockRef(1, hash_of(1, 9)))
        assert (await store.cursors())["blocks"].finalized_block == 0
        assert await store.mark_finalized(BlockRef(1, hash_of(1, 0)))
        assert (await store.cursors())["blocks"].finalized_block == 1


async def test_a_second_writer_is_told_who_the_first_one_is(database: str) -> None:
    async with open_store(database, application="the first") as first, open_store(database) as second:
        await first.lock_writer()
        with pytest.raises(WriterLocked, match="the first"):
            await second.lock_writer()
    async with open_store(database) as third:
        await third.lock_writer()


async def test_a_database_of_another_chain_is_refused(database: str) -> None:
    async with open_store(database) as store:
        await store.lock_writer()
        await store.adopt_chain(b"1" * 32, "Bittensor", 42)
        await store.adopt_chain(b"1" * 32, "Bittensor", 42)
        with pytest.raises(WrongChain, match="holds Bittensor"):
            await store.adopt_chain(b"2" * 32, "Another", 42)


async def test_a_lost_connection_is_retryable(database: str) -> None:
    killer = await asyncpg.connect(database)
    async with open_store(database) as store:
        await store.lock_writer()
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'bittensor-indexer' AND datname = current_database()"
        )
        with pytest.raises(StoreError):
            await store.cursors()
    await killer.close()
