"""Writes the generated database by COPY through the schema as the migrations make it.

Rows go in by block, as the indexer writes them, so that the changes of a key lie as far apart as they do in a
real database. Indexes are taken down for the load and built again from their own definitions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from random import Random
from typing import Any, TypeAlias

import asyncpg

from bench.world import FIRST_BLOCK, NULL, REMOVED, SPEC_VERSION, TABLES, Contents, Size, account_id, contents
from indexer import statements
from indexer.datasets import DATASETS
from indexer.scale import ss58_encode

LINES_PER_PART = 5_000
GENESIS = bytes(32)
SOME_ITEM = "SubtensorModule.Tempo"
"""A storage item that counts as indexed, and is not stored."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def load(dsn: str, size: Size) -> int:
    """Fill an empty, migrated database; returns the history rows it then holds."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set maintenance_work_mem = '1GB'")
        await connection.execute("set synchronous_commit = off")
        await _accounts(connection, size)
        await _blocks(connection, size)
        rows = 0
        for one in contents(size):
            began = time.monotonic()
            rows += (added := await _table(connection, size, one))
            print(f"{one.table.history.name}: {added:,} rows in {time.monotonic() - began:.0f} s", flush=True)
        await _cursors(connection, size)
        await connection.execute("vacuum (analyze)")
        return rows
    finally:
        await connection.close()


async def _table(connection: Connection, size: Size, one: Contents) -> int:
    table, current = one.table, [""] * len(one.keys)
    async with _bare(connection, (table.history.name, table.name)):
        rows = await _copy(
            connection, table.history.name, statements.history_columns(table), _history(size, one, current)
        )
        await _copy(connection, table.name, statements.current_columns(table), (line for line in current if line))
    return rows


def _history(size: Size, one: Contents, current: list[str]) -> Iterator[str]:
    """History rows in block order; leaves the current rows in ``current``, empty where there is none."""
    random, keys, nothing = Random(one.table.name), one.keys, "\t".join([NULL] * len(one.table.values))
    last_block = [FIRST_BLOCK] * len(keys)
    for at, key in enumerate(keys):
        values = one.values(random, FIRST_BLOCK, at)
        current[at] = line = f"{key}\t{FIRST_BLOCK}\t{values}"
        yield f"{line}\tt\n"
    for block, at in one.events(random, size, len(keys), one.changes):
        if last_block[at] == block:
            continue
        last_block[at] = block
        if one.removable and current[at] and random.random() < REMOVED:
            current[at] = ""
            yield f"{keys[at]}\t{block}\t{nothing}\tf\n"
        else:
            current[at] = line = f"{keys[at]}\t{block}\t{one.values(random, block, at)}"
            yield f"{line}\tt\n"


async def _copy(connection: Connection, name: str, columns: Sequence[str], lines: Iterable[str]) -> int:
    async def parts() -> AsyncIterator[bytes]:
        source = iter(lines)
        while part := list(islice(source, LINES_PER_PART)):
            yield "".join(line if line[-1] == "\n" else f"{line}\n" for line in part).encode()
            await asyncio.sleep(0)

    told: str = await connection.copy_to_table(name, source=parts(), columns=columns, format="text")
    return int(told.rpartition(" ")[2])


@asynccontextmanager
async def _bare(connection: Connection, names: Sequence[str]) -> AsyncIterator[None]:
    """Tables without their indexes, for as long as the context."""
    keys = await connection.fetch(
        "select conrelid::regclass::text as name, conname, pg_get_constraintdef(oid) as definition from pg_constraint "
        "where contype = 'p' and conrelid = any($1::text[]::regclass[]::oid[])",
        list(names),
    )
    indexes = await connection.fetch(
        "select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index "
        "where not indisprimary and indrelid = any($1::text[]::regclass[]::oid[])",
        list(names),
    )
    for index in indexes:
        await connection.execute(f"drop index {index['name']}")
    for key in keys:
        await connection.execute(f"alter table {key['name']} drop constraint {key['conname']}")
    yield
    for key in keys:
        await connection.execute(f"alter table {key['name']} add constraint {key['conname']} {key['definition']}")
    for index in indexes:
        await connection.execute(index["definition"])


async def _accounts(connection: Connection, size: Size) -> None:
    numbers = [*range(size.accounts), *range(-1, -1 - size.hotkeys, -1)]
    ids = [account_id(number) for number in numbers]
    await connection.copy_records_to_table(
        "accounts", records=[(one, ss58_encode(one, 42)) for one in ids], columns=["account", "address"]
    )


async def _blocks(connection: Connection, size: Size) -> None:
    hashed = "decode(md5((n + {0})::text) || md5((n + {0})::text), 'hex')"
    await connection.execute(
        "insert into blocks (block_number, hash, parent_hash, timestamp, spec_version, extrinsic_count, event_count, "
        f"state_root, extrinsics_root, complete) select n, {hashed.format(0)}, {hashed.format(-1)}, "
        "timestamptz '2026-01-01' + (n - $1) * interval '12 s', "
        f"{SPEC_VERSION}, 12, 300, {hashed.format(7)}, {hashed.format(9)}, true from generate_series($1::bigint, $2) n",
        FIRST_BLOCK, size.last_block,
    )  # fmt: skip


async def _cursors(connection: Connection, size: Size) -> None:
    await connection.execute(
        "insert into chain (genesis_hash, name, ss58_prefix, started_at) values ($1, 'generated', 42, now())", GENESIS
    )
    given: tuple[Any, ...] = ([*DATASETS, SOME_ITEM], FIRST_BLOCK, size.last_block)
    await connection.execute(
        "insert into cursors (dataset, start_block, block_number, block_hash, finalized_block, committed_at) "
        "select d, $2::bigint, $3::bigint, b.hash, $3, now() from unnest($1::text[]) d "
        "join blocks b on b.block_number = $3", *given,
    )  # fmt: skip
    await connection.execute(
        "insert into coverage (dataset, first_block, last_block, complete) select d, $2, $3, true "
        "from unnest($1::text[]) d", *given,
    )  # fmt: skip


def histories() -> list[str]:
    """The names of all history tables."""
    return [table.history.name for table in TABLES.values() if hasattr(table, "history")]
