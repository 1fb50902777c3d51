"""After thousands of blocks with forks, upgrades and cut connections nothing is held that was not held at the start.

``make endurance BLOCKS=20000`` lives longer than the tests do, and looks at the memory as well.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import asyncpg
import pytest
from long_run import Census, Life, Weather, live, lived

from indexer import datasets
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.node import open_node
from indexer.verify import verify

pytestmark = pytest.mark.anyio

BLOCKS = int(os.environ.get("BLOCKS", "300"))
MEMORY_TELLS_FROM = 4000
"""Blocks below which memory is still that of a cache that fills."""
GROWTH_MAX = 1.05
"""Of the memory in the second half of a long life: 10,000 blocks at 1 KiB each would be more."""
SEED = 11


@pytest.mark.timeout(0 if BLOCKS > 300 else 180)
async def test_a_long_life_with_faults_leaves_nothing_behind(database: str, tmp_path: Path) -> None:
    chance, weather = random.Random(SEED), Weather(SEED, strength=1 if BLOCKS > 300 else 10)
    chain = simulated_chain(SEED, quiet_from=24, upgrade_every=max(100, BLOCKS // 40), keep_states=256, keep_blocks=512)
    chain.grow(30)
    options = ("--verify-every-blocks", str(max(100, BLOCKS // 10)), "--batch", "50")
    async with lived(chain, database, tmp_path, weather, *options) as life:
        began_s = time.monotonic()
        taken = [await life.census()]
        for part in range(1, 21):
            await live(life, 30 + (BLOCKS - 30) * part // 20, chance)
            if part in (1, 2, 5, 10, 15, 20):
                taken.append(await life.census(taken[0].counts))
                tell(taken[-1], began_s, life)
        weather.over = True
        chain.finalize(chain.best.number)
        chain.grow(1)
        await life.level()
        assert all(not line["differences"] for line in life.events("verified"))
        assert {line["cause"] for line in life.events("restart")} >= {"Reorg", "StoreError"}
    chain.finalize(chain.best.number)
    await is_whole(chain, database)
    for one in taken[1:]:
        more = one.counts - taken[0].counts
        assert not more, f"held at block {one.block} and not at the start: {dict(more)}"
    if BLOCKS >= MEMORY_TELLS_FROM:
        half, end = taken[-3].rss_mib, taken[-1].rss_mib
        assert end <= half * GROWTH_MAX, f"{end:.0f} MiB at the end, {half:.0f} MiB half way"


async def is_whole(chain: Chain, dsn: str) -> None:
    """Every block is there, of the final chain and proven; and the tables are what its state says."""
    connection = await asyncpg.connect(dsn)
    try:
        hashes = await connection.fetch("SELECT block_number, hash FROM blocks ORDER BY 1")
        ranges = await connection.fetch("SELECT DISTINCT first_block, last_block, complete FROM coverage")
    finally:
        await connection.close()
    assert [tuple(row) for row in hashes] == [(n, chain.hash_at(n)) for n in range(chain.best.number + 1)]
    assert [tuple(row) for row in ranges] == [(0, chain.best.number, True)]
    async with DevNode(chain) as devnode, open_node([devnode.url]) as node:
        assert (await verify(node, dsn, datasets.load())).differences == ()


def tell(census: Census, began_s: float, life: Life) -> None:
    """A line of the table that ``make endurance`` shows."""
    kinds = {kind: sum(n for name, n in census.counts.items() if name.startswith(kind)) for kind in ("fds", "tasks")}
    print(
        f"block {census.block:6} {time.monotonic() - began_s:6.0f} s  rss {census.rss_mib:6.1f} MiB  "
        f"fds {kinds['fds']:3}  tasks {kinds['tasks']:3}  sessions {census.counts['sessions']}  "
        f"sockets {census.counts['node sockets']}  node {census.node_rss_mib:6.1f} MiB  {dict(life.met)}",
        *census.largest, sep="\n  ", flush=True,
    )  # fmt: skip
