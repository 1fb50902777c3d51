"""Brings a database to the schema this version needs, or says in one line why it must not.

Owns the run of the migrations and the question "is this database ours, and which revision does it have".
It never touches a database that holds other things or that a newer version has been at.
"""

from __future__ import annotations

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

from indexer.errors import ConfigError, Fatal, IndexerError, StoreError

MIGRATION_LOCK = 0x6274_7369_646D  # "btsidm": one migration at a time per database

T = TypeVar("T")


def engine_for(dsn: str) -> AsyncEngine:
    """An engine for a libpq URL; asyncpg itself reads the URL, so every option it knows works here too."""
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool)


async def upgrade(dsn: str) -> None:
    """Bring the database to the revision of this code, in one transaction; does nothing if it is there.

    Raises ``ConfigError`` for a database that is not ours, is newer than this code, or does not let us in,
    ``StoreError`` if it cannot be reached.
    """
    await _run(dsn, _upgrade)


async def current(dsn: str) -> str | None:
    """The database's revision, None if it is empty. Raises as ``upgrade`` does."""
    return await _run(dsn, _checked_revision)


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


async def _run(dsn: str, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction."""
    engine = engine_for(dsn)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        raise _mapped(error) from error
    finally:
        await engine.dispose()


_CLOSED_TO_US = (
    ValueError,  # asyncpg's ClientConfigurationError: the URL itself is wrong
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_PASSING = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError)


def _mapped(error: Exception) -> IndexerError:
    """A foreign error as ours, by class; SQLAlchemy carries asyncpg's as the cause of its own."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, _CLOSED_TO_US):
        return ConfigError(f"cannot open the database: {cause}")
    if isinstance(cause, _PASSING):
        return StoreError(f"cannot reach the database: {cause}")
    return Fatal(f"the database refused a migration: {cause}")
