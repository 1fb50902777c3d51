"""A comparison and a repair as the command makes them, with the error itself where one is raised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from indexer.datasets import load
from indexer.devchain.server import DevNode
from indexer.errors import root_cause
from indexer.node import open_node
from indexer.store import open_store
from indexer.verify import Report, repair, verify


@contextmanager
def the_cause() -> Iterator[None]:
    """Task groups bundle what is raised in them; tests want the error itself."""
    try:
        yield
    except BaseExceptionGroup as bundle:
        raise root_cause(bundle) from None


async def verified(dsn: str, devnode: DevNode, **options: Any) -> Report:
    with the_cause():
        async with open_node([devnode.url]) as node:
            return await verify(node, dsn, load(), **options)


async def repaired(dsn: str, devnode: DevNode, report: Report) -> int:
    with the_cause():
        async with open_node([devnode.url]) as node, open_store(dsn) as store:
            await store.lock_writer()
            return await repair(node, dsn, store, load(), report)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
