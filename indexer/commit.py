"""What one transaction writes: keyed tables with their history, logs, accounts, cursors and coverage.

Functions over an open transaction of ``store``; each leaves the tables consistent with the blocks it
was given. History and logs go in by COPY, which is several times faster than any INSERT.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import anyio.to_thread
from sqlalchemy.dialects.postgresql import JSONB

from indexer import statements
from indexer.merge import Key, Merged, Patch, Values, merge
from indexer.model import BlockRows, Row
from indexer.schema import Keyed, Log
from indexer.session import Connection

ROWS_PER_STATEMENT = 20_000
ROWS_MERGED_AT_ONCE = 50_000

_TEXT_OF = json.JSONEncoder(sort_keys=True).encode


def by_table(blocks: Iterable[BlockRows]) -> dict[str, list[Patch]]:
    """The rows of a run of blocks per table, in block order."""
    patches: defaultdict[str, list[Patch]] = defaultdict(list)
    for block in blocks:
        number = block.ref.number
        for row in block.rows:
            patches[row.table].append((number, row))
    return patches


@dataclass(frozen=True, slots=True)
class Written:
    """What has been appended to a table."""

    rows: int
    """History or log rows."""
    accounts: set[bytes]
    """Those in them that may have no text yet."""
    is_current: bool = True
    """False: the current rows have still to follow (``upkeep``)."""


async def write_table(connection: Connection, table: Keyed | Log, patches: list[Patch], *, anew: int) -> Written:
    """Write what is the whole of a table as of block ``anew``, but for the current rows where there are any:
    ``upkeep.renew`` brings them in line. What is stored and not among ``patches`` ends there.
    """
    if isinstance(table, Log):
        accounts, rows = await write_log(connection, table, patches)
        return Written(rows, accounts)
    found = await connection.fetch(statements.select_all(table))
    merged = await merge_on(table, dict(stored(table, found)), patches, anew)
    accounts = await append(connection, table, merged)
    if not found:
        columns = statements.current_columns(table)
        await connection.copy_records_to_table(table.current.name, records=merged.current, columns=columns)
    return Written(len(merged.history), accounts, is_current=not found or not merged.last_block)


async def read_rows(
    connection: Connection, table: Keyed, keys: Sequence[Key], select: str, *arguments: object
) -> dict[Key, Values]:
    """The rows that ``select`` finds for some keys, in the form patches have."""
    found: dict[Key, Values] = {}
    for part in parts(keys):
        found.update(stored(table, await connection.fetch(select, *arguments, *arrays(part, len(table.keys)))))
    return found


async def merge_on(table: Keyed, base: Mapping[Key, Values], patches: list[Patch], anew: int | None = None) -> Merged:
    """``merge``, in a thread if it takes seconds: the loop must turn."""
    plain = comparable_patches(table, patches)
    if len(patches) + len(base) <= ROWS_MERGED_AT_ONCE:
        return merge(table, base, plain, anew=anew)
    return await anyio.to_thread.run_sync(lambda: merge(table, base, plain, anew=anew))


def unmerged(table: Keyed, patches: list[Patch]) -> list[tuple[object, ...]]:
    """The patches of one block that give a value, each as a row of its own, NULL in the columns it does not name:
    (key…, value…)."""
    names, nothing = table.values, (None,) * len(table.values)
    return [
        (*row.key, *values)
        for _, row in comparable_patches(table, patches)
        if row.values is not None and (values := tuple(map(row.values.get, names))) != nothing
    ]


def stored(table: Keyed, found: Iterable[Iterable[object]]) -> Iterator[tuple[Key, Values]]:
    """Key and values of stored rows, in the form patches have; what follows them in a row is left out."""
    width, end = len(table.keys), len(table.keys) + len(table.values)
    names = _json_columns(table)
    positions = [at for at, name in enumerate(table.values) if name in names]
    for record in found:
        row = tuple(record)
        values = row[width:end]
        for at in positions:
            if values[at] is not None:
                values = _as_written(values, positions)
                break
        yield row[:width], values


def _as_written(values: Values, positions: Sequence[int]) -> Values:
    """asyncpg gives JSON as Postgres writes it, which orders keys its own way."""
    changed = list(values)
    for at in positions:
        value = changed[at]
        if isinstance(value, str):
            changed[at] = _TEXT_OF(json.loads(value))
    return tuple(changed)


async def append(connection: Connection, table: Keyed, merged: Merged) -> set[bytes]:
    """Append history rows; returns the accounts in them."""
    await append_rows(connection, table, merged.history)
    return accounts_in(merged.history, statements.appended_columns(table), table.accounts)


async def write_log(connection: Connection, table: Log, patches: list[Patch]) -> tuple[set[bytes], int]:
    """Append a log table's rows; returns the accounts in them, and how many they are."""
    records = log_records(table, patches)
    await append_rows(connection, table, records)
    return accounts_in(records, statements.appended_columns(table), table.accounts), len(records)


def log_records(table: Log, patches: list[Patch]) -> list[tuple[object, ...]]:
    """Rows of a log table."""
    names = table.values
    return [
        (number, *row.key, *map((row.values or {}).get, names)) for number, row in comparable_patches(table, patches)
    ]


async def append_rows(connection: Connection, table: Keyed | Log, rows: list[tuple[object, ...]]) -> None:
    """Append rows to a history or log."""
    if isinstance(table, Keyed):
        rows.sort()  # neighbours in the primary key, and in the indexes that begin as it does, go in together
    if rows:
        await connection.copy_records_to_table(
            statements.appended(table), records=rows, columns=statements.appended_columns(table)
        )


def accounts_in(rows: Sequence[tuple[object, ...]], columns: Sequence[str], accounts: Sequence[str]) -> set[bytes]:
    """The distinct accounts in some columns of ``rows``."""
    found: set[object] = set()
    for at, name in enumerate(columns):
        if name in accounts:
            found.update([row[at] for row in rows])
    return {value for value in found if isinstance(value, bytes)}


@lru_cache(maxsize=256)
def _json_columns(table: Keyed | Log) -> frozenset[str]:
    columns = table.table.columns if isinstance(table, Log) else table.current.columns
    return frozenset(name for name in table.values if isinstance(columns[name].type, JSONB))


def comparable_patches(table: Keyed | Log, patches: list[Patch]) -> list[Patch]:
    """Patches as Postgres takes them: JSON as text."""
    names = _json_columns(table)
    if not names:
        return patches
    return [
        one if (values := one[1].values) is None or names.isdisjoint(values) else (one[0], _with_text(one[1], names))
        for one in patches
    ]


def _with_text(row: Row, names: frozenset[str]) -> Row:
    values = dict(row.values or {})
    for name in names.intersection(values):
        if values[name] is not None:
            values[name] = _TEXT_OF(values[name])
    return Row(row.table, row.key, values)


async def keep_runtimes(connection: Connection, blocks: Sequence[BlockRows]) -> None:
    """Keep the metadata of every runtime that these blocks met, and the first block it executed."""
    for block in blocks:
        if block.runtime is not None:
            met = block.runtime
            await connection.execute(
                "INSERT INTO runtimes (code_hash, spec_version, first_block, metadata) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT (code_hash) DO UPDATE SET first_block = least(runtimes.first_block, excluded.first_block)",
                met.code_hash, met.spec_version, block.ref.number, met.metadata,
            )  # fmt: skip


def parts(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    """Rows as so many as a statement may take."""
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        yield rows[start : start + ROWS_PER_STATEMENT]


def arrays(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Rows as one array per column."""
    return [[row[at] for row in rows] for at in range(width)]
