"""The database as the pipeline sees it: one writer, cursors, ordered exact writes, rewind.

The only module that runs SQL on the indexed tables. A run of blocks is one transaction: history by
COPY, current rows, accounts, coverage and the cursor, so a reader sees a block whole or not at all
and a crash at any moment leaves nothing to repair. Two things keep writers apart: a lock that ends
with the session, and a token that each new writer raises and every transaction checks, for the case
that an old one still has a session but no longer the lock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from indexer import announce, coverage
from indexer.addresses import ACCOUNTS_PER_STATEMENT, Addresses
from indexer.commit import Written, by_table, keep_runtimes, write_table
from indexer.coverage import Cursor
from indexer.datasets.base import Dataset
from indexer.errors import ConfigError, Fatal, WriterFenced, WrongChain
from indexer.mending import fill, prove, repair_table, rewind_table, take_back
from indexer.model import BlockRef, BlockRows, Row
from indexer.recent import Recent
from indexer.redaction import printable
from indexer.schema import Keyed
from indexer.session import Connection, Holder, Session, lock_holder, locked_by, open_session, this_process
from indexer.together import Together
from indexer.upkeep import Upkeep

WRITER_LOCK = 0x6274_7369_6478  # "btsidx": one writer per database
COMMIT_TIMEOUT_S = 60.0
ROWS_PER_SECOND_AT_LEAST = 1_000
BLOCKS_PER_SECOND_AT_LEAST = 2
"""A first block may hold a million rows, a rewind thousands of blocks: what their transaction may take grows."""
PING_TIMEOUT_S = 10.0


class Store:
    """The writer's view of the database. Made by ``open_store``; one task at a time uses it, others wait.

    Reading needs no more; whoever writes has to be the writer (``lock_writer``).
    """

    def __init__(self, session: Session, commit_timeout_s: float, progressed: Callable[[], None]) -> None:
        self._session, self._progressed = session, progressed
        self._commit_timeout_s = commit_timeout_s
        self._token: int | None = None
        self._addresses, self._recent = Addresses(), Recent()
        self._together, self._upkeep = Together(), Upkeep()
        self.commits = 0
        """Runs of blocks written."""

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._session.busy

    def waiting_s(self) -> float:
        """Seconds for which the database has owed an answer; 0 if it owes none."""
        return self._session.waiting_s()

    def give_up(self) -> None:
        """Drop the connection at once; what is not committed is lost, and every call fails."""
        self._session.give_up()

    @asynccontextmanager
    async def transaction(
        self, what: str, timeout_s: float | None = None, *, forgets: bool = True
    ) -> AsyncIterator[Connection]:
        """A transaction of the one writer. Raises ``WriterFenced`` if another has taken over.

        ``forgets``: it may change rows in other ways than ``write`` does, so none is remembered. Nor is one
        where a transaction fails.
        """
        done = False
        try:
            async with self._session.transaction(what, timeout_s) as connection:
                if forgets:
                    self._recent.forget()
                await self._check_token(connection, what, "FOR SHARE")
                yield connection
            done = True
        finally:
            if not done:
                self._recent.forget()
                self._addresses.forget()

    async def _check_token(self, connection: Connection, what: str, lock: str = "") -> None:
        if self._token is None:
            raise Fatal(f"{what}: this instance is not the writer")
        row = await connection.fetchrow(f"SELECT token, holder, since::text FROM writer {lock}")
        if row is None or row["token"] != self._token:
            newer = f"{row['holder']} since {row['since']}" if row else "unknown"
            raise WriterFenced(f"{what}: another instance has become the writer ({newer}); nothing was written")

    async def try_lock(self) -> Holder | None:
        """Become the one writer: None. Else who is, and nothing has changed."""
        async with self._session.transaction("take the writer lock") as connection:
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", WRITER_LOCK):
                self._recent.forget()  # whoever was the writer until now
                self._token = await connection.fetchval(
                    "UPDATE writer SET token = token + 1, since = now(), holder = "
                    "concat_ws(' at ', current_setting('application_name'), inet_client_addr()::text) || $1 "
                    "RETURNING token",
                    this_process(),
                )
                return None
            return await lock_holder(connection, WRITER_LOCK)

    async def lock_writer(self) -> None:
        """Become the one writer. Raises ``WriterLocked``, naming the holder, if another instance is."""
        holder = await self.try_lock()
        if holder is not None:
            raise locked_by(holder)

    async def session_id(self) -> tuple[int, datetime | None]:
        """What names this session among those of the server."""
        async with self._session.calls("ask for the session") as connection:
            row = await connection.fetchrow(
                "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            )
        assert row is not None
        return row["pid"], row["backend_start"]

    async def end_session(self, session: tuple[int, datetime | None]) -> None:
        """Make the server end another session of this role; what it had not committed is rolled back."""
        async with self._session.calls("end a session") as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2", *session
            )

    async def ping(self) -> None:
        """Show the server that we live, see that it does, and that we are still the writer.

        Raises ``StoreError`` or ``WriterFenced``.
        """
        async with self._session.calls("ping", PING_TIMEOUT_S) as connection:
            await self._check_token(connection, "ping")

    async def genesis(self) -> bytes | None:
        """Hash of block 0 of the chain this database is bound to; None while it is bound to none."""
        async with self._session.calls("read the chain") as connection:
            value = await connection.fetchval("SELECT genesis_hash FROM chain")
        return None if value is None else bytes(value)

    async def adopt_chain(self, genesis_hash: bytes, name: str, ss58_prefix: int) -> None:
        """Bind an empty database to its chain. Raises ``WrongChain`` if it is bound to another one."""
        async with self.transaction("check the chain") as connection:
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
        self._addresses.ss58_prefix = row["ss58_prefix"]

    async def cursors(self) -> dict[str, Cursor]:
        """Cursor by dataset, for those that have begun."""
        async with self._session.calls("read cursors") as connection:
            rows = await connection.fetch("SELECT * FROM cursors")
        return coverage.cursors(rows)

    async def block_hash(self, number: int) -> bytes | None:
        """Hash of an indexed block; None if the height is not indexed."""
        async with self._session.calls("read a block's hash") as connection:
            value: bytes | None = await connection.fetchval("SELECT hash FROM blocks WHERE block_number = $1", number)
        return value

    async def tip(self) -> tuple[int, float] | None:
        """Height and time (Unix seconds; 0 where it has none) of the last indexed block; None before the first."""
        async with self._session.calls("read the last block") as connection:
            return await coverage.tip(connection)

    async def runtimes(self) -> list[tuple[bytes, int, bytes]]:
        """(code hash, first block, metadata) of every runtime met, in order of first block."""
        async with self._session.calls("read runtimes") as connection:
            rows = await connection.fetch("SELECT code_hash, first_block, metadata FROM runtimes ORDER BY first_block")
        return [(row["code_hash"], row["first_block"], row["metadata"]) for row in rows]

    async def correct_runtime(self, code_hash: bytes, spec_version: int, raw: bytes) -> None:
        """Replace a runtime's metadata."""
        async with self.transaction("correct a runtime") as connection:
            await connection.execute(
                "UPDATE runtimes SET spec_version = $2, metadata = $3 WHERE code_hash = $1",
                code_hash, spec_version, raw,
            )  # fmt: skip

    async def write(
        self, blocks: Sequence[BlockRows], datasets: Sequence[Dataset], *, again: bool = False
    ) -> dict[str, int]:
        """Commit a run of consecutive blocks for ``datasets`` in one transaction; returns rows written by table.

        A bootstrap block may lie above the cursor: its rows replace what is stored, and the blocks between
        are a hole. ``again``: they replace those committed from the first one, a bootstrap, up to the cursor.
        Raises ``StoreError`` if the database fails in a way that may pass: nothing is then written.
        """
        patches, first, end = by_table(blocks), blocks[0].ref.number, blocks[-1].ref.number
        is_whole = blocks[0].bootstrap
        tables = [table for dataset in datasets for table in dataset.tables]
        done: dict[str, Written] = {}
        accounts: set[bytes] = set()
        async with self.transaction(
            f"write blocks {first}-{end}", self._time_for(blocks), forgets=again or is_whole
        ) as connection:
            if again:
                for dataset in datasets:
                    await take_back(connection, dataset, blocks)
            if is_whole:
                for table in tables:
                    one = await write_table(connection, table, patches.get(table.name, []), anew=first)
                    done[table.name], accounts = replace(one, accounts=set()), accounts | one.accounts
                    if len(accounts) > ACCOUNTS_PER_STATEMENT:
                        await self._addresses.write(connection, accounts)
                        accounts.clear()
                    self._progressed()
            else:
                done = await self._together.write_run(connection, tables, patches, self._recent, self._progressed)
                accounts.update(*(one.accounts for one in done.values()))
            changed = [
                table
                for table in tables
                if isinstance(table, Keyed) and table.name in done and not done[table.name].is_current
            ]
            await self._addresses.write(connection, accounts)
            await self.renew_current(connection, changed, first, end)
            await coverage.advance(connection, [dataset.name for dataset in datasets], blocks, self._token or 0)
            await keep_runtimes(connection, blocks)
            if not again and any(dataset.name == "blocks" for dataset in datasets):
                await announce.commit(connection, blocks)
        self.commits += 1
        return {name: one.rows for name, one in done.items()}

    async def fill(self, blocks: Sequence[BlockRows], datasets: Sequence[Dataset], last: int) -> dict[str, int]:
        """Commit a run of blocks of the hole that ends at block ``last``, or the block after it; as ``write``.

        Histories, logs and coverage grow; cursors stay. With the block after the hole, which was written
        as a bootstrap and is now written as what it changed, current rows are brought in line.
        """
        first, end = blocks[0].ref.number, blocks[-1].ref.number
        async with self.transaction(f"fill in blocks {first}-{end}", self._time_for(blocks)) as connection:
            written = await fill(connection, blocks, datasets, last, self._write_accounts)
        self.commits += 1
        return written

    async def prove(self, blocks: Sequence[BlockRows], datasets: Sequence[Dataset]) -> dict[str, int]:
        """Replace, in one transaction, what is stored of blocks that were read without proofs; as ``write``.

        The last of ``blocks`` is the proven one after them. Raises ``StoreError`` if they are not what they were.
        """
        first, end = blocks[0].ref.number, blocks[-1].ref.number
        async with self.transaction(f"prove blocks {first}-{end - 1}", self._time_for(blocks)) as connection:
            written = await prove(connection, blocks, datasets, self._write_accounts)
        self.commits += 1
        return written

    def _time_for(self, blocks: Sequence[BlockRows]) -> float:
        return self._commit_timeout_s + sum(len(block.rows) for block in blocks) / ROWS_PER_SECOND_AT_LEAST

    async def holes(self) -> list[coverage.Hole]:
        """``coverage.holes``."""
        async with self._session.calls("read the holes") as connection:
            return await coverage.holes(connection)

    async def unproven(self) -> list[coverage.Unproven]:
        """``coverage.unproven``."""
        async with self._session.calls("read the coverage") as connection:
            return await coverage.unproven(connection)

    async def doubtful(self) -> set[str]:
        """Datasets whose last blocks were not proven, or build on such: the next one has to be read in full."""
        async with self._session.calls("read the coverage") as connection:
            rows = await connection.fetch(
                "SELECT v.dataset FROM coverage v JOIN cursors c ON c.dataset = v.dataset "
                "AND c.block_number BETWEEN v.first_block AND v.last_block WHERE v.reason = ANY($1)",
                [coverage.NOT_PROVEN, coverage.SCANNED],
            )
        return {row["dataset"] for row in rows}

    async def forget_stops(self) -> None:
        """Drop the notes of stopped datasets: they are tried anew."""
        async with self.transaction("forget stopped datasets") as connection:
            await connection.execute("DELETE FROM holes WHERE last_block IS NULL")

    async def follow(self, notes: Mapping[str, str | None]) -> None:
        """``coverage.follow``: the datasets of the run that begins, each with what is to be said of it."""
        async with self.transaction("note the datasets") as connection:
            await coverage.follow(connection, notes)

    async def stop_dataset(self, dataset: str, number: int, reason: str) -> None:
        """Note for readers that a dataset waits before block ``number``, and why."""
        async with self.transaction("note a stopped dataset") as connection:
            await coverage.stop_dataset(connection, dataset, number, printable(reason))

    async def renew_current(self, connection: Connection, tables: Sequence[Keyed], first: int, last: int) -> None:
        """``Upkeep.renew``, by the statements that this session has prepared."""
        await self._upkeep.renew(connection, tables, first, last)

    async def _write_accounts(self, connection: Connection, accounts: set[bytes]) -> None:
        self._progressed()  # a table is written
        await self._addresses.write(connection, accounts)

    async def rewind(self, to: BlockRef, datasets: Sequence[Dataset]) -> None:
        """Forget everything above block ``to``: history, the current rows it made, cursors and coverage."""
        depth = max((cursor.block.number for cursor in (await self.cursors()).values()), default=to.number) - to.number
        timeout_s = self._commit_timeout_s + depth / BLOCKS_PER_SECOND_AT_LEAST
        async with self.transaction(f"rewind to block {to.number}", timeout_s) as connection:
            last = await connection.fetchval("SELECT max(block_number) FROM cursors")
            if last is not None and last > to.number:
                await announce.reorg(connection, to, last)
            for dataset in datasets:
                at = await connection.fetchval("SELECT block_number FROM cursors WHERE dataset = $1", dataset.name)
                if at is None or at <= to.number:
                    continue
                for table in dataset.tables:
                    await rewind_table(connection, table, to.number)
                    self._progressed()
                await coverage.rewind_cursor(connection, dataset.name, to)
            await connection.execute("DELETE FROM runtimes WHERE first_block > $1", to.number)

    async def repair(
        self, block: BlockRef, rows: Sequence[Row], datasets: Sequence[Dataset], accounts: Sequence[bytes] = ()
    ) -> None:
        """Make ``rows``, each given whole, what the tables say as of ``block``, in one transaction; and the
        texts of ``accounts`` right.

        Raises ``ConfigError`` unless ``block`` is the last committed one of every dataset: a row that is
        followed by others cannot be changed alone.
        """
        timeout_s = self._commit_timeout_s + len(rows) / ROWS_PER_SECOND_AT_LEAST
        async with self.transaction(f"repair rows of block {block.number}", timeout_s) as connection:
            await self._addresses.renew(connection, accounts)
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

    async def mark_finalized(self, block: BlockRef) -> bool:
        """Record finality: nothing rewinds below ``block`` any more. False if another one is indexed at its height."""
        async with self.transaction("mark finalized", forgets=False) as connection:
            ours = await connection.fetchval("SELECT hash FROM blocks WHERE block_number = $1", block.number)
            if ours == block.hash:
                noted = await connection.execute(
                    "UPDATE cursors SET finalized_block = $1 WHERE block_number >= $1 AND "
                    "coalesce(finalized_block, -1) < $1",
                    block.number,
                )
                if noted != "UPDATE 0":
                    await announce.block(connection, block, finalized=True)
        return ours is None or ours == block.hash


@asynccontextmanager
async def open_store(
    dsn: str, *, application: str = "bittensor-indexer", commit_timeout_s: float = COMMIT_TIMEOUT_S,
    progressed: Callable[[], None] = lambda: None,
) -> AsyncIterator[Store]:  # fmt: skip
    """A store on the database at ``dsn``; its connection is closed at the end. ``progressed``: a table is written."""
    async with open_session(dsn, application=application) as session:
        yield Store(session, commit_timeout_s, progressed)
