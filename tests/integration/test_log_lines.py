"""What a run writes to its log: as machines read it, and no line per block above debug."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from running import command, wait_for

from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

BEHIND, FOLLOWED = 24, 12
BY_TIME = {"progress", "bootstrap_progress"}
"""Events that come every so many seconds, however many blocks there are."""
LISTED = set(
    re.findall(r"^\| `(\w+)` \|", (Path(__file__).resolve().parents[2] / "docs" / "EVENTS.md").read_text("utf-8"), re.M)
)


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


async def run_beside_a_chain(database: str, log: Path) -> None:
    """A run that catches up with a chain, follows it block by block, and ends; its log goes to ``log``."""
    chain = simulated_chain(7)
    chain.grow(BEHIND)
    chain.finalize(BEHIND)
    last = BEHIND + FOLLOWED
    options = ["--start", "genesis", "--stop", str(last), "--batch", "1", "--metrics-address", "off"]
    async with DevNode(chain) as node:
        target = ["--network", node.url, "--database-url", database]
        with log.open("wb") as stderr:
            written = ["--log-format", "json", "--log-level", "debug"]
            process = await anyio.open_process(command("run", *target, *options, *written), stdout=None, stderr=stderr)
            async with process:
                await wait_for(database, BEHIND)
                for number in range(BEHIND + 1, last + 1):
                    chain.grow(1)
                    chain.finalize(number)
                    await wait_for(database, number)
                with anyio.fail_after(30):
                    assert await process.wait() == 0


async def test_blocks_are_told_at_debug_and_only_there(database: str, tmp_path: Path) -> None:
    await run_beside_a_chain(database, tmp_path / "log")
    lines = lines_of(tmp_path / "log")
    told = [
        number for line in lines if line["event"] == "committed" for number in range(line["first"], line["last"] + 1)
    ]
    assert told == list(range(BEHIND + FOLLOWED + 1)), "one debug line per block, as each is committed by itself"
    above = Counter(line["event"] for line in lines if line["level"] != "debug" and line["event"] not in BY_TIME)
    assert {"start", "node_connected", "done"} <= set(above)
    # Two runtimes and one endpoint: nothing has a reason to be told more often, however many blocks there are.
    assert {event: count for event, count in above.items() if count > 3} == {}, "told per block"
    assert {line["event"] for line in lines if "logger" not in line} <= LISTED
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
