"""Brings a database to the schema this version needs, or says in one line why it must not.

Owns the run of the migrations and the question "is this database ours, and which revision does it have".
It never touches a database that holds other things or that a newer version has been at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from indexer import board, datasets, migration_plan, schema
from indexer.errors import ConfigError, Fatal, IndexerError, StoreError
from indexer.migration_plan import Step
from indexer.redaction import foreign
from indexer.session import CONNECT_TIMEOUT_S
from indexer.sqlstate import FOREIGN, meaning
from indexer.store import WRITER_LOCK

CHECK_TIMEOUT_S = 15.0
UPGRADE_TIMEOUT_S = 3600.0
"""Seconds for a migration, which may rewrite large tables, and for waiting until another instance has done it."""
LOCK_PAUSE_S = 0.2
"""Seconds between two tries to be the one that migrates."""
MIGRATION_LOCK = 0x6274_7369_646D  # "btsidm": one migration at a time per database

assert datasets.DATASETS  # importing them declares their tables
T = TypeVar("T")


def engine_for(dsn: str) -> AsyncEngine:
    """An engine for a libpq URL; asyncpg itself reads the URL, so every option it knows works here too."""
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool)


async def upgrade(dsn: str, to: str | None = None) -> None:
    """Bring the database up to a revision (None: that of this code); does nothing if it is there or beyond.

    Each revision is one transaction; a broken upgrade goes on where it was. Raises ``ConfigError`` for a database
    that is not ours, is newer than this code, or does not let us in, ``StoreError`` if it cannot be reached.
    """
    wanted = migration_plan.target(to)
    if _is_below(await current(dsn), wanted):
        await _guarded(dsn, partial(_move, to=wanted), UPGRADE_TIMEOUT_S)


async def downgrade(dsn: str, to: str) -> None:
    """Take the database back to an older revision, ``base`` for none; what the newer ones keep is lost.

    Raises as ``upgrade`` does, and ``ConfigError`` while an instance writes.
    """
    wanted = migration_plan.target(to)
    await _guarded(dsn, partial(_move, to=wanted, back=True), UPGRADE_TIMEOUT_S)


async def planned(dsn: str, to: str | None = None) -> tuple[list[Step], dict[str, int]]:
    """What leads to a revision (None: that of this code), and the estimated rows of the tables it touches."""
    wanted = migration_plan.target(to)
    found = migration_plan.steps(await current(dsn), wanted)
    names = sorted(migration_plan.tables(found))
    return found, await _run(dsn, partial(_sizes, names=names), CHECK_TIMEOUT_S)


async def current(dsn: str) -> str | None:
    """The database's revision, None if it is empty. Raises as ``upgrade`` does."""
    return await _run(dsn, _checked_revision, CHECK_TIMEOUT_S)


def expected() -> str:
    """The revision this code needs."""
    return migration_plan.revisions()[-1]


async def check(dsn: str) -> None:
    """Raise ``ConfigError`` unless the database has exactly the revision this code needs."""
    found = await current(dsn)
    if found != expected():
        raise ConfigError(
            f"the database has schema revision {found or 'none'}, this version needs {expected()}: "
            "run `indexer migrate`"
        )


def _is_below(revision: str | None, other: str | None) -> bool:
    return _place(revision) < _place(other)


def _place(revision: str | None) -> int:
    return [None, *migration_plan.revisions()].index(revision)


