"""The profile ``finney`` in a small size: prepared once, served from disk, indexed and verified."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from running import command, index
from verifying import connected, verified

from indexer.devchain import finney
from indexer.devchain.heartbeat import beat
from indexer.devchain.prepared import PreparedChain
from indexer.devchain.server import DevNode
from indexer.node import open_node

pytestmark = pytest.mark.anyio

SIZES = replace(finney.SMALL, accounts=1_000, stakes=450, pools=80, blocks=16, tempo=6)
LAST = SIZES.blocks - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finney.prepare(tmp_path_factory.mktemp("finney"), SIZES, seed=3)


@pytest.fixture
def chain(folder: Path) -> Iterator[PreparedChain]:
    with finney.open_chain(folder) as chain:
        chain.grow(LAST)
        chain.finalize(LAST)
        yield chain


async def test_it_is_indexed_complete_from_its_first_block_and_verified(database: str, chain: PreparedChain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LAST)
        for block in (LAST // 2, LAST):
            report = await verified(database, devnode, block=block)
            assert report.differences == ()
            assert report.rows > SIZES.accounts + SIZES.stakes
    async with connected(database) as connection:
        incomplete = await connection.fetchval("SELECT count(*) FROM coverage WHERE NOT complete")
        assert incomplete == 0
        unnamed = await connection.fetchval(
            "SELECT count(*) FROM generate_series(1, $1) AS block WHERE NOT EXISTS "
            "(SELECT 1 FROM transfers WHERE block_number = block) OR NOT EXISTS "
            "(SELECT 1 FROM stake_events WHERE block_number = block)",
            LAST,
        )
        assert unnamed == 0, "each block tells of transfers and of stake"


async def test_it_is_followed_while_it_is_shown_block_by_block(database: str, folder: Path) -> None:
    with finney.open_chain(folder) as chain:
        chain.grow(LAST - 6)
        chain.finalize(chain.best.number)
        async with DevNode(chain) as devnode, anyio.create_task_group() as tasks:
            tasks.start_soon(beat, chain, 0.2)
            await index(database, devnode.url, stop=LAST, follow="best", start=str(LAST - 8))
            tasks.cancel_scope.cancel()
        async with connected(database) as connection:
            records = await connection.fetch("SELECT block_number, hash FROM blocks ORDER BY 1")
            assert [(record[0], record[1]) for record in records] == [
                (number, chain.at(number).hash) for number in range(LAST - 8, LAST + 1)
            ]


async def head_of(told: str) -> int:
    """The finalized height of the node whose URL the line tells."""
    url = re.search(r"ws://\S+", told)
    assert url is not None
    async with open_node([url[0]]) as node:
        return (await node.finalized()).number


@asynccontextmanager
async def served(*options: str) -> AsyncIterator[list[str]]:
    """`indexer devchain --profile finney` as a process; the lines it printed until it served."""
    process = await anyio.open_process(
        command("devchain", "--profile", "finney", "--port", "0", *options), stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    told = ""
    try:
        with anyio.fail_after(60):
            while "serving on" not in told or not told.endswith("\n"):
                told += (await process.stdout.receive()).decode()
        yield told.splitlines()
    finally:
        process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()
            await process.aclose()


async def test_the_command_makes_it_once_and_finds_it_again(tmp_path: Path) -> None:
    options = ("--accounts", "1000", "--blocks", "6", "--cache-dir", str(tmp_path))
    async with served(*options) as first:
        made, facts = first[0].split(": ", 1)
        assert re.fullmatch(r"7 blocks, \d+ MB, prepared in \d+ s with \d+ MB of memory", facts)
        assert await head_of(first[1]) == 6
    async with served(*options, "--block-time", "600", "--shown", "3") as second:
        assert second[0].startswith(f"{made}: 7 blocks")
        assert ", found, prepared in" in second[0]
        assert await head_of(second[1]) == 2
    assert [str(one) async for one in anyio.Path(tmp_path).iterdir()] == [made]
