"""Write path: ``Store.write`` of every default dataset's tables, over a state of the main network's size.

The floor is a bare COPY, on a connection with the same settings to the same Postgres, of the very history rows that
the indexer has just written, into tables of the same columns without any index, in one transaction that is committed.
The indexer's side reads what its patches need, keeps indexes, current rows, accounts, coverage and cursors with them.
How much of the distance is Postgres' own work on indexes a third line tells: the same COPY into the histories and
logs themselves, as of blocks far above, after all else.
The server runs as the embedded one does by default: fsync is on for both. ``processor`` counts the bench's own and
that of the side's server process; ``elapsed`` is the wall clock's. No checkpoint falls between: after one, each page
that is touched first goes to the log whole, which a backfill pays once for many blocks.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from math import log2
from pathlib import Path
from statistics import median

import asyncpg
from measuring import Case, Effort, Figure, Goal
from write_load import DATASETS, TABLES, Size, block, block_hash, fill

from indexer import embedded, migrate, statements
from indexer.model import BlockRef, BlockRows
from indexer.schema import Log
from indexer.session import Connection, Session, open_session
from indexer.store import Store, open_store

GOAL = Goal(2.5, "at most")
FIRST_BLOCK = 8_000_000
ROWS_AT_ONCE = 20_000
SINGLE_BLOCKS = 20
"""Transactions of one block in a run: one alone is over too soon to be told from its surroundings."""
FAR_AHEAD = 1_000_000
"""Blocks: no run comes so far."""

Records = dict[str, list[tuple[object, ...]]]
"""Rows by history or log table."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that one side took."""

    elapsed_s: float
    client_s: float
    server_s: float

    @property
    def processor_s(self) -> float:
        """Of both processes."""
        return self.client_s + self.server_s


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides, each with its connection."""

    store: Store
    bare: Session
    reader: Connection
    pids: tuple[int, int]


def write_path(effort: Effort) -> list[Figure]:
    """Transactions of about 20,000 rows, of twice as many, and of one block."""
    size = Size(20_000, 2_000, 10_000) if effort.short else Size(500_000, 20_000, 300_000)
    return asyncio.run(_figures(effort, size))


async def _figures(effort: Effort, size: Size) -> list[Figure]:
    async with _sides(size) as sides:
        (_, _, (first,)) = await _run(sides, [[block(FIRST_BLOCK + 1, size)]])
        rows = sum(len(found) for found in first.values())
        many = max(1, round(ROWS_AT_ONCE / rows)) // (4 if effort.short else 1)
        single = 4 if effort.short else SINGLE_BLOCKS
        loads = [("one block", 1, single), ("20,000 rows", many, 1), ("40,000 rows", 2 * many, 1)]
        if effort.short:
            del loads[-1]
        at = FIRST_BLOCK + 2
        spent: dict[str, list[tuple[Spent, Spent]]] = {name: [] for name, _, _ in loads}
        copied: dict[str, list[tuple[Spent, Spent]]] = {name: [] for name, _, _ in loads[:2]}
        last: dict[str, list[Records]] = {}
        for turn in range(effort.runs + 1):
            for name, blocks, transactions in loads:
                runs = [[block(at + i * blocks + j, size) for j in range(blocks)] for i in range(transactions)]
                at += blocks * transactions
                ours, bare, last[name] = await _run(sides, runs)
                if turn:  # the first one fills caches
                    spent[name].append((ours, bare))
        for turn in range(effort.runs + 1):
            for which, name in enumerate(copied):
                ahead = [_ahead(records, (1 + which + 2 * turn) * FAR_AHEAD) for records in last[name]]
                both = await _copy(sides, "", ahead), await _copy(sides, "bare_", ahead)
                if turn:
                    copied[name].append(both)
    units = {"one block": single, "20,000 rows": 1}
    figures: list[Figure] = []
    for name, unit in units.items():
        figures += _compared(name, GOAL, spent[name], unit, rows=rows * (1 if name == "one block" else many))
        figures += _compared(f"{name}: a COPY with the indexes", None, copied[name], unit)
    growth = [
        log2(twice[0].processor_s / once[0].processor_s)
        for once, twice in zip(spent["20,000 rows"], spent.get("40,000 rows", ()), strict=False)
    ]
    return [*figures, *([Figure("growth: exponent of twice the rows", None, tuple(growth))] if growth else [])]


def _ahead(records: Records, blocks: int) -> Records:
    """The same rows as of so many blocks later."""
    moved: Records = {}
    for name, rows in records.items():
        at = COLUMNS[name].index("block_number")
        moved[name] = [(*row[:at], int(str(row[at])) + blocks, *row[at + 1 :]) for row in rows]
    return moved


def _compared(
    name: str, goal: Goal | None, spent: Sequence[tuple[Spent, Spent]], transactions: int, **notes: object
) -> list[Figure]:
    def told(sort: str, of: Callable[[Spent], float], **notes: object) -> Figure:
        mine, theirs = ([of(one[side]) / transactions for one in spent] for side in (0, 1))
        ratios = tuple(own / other for own, other in zip(mine, theirs, strict=True))
        return Figure(f"{name}, {sort}", goal, ratios, tuple(mine), tuple(theirs), notes=notes)

    parts = {
        f"{who}_{part}_ms": round(1000 * median(of(one[side]) for one in spent) / transactions, 1)
        for side, who in ((0, "ours"), (1, "bare"))
        for part, of in (("client", lambda one: one.client_s), ("server", lambda one: one.server_s))
    }
    return [
        told("processor", lambda one: one.processor_s, **notes, **parts),
        told("elapsed", lambda one: one.elapsed_s),
    ]


async def _run(sides: Sides, runs: Sequence[Sequence[BlockRows]]) -> tuple[Spent, Spent, list[Records]]:
    """Write each run of blocks in a transaction by the store, then the rows that came of it by a bare COPY each."""

    async def ours() -> None:
        for blocks in runs:
            await sides.store.write(blocks, DATASETS)

    mine = await _spent(sides.pids[0], ours)
    written = [await _records(sides.reader, blocks[0].ref.number, blocks[-1].ref.number) for blocks in runs]
    return mine, await _copy(sides, "bare_", written), written


async def _copy(sides: Sides, prefix: str, written: Sequence[Records]) -> Spent:
    """Each of ``written`` in a transaction, by a COPY to each table whose name begins so."""

    async def copy() -> None:
        for records in written:
            async with sides.bare.transaction("copy") as connection:
                for name, rows in records.items():
                    await connection.copy_records_to_table(f"{prefix}{name}", records=rows, columns=COLUMNS[name])

    return await _spent(sides.pids[1], copy)


async def _spent(server: int, work: Callable[[], Awaitable[None]]) -> Spent:
    gc.collect()
    gc.disable()
    try:
        before = time.monotonic(), time.process_time(), _processor_s(server)
        await work()
        after = time.monotonic(), time.process_time(), _processor_s(server)
    finally:
        gc.enable()
    return Spent(*(end - start for start, end in zip(before, after, strict=True)))


def _processor_s(pid: int) -> float:
    """Processor seconds of a process of one thread, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _appended(name: str) -> tuple[str, tuple[str, ...]]:
    table = TABLES[name]
    if isinstance(table, Log):
        return table.table.name, statements.log_columns(table)
    return table.history.name, statements.history_columns(table)


