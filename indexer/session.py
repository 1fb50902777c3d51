"""One session with Postgres in which every call ends: by its answer, by its error, or given up in time.

Owns the connection and the turn to use it. A server that hangs, or a connection that is cut in the
middle of a COPY, costs a ``StoreError`` and the session; neither is waited for. It knows no table.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import anyio
import asyncpg

from indexer.errors import IndexerError, StoreError, WriterLocked
from indexer.redaction import remember
from indexer.sqlstate import FOREIGN, mapped_errors

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 20.0
"""Seconds for a call that is not a large write: far above any, and still soon enough to fail over."""
CLOSE_TIMEOUT_S = 3.0

STATEMENTS_KEPT_MAX = 2_000
"""Prepared statements per session: every one of every table, so that none is prepared twice. One that somebody's DDL
makes void is a ``StoreError``, and the next session prepares anew."""

SETTINGS = {
    # The server gives up a client that is gone without a word within half a minute, and frees its locks.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Somebody's DDL holds a table: end this transaction and try again, instead of queueing for ever.
    "lock_timeout": "15s",
    # A suspended process must not hold its locks: the transaction is lost anyway. Preparing a whole state for
    # one table is the longest that we let the server wait within a transaction.
    "idle_in_transaction_session_timeout": "120s",
}


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that has the writer lock, and what shows whether it is alive."""

    pid: int
    backend_start: datetime | None
    name: str
    waits_for_client: bool
    """Postgres has nothing to do for it until the client sends or reads."""
    sign_of_life: tuple[object, ...]
    """Changes whenever the client does anything."""

    @property
    def session(self) -> tuple[int, datetime | None]:
        """What names a session for ever."""
        return self.pid, self.backend_start


@contextmanager
def lost_copies_told_once() -> Iterator[None]:
    """Within the context a connection that is lost in a COPY is told by the error of the call alone.

    asyncpg keeps that error in a future, too, for which nobody waits; asyncio would tell it again, as its own.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("future"), asyncio.Future) and isinstance(
            context.get("exception"), asyncpg.ConnectionDoesNotExistError
        ):
            return
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def this_process() -> str:
    """What tells an operator where this process is."""
    return f" (host {socket.gethostname()}, process {os.getpid()})"


async def lock_holder(connection: Connection, lock: int) -> Holder:
    """Who holds an advisory lock of this database."""
    row = await connection.fetchrow(
        "SELECT a.pid, a.backend_start, a.application_name, a.client_addr::text AS address, "
        "a.wait_event IN ('ClientRead', 'ClientWrite') AS waits, a.state_change, a.query_start, a.xact_start, "
        "c.bytes_processed "
        "FROM pg_locks l JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_stat_progress_copy c USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND (l.classid::bigint << 32 | l.objid::bigint) = $1",
        lock,
    )
    if row is None:  # it has gone meanwhile
        return Holder(0, None, "a session that has just ended", False, ())
    name = f"{row['application_name']} at {row['address'] or 'this host'} since {row['backend_start']}"
    signs = (row["state_change"], row["query_start"], row["xact_start"], row["bytes_processed"])
    return Holder(row["pid"], row["backend_start"], name, bool(row["waits"]), (row["pid"], *signs))


def locked_by(holder: Holder) -> WriterLocked:
    """What to tell when another instance is the writer."""
    return WriterLocked(
        f"another instance writes to this database ({holder.name}): stop it first, or start this one with --standby "
        "to wait"
    )


class Session:
    """A connection whose calls are bounded. Made by ``open_session``; one task at a time calls, others wait."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = anyio.Lock()
        self._call: anyio.CancelScope | None = None
        self._since_s: float | None = None
        self._cut = False
        self.lost = False
        """True once it was given up: every further call raises ``StoreError``."""
        connection.add_termination_listener(self._terminated)

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._since_s is not None

    def waiting_s(self) -> float:
        """Seconds since the present call began; 0 if there is none."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s

    def give_up(self) -> None:
        """Drop the connection without waiting for the server; a call under way fails with ``StoreError``."""
        self.lost = True
        if self._call is not None:
            self._call.cancel()  # its end drops the connection
        else:
            self._connection.terminate()

    @asynccontextmanager
    async def calls(self, what: str, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """The connection, for a time (None: ``CALL_TIMEOUT_S``). Raises ``StoreError`` when either is over."""
        timeout_s = CALL_TIMEOUT_S if timeout_s is None else timeout_s
        async with self._turn:
            if self.lost:
                raise StoreError(f"{what}: the connection to the database is lost")
            answered = False
            scope = anyio.CancelScope(deadline=anyio.current_time() + timeout_s)
            try:
                with scope, mapped_errors(what):
                    self._call, self._since_s = scope, time.monotonic()
                    try:
                        yield self._connection
                    except anyio.get_cancelled_exc_class():
                        self.lost = True  # nobody knows what the server has done by now
                        raise
                    answered = True
            except IndexerError as error:
                if not (scope.cancel_called or self._cut):
                    raise
                raise StoreError(f"{what}: {self._end(timeout_s)}") from error
            finally:
                self._call = self._since_s = None
                if self.lost or scope.cancel_called or self._connection.is_closed():
                    self.give_up()
            if not answered:
                raise StoreError(f"{what}: {self._end(timeout_s)}")

    def _end(self, timeout_s: float) -> str:
        return "the connection was lost" if self._cut else f"the database did not answer within {timeout_s:.0f} s"

    @asynccontextmanager
    async def transaction(self, what: str, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """The same within one transaction."""
        async with self.calls(what, timeout_s) as connection, connection.transaction():
            yield connection

    def _terminated(self, _connection: object) -> None:
        self._cut = self._cut or not self.lost


@asynccontextmanager
async def open_session(dsn: str, *, application: str) -> AsyncIterator[Session]:
    """A session with the database at ``dsn``; closed at the end, whatever its state."""
    remember(dsn)
    with mapped_errors("connect to the database"):
        connection: Connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={"application_name": application},
            statement_cache_size=STATEMENTS_KEPT_MAX,
            max_cached_statement_lifetime=0,  # no end
        )
    session = Session(connection)
    try:
        async with session.calls("set up the session") as ready:
            for name, value in SETTINGS.items():
                await ready.execute("SELECT set_config($1, $2, false)", name, value)
        yield session
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(*FOREIGN):  # returns at once if it was given up
                await connection.close(timeout=CLOSE_TIMEOUT_S)
            connection.terminate()
