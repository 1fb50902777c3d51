"""Where a first state waits until it is whole: its rows in tables of their own, and how far it is.

Each part is one transaction, with the key up to which all are read; the last one moves everything into the tables
that people read, which see nothing of it before. What waits is dropped, and read anew, wherever it is not
certain to be what was read: another way to keep it, another block, rows that went with a server's crash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio.to_thread
import asyncpg

import indexer
from indexer import announce, coverage, statements
from indexer.commit import ROWS_PER_STATEMENT, by_table, keep_runtimes, unmerged, write_table
from indexer.datasets.base import Dataset
from indexer.model import BlockRef, BlockRows, ItemRef, Row
from indexer.scale import ss58_encode
from indexer.schema import Keyed, Log
from indexer.session import Connection
from indexer.store import Store

ROWS_MOVED_PER_SECOND_AT_LEAST = 1_000
NOTICE_A_DEAD_CLIENT = "SET LOCAL client_connection_check_interval = '500ms'"
"""Each statement of the last transaction may take a minute: whoever is killed in it must not hold the writer lock."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A first state under way, as far as it is committed."""

    id: int
    block: BlockRef
    datasets: Mapping[str, str]
    """How each dataset was kept when it was begun (``ways``), by name."""
    last_key: bytes | None = None
    """All keys up to this one are read; None: none is."""
    keys: int = 0
    nodes: int = 0
    """Nodes and values of the state trie read."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows that wait, by the table they are of."""
    untyped: frozenset[ItemRef] = frozenset()
    """Items with keys whose type no known runtime tells."""

    def serves(self, datasets: Iterable[Dataset]) -> bool:
        """Whether it holds what is wanted of these datasets, kept as this version keeps it."""
        return ways(datasets).items() <= dict(self.datasets).items()


def ways(datasets: Iterable[Dataset]) -> dict[str, str]:
    """A hash of how each dataset is kept: what differs in it must not be put together to one state."""
    return {one.name: hashlib.blake2b(_way(one).encode(), digest_size=16).hexdigest() for one in datasets}


def _way(dataset: Dataset) -> str:
    tables = [
        (table.name, [(name, str(table.current.columns[name].type)) for name in (*table.keys, *table.values)])
        for table in dataset.tables
        if isinstance(table, Keyed)
    ]
    return repr((indexer.__version__, tables, dataset.items))


async def under_way(store: Store) -> list[Staged]:
    """Every first state that was begun and not committed, without those that lost rows."""
    async with store.transaction("read the first states") as connection:
        found = [_staged(row) for row in await connection.fetch("SELECT * FROM first_states ORDER BY id")]
        whole: list[Staged] = []
        for one in found:
            for table, rows in one.rows.items():  # unlogged tables are empty after a crash of the server
                name = await connection.fetchval("SELECT to_regclass($1)::text", _name(one, table))
                if name is not None:  # another role may have made it
                    await connection.execute("SELECT first_state_table($1, $2)", one.id, table)
                if name is None or await connection.fetchval(f"SELECT count(*) FROM {name}") != rows:
                    await connection.execute("SELECT first_state_forget($1)", one.id)
                    break
            else:
                whole.append(one)
    return whole


def _staged(row: asyncpg.Record) -> Staged:
    return Staged(
        id=row["id"],
        block=BlockRef(row["block_number"], row["block_hash"]),
        datasets=json.loads(row["datasets"]),
        last_key=row["last_key"],
        keys=row["keys_read"],
        nodes=row["nodes_read"],
        rows=json.loads(row["rows"]),
        untyped=frozenset(ItemRef(*names) for names in json.loads(row["untyped"])),
    )


async def begin(store: Store, block: BlockRef, datasets: Sequence[Dataset]) -> Staged:
    """Begin the first state of some datasets."""
    async with store.transaction(f"begin the first state of block {block.number}") as connection:
        number = await connection.fetchval("SELECT coalesce(max(id), 0) + 1 FROM first_states")
        staged = Staged(number, block, ways(datasets))
        await connection.execute(
            "INSERT INTO first_states (id, block_number, block_hash, datasets, keys_read, nodes_read, rows, untyped, "
            "began_at, updated_at) VALUES ($1, $2, $3, $4, 0, 0, '{}', '[]', now(), now())",
            number, *block, json.dumps(staged.datasets),
        )  # fmt: skip
    return staged


async def narrow(store: Store, staged: Staged, datasets: Sequence[Dataset]) -> Staged:
    """Go on for some of its datasets only: what waits of the others is never used."""
    if staged.datasets == ways(datasets):
        return staged
    items = {item for dataset in datasets for item in dataset.items}
    staged = replace(staged, datasets=ways(datasets), untyped=staged.untyped & items)
    async with store.transaction("go on with a first state") as connection:
        told = json.dumps(staged.datasets)
        await connection.execute("UPDATE first_states SET datasets = $2 WHERE id = $1", staged.id, told)
    return staged


async def drop(store: Store, staged: Staged) -> None:
    """Drop what waits of a first state."""
    async with store.transaction("drop a first state") as connection:
        await connection.execute("SELECT first_state_forget($1)", staged.id)


