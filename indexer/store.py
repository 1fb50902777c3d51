"""The database as the pipeline sees it: one writer, cursors, ordered exact writes, rewind.

The only module that runs SQL on the indexed tables. A run of blocks is one transaction: history by
COPY, current rows, accounts, coverage and the cursor, so a reader sees a block whole or not at all
and a crash at any moment leaves nothing to repair. Foreign errors are mapped here, by class and
SQLSTATE, to the three roots.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
import asyncpg

from indexer.commit import (
    ROWS_PER_STATEMENT,
    Connection,
    advance,
    by_table,
    keep_runtimes,
    repair_table,
    rewind_cursor,
    rewind_table,
    write_table,
)
from indexer.datasets.base import Dataset
from indexer.errors import ConfigError, Fatal, StoreError, WriterLocked, WrongChain
from indexer.model import BlockRef, BlockRows, Row
from indexer.scale import ss58_encode

WRITER_LOCK = 0x6274_7369_6478  # "btsidx": one writer per database
KNOWN_ACCOUNTS_MAX = 1_000_000

_PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg raises for a connection that was cut between two statements
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one dataset is committed."""

    start_block: int
    block: BlockRef
    finalized_block: int | None


@contextmanager
def mapped_errors(what: str) -> Iterator[None]:
    """Postgres' errors as ours: what may pass is ``StoreError``, what needs a person is ``Fatal``."""
    try:
        yield
    except _PASSING as error:
        raise StoreError(f"{what}: {type(error).__name__}: {error}") from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise ConfigError(f"{what}: {error}") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(f"{what}: {error}: the role lacks a privilege that the indexer needs") from error
    except asyncpg.PostgresError as error:
        raise Fatal(f"{what}: Postgres refuses what should be right ({error.sqlstate}): {error}") from error


