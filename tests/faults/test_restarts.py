"""What a run that ends and begins anew does again, and what it does not."""

from __future__ import annotations

import anyio
import pytest
from proxy import Proxy
from running import index, wait_for

from indexer import migrate
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode

pytestmark = pytest.mark.anyio


async def test_the_schema_is_looked_at_again_after_the_database_was_lost_and_not_after_a_reorg(
    database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    upgrade = migrate.upgrade

    async def counted(dsn: str) -> None:
        nonlocal looks
        looks += 1
        await upgrade(dsn)

    monkeypatch.setattr(migrate, "upgrade", counted)
    chain.grow(6)
    async with Proxy(database) as proxy, anyio.create_task_group() as group:

        async def run() -> None:
            await index(proxy.dsn, devnode.url, stop=20, follow="best")

        group.start_soon(run)
        for height in (8, 10, 12):
            await wait_for(database, chain.best.number)
            chain.fork(chain.best.number - 2, 4, salt=height)
            assert chain.best.number == height
        await wait_for(database, 12)
        assert looks == 1
        proxy.cut()
        chain.grow(8)
        await wait_for(database, 20)
    assert looks == 2
