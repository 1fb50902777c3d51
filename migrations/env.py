"""Alembic's entry: runs on the connection given by ``indexer.migrate``, or on one of its own for developers."""

from __future__ import annotations

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from indexer import datasets, schema
from indexer.migrate import engine_for

assert datasets.DATASETS  # importing the datasets declares their tables


def run(connection: Connection) -> None:
    """Run the migrations asked for, all in one transaction."""
    context.configure(connection=connection, target_metadata=schema.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_alone() -> None:
    """Run on the database in INDEXER_DATABASE_URL."""
    engine = engine_for(os.environ["INDEXER_DATABASE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("offline mode is not supported: migrations look at the database")
given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_alone())
else:
    run(given)
