"""After any story the tables equal a fresh index of the final chain.

Run one seed again with: make soak SEEDS=N
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

import pytest
from haste import hasten
from plan import DEPTH_MAX, EVERY_FAULT, plan_of
from running import index
from story import tell
from tables import Tables, all_rows, assert_equal

from indexer import daemon, datasets, metrics, session
from indexer.devchain.server import DevNode
from indexer.node import open_node
from indexer.verify import verify

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

CI_SEEDS = range(1, 201)
VERIFIED_EACH = 5
"""Of so many seeds one is held against the chain too: what both indexings got wrong alike, tables do not show."""


def seeds() -> range:
    """The fixed set of CI, or what ``SEEDS=FROM-TO`` asks for."""
    first, _, last = os.environ.get("SEEDS", f"{CI_SEEDS[0]}-{CI_SEEDS[-1]}").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the indexer's wall clock by so many seconds."""
    jumped_s = 0.0
    true = time.time

    def jump(seconds: float) -> None:
        nonlocal jumped_s
        jumped_s += seconds

    def now_s() -> float:
        return true() + jumped_s

    monkeypatch.setattr(time, "time", now_s)
    monkeypatch.setattr(daemon, "Metrics", partial(metrics.Metrics, now_s=now_s))
    return jump


@pytest.fixture
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch.setattr, monkeypatch.setitem)
    monkeypatch.setitem(session.SETTINGS, "lock_timeout", "300ms")


@pytest.mark.usefixtures("_in_haste")
@pytest.mark.parametrize("seed", seeds())
async def test_after_the_story_the_tables_equal_a_fresh_index(
    database: str, another_database: str, clock: Callable[[float], None], seed: int
) -> None:
    plan = plan_of(seed)
    try:
        told = await tell(plan, database, clock)
        async with DevNode(told.chain) as node:
            await index(another_database, node.url, stop=told.chain.best.number)
            if seed % VERIFIED_EACH == 0:
                await agrees_with_the_chain(database, node.url)
        assert_equal(comparable(await all_rows(database)), comparable(await all_rows(another_database)))
    except Exception as error:
        raise AssertionError(f"make soak SEEDS={seed} repeats it: {error!r:.500}\n{plan}") from error


async def agrees_with_the_chain(database: str, url: str) -> None:
    async with open_node([url]) as node:
        report = await verify(node, database, datasets.load())
    assert report.is_whole
    assert report.differences == ()


def comparable(tables: Tables) -> Tables:
    """Without what a story may leave: addresses seen on a fork stay known, finality is noted later."""
    used = {value for table, rows in tables.items() if table != "accounts" for row in rows for value in row}
    return {
        **tables,
        "cursors": [row[:4] for row in tables["cursors"]],
        "accounts": [row for row in tables["accounts"] if row[0] in used],
    }


def test_the_seeds_of_ci_meet_every_fault_and_a_fork_of_every_sort() -> None:
    plans = [plan_of(seed) for seed in CI_SEEDS]
    assert frozenset().union(*(plan.faults for plan in plans)) == EVERY_FAULT
    assert max(plan.deepest for plan in plans) == DEPTH_MAX
    assert any("upgrade" in plan.faults and plan.deepest == DEPTH_MAX for plan in plans)