async def add(
    store: Store, staged: Staged, rows: Iterable[Row], tables: Iterable[Keyed | Log], reached: Staged
) -> Staged:
    """Keep the rows of some more keys, in one transaction with how far it is then: ``reached``, without its rows."""
    block = staged.block.number
    patches: dict[str, list[tuple[int, Row]]] = {}
    for row in rows:
        patches.setdefault(row.table, []).append((block, row))
    counts = dict(staged.rows)
    async with store.transaction(f"keep a part of the first state of block {block}") as connection:
        for table in tables:
            if isinstance(table, Keyed) and table.name in patches:
                added = await _stage(connection, staged, table, patches[table.name])
                counts[table.current.name] = counts.get(table.current.name, 0) + added
        done = replace(reached, rows=counts)
        await connection.execute(
            "UPDATE first_states SET last_key = $2, keys_read = $3, nodes_read = $4, rows = $5, untyped = $6, "
            "updated_at = now() WHERE id = $1",
            done.id, done.last_key, done.keys, done.nodes, json.dumps(counts), json.dumps(sorted(done.untyped)),
        )  # fmt: skip
    return done


async def _stage(connection: Connection, staged: Staged, table: Keyed, patches: list[tuple[int, Row]]) -> int:
    """Rows into the table where they wait; returns how many exist. Those of one key stay apart until ``_move``."""
    name = await connection.fetchval("SELECT first_state_table($1, $2)", staged.id, table.current.name)
    records = unmerged(table, patches)
    await connection.copy_records_to_table(name, records=records, columns=(*table.keys, *table.values))
    return len(records)


async def commit(
    store: Store, block: BlockRows, datasets: Sequence[Dataset], progressed: Callable[[], None]
) -> dict[str, int]:
    """Write a first state of which the keyed rows wait, in one transaction; as ``Store.write`` writes a bootstrap."""
    written: dict[str, int] = {}
    changed: list[Keyed] = []
    patches, number = by_table([block]), block.ref.number
    (staged,) = [one for one in await under_way(store) if one.id == block.staged]
    timeout_s = 60.0 + block.staged_rows / ROWS_MOVED_PER_SECOND_AT_LEAST
    async with store.transaction(f"write the first state of block {number}", timeout_s) as connection:
        await connection.execute(NOTICE_A_DEAD_CLIENT)
        token = await connection.fetchval("SELECT token FROM writer")
        for dataset in datasets:
            for table in dataset.tables:
                rows = patches.get(table.name, [])
                if isinstance(table, Keyed) and staged.rows.get(table.current.name):
                    if rows:
                        await _stage(connection, staged, table, rows)
                    written[table.name] = await _move(connection, staged, dataset, table)
                else:
                    done = await write_table(connection, table, rows, anew=number)
                    written[table.name] = done.rows
                    if isinstance(table, Keyed) and not done.is_current:
                        changed.append(table)
                progressed()
        await store.renew_current(connection, changed, number, number)
        await coverage.advance(connection, [dataset.name for dataset in datasets], [block], token)
        await _keep_accounts(connection, datasets, number, progressed)
        await keep_runtimes(connection, [block])
        if any(dataset.name == "blocks" for dataset in datasets):
            await announce.commit(connection, [block])
        await connection.execute("SELECT first_state_forget($1)", staged.id)
    store.commits += 1
    return written


def _name(staged: Staged, table: str) -> str:
    return f"first_state_{staged.id}_{table}"


async def _move(connection: Connection, staged: Staged, dataset: Dataset, table: Keyed) -> int:
    """What waits of a table into its current rows and its history; returns the rows appended to the history."""
    parts = {source.item for source in dataset.sources if source.table == table.name}
    source, number = _name(staged, table.current.name), staged.block.number
    is_empty = not await connection.fetchval(statements.has_current(table))
    for statement in statements.move_staged(table, source, is_merged=len(parts) > 1, is_empty=is_empty):
        await connection.execute(statement, number)
    return int(await connection.fetchval(statements.count_at(table), number))


async def _keep_accounts(
    connection: Connection, datasets: Sequence[Dataset], number: int, progressed: Callable[[], None]
) -> None:
    """The texts of all accounts that occur in the rows of the block and have none yet."""
    tables = [table for dataset in datasets for table in dataset.tables if table.accounts]
    if not tables:
        return
    prefix = await connection.fetchval("SELECT ss58_prefix FROM chain")
    cursor = await connection.cursor(statements.new_accounts(tables), number)
    while found := await cursor.fetch(ROWS_PER_STATEMENT):
        accounts = [row[0] for row in found]
        texts = await anyio.to_thread.run_sync(_texts, accounts, prefix)
        await connection.copy_records_to_table(
            "accounts", records=zip(accounts, texts, strict=True), columns=("account", "address")
        )
        progressed()


def _texts(accounts: Sequence[bytes], prefix: int) -> list[str]:
    return [ss58_encode(account, prefix) for account in accounts]
