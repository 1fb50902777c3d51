"""The database goes away while the tables are compared: an error of ours, and the daemon verifies another time."""

from __future__ import annotations

import asyncpg
import pytest
from running import index

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.errors import StoreError
from indexer.verify.snapshot import Snapshot, open_snapshot

pytestmark = pytest.mark.anyio


async def ended_by_the_server(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bittensor-indexer verify' "
        "AND datname = current_database()"
    )
    await connection.close()


async def read(snapshot: Snapshot) -> None:
    async for _ in snapshot.accounts([]):
        pass


async def read_until_it_ends(database: str) -> None:
    async with open_snapshot(database) as snapshot:
        await read(snapshot)
        await ended_by_the_server(database)
        await read(snapshot)


async def test_a_snapshot_whose_connection_ends_under_it_is_a_store_error(
    database: str, chain: Chain, devnode: DevNode
) -> None:
    chain.grow(3)
    chain.finalize(3)
    await index(database, devnode.url, stop=3)
    with pytest.raises(StoreError, match="accounts"):
        await read_until_it_ends(database)
    async with open_snapshot(database) as snapshot:
        await ended_by_the_server(database)  # nothing is read any more: nothing is lost
    async with open_snapshot(database) as snapshot:
        await read(snapshot)
