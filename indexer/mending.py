"""Rows of blocks that are not the next ones: a past filled in, replaced, taken back, repaired.

Functions over an open transaction of ``store``, beside ``commit``, which appends. Each leaves current rows what the
latest row of their history says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from indexer import coverage, statements
from indexer.commit import (
    accounts_in,
    append,
    arrays,
    by_table,
    comparable_patches,
    keep_runtimes,
    merge_on,
    parts,
    read_rows,
    stored,
    write_log,
)
from indexer.datasets.base import Dataset
from indexer.errors import StoreError
from indexer.merge import Key, Merged, Patch, Values
from indexer.model import BlockRef, BlockRows, Row
from indexer.schema import Keyed, Log
from indexer.session import Connection

WriteAccounts: TypeAlias = Callable[[Connection, set[bytes]], Awaitable[None]]


async def fill(
    connection: Connection, blocks: Sequence[BlockRows], datasets: Sequence[Dataset], last: int, accounts: WriteAccounts
) -> dict[str, int]:
    """``Store.fill``, within its transaction."""
    written: dict[str, int] = {}
    patches, first, end = by_table(blocks), blocks[0].ref.number, blocks[-1].ref.number
    for dataset in datasets:
        hole = next((h for h in await coverage.holes(connection) if (h.dataset, h.last) == (dataset.name, last)), None)
        if hole is None or hole.after.number != first - 1:
            raise StoreError(f"dataset {dataset.name} has no hole from block {first} to {last} any more")
        for table in dataset.tables:
            stale = await forget_block(connection, table, end) if end > last else []
            found, written[table.name] = await write_past(connection, table, patches.get(table.name, []), first)
            await accounts(connection, found)
            if end > last:
                await join_past(connection, table, hole.began - 1, stale)
        await coverage.fill(connection, dataset.name, blocks, hole)
    await keep_runtimes(connection, blocks)
    return written


async def prove(
    connection: Connection, blocks: Sequence[BlockRows], datasets: Sequence[Dataset], accounts: WriteAccounts
) -> dict[str, int]:
    """``Store.prove``, within its transaction."""
    written: dict[str, int] = {}
    patches, first, end = by_table(blocks), blocks[0].ref.number, blocks[-1].ref.number
    runs = {(run.dataset, run.last) for run in await coverage.unproven(connection) if run.first <= first}
    for dataset in datasets:
        if (dataset.name, end - 1) not in runs:
            raise StoreError(f"dataset {dataset.name} has no unproven blocks from {first} to {end - 1} any more")
        for table in dataset.tables:
            found, written[table.name] = await rewrite_table(
                connection, table, patches.get(table.name, []), first, end, anew=blocks[0].bootstrap
            )
            await accounts(connection, found)
        await coverage.cover_anew(connection, dataset.name, blocks)
    await keep_runtimes(connection, blocks)
    return written


async def take_back(connection: Connection, dataset: Dataset, blocks: Sequence[BlockRows]) -> None:
    """Forget the blocks that ``blocks`` are to replace. Raises ``StoreError`` if they are not the last ones."""
    last, before = blocks[-1].ref, BlockRef(blocks[0].ref.number - 1, blocks[0].parent_hash)
    if await connection.fetchval("SELECT block_hash FROM cursors WHERE dataset = $1", dataset.name) != last.hash:
        raise StoreError(f"dataset {dataset.name} is not at block {last} any more")
    for table in dataset.tables:
        await rewind_table(connection, table, before.number)
    await coverage.rewind_cursor(connection, dataset.name, before)


async def write_past(
    connection: Connection, table: Keyed | Log, patches: list[Patch], first: int
) -> tuple[set[bytes], int]:
    """Append to a table what happened in blocks before its last ones, from block ``first`` on; as ``write_table``.

    Current rows are left alone: see ``join_past``.
    """
    if isinstance(table, Log):
        return await write_log(connection, table, patches)
    merged = await _merged(connection, table, patches, first)
    return await append(connection, table, merged), len(merged.history)


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
        return await write_log(connection, table, patches)
    if anew:
        found = await connection.fetch(statements.read_as_of(table), first - 1)
        merged = await merge_on(table, dict(stored(table, found)), patches, first)
    else:
        merged = await _merged(connection, table, patches, first)
    accounts = await append(connection, table, merged)
    await _rebuild(connection, table, list(stale | {record[: len(table.keys)] for record in merged.history}))
    return accounts, len(merged.history)


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
    for part in parts(touched):
        keys = arrays(part, len(table.keys))
        await connection.execute(statements.delete_current(table), *keys)
        await connection.execute(statements.rebuild_current(table), *keys)


async def repair_table(connection: Connection, table: Keyed | Log, number: int, rows: Sequence[Row]) -> set[bytes]:
    """Make some rows, each given whole, what they are said to be as of block ``number``, the last one committed.

    Nothing is appended where the history says so already. Returns the accounts that occur in the rows.
    """
    if isinstance(table, Log):
        await connection.execute(f"DELETE FROM {table.table.name} WHERE block_number = $1", number)
        return (await write_log(connection, table, [(number, row) for row in rows]))[0]
    nothing: Values = (None,) * len(table.values)
    wanted: dict[Key, Values] = {}
    for _, row in comparable_patches(table, [(number, row) for row in rows]):
        whole = row.values
        wanted[row.key] = nothing if whole is None else tuple(whole[name] for name in table.values)
    width, records = len(table.keys), []
    for part in parts(list(wanted)):
        keys = arrays(part, width)
        await connection.execute(statements.clear_ends(table), *keys)
        await connection.execute(statements.drop_void_ends(table), *keys)
        await connection.execute(statements.delete_history(table), *keys, number)
        found = await connection.fetch(statements.latest_of(table), *keys)
        before = dict(stored(table, [record for record in found if record["exists"]]))
        records += [
            (*key, number, *wanted[key], wanted[key] != nothing)
            for key in part
            if wanted[key] != before.get(key, nothing)
        ]
    await connection.copy_records_to_table(
        table.history.name, records=records, columns=statements.history_columns(table)
    )
    await _rebuild(connection, table, list(wanted))
    return accounts_in(records, statements.history_columns(table), table.accounts)


async def _merged(connection: Connection, table: Keyed, patches: list[Patch], first: int) -> Merged:
    """The patches on the rows that held before block ``first``."""
    keys = list({row.key for _, row in patches})
    return await merge_on(
        table, await read_rows(connection, table, keys, statements.select_before(table), first), patches
    )