class Store:
    """The writer's connection. Made by ``open_store``; one task at a time uses it, others wait."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = anyio.Lock()
        self._known_accounts: set[bytes] = set()
        self._ss58_prefix = 42

    @asynccontextmanager
    async def _transaction(self, what: str) -> AsyncIterator[Connection]:
        async with self._turn:
            with mapped_errors(what):
                async with self._connection.transaction():
                    yield self._connection

    async def lock_writer(self) -> None:
        """Become the one writer. Raises ``WriterLocked``, naming the holder, if another instance is."""
        async with self._turn:
            with mapped_errors("take the writer lock"):
                if await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", WRITER_LOCK):
                    return
                holder = await self._connection.fetchrow(
                    "SELECT a.application_name, a.client_addr::text AS address, a.backend_start::text AS since "
                    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                    "WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = $1",
                    WRITER_LOCK,
                )
        who = "unknown"
        if holder:
            who = f"{holder['application_name']} at {holder['address'] or 'this host'} since {holder['since']}"
        raise WriterLocked(
            f"another instance writes to this database ({who}): stop it first, or start this one with --standby to wait"
        )

    async def genesis(self) -> bytes | None:
        """Hash of block 0 of the chain this database is bound to; None while it is bound to none."""
        async with self._turn:
            with mapped_errors("read the chain"):
                value = await self._connection.fetchval("SELECT genesis_hash FROM chain")
        return None if value is None else bytes(value)

    async def adopt_chain(self, genesis_hash: bytes, name: str, ss58_prefix: int) -> None:
        """Bind an empty database to its chain. Raises ``WrongChain`` if it is bound to another one."""
        async with self._transaction("check the chain") as connection:
            row = await connection.fetchrow("SELECT genesis_hash, name, ss58_prefix FROM chain")
            if row is None:
                row = await connection.fetchrow(
                    "INSERT INTO chain (genesis_hash, name, ss58_prefix, started_at) VALUES ($1, $2, $3, now()) "
                    "RETURNING genesis_hash, name, ss58_prefix",
                    genesis_hash, name, ss58_prefix,
                )  # fmt: skip
        assert row is not None
        if row["genesis_hash"] != genesis_hash:
            raise WrongChain(
                f"this database holds {row['name']} (genesis 0x{row['genesis_hash'].hex()}), but the node follows "
                f"{name} (genesis 0x{genesis_hash.hex()}): check --network, or give this chain a database of its own"
            )
        self._ss58_prefix = row["ss58_prefix"]

    async def cursors(self) -> dict[str, Cursor]:
        """Cursor by dataset, for those that have begun."""
        async with self._turn:
            with mapped_errors("read cursors"):
                rows = await self._connection.fetch("SELECT * FROM cursors")
        return {
            row["dataset"]: Cursor(
                row["start_block"], BlockRef(row["block_number"], row["block_hash"]), row["finalized_block"]
            )
            for row in rows
        }

    async def block_hash(self, number: int) -> bytes | None:
        """Hash of an indexed block; None if the height is not indexed."""
        async with self._turn:
            with mapped_errors("read a block's hash"):
                value: bytes | None = await self._connection.fetchval(
                    "SELECT hash FROM blocks WHERE block_number = $1", number
                )
        return value

    async def runtimes(self) -> list[tuple[bytes, int, bytes]]:
        """(code hash, first block, metadata) of every runtime met, in order of first block."""
        async with self._turn:
            with mapped_errors("read runtimes"):
                rows = await self._connection.fetch(
                    "SELECT code_hash, first_block, metadata FROM runtimes ORDER BY first_block"
                )
        return [(row["code_hash"], row["first_block"], row["metadata"]) for row in rows]

    async def write(self, blocks: Sequence[BlockRows], datasets: Sequence[Dataset]) -> dict[str, int]:
        """Commit a run of consecutive blocks for ``datasets`` in one transaction; returns rows written by table.

        Raises ``StoreError`` if the database fails in a way that may pass: nothing is then written.
        """
        written: dict[str, int] = {}
        patches = by_table(blocks)
        async with self._transaction(f"write blocks {blocks[0].ref.number}-{blocks[-1].ref.number}") as connection:
            for dataset in datasets:
                for table in dataset.tables:
                    rows = patches.get(table.name)
                    if rows:
                        accounts, written[table.name] = await write_table(
                            connection, table, rows, fresh=blocks[0].bootstrap
                        )
                        await self._write_accounts(connection, accounts)
                await advance(connection, dataset.name, blocks)
            await keep_runtimes(connection, blocks)
        return written

    async def _write_accounts(self, connection: Connection, accounts: set[bytes]) -> None:
        new = sorted(accounts - self._known_accounts)
        for start in range(0, len(new), ROWS_PER_STATEMENT):
            part = new[start : start + ROWS_PER_STATEMENT]
            await connection.execute(
                "INSERT INTO accounts (account, address) SELECT * FROM unnest($1::bytea[], $2::text[]) "
                "ON CONFLICT DO NOTHING",
                part, [ss58_encode(account, self._ss58_prefix) for account in part],
            )  # fmt: skip
        # Known only means: sent once in this session. A rolled-back insert is repaired on reconnect,
        # which every failed transaction leads to and which starts with an empty set.
        if len(self._known_accounts) > KNOWN_ACCOUNTS_MAX:
            self._known_accounts.clear()
        self._known_accounts.update(new)

    async def rewind(self, to: BlockRef, datasets: Sequence[Dataset]) -> None:
        """Forget everything above block ``to``: history, the current rows it made, cursors and coverage."""
        async with self._transaction(f"rewind to block {to.number}") as connection:
            for dataset in datasets:
                at = await connection.fetchval("SELECT block_number FROM cursors WHERE dataset = $1", dataset.name)
                if at is None or at <= to.number:
                    continue
                for table in dataset.tables:
                    await rewind_table(connection, table, to.number)
                await rewind_cursor(connection, dataset.name, to)
            await connection.execute("DELETE FROM runtimes WHERE first_block > $1", to.number)

    async def repair(
        self, block: BlockRef, rows: Sequence[Row], datasets: Sequence[Dataset], accounts: Sequence[bytes] = ()
    ) -> None:
        """Make ``rows``, each given whole, what the tables say as of ``block``, in one transaction; and the
        texts of ``accounts`` right.

        Raises ``ConfigError`` unless ``block`` is the last committed one of every dataset: a row that is
        followed by others cannot be changed alone.
        """
        async with self._transaction(f"repair rows of block {block.number}") as connection:
            self._ss58_prefix = await connection.fetchval("SELECT ss58_prefix FROM chain")
            await connection.execute("DELETE FROM accounts WHERE account = ANY($1::bytea[])", accounts)
            self._known_accounts.difference_update(accounts)
            await self._write_accounts(connection, {account for account in accounts if len(account) == 32})
            for dataset in datasets:
                at = await connection.fetchrow(
                    "SELECT block_number, block_hash FROM cursors WHERE dataset = $1 FOR UPDATE", dataset.name
                )
                if at is None or tuple(at) != tuple(block):
                    raise ConfigError(
                        f"{dataset.name} is not at block {block}: rows are repaired at the last committed block; "
                        f"`indexer rewind {block.number}` makes it that"
                    )
                for table in dataset.tables:
                    mine = [row for row in rows if row.table == table.name]
                    if mine:
                        await self._write_accounts(
                            connection, await repair_table(connection, table, block.number, mine)
                        )

    async def mark_finalized(self, block: BlockRef) -> None:
        """Record finality, if ``block`` is the one indexed at its height: nothing rewinds below it any more."""
        async with self._transaction("mark finalized") as connection:
            await connection.execute(
                "UPDATE cursors SET finalized_block = $1 WHERE block_number >= $1 AND "
                "coalesce(finalized_block, -1) < $1 AND "
                "EXISTS (SELECT FROM blocks WHERE block_number = $1 AND hash = $2)",
                block.number, block.hash,
            )  # fmt: skip


@asynccontextmanager
async def open_store(
    dsn: str, *, application: str = "bittensor-indexer", timeout_s: float = 30.0
) -> AsyncIterator[Store]:
    """A connection to the database at ``dsn``; closed at the end, whatever its state."""
    with mapped_errors("connect to the database"):
        connection: Connection = await asyncpg.connect(
            dsn, timeout=timeout_s, server_settings={"application_name": application}
        )
    try:
        yield Store(connection)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            try:
                await connection.close(timeout=3)
            except _PASSING:
                connection.terminate()
