"""What the store remembers of rows never outlives its truth: tests write what memory would hold for known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
from test_store import ALICE, BOB, CHOSEN, balance, block, frees, hash_of

from indexer import datasets
from indexer.errors import IndexerError
from indexer.model import BlockRef, BlockRows, Row
from indexer.recent import Recent
from indexer.session import Connection
from indexer.store import Store, open_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with open_store(database) as one:
        await one.lock_writer()
        yield one


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    one = await asyncpg.connect(database)
    yield one
    await one.close()


async def test_a_row_that_was_rewound_is_written_again(store: Store, connection: Connection) -> None:
    await store.write([block(0, balance(ALICE, 5))], CHOSEN)
    await store.write([block(1, balance(ALICE, 6))], CHOSEN)
    await store.rewind(BlockRef(0, hash_of(0, 0)), CHOSEN)
    await store.write([block(1, balance(ALICE, 6), fork=1)], CHOSEN)
    assert await frees(connection, 1) == await frees(connection) == {ALICE: 6}


async def test_a_row_of_a_failed_transaction_is_written_again(store: Store, connection: Connection) -> None:
    await store.write([block(0, balance(ALICE, 5))], CHOSEN)
    await connection.execute("ALTER TABLE blocks ADD CONSTRAINT no_one CHECK (block_number <> 1)")
    with pytest.raises(IndexerError, match="no_one"):
        await store.write([block(1, balance(ALICE, 6), balance(BOB, 7))], CHOSEN)
    await connection.execute("ALTER TABLE blocks DROP CONSTRAINT no_one")
    await store.write([block(1, balance(ALICE, 6), balance(BOB, 7))], CHOSEN)
    assert await frees(connection, 1) == await frees(connection) == {ALICE: 6, BOB: 7}
    assert await connection.fetchval("SELECT count(*) FROM accounts WHERE account = $1", BOB) == 1


async def test_a_row_that_a_bootstrap_ended_may_return_as_it_was(store: Store, connection: Connection) -> None:
    await store.write([block(0, balance(ALICE, 5))], CHOSEN)
    await store.write([block(1, balance(BOB, 7))], CHOSEN)
    await store.write([_whole(5, balance(ALICE, 6))], CHOSEN)
    await store.write([block(6, balance(BOB, 7))], CHOSEN)
    assert await frees(connection, 5) == {ALICE: 6}
    assert await frees(connection, 6) == await frees(connection) == {ALICE: 6, BOB: 7}


async def test_a_row_that_another_writer_changed_is_read_anew(store: Store, connection: Connection) -> None:
    await store.write([block(0)], CHOSEN)
    await store.write([block(1, balance(ALICE, 5))], CHOSEN)
    await connection.execute("UPDATE balances SET free = 7")  # as that writer would leave it
    await connection.execute("UPDATE balance_history SET free = 7")
    await store.lock_writer()
    await store.write([block(2, balance(ALICE, 5))], CHOSEN)
    assert await frees(connection, 2) == await frees(connection) == {ALICE: 5}


async def test_a_row_that_is_known_is_not_asked_for(store: Store, connection: Connection) -> None:
    await store.write([block(0)], CHOSEN)
    await store.write([block(1, balance(ALICE, 5))], CHOSEN)
    await connection.execute("UPDATE balances SET free = 7")
    await store.mark_finalized(BlockRef(1, hash_of(1, 0)))
    await store.write([block(2, balance(ALICE, 5))], CHOSEN)
    assert await frees(connection) == {ALICE: 7}, "nothing but this writer writes, so nothing was changed"


async def test_rows_of_another_dataset_in_the_same_table_stay_as_they_are(store: Store, connection: Connection) -> None:
    ahead, behind = (datasets.load([f"Some.{name}"]) for name in ("Ahead", "Behind"))

    def row(item: str, value: str) -> Row:
        return Row(f"Some.{item}", ("Some", item, b""), {"key": [], "value": value, "value_raw": value.encode()})

    for number in range(4):
        await store.write([block(number, row("Ahead", f"of {number}"))], ahead)
    await store.write([block(0, row("Behind", "of 0"))], behind)
    await store.write([block(1), block(2, row("Behind", "of 2"))], behind)
    found = await connection.fetch("SELECT item, block_number FROM storage_values ORDER BY item")
    assert [tuple(one) for one in found] == [("Ahead", 3), ("Behind", 2)]


def test_what_is_remembered_is_bounded_and_what_is_wanted_again_stays() -> None:
    recent = Recent(most=10)
    for number in range(100):
        recent.keep("made", {(0,): (number,), (1 + number,): (number,)})
        assert len(recent) <= 12
    found, unknown = recent.find("made", [(0,), (1,), (100,)])
    assert (found, unknown) == ({(0,): (99,), (100,): (99,)}, [(1,)])
    assert recent.find("other", [(0,)]) == ({}, [(0,)])
    recent.keep("large", {(number,): (number,) for number in range(6)})
    assert len(recent) == 0


def _whole(number: int, *rows: Row) -> BlockRows:
    return replace(block(number, *rows), bootstrap=True)
