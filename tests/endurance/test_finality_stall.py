"""Finality stands still for ``STALL`` blocks: the best head is followed all the same, with bounded memory.

In the middle of it the chain leaves a branch of forty blocks, and the indexer is killed. Then finality comes back in
one jump. ``make endurance`` does it with thousands of blocks: their memory tells, and their time is too long for CI.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from long_run import Life, Weather, lived
from running import index
from tables import Tables, all_rows, assert_equal

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.stall import STALLED_BLOCKS

pytestmark = pytest.mark.anyio

STALL = int(os.environ.get("STALL", "400"))
SEED, FINAL, DEPTH = 5, 30, 40
MEMORY_TELLS_FROM = 3000
GROWTH_MAX = 1.25
"""Of the memory from a third of a long stall to its end, while caches still fill."""


async def grow(life: Life, to: int) -> None:
    """Let the best head go on to a height, finality staying where it is."""
    while life.chain.best.number < to:
        life.chain.grow(1)
        await anyio.lowlevel.checkpoint()
    await life.level()


@pytest.mark.timeout(0 if STALL > 400 else 180)
async def test_a_long_finality_stall_is_lived_through_with_a_deep_fork_and_a_kill_in_the_middle(
    database: str, another_database: str, tmp_path: Path
) -> None:
    chain = simulated_chain(SEED, quiet_from=24)
    chain.grow(FINAL)
    chain.finalize(FINAL)
    middle, end = FINAL + STALL // 2, FINAL + STALL
    async with lived(chain, database, tmp_path, Weather(SEED, over=True), "--batch", "100") as life:
        await life.level()
        assert await life.final() == {FINAL}
        await grow(life, FINAL + STALLED_BLOCKS - 1)
        assert life.events("finality_stalled") == []
        await grow(life, FINAL + STALL // 3)
        assert await life.final() == {FINAL}
        early = await life.census()
        await grow(life, middle)
        chain.fork(middle - DEPTH, DEPTH + 1)
        await life.level()
        assert [line["depth"] for line in life.events("rewind")] == [DEPTH]
        (stalled,) = life.events("finality_stalled")
        assert stalled["finalized"] == FINAL
        life.process.send_signal(signal.SIGKILL)
        chain.grow(DEPTH)
        await life.process.wait()
    async with lived(chain, database, tmp_path, Weather(SEED, over=True), "--batch", "100") as life:
        await grow(life, end)
        assert await life.final() == {FINAL}
        late = await life.census(early.counts)
        more = late.counts - early.counts
        assert not more, f"held at the end and not at the start: {dict(more)}"
        assert STALL < MEMORY_TELLS_FROM or late.rss_mib < early.rss_mib * GROWTH_MAX
        print(f"rss {early.rss_mib:.1f} MiB at block {early.block}, {late.rss_mib:.1f} MiB at block {late.block}")
        assert life.events("finality_back") == []
        chain.finalize(end)
        chain.grow(1)
        await life.level()
        with anyio.fail_after(30):
            while await life.final() != {end} or not life.events("finality_back"):  # noqa: ASYNC110
                await anyio.sleep(0.1)
        assert len(life.events("finality_stalled")) == 2, "once in each life of the process"
        assert len(life.events("rewind")) == 1
        chain.finalize(end + 1)
    await same_as_fresh(chain, database, another_database)


async def same_as_fresh(chain: Chain, database: str, another_database: str) -> None:
    """The tables are those of an index that saw nothing of it."""
    async with DevNode(chain) as node:
        await index(another_database, node.url, stop=chain.best.number)
    assert_equal(comparable(await all_rows(database)), comparable(await all_rows(another_database)))


def comparable(tables: Tables) -> Tables:
    """Without what a fork may leave: addresses seen there stay known."""
    used = {value for table, rows in tables.items() if table != "accounts" for row in rows for value in row}
    return {
        **tables,
        "cursors": [row[:4] for row in tables["cursors"]],
        "accounts": [row for row in tables["accounts"] if row[0] in used],
    }
