"""What one transaction writes: keyed tables with their history, logs, accounts, cursors and coverage.

Functions over an open transaction of ``store``; each leaves the tables consistent with the blocks it
was given. History and logs go in by COPY, which is several times faster than any INSERT.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import anyio.to_thread
from sqlalchemy.dialects.postgresql import JSONB

from indexer import statements
from indexer.merge import Key, Patch, Values, merge
from indexer.model import BlockRef, BlockRows, Row
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


async def write_table(
    connection: Connection, table: Keyed | Log, patches: list[Patch], *, fresh: bool
) -> tuple[set[bytes], int]:
    """Write one table's rows; returns the accounts that occur in them and the number of rows appended.

    ``fresh`` says that the table is empty, as it is before a bootstrap.
    """
    if isinstance(table, Keyed):
        return await _write_keyed(connection, table, patches, fresh)
    return await _write_log(connection, table, patches)


async def _write_keyed(
    connection: Connection, table: Keyed, patches: list[Patch], fresh: bool
) -> tuple[set[bytes], int]:
    """Append a keyed table's history and bring its current rows up to date."""
    base: dict[Key, Values] = {}
    width = len(table.keys)
    for part in [] if fresh else _parts(list({row.key for _, row in patches})):
        found = await connection.fetch(statements.select_current(table.name, table), *_arrays(part, width))
        base.update((tuple(record)[:width], _comparable(table, tuple(record)[width:])) for record in found)
    comparable = [(number, _comparable_row(table, row)) for number, row in patches]
    if len(patches) > ROWS_MERGED_AT_ONCE:
        merged = await anyio.to_thread.run_sync(merge, table, base, comparable)  # seconds of work: the loop must turn
    else:
        merged = merge(table, base, comparable)
    columns = statements.current_columns(table)
    await connection.copy_records_to_table(
        table.history.name, records=merged.history, columns=statements.history_columns(table)
    )
    if fresh:
        await connection.copy_records_to_table(table.name, records=merged.current, columns=columns)
    else:
        for part in _parts(merged.gone):
            await connection.execute(statements.delete_current(table.name, table), *_arrays(part, width))
        for part in _parts(merged.current):
            await connection.execute(statements.upsert_current(table.name, table), *_arrays(part, len(columns)))
    return _accounts(merged.history, statements.history_columns(table), table.accounts), len(merged.history)


async def _write_log(connection: Connection, table: Log, patches: list[Patch]) -> tuple[set[bytes], int]:
    """Append a log table's rows."""
    columns = statements.log_columns(table)
    records = [(number, *row.key, *((row.values or {}).get(name) for name in table.values)) for number, row in patches]
    await connection.copy_records_to_table(table.name, records=records, columns=columns)
    return _accounts(records, columns, table.accounts), len(records)


def _accounts(rows: Iterable[tuple[object, ...]], columns: Sequence[str], accounts: Sequence[str]) -> set[bytes]:
    """The distinct accounts in some columns of ``rows``."""
    positions = [at for at, name in enumerate(columns) if name in accounts]
    return {value for row in rows for at in positions if isinstance(value := row[at], bytes)}


@lru_cache(maxsize=256)
def _json_columns(table: Keyed) -> frozenset[str]:
    return frozenset(name for name in table.values if isinstance(table.current.columns[name].type, JSONB))


def _comparable_row(table: Keyed, row: Row) -> Row:
    """The row as Postgres takes it: JSON as text."""
    names = _json_columns(table)
    if row.values is None or not names:
        return row
    values = {
        name: json.dumps(value, sort_keys=True) if name in names and value is not None else value
        for name, value in row.values.items()
    }
    return Row(row.table, row.key, values)


def _comparable(table: Keyed, values: Values) -> Values:
    """A stored row in the same form: asyncpg gives JSON as Postgres writes it, which orders keys its own way."""
    names = _json_columns(table)
    if not names:
        return values
    return tuple(
        json.dumps(json.loads(value), sort_keys=True) if name in names and isinstance(value, str) else value
        for name, value in zip(table.values, values, strict=True)
    )


async def rewind_table(connection: Connection, table: Keyed | Log, to: int) -> None:
    """Forget what a table says of blocks above ``to``; current rows fall back on the history that is left."""
    if isinstance(table, Log):
        await connection.execute(statements.delete_above(table.table), to)
        return
    touched = [tuple(record) for record in await connection.fetch(statements.touched_since(table), to)]
    await connection.execute(statements.delete_above(table.history), to)
    for part in _parts(touched):
        arrays = _arrays(part, len(table.keys))
        await connection.execute(statements.delete_current(table.name, table), *arrays)
        await connection.execute(statements.rebuild_current(table), *arrays)