async def _move(connection: AsyncConnection, *, to: str | None, back: bool = False) -> None:
    """Alone, and each revision in a transaction of its own."""
    # Tries, not a wait: whoever waits in a statement holds a snapshot, for which concurrent index builds wait.
    while not await connection.scalar(text("select pg_try_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK}):
        await connection.commit()
        await asyncio.sleep(LOCK_PAUSE_S)
    if back and not await connection.scalar(text("select pg_try_advisory_lock(:lock)"), {"lock": WRITER_LOCK}):
        raise ConfigError("an instance writes to this database: stop it before its tables are taken away")
    revision = await connection.run_sync(_checked_revision)
    await connection.execute(text("set statement_timeout = 0"))
    await connection.commit()
    if _is_below(to, revision) if back else _is_below(revision, to):
        steps = abs(_place(to) - _place(revision))
        with board.shown("migration_progress", "revisions applied", "", to=to) as work:
            work.tell(0, steps)
            await connection.run_sync(_alembic, to or migration_plan.BASE, back, work, steps)
        await connection.commit()


def _alembic(connection: Connection, to: str, back: bool, work: board.Work, steps: int) -> None:
    applied = iter(range(1, steps + 1))
    config = migration_plan.config()
    config.attributes["connection"] = connection
    config.attributes["on_version_apply"] = lambda **_: work.tell(next(applied, steps), steps)
    (command.downgrade if back else command.upgrade)(config, to)
    if not back:
        set_storage(connection)


def _sizes(connection: Connection, names: list[str]) -> dict[str, int]:
    """Rows of those of the tables that exist, as the planner guesses them; counted where it never looked."""
    found = {}
    query = text("select reltuples::bigint from pg_class where oid = to_regclass(:name) and relkind in ('r', 'p')")
    for name in names:
        rows = connection.scalar(query, {"name": name})
        if rows is not None:
            found[name] = rows if rows >= 0 else connection.scalar(text(f'select count(*) from "{name}"')) or 0
    return found


def set_storage(connection: Connection) -> None:
    """Give every declared table the storage parameters of its kind; those that have them are left alone.

    Locks out no reader and no writer of rows.
    """
    found = connection.execute(
        text("select relname, reloptions from pg_class where relnamespace = current_schema()::regnamespace")
    )
    has = {name: set(options or ()) for name, options in found}
    for name, table in schema.metadata.tables.items():
        wanted = {f"{key}={value}" for key, value in schema.settings(table).items()}
        if name in has and not wanted <= has[name]:
            connection.execute(text(f'alter table "{name}" set ({", ".join(sorted(wanted))})'))


def _checked_revision(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        foreign = set(inspect(connection).get_table_names()) - {"alembic_version"}
        if foreign:
            raise ConfigError(
                f"the database holds other tables ({', '.join(sorted(foreign)[:3])}, …) and none of the indexer's: "
                "give the indexer a database of its own"
            )
        return None
    if revision not in migration_plan.revisions():
        raise ConfigError(
            f"the database has schema revision {revision}, which this version does not know: "
            "it was migrated by a newer version, or by another program"
        )
    return revision


async def _run(dsn: str, work: Callable[[Connection], T], timeout_s: float) -> T:
    """Run ``work`` in one transaction; a server that hangs longer loses the connection."""

    async def in_transaction(connection: AsyncConnection) -> T:
        found = await connection.run_sync(work)
        await connection.commit()
        return found

    return await _guarded(dsn, in_transaction, timeout_s)


async def _guarded(dsn: str, work: Callable[[AsyncConnection], Awaitable[T]], timeout_s: float) -> T:
    """Run ``work`` on a connection of its own, which it loses if it takes longer; errors become ours."""
    opened: list[asyncpg.Connection[asyncpg.Record]] = []

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
        opened.append(connection)
        return connection

    def give_up() -> None:
        for connection in opened:
            connection.terminate()

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    # No cancellation: SQLAlchemy would leave a task behind that waits for the server.
    timer = asyncio.get_running_loop().call_later(timeout_s, give_up)
    try:
        async with engine.connect() as connection:
            return await work(connection)
    except (*FOREIGN, ValueError, DBAPIError) as error:
        raise _mapped(error, dsn) from error
    finally:
        timer.cancel()
        give_up()
        await engine.dispose()


def _mapped(error: Exception, dsn: str) -> IndexerError:
    """A foreign error as ours, by class and code; SQLAlchemy carries asyncpg's as the cause of its own."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    text = foreign(str(cause), dsn)
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return ConfigError(
            f"the role may not do what is needed ({text}): run `indexer migrate` as the owner of the tables, "
            "which also grants this role its rights; see Roles in docs/OPERATING.md"
        )
    if isinstance(cause, FOREIGN):
        root = meaning(cause)
        if issubclass(root, ConfigError):
            return ConfigError(f"cannot open the database: {text}")
        if issubclass(root, StoreError):
            return StoreError(f"cannot reach the database: {text or type(cause).__name__}")
    elif isinstance(cause, ValueError):
        return ConfigError(f"cannot open the database: {text}")  # the URL itself is wrong
    return Fatal(f"the database refused a migration: {text}")
