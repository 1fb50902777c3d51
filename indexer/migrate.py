"""Brings a database to the schema this version needs, or says in one line why it must not.

Owns the run of the migrations and the question "is this database ours, and which revision does it have".
It never touches a database that holds other things or that a newer version has been at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from indexer import datasets, schema
from indexer.errors import ConfigError, Fatal, IndexerError, StoreError
from indexer.redaction import foreign
from indexer.session import CONNECT_TIMEOUT_S
from indexer.sqlstate import FOREIGN, meaning

CHECK_TIMEOUT_S = 15.0
UPGRADE_TIMEOUT_S = 3600.0
"""Seconds for a migration, which may rewrite large tables, and for waiting until another instance has done it."""
MIGRATION_LOCK = 0x6274_7369_646D  # "btsidm": one migration at a time per database

assert datasets.DATASETS  # importing them declares their tables
T = TypeVar("T")


def engine_for(dsn: str) -> AsyncEngine:
    """An engine for a libpq URL; asyncpg itself reads the URL, so every option it knows works here too."""
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool)


async def upgrade(dsn: str) -> None:
    """Bring the database to the revision of this code, in one transaction; does nothing if it is there.

    Raises ``ConfigError`` for a database that is not ours, is newer than this code, or does not let us in,
    ``StoreError`` if it cannot be reached.
    """
    if await _run(dsn, _checked_revision, CHECK_TIMEOUT_S) != expected():
        await _run(dsn, _upgrade, UPGRADE_TIMEOUT_S)


async def current(dsn: str) -> str | None:
    """The database's revision, None if it is empty. Raises as ``upgrade`` does."""
    return await _run(dsn, _checked_revision, CHECK_TIMEOUT_S)


def expected() -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


async def check(dsn: str) -> None:
    """Raise ``ConfigError`` unless the database has exactly the revision this code needs."""
    found = await current(dsn)
    if found != expected():
        raise ConfigError(
            f"the database has schema revision {found or 'none'}, this version needs {expected()}: "
            "run `indexer migrate`"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config


def _upgrade(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    if _checked_revision(connection) == expected():
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    set_storage(connection)


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
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision not in known:
        raise ConfigError(
            f"the database has schema revision {revision}, which this version does not know: "
            "it was migrated by a newer version, or by another program"
        )
    return revision


async def _run(dsn: str, work: Callable[[Connection], T], timeout_s: float) -> T:
    """Run ``work`` in one transaction; a server that hangs longer loses the connection."""
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
        async with engine.begin() as connection:
            return await connection.run_sync(work)
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
            "which also grants this role its rights; see Roles in the README"
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
