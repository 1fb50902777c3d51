"""What one transaction writes: keyed tables with their history, logs, accounts, cursors and coverage.

Functions over an open transaction of ``store``; each leaves the tables consistent with the blocks it
was given. History and logs go in by COPY, which is several times faster than any INSERT.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import anyio.to_thread
from sqlalchemy.dialects.postgresql import JSONB

from indexer import statements
from indexer.merge import Key, Merged, Patch, Values, merge
from indexer.model import BlockRows, Row
from indexer.recent import Recent
from indexer.schema import Keyed, Log
from indexer.session import Connection

ROWS_PER_STATEMENT = 20_000
ROWS_MERGED_AT_ONCE = 50_000


def by_table(blocks: Iterable[BlockRows]) -> dict[str, list[Patch]]:
    """The rows of a run of blocks per table, in block order."""
    patches: dict[str, list[Patch]] = {}
    for block in blocks:
        for row in block.rows:
            patches.setdefault(row.table, []).append((block.ref.number, row))
    return patches


@dataclass(frozen=True, slots=True)
class Written:
    """What ``write_table`` has done."""

    rows: int
    """History or log rows appended."""
    accounts: set[bytes]
    """Those that occur in them."""
    is_current: bool
    """False: the current rows have still to follow (``upkeep``)."""


async def write_table(
    connection: Connection, table: Keyed | Log, patches: list[Patch], recent: Recent, *, anew: int | None
) -> Written:
    """Write one table's rows, but for the current rows that exist after them: ``upkeep.renew`` takes them over.

    ``anew`` is a block whose rows are the whole table: what is stored and not among them ends there.
    """
    if isinstance(table, Log):
        accounts, rows = await write_log(connection, table, patches)
        return Written(rows, accounts, is_current=True)
    is_empty = False
    if anew is None:
        base, unknown = recent.find(table.name, {row.key for _, row in patches})
        base.update(await read_rows(connection, table, unknown, statements.select_current(table)))
        merged = await merge_on(table, base, patches)
        recent.keep(table.name, merged.state)
    else:
        found = await connection.fetch(statements.select_all(table))
        merged = await merge_on(table, dict(stored(table, found)), patches, anew)
        is_empty = not found
    accounts = await append(connection, table, merged)
    if is_empty:
        columns = statements.current_columns(table)
        await connection.copy_records_to_table(table.current.name, records=merged.current, columns=columns)
    for part in parts(merged.gone):
        await connection.execute(statements.delete_current(table), *arrays(part, len(table.keys)))
    return Written(len(merged.history), accounts, is_current=is_empty or not merged.last_block)


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


def stored(table: Keyed, found: Iterable[Iterable[object]]) -> Iterator[tuple[Key, Values]]:
    """Key and values of stored rows, in the form patches have; what follows them in a row is left out."""
    width, end = len(table.keys), len(table.keys) + len(table.values)
    names = _json_columns(table)
    positions = [at for at, name in enumerate(table.values) if name in names]
    for record in found:
        row = tuple(record)
        yield row[:width], _as_written(row[width:end], positions)


def _as_written(values: Values, positions: Sequence[int]) -> Values:
    """asyncpg gives JSON as Postgres writes it, which orders keys its own way."""
    if all(values[at] is None for at in positions):
        return values
    changed = list(values)
    for at in positions:
        value = changed[at]
        if isinstance(value, str):
            changed[at] = json.dumps(json.loads(value), sort_keys=True)
    return tuple(changed)


async def append(connection: Connection, table: Keyed, merged: Merged) -> set[bytes]:
    """Append history rows; returns the accounts in them."""
    columns = statements.history_columns(table)
    if merged.history:
        merged.history.sort()  # neighbours in the primary key, and in the indexes that begin as it does, go in together
        await connection.copy_records_to_table(table.history.name, records=merged.history, columns=columns)
    return accounts_in(merged.history, columns, table.accounts)


async def write_log(connection: Connection, table: Log, patches: list[Patch]) -> tuple[set[bytes], int]:
    """Append a log table's rows; returns the accounts in them, and how many they are."""
    columns, names = statements.log_columns(table), table.values
    records = [
        (number, *row.key, *map((row.values or {}).get, names)) for number, row in comparable_patches(table, patches)
    ]
    await connection.copy_records_to_table(table.name, records=records, columns=columns)
    return accounts_in(records, columns, table.accounts), len(records)


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


def _with_text(row: Row, names: Iterable[str]) -> Row:
    values = row.values or {}
    texts = {name: json.dumps(values[name], sort_keys=True) for name in names if values.get(name) is not None}
    return Row(row.table, row.key, {**values, **texts}) if texts else row


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
