"""One consistent reading of the tables while the indexer goes on writing: what ``verify`` compares.

A repeatable-read transaction on a connection of its own; it changes nothing. Rows come in parts, as of a
block: the current ones where nothing is newer, else those the history gives.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from sqlalchemy.dialects.postgresql import JSONB

from indexer import coverage, statements
from indexer.coverage import Cursor
from indexer.schema import Keyed, Log
from indexer.session import Connection
from indexer.sqlstate import FOREIGN, mapped_errors

ROWS_PER_PART = 2000

Columns: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database says at one moment. Made by ``open_snapshot``; used by one task at a time."""

    connection: Connection
    cursors: Mapping[str, Cursor]
    """By dataset."""
    runtimes: Sequence[tuple[bytes, int, bytes]]
    """(code hash, first block, metadata), in order of first block."""
    ss58_prefix: int

    async def rows(self, table: Keyed, block: int, *, is_tip: bool) -> AsyncIterator[list[Columns]]:
        """Every row of a keyed table as of ``block``, in parts; ``is_tip``: no later block is committed."""
        query, given = _read(table, block, is_tip)
        with mapped_errors(f"read {table.name}"):
            cursor = await self.connection.cursor(query, *given)
            while part := await cursor.fetch(ROWS_PER_PART):
                yield [self._columns(table, record) for record in part]

    async def sample(self, table: Keyed, block: int, count: int, *, is_tip: bool) -> list[Columns]:
        """Some rows as of ``block``, at random."""
        query, given = _read(table, block, is_tip)
        with mapped_errors(f"read {table.name}"):
            found = await self.connection.fetch(f"{query} ORDER BY random() LIMIT {count:d}", *given)
        return [self._columns(table, record) for record in found]

    async def these(self, table: Keyed, block: int, keys: Sequence[Key], *, is_tip: bool) -> list[Columns]:
        """The rows under some keys as of ``block``, those that exist."""
        query, given = _read(table, block, is_tip)
        arrays = [[key[at] for key in keys] for at in range(len(table.keys))]
        with mapped_errors(f"read {table.name}"):
            found = await self.connection.fetch(statements.these(table, query, len(given)), *given, *arrays)
        return [self._columns(table, record) for record in found]

    async def accounts(self, tables: Iterable[Keyed | Log]) -> AsyncIterator[list[tuple[bytes, str | None]]]:
        """Every account that occurs in the current rows or has a text, and its text, in parts."""
        used = [
            f'SELECT "{name}" AS account FROM {table.name} WHERE "{name}" IS NOT NULL'
            for table in tables
            for name in table.accounts
        ]
        query = " UNION ".join(["SELECT account FROM accounts", *used])
        with mapped_errors("read accounts"):
            cursor = await self.connection.cursor(
                f"SELECT account, address FROM ({query}) used LEFT JOIN accounts USING (account) ORDER BY account"
            )
            while part := await cursor.fetch(ROWS_PER_PART):
                yield [tuple(record) for record in part]

    async def about(self, tables: Iterable[Keyed]) -> int:
        """Current rows of some tables, as the planner guesses them; 0 where it never looked."""
        query = "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class WHERE oid = ANY($1::regclass[])"
        with mapped_errors("estimate the rows"):
            return int(await self.connection.fetchval(query, [table.current.name for table in tables]))

    async def disagreements(self, table: Keyed) -> list[Key]:
        """Keys whose current row is not the latest of the history."""
        with mapped_errors(f"compare {table.name} with its history"):
            return [tuple(record) for record in await self.connection.fetch(statements.disagreements(table))]

    async def log_rows(self, table: Log, block: int) -> list[Columns]:
        """What a log table says of a block."""
        with mapped_errors(f"read {table.name}"):
            names = statements.quoted((*table.keys, *table.values))
            found = await self.connection.fetch(f"SELECT {names} FROM {table.name} WHERE block_number = $1", block)
        return [self._columns(table, record) for record in found]

    def _columns(self, table: Keyed | Log, record: asyncpg.Record) -> Columns:
        row = dict(record)
        columns = table.table.columns if isinstance(table, Log) else table.current.columns
        for name in table.values:
            if isinstance(row[name], str) and isinstance(columns[name].type, JSONB):
                row[name] = json.loads(row[name])
        return row


def _read(table: Keyed, block: int, is_tip: bool) -> tuple[str, tuple[int, ...]]:
    """The query for a table's rows as of a block, and its parameters."""
    return (statements.read_current(table), ()) if is_tip else (statements.read_as_of(table), (block,))


@asynccontextmanager
async def open_snapshot(dsn: str, *, timeout_s: float = 30.0) -> AsyncIterator[Snapshot]:
    """The database as it is now, for as long as the context. Raises ``StoreError`` or ``ConfigError``."""
    with mapped_errors("connect to the database"):
        connection = await asyncpg.connect(
            dsn,
            timeout=timeout_s,
            # Whole tables are read, by a role whose other statements may have to be short.
            server_settings={"application_name": "bittensor-indexer verify", "statement_timeout": "0"},
        )
    try:
        with mapped_errors("read cursors and runtimes"):
            # Never ended but with the connection: ending it would fail anew on one that was lost.
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            cursors = await connection.fetch("SELECT * FROM cursors")
            runtimes = await connection.fetch(
                "SELECT code_hash, first_block, metadata FROM runtimes ORDER BY first_block"
            )
            prefix = await connection.fetchval("SELECT ss58_prefix FROM chain")
        yield Snapshot(
            connection,
            coverage.cursors(cursors),
            [(row["code_hash"], row["first_block"], row["metadata"]) for row in runtimes],
            42 if prefix is None else prefix,
        )
    finally:
        with suppress(*FOREIGN):
            await connection.close(timeout=3)