COLUMNS = dict(_appended(name) for name in TABLES)


async def _records(reader: Connection, first: int, last: int) -> Records:
    """What histories and logs say of some blocks, as the store gave it to COPY."""
    found: Records = {}
    for name, columns in COLUMNS.items():
        rows = await reader.fetch(
            f"SELECT {statements.quoted(columns)} FROM {name} WHERE block_number BETWEEN $1 AND $2", first, last
        )
        if rows:
            found[name] = [tuple(int(part) if isinstance(part, Decimal) else part for part in row) for row in rows]
    return found


@asynccontextmanager
async def _sides(size: Size) -> AsyncIterator[Sides]:
    folder = Path(tempfile.mkdtemp(prefix="indexer-bench-"))
    os.chmod(folder, 0o711)  # Postgres runs as another user
    try:
        async with embedded.postgres(folder) as url:
            await migrate.upgrade(url)
            reader = await asyncpg.connect(url)
            at = BlockRef(FIRST_BLOCK, block_hash(FIRST_BLOCK))
            await fill(reader, size, at)
            for name in COLUMNS:
                await reader.execute(f"CREATE TABLE bare_{name} (LIKE {name})")
            await reader.execute("VACUUM (ANALYZE)")
            async with open_store(url) as store, open_session(url, application="bare") as bare:
                await store.lock_writer()
                async with bare.calls("ask for the session") as connection:
                    pid = await connection.fetchval("SELECT pg_backend_pid()")
                yield Sides(store, bare, reader, ((await store.session_id())[0], pid))
            await reader.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


CASES = [
    Case(
        "write",
        "transactions of every default dataset's tables",
        "a bare COPY of the same history rows into tables without indexes",
        write_path,
    )
]
