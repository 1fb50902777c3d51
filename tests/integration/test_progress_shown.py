"""What somebody sees who waits for a run: bars on a terminal, figures in log lines, nothing of it in each other."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import anyio
import pytest
from running import committed, index
from structlog.testing import capture_logs
from terminal import ended, on_a_terminal
from verifying import connected

from indexer import board, config, inspection, migrate, migration_plan, pursuit, run
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

FIGURES = {"done", "total", "percent", "rate", "eta_s"}
BEGINS = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[\w+ *\] \w+")


def slow_node(blocks: int, pause_s: float = 0.1) -> DevNode:
    """A node of some blocks that takes its time for each proof."""
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(blocks)
    chain.finalize(blocks)

    async def slowly(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            await anyio.sleep(pause_s)
        return result

    return DevNode(chain, tamper=slowly)


def run_on(database: str, node: DevNode, *options: str) -> list[str]:
    given = ["--network", node.url, "--database-url", database, "--start", "genesis", "--workers", "2"]
    return ["run", *given, "--metrics-address", "off", "--verify-every-blocks", "0", *options]


async def test_bars_show_a_whole_state_and_a_backfill_and_leave_the_log_lines_whole(database: str) -> None:
    async with (
        slow_node(110, 0.07) as node,
        on_a_terminal(*run_on(database, node, "--stop", "109"), columns=80) as session,
    ):
        assert await ended(session) == 0
    screen = session.screen
    assert any(re.match(r"state 0 .*━.* \d+ % +\d+/~\d+ nodes", line) for line in screen.seen), screen.seen
    bars = [found for line in screen.seen if (found := re.match(r"block (\d+) .*━.* (\d+) % +(\d+)/110 blocks", line))]
    assert len(bars) > 3, screen.seen
    blocks, percents = [int(bar[1]) for bar in bars], [int(bar[2]) for bar in bars]
    assert blocks == sorted(blocks)
    assert percents == sorted(percents)
    assert any(re.search(r" [\d.]+/s +about \d+ s", line) for line in screen.seen)
    assert all(len(line) <= 80 for line in screen.seen)
    left = [line for line in screen.lines if line]
    assert not any("━" in line for line in left), "the bars are gone at the end"
    for before, line in zip(["", *left], left, strict=False):
        assert BEGINS.match(line) or len(before) >= 78, f"{line!r} is no log line, and continues none: {left}"
    told = re.findall(r"Z \[\w+ *\] (\w+)", "\n".join(left))
    assert {"start", "begin", "bootstrap_decoded", "bootstrap_written", "done"} <= set(told)
    assert not {"progress", "bootstrap_progress"} & set(told), "what is drawn is not logged too"
    assert screen.has_cursor


async def test_at_the_head_the_bar_gives_way_to_a_quiet_line_until_it_is_stopped(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(3)
    chain.finalize(3)
    async with DevNode(chain) as node, on_a_terminal(*run_on(database, node), columns=100) as session:
        with anyio.fail_after(30):
            while not any("following the finalized head 3" in line for line in session.screen.lines):  # noqa: ASYNC110
                await anyio.sleep(0.05)
            chain.grow(2)
            chain.finalize(5)
            while not any(line.startswith("block 5 ·") for line in session.screen.lines):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        session.process.send_signal(signal.SIGINT)
        assert await ended(session) == 0
    assert any(
        re.match(r"block 5 · .* behind the clock · following the finalized head 5", s) for s in session.screen.seen
    )
    assert not any("following" in line and "·" in line for line in session.screen.lines)
    assert sum("caught_up" in line for line in session.screen.lines) == 1
    assert await committed(database) == 5


async def test_json_lines_are_nothing_but_json_on_a_terminal_too(database: str) -> None:
    async with (
        slow_node(30, 0.0) as node,
        on_a_terminal(*run_on(database, node, "--stop", "6", "--log-format", "json"), columns=80) as session,
    ):
        assert await ended(session) == 0
    assert b"\x1b" not in session.raw
    events = [json.loads(line)["event"] for line in session.raw.decode().splitlines()]
    assert events[-1] == "done"
    begin = next(json.loads(line) for line in session.raw.splitlines() if b'"begin"' in line)
    assert {name: begin[name] for name in ("first", "head", "stop", "resumed")} == {
        "first": 0, "head": 30, "stop": 6, "resumed": False,
    }  # fmt: skip


async def test_where_nobody_watches_log_lines_have_the_same_figures(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (board, pursuit):
        monkeypatch.setattr(module, "LINE_EVERY_S", 0.0)
    monkeypatch.setattr(pursuit, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(run, "LOOK_EVERY_S", 0.05)
    with capture_logs() as lines:
        async with slow_node(12, 0.05) as node:
            await index(database, node.url, stop=12, workers=1, verify_every_blocks=0)
    states = [line for line in lines if line["event"] == "bootstrap_progress"]
    assert states
    for line in states:
        assert line.keys() >= {"block", "unit", *FIGURES}
        assert (line["block"], line["unit"]) == (0, "nodes")
        assert line["done"] <= line["total"]
    assert states[-1]["percent"] == 100
    blocks = [line for line in lines if line["event"] == "progress"]
    assert len(blocks) > 3
    for line in blocks:
        assert line.keys() >= {"block", "head", "doing", *FIGURES}
        assert (line["doing"], line["head"], line["total"], line["done"]) == ("catching_up", 12, 13, line["block"] + 1)
    assert [line["percent"] for line in blocks] == sorted(line["percent"] for line in blocks)
    assert any(line["rate"] for line in blocks)
    assert lines[-1]["event"] == "done"
    assert lines[-1]["block"] == 12


async def test_a_verification_that_is_waited_for_tells_how_many_rows_it_has_compared(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "LINE_EVERY_S", 0.0)
    async with slow_node(4, 0.0) as node:
        await index(database, node.url, stop=4, datasets=("blocks", "balances", "stake"), verify_every_blocks=0)
        async with connected(database) as connection:
            await connection.execute("ANALYZE")
        settings = config.load({"database_url": database, "network": (node.url,)})
        with capture_logs() as lines:
            report, _ = await inspection.verified(settings, block=4, sample=None, mend=False)
    told = [line for line in lines if line["event"] == "verify_progress"]
    assert told
    assert all(line["block"] == 4 and line.keys() >= FIGURES for line in told)
    done = [line["done"] for line in told]
    assert done == sorted(done)
    assert 0 < done[-1] <= report.rows
    assert any(line["total"] is not None and line["total"] >= line["done"] for line in told)


async def test_migrations_tell_how_many_revisions_are_applied(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "LINE_EVERY_S", 0.0)
    count = len(migration_plan.revisions())
    with capture_logs() as lines:
        await migrate.upgrade(empty_database)
    told = [(line["done"], line["total"]) for line in lines if line["event"] == "migration_progress"]
    assert told == [(done, count) for done in range(count + 1)]
