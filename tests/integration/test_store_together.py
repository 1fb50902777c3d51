"""Few rows of many tables, read in one round trip and appended in another, are the rows that each table alone gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg
import pytest
from sqlalchemy import BigInteger, Boolean, DateTime, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from test_store import ALICE, BOB, CHOSEN, balance, block, hash_of

from indexer import datasets, statements, together
from indexer.model import BlockRef, Row
from indexer.scale import ss58_encode
from indexer.schema import AnyColumn, Keyed, Log
from indexer.store import open_store

pytestmark = pytest.mark.anyio

DATASETS = datasets.load()
TABLES: Mapping[str, Keyed | Log] = {table.name: table for dataset in DATASETS for table in dataset.tables}
BLOCKS = 7


def _value(chance: Random, column: AnyColumn) -> object:
    """One of a few values, so that some patches change nothing; sometimes none."""
    number = chance.randrange(3)
    if column.nullable and number == 0:
        return None
    match column.type:
        case Boolean():
            return number == 1
        case ARRAY():
            return [number, 2**62]
        case JSONB():
            parts = [("b", [1, None, "ä'\\"]), ("aa", {"amount": 2**80 + number})]
            chance.shuffle(parts)  # the same document
            return dict(parts)
        case DateTime():
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        case BigInteger() | Numeric():
            return 2**60 + number
        case Integer():
            return number
        case Text():
            return f"text 'of' \\{number}, {{x}}"
        case _:
            return bytes([number]) * 32


def _rows(table: Keyed | Log, number: int) -> Iterator[Row]:
    """A few rows of a block, of a few keys: new, changed in part or whole, as they were, ended."""
    if table.name == "blocks":
        return  # each block has its own
    chance = Random(f"{table.name} {number}")
    columns = (table.table if isinstance(table, Log) else table.current).columns
    if isinstance(table, Log):
        for at in range(chance.randrange(3)):
            yield Row(table.name, (at,), {name: _value(chance, columns[name]) for name in table.values})
        return
    if table.name == "balances" and number % 3 == 0:  # more than go together
        for at in range(together.ROWS_FEW + 5):
            yield balance(bytes([at]) * 32, number)
        return
    scope = dict(table.scope)
    for at in range(chance.randrange(4)):
        key = tuple(
            scope.get(name) or (at if isinstance(columns[name].type, Integer) else _value(Random(at), columns[name]))
            for name in table.keys
        )
        if chance.random() < 0.2:
            yield Row(table.name, key, None)
        else:
            some = [name for name in table.values if chance.random() < 0.6] or table.values
            yield Row(table.name, key, {name: _value(chance, columns[name]) for name in some})


async def _written(url: str) -> dict[str, list[tuple[object, ...]]]:
    """The line of ``BLOCKS`` blocks written into a database, a block or two at once; then all its rows by table.

    Current rows are what the histories say, and no row of a history repeats the one before it.
    """
    line = [
        block(number, *(row for table in TABLES.values() for row in _rows(table, number))) for number in range(BLOCKS)
    ]
    for runs in ((line[:1], line[1:2], line[2:4]), (line[4:5],), (line[5:6], line[6:])):
        async with open_store(url) as store:  # a new session remembers nothing
            await store.lock_writer()
            for run in runs:
                await store.write(run, DATASETS)
    found: dict[str, list[tuple[object, ...]]] = {}
    connection = await asyncpg.connect(url)
    for table in TABLES.values():
        names = [statements.appended(table), *([] if isinstance(table, Log) else [table.current.name])]
        for name in [*names, "accounts"]:
            rows = await connection.fetch(f"SELECT to_jsonb(t)::text FROM {name} t ORDER BY 1")
            found[name] = [tuple(row) for row in rows]
        if isinstance(table, Keyed):
            assert await connection.fetch(statements.disagreements(table)) == [], table.name
            keys = statements.quoted(table.keys)
            idle = await connection.fetch(
                "SELECT * FROM (SELECT *, row - 'block_number' = lag(row - 'block_number') OVER same_key AS is_same "
                f"FROM (SELECT to_jsonb(h) AS row, h.* FROM {table.history.name} h) h "
                f"WINDOW same_key AS (PARTITION BY {keys} ORDER BY block_number)) told WHERE is_same"
            )
            assert idle == [], table.name
    await connection.close()
    return found


async def test_tables_that_go_together_get_the_rows_that_they_get_alone(
    database: str, another_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where a migration has added a column that is declared before others.
    connection = await asyncpg.connect(database)
    await connection.execute("ALTER TABLE uid_history DROP COLUMN hotkey, ADD COLUMN hotkey bytea")
    await connection.close()
    by_all = await _written(database)
    monkeypatch.setattr(together, "TABLES_FEW", 1_000)
    by_each = await _written(another_database)
    assert sum(map(len, by_each.values())) > 500
    for name, rows in by_each.items():
        assert by_all[name] == rows, name


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    one = await asyncpg.connect(database)
    yield one
    await one.close()


async def test_an_account_has_its_text_with_the_first_row_that_names_it(
    database: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    async def addresses() -> set[str]:
        return {row[0] for row in await connection.fetch("SELECT address FROM accounts")}

    alice, bob = ss58_encode(ALICE, 42), ss58_encode(BOB, 42)
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0)], CHOSEN)
        await store.write([block(1, balance(ALICE, None))], CHOSEN)  # ends what never was
        assert await addresses() == set()
        await store.write([block(2, balance(ALICE, 1))], CHOSEN)
        assert await addresses() == {alice}
        await store.rewind(BlockRef(1, hash_of(1, 0)), CHOSEN)
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(2, balance(ALICE, 2), balance(BOB, 1))], CHOSEN)
        assert await addresses() == {alice, bob}


async def test_an_account_that_a_known_key_names_later_has_its_text(
    database: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    chosen = datasets.load(["blocks", "stake"])
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0)], chosen)
        for number, owner in enumerate((ALICE, BOB), 1):
            await store.write([block(number, Row("delegates", (ALICE,), {"owner": owner, "take": 1}))], chosen)
    found = {row[0] for row in await connection.fetch("SELECT account FROM accounts")}
    assert found == {ALICE, BOB}
