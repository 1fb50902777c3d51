"""What one transaction writes: keyed tables with their history, logs, accounts, cursors and coverage.

Functions over an open transaction of ``store``; each leaves the tables consistent with the blocks it
was given. History and logs go in by COPY, which is several times faster than any INSERT.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def by_table(blocks: Iterable[BlockRows]) -> dict[str, list[Patch]]:
    """The rows of a run of blocks per table, in block order."""
    patches: dict[str, list[Patch]] = {}
    for block in blocks:
        for row in block.rows:
            patches.setdefault(row.table, []).append((block.ref.number, row))
    return patches


async def write_table(
    connection: Connection, table: Keyed | Log, patches: list[Patch], *, anew: int | None
) -> tuple[set[bytes], int]:
    """Write one table's rows; returns the accounts that occur in them and the number of rows appended.

    ``anew`` is a block whose rows are the whole table: what is stored and not among them ends there.
    """
    if isinstance(table, Log):
        return await _write_log(connection, table, patches)
    is_empty = False
    if anew is None:
        merged = await _merged(connection, table, patches, statements.select_current(table))
    else:
        found = await connection.fetch(statements.select_all(table))
        merged = await _merge(table, dict(_stored(table, found)), patches, anew)
        is_empty = not found
    accounts = await _append(connection, table, merged)
    columns = statements.current_columns(table)
    if is_empty:
        await connection.copy_records_to_table(table.current.name, records=merged.current, columns=columns)
        return accounts, len(merged.history)
    for part in _parts(merged.gone):
        await connection.execute(statements.delete_current(table), *_arrays(part, len(table.keys)))
    for part in _parts(merged.current):
        arrays = _arrays(part, len(columns))
        for name in statements.vectors(table):
            at = columns.index(name)
            arrays[at] = [_vector_text(vector) for vector in arrays[at]]
        await connection.execute(statements.upsert_current(table), *arrays)
    return accounts, len(merged.history)


async def write_past(
    connection: Connection, table: Keyed | Log, patches: list[Patch], first: int
) -> tuple[set[bytes], int]:
    """Append to a table what happened in blocks before its last ones, from block ``first`` on; as ``write_table``.

    Current rows are left alone: see ``join_past``.
    """
    if isinstance(table, Log):
        return await _write_log(connection, table, patches)
    merged = await _merged(connection, table, patches, statements.select_before(table), first)
    return await _append(connection, table, merged), len(merged.history)


async def join_past(connection: Connection, table: Keyed | Log, after: int, stale: Sequence[Key]) -> None:
    """Bring current rows in line with a history that was filled in above block ``after``; ``stale`` keys too."""
    if isinstance(table, Keyed):
        await _rebuild(connection, table, list({*stale, *await _touched(connection, table, after)}))


async def forget_block(connection: Connection, table: Keyed | Log, number: int) -> list[Key]:
    """Delete what a history or log says of block ``number``, to be written anew; returns the keys it named."""
    return [tuple(record) for record in await connection.fetch(statements.delete_at(table), number)]


async def rewrite_table(
    connection: Connection, table: Keyed | Log, patches: list[Patch], first: int, end: int, *, anew: bool
) -> tuple[set[bytes], int]:
    """Replace what a table says of blocks ``first`` to ``end`` by ``patches``; as ``write_table``.

    Rows of later blocks stay, so block ``end`` must have been right before. ``anew``: the patches of block
    ``first`` are the whole table, and nothing is taken over from the blocks before it.
    """
    stale = {tuple(record) for record in await connection.fetch(statements.delete_between(table), first, end)}
    if isinstance(table, Log):
        return await _write_log(connection, table, patches)
    if anew:
        found = await connection.fetch(statements.read_as_of(table), first - 1)
        merged = await _merge(table, dict(_stored(table, found)), patches, first)
    else:
        merged = await _merged(connection, table, patches, statements.select_before(table), first)
    accounts = await _append(connection, table, merged)
    await _rebuild(connection, table, list(stale | {record[: len(table.keys)] for record in merged.history}))
    return accounts, len(merged.history)


async def _merged(
    connection: Connection, table: Keyed, patches: list[Patch], select: str, *arguments: object
) -> Merged:
    """The patches on the rows that ``select`` finds for their keys."""
    base: dict[Key, Values] = {}
    for part in _parts(list({row.key for _, row in patches})):
        found = await connection.fetch(select, *arguments, *_arrays(part, len(table.keys)))
        base.update(_stored(table, found))
    return await _merge(table, base, patches)


async def _merge(table: Keyed, base: Mapping[Key, Values], patches: list[Patch], anew: int | None = None) -> Merged:
    """``merge``, in a thread if it takes seconds: the loop must turn."""
    comparable = [(number, _comparable_row(table, row)) for number, row in patches]
    if len(patches) + len(base) <= ROWS_MERGED_AT_ONCE:
        return merge(table, base, comparable, anew=anew)
    return await anyio.to_thread.run_sync(lambda: merge(table, base, comparable, anew=anew))


async def as_whole(table: Keyed, patches: list[Patch]) -> list[tuple[object, ...]]:
    """What the patches of one block give where there was nothing before: the rows that exist, as ``write_table``
    would insert them into the current ones."""
    return (await _merge(table, {}, patches)).current


def _stored(table: Keyed, found: Iterable[Iterable[object]]) -> Iterator[tuple[Key, Values]]:
    """Key and values of stored rows, in the form patches have."""
    width = len(table.keys)
    for record in found:
        row = tuple(record)
        yield row[:width], _comparable(table, row[width : width + len(table.values)])


async def _append(connection: Connection, table: Keyed, merged: Merged) -> set[bytes]:
    """Append history rows; returns the accounts in them."""
    columns = statements.history_columns(table)
    await connection.copy_records_to_table(table.history.name, records=merged.history, columns=columns)
    return _accounts(merged.history, columns, table.accounts)


async def _write_log(connection: Connection, table: Log, patches: list[Patch]) -> tuple[set[bytes], int]:
    """Append a log table's rows."""
    columns = statements.log_columns(table)
    records = [
        (number, *row.key, *((plain.values or {}).get(name) for name in table.values))
        for number, row in patches
        for plain in (_comparable_row(table, row),)
    ]
    await connection.copy_records_to_table(table.name, records=records, columns=columns)
    return _accounts(records, columns, table.accounts), len(records)


