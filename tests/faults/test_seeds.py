"""After any story the tables equal a fresh index of the final chain.

Run one seed again with: make soak SEEDS=N-N
"""

from __future__ import annotations

import os

import pytest
from running import index
from story import FAULTS, rates_of, tell
from tables import Tables, all_rows, assert_equal

from indexer.devchain.server import DevNode

pytestmark = pytest.mark.anyio


def seeds() -> range:
    """The fixed set of CI, or what ``SEEDS=FROM-TO`` asks for."""
    first, _, last = os.environ.get("SEEDS", "1-40").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", seeds())
async def test_after_the_story_the_tables_equal_a_fresh_index(database: str, another_database: str, seed: int) -> None:
    told = await tell(seed, database)
    async with DevNode(told.chain) as node:
        await index(another_database, node.url, stop=told.last)
    found, wanted = comparable(await all_rows(database)), comparable(await all_rows(another_database))
    try:
        assert_equal(found, wanted)
    except AssertionError as difference:
        pytest.fail(
            f"seed {seed} (forks to depth {told.deepest_fork}, met {dict(told.met)}): {difference}\n"
            f"repeat it with: make soak SEEDS={seed}-{seed}"
        )


def comparable(tables: Tables) -> Tables:
    """Without what a story may leave: addresses seen on a fork stay known, finality is noted later."""
    used = {value for table, rows in tables.items() if table != "accounts" for row in rows for value in row}
    return {
        **tables,
        "cursors": [row[:4] for row in tables["cursors"]],
        "accounts": [row for row in tables["accounts"] if row[0] in used],
    }


def test_the_seeds_of_ci_meet_every_fault() -> None:
    met = {kind for seed in seeds() for kind in FAULTS if getattr(rates_of(seed), kind) > 0}
    assert met == set(FAULTS)
