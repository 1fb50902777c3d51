"""Alembic's entry: runs on the connection given by ``indexer.migrate``, or on one of its own for developers.

Every revision is a transaction of its own, so that one may also build indexes outside of any; what a
revision would do is written down (offline) for ``indexer migrate --plan``.
"""

from __future__ import annotations

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from indexer import datasets, schema
from indexer.migrate import engine_for

assert datasets.DATASETS  # importing the datasets declares their tables


def run(connection: Connection) -> None:
    """Run the migrations asked for."""
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        compare_type=True,
        transaction_per_migration=True,
        on_version_apply=context.config.attributes.get("on_version_apply", ()),
    )
    with context.begin_transaction():
        context.run_migrations()


def write_down() -> None:
    """Write the statements of the migrations asked for into the buffer given as ``output``, or to stdout."""
    context.configure(
        dialect_name="postgresql",
        output_buffer=context.config.attributes.get("output"),
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_alone() -> None:
    """Run on the database in INDEXER_DATABASE_URL."""
    engine = engine_for(os.environ["INDEXER_DATABASE_URL"])
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    write_down()
elif given is None:
    asyncio.run(run_alone())
else:
    run(given)