def _accounts(rows: Iterable[tuple[object, ...]], columns: Sequence[str], accounts: Sequence[str]) -> set[bytes]:
    """The distinct accounts in some columns of ``rows``."""
    positions = [at for at, name in enumerate(columns) if name in accounts]
    return {value for row in rows for at in positions if isinstance(value := row[at], bytes)}


@lru_cache(maxsize=256)
def _json_columns(table: Keyed | Log) -> frozenset[str]:
    columns = table.table.columns if isinstance(table, Log) else table.current.columns
    return frozenset(name for name in table.values if isinstance(columns[name].type, JSONB))


def _comparable_row(table: Keyed | Log, row: Row) -> Row:
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
        await connection.execute(statements.delete_above(table), to)
        return
    touched = await _touched(connection, table, to)
    await connection.execute(statements.delete_above(table), to)
    await _rebuild(connection, table, touched)


async def _touched(connection: Connection, table: Keyed, since: int) -> list[Key]:
    """Keys with a change above block ``since``."""
    return [tuple(record) for record in await connection.fetch(statements.touched_since(table), since)]


async def _rebuild(connection: Connection, table: Keyed, touched: Sequence[Key]) -> None:
    """Make the current rows of some keys what the latest row of their history says."""
    for part in _parts(touched):
        arrays = _arrays(part, len(table.keys))
        await connection.execute(statements.delete_current(table), *arrays)
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
        await connection.execute(statements.clear_ends(table), *arrays)
        await connection.execute(statements.drop_void_ends(table), *arrays)
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
    await _rebuild(connection, table, list(wanted))
    return _accounts(records, statements.history_columns(table), table.accounts)


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


def _parts(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        yield rows[start : start + ROWS_PER_STATEMENT]


def _vector_text(vector: object) -> str | None:
    """An array of whole numbers as Postgres writes it."""
    return "{" + ",".join(map(str, vector)) + "}" if isinstance(vector, list) else None


def _arrays(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Rows as one array per column."""
    return [[row[at] for row in rows] for at in range(width)]
