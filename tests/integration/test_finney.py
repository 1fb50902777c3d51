"""The profile ``finney`` in a small size: prepared once, served from disk, indexed and verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import index
from verifying import connected, verified

from indexer.devchain import finney
from indexer.devchain.prepared import PreparedChain
from indexer.devchain.server import DevNode

pytestmark = pytest.mark.anyio

LAST = finney.SMALL.blocks - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finney.prepare(tmp_path_factory.mktemp("finney"), finney.SMALL, seed=3)


@pytest.fixture
def chain(folder: Path) -> Iterator[PreparedChain]:
    with finney.open_chain(folder) as chain:
        chain.grow(LAST)
        chain.finalize(LAST)
        yield chain


async def test_it_is_indexed_complete_from_its_first_block_and_verified(database: str, chain: PreparedChain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LAST)
        for block in (0, LAST // 2, LAST):
            report = await verified(database, devnode, block=block)
            assert report.differences == ()
            assert report.rows > finney.SMALL.accounts + finney.SMALL.stakes
    async with connected(database) as connection:
        incomplete = await connection.fetchval("SELECT count(*) FROM coverage WHERE NOT complete")
        assert incomplete == 0
