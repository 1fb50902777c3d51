"""The one oracle of all disturbances: every row of every table, without what clocks and starts decide."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

from indexer import datasets, schema

VOLATILE = frozenset({"committed_at", "started_at", "writer_token", "token", "holder", "since", "head_block"})
Tables: TypeAlias = dict[str, list[tuple[object, ...]]]


async def all_rows(dsn: str) -> Tables:
    """Sorted rows by table."""
    assert datasets.DATASETS, "importing the datasets declares their tables"
    connection = await asyncpg.connect(dsn)
    try:
        return {table: await _rows(connection, table) for table in schema.metadata.tables}
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection[asyncpg.Record], table: str) -> list[tuple[object, ...]]:
    columns = [c.name for c in schema.metadata.tables[table].columns if c.name not in VOLATILE]
    names = ", ".join(f'"{name}"' for name in columns)
    rows = await connection.fetch(f"SELECT {names} FROM {table} ORDER BY {names}")
    return [tuple(tuple(part) if isinstance(part, list) else part for part in row) for row in rows]


def assert_equal(found: Tables, wanted: Tables) -> None:
    """Fail with the first rows that differ, not with a wall of text."""
    for table in wanted:
        if found[table] != wanted[table]:
            extra = [row for row in found[table] if row not in wanted[table]][:3]
            missing = [row for row in wanted[table] if row not in found[table]][:3]
            raise AssertionError(f"{table} differs: only found {extra!r:.400}, only wanted {missing!r:.400}")
