"""What a person can do to the tables with psql: rows altered, deleted and made up, and all of it undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from indexer.schema import KEYED, Keyed

OTHER_VALUE = {
    "BIGINT": '"{0}" + 1',
    "ARRAY": 'array_append("{0}", 1)',
    "INTEGER": '"{0}" + 1',
    "NUMERIC": '"{0}" + 1',
    "BOOLEAN": 'NOT "{0}"',
    "BYTEA": 'decode(md5("{0}") || md5("{0}"), \'hex\')',
    "JSONB": "'\"altered\"'",
}
OTHER_KEY = {"INTEGER": "999", "BYTEA": "decode(repeat('ab', 32), 'hex')", "TEXT": "'bogus'", "BOOLEAN": "true"}


def kind(table: Keyed, column: str) -> str:
    return str(table.current.columns[column].type).partition("(")[0].replace("BLOB", "BYTEA")


async def fullest(connection: asyncpg.Connection[Any], table: Keyed) -> asyncpg.Record | None:
    """The current row with the most columns set."""
    count = " + ".join(f'("{name}" IS NOT NULL)::int' for name in table.values)
    return await connection.fetchrow(f"SELECT * FROM {table.name} ORDER BY {count} DESC, 1 LIMIT 1")


class Hand:
    """A person with psql: alters a row in the current table, the latest of its history, or both alike."""

    def __init__(self, connection: asyncpg.Connection[Any], table: Keyed, row: asyncpg.Record, where: str) -> None:
        self._connection, self._table, self._where = connection, table, where
        self.key = tuple(row[name] for name in table.keys)
        self._block = row["block_number"]
        self._match = " AND ".join(f'"{name}" = ${at}' for at, name in enumerate(table.keys, 1))

    async def _each(self, statement: str) -> None:
        if self._where in ("current", "both"):
            done = await self._connection.execute(statement.format(table=self._table.current.name), *self.key)
            assert done.split()[-1] == "1", done
        if self._where in ("history", "both"):
            at = f" AND block_number = {self._block}"
            done = await self._connection.execute(statement.format(table=self._table.history.name) + at, *self.key)
            assert done.split()[-1] == "1", done

    async def update(self, column: str) -> None:
        value = OTHER_VALUE[kind(self._table, column)].format(column)
        await self._each(f'UPDATE {{table}} SET "{column}" = {value} WHERE {self._match}')

    async def delete(self) -> None:
        await self._each(f"DELETE FROM {{table}} WHERE {self._match}")

    async def insert(self) -> None:
        """The same row again, under a key that nothing has."""
        first, *others = self._table.keys
        new = OTHER_KEY[kind(self._table, first)]
        targets = {"current": self._table.current, "history": self._table.history}
        for name, target in targets.items():
            if self._where not in (name, "both"):
                continue
            columns = (*others, "block_number", *self._table.values, *(("exists",) if name == "history" else ()))
            rest = ", ".join(f'"{column}"' for column in columns)
            await self._connection.execute(
                f'INSERT INTO {target.name} ("{first}", {rest}) SELECT {new}, {rest} FROM {target.name} '
                f"WHERE {self._match} AND block_number = {self._block}",
                *self.key,
            )
        self.key = (await self._connection.fetchval(f"SELECT {new}"), *self.key[1:])


@asynccontextmanager
async def kept(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Whatever happens inside is undone at the end."""
    tables = [name for one in KEYED.values() for name in (one.current.name, one.history.name)] + ["accounts", "blocks"]
    for name in tables:
        await connection.execute(f"CREATE TEMP TABLE kept_{name} AS TABLE {name}")
    yield
    for name in tables:
        await connection.execute(f"TRUNCATE {name}")
        await connection.execute(f"INSERT INTO {name} TABLE kept_{name}")
        await connection.execute(f"DROP TABLE kept_{name}")