async def repair_table(connection: Connection, table: Keyed | Log, number: int, rows: Sequence[Row]) -> set[bytes]:
    """Make some rows, each given whole, what they are said to be as of block ``number``, the last one committed.

    Nothing is appended where the history says so already. Returns the accounts that occur in the rows.
    """
    if isinstance(table, Log):
        await connection.execute(f"DELETE FROM {table.table.name} WHERE block_number = $1", number)
        return (await _write_log(connection, table, [(number, row) for row in rows]))[0]
    nothing: Values = (None,) * len(table.values)
    wanted: dict[Key, Values] = {}
    for row in rows:
        whole = _comparable_row(table, row).values
        wanted[row.key] = nothing if whole is None else tuple(whole[name] for name in table.values)
    width, records = len(table.keys), []
    for part in _parts(list(wanted)):
        arrays = _arrays(part, width)
        await connection.execute(statements.delete_history(table), *arrays, number)
        found = await connection.fetch(statements.latest_of(table), *arrays)
        before = {
            tuple(record)[:width]: _comparable(table, tuple(record)[width:-1]) for record in found if record["exists"]
        }
        records += [
            (*key, number, *wanted[key], wanted[key] != nothing)
            for key in part
            if wanted[key] != before.get(key, nothing)
        ]
    await connection.copy_records_to_table(
        table.history.name, records=records, columns=statements.history_columns(table)
    )
    for part in _parts(list(wanted)):
        arrays = _arrays(part, width)
        await connection.execute(statements.delete_current(table.name, table), *arrays)
        await connection.execute(statements.rebuild_current(table), *arrays)
    return _accounts(records, statements.history_columns(table), table.accounts)


async def advance(connection: Connection, dataset: str, blocks: Sequence[BlockRows], token: int) -> None:
    """Move a dataset's cursor and coverage over ``blocks``, as the writer that holds ``token``."""
    first, last = blocks[0], blocks[-1]
    finalized = max((block.ref.number for block in blocks if block.finalized), default=None)
    await connection.execute(
        "INSERT INTO cursors "
        "(dataset, start_block, block_number, block_hash, finalized_block, committed_at, writer_token) "
        "VALUES ($1, $2, $3, $4, $5, now(), $6) ON CONFLICT (dataset) DO UPDATE SET "
        "block_number = excluded.block_number, block_hash = excluded.block_hash, committed_at = excluded.committed_at, "
        "writer_token = excluded.writer_token, "
        "finalized_block = coalesce(excluded.finalized_block, cursors.finalized_block)",
        dataset, first.ref.number, last.ref.number, last.ref.hash, finalized, token,
    )  # fmt: skip
    for start, end, complete in _runs(blocks):
        grown = await connection.execute(
            "UPDATE coverage SET last_block = $3 WHERE dataset = $1 AND last_block = $2 - 1 AND complete = $4",
            dataset, start, end, complete,
        )  # fmt: skip
        if grown == "UPDATE 0":
            await connection.execute(
                "INSERT INTO coverage (dataset, first_block, last_block, complete) VALUES ($1, $2, $3, $4)",
                dataset, start, end, complete,
            )  # fmt: skip


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


def _runs(blocks: Sequence[BlockRows]) -> Iterator[tuple[int, int, bool]]:
    """(first, last, complete) of each stretch of blocks with the same completeness."""
    start = 0
    for at in range(1, len(blocks) + 1):
        if at == len(blocks) or blocks[at].complete != blocks[start].complete:
            yield blocks[start].ref.number, blocks[at - 1].ref.number, blocks[start].complete
            start = at


def _parts(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        yield rows[start : start + ROWS_PER_STATEMENT]


def _arrays(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Rows as one array per column."""
    return [[row[at] for row in rows] for at in range(width)]


async def rewind_cursor(connection: Connection, dataset: str, to: BlockRef) -> None:
    """Move a dataset's cursor and coverage back to block ``to``."""
    await connection.execute(
        "UPDATE cursors SET block_number = $2, block_hash = $3, committed_at = now() WHERE dataset = $1",
        dataset, to.number, to.hash,
    )  # fmt: skip
    await connection.execute("DELETE FROM coverage WHERE dataset = $1 AND first_block > $2", dataset, to.number)
    await connection.execute(
        "UPDATE coverage SET last_block = $2 WHERE dataset = $1 AND last_block > $2", dataset, to.number
    )
