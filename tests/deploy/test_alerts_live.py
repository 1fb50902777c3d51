"""The shipped alerts in a real Prometheus that scrapes a running indexer: silent while all is well, right when not.

An hour is a minute here: every duration of the rules, and their thresholds in seconds, are divided by 60.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import anyio
import pytest
from prometheus_server import prometheus
from rules import ALERTS, RECORDING
from watched import watched

from indexer.devchain.heartbeat import beat
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

BLOCK_S = 0.5
SHORTER = 60
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
CONSEQUENCES = {
    "IndexerEndpointFlaps",
    "IndexerEndpointLeft",
    "IndexerLagSeconds",
    "IndexerNotReady",
    "IndexerRpcErrors",
    "IndexerRunRestarts",
}
"""What may fire, too, once no node answers, depending on how long it lasts."""


def hurried(path: Path, folder: Path) -> Path:
    """A copy of a rule file in which time passes faster."""

    def shorter(found: re.Match[str]) -> str:
        return f"{int(found[1]) * UNIT_S[found[2]] * 1000 // SHORTER}ms"

    def smaller(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / SHORTER:g}"

    lines = []
    for line in path.read_text("utf-8").splitlines():
        is_time = line.strip().startswith("for:") or re.search(r"\[\w+(:\w+)?\]|offset", line)
        changed = re.sub(r"\b(\d+)([smhd])\b", shorter, line) if is_time else line
        lines.append(re.sub(r"(indexer_(?:lag|head_age)_seconds(?:\{.*\})? > )(\d+)", smaller, changed))
    copy = folder / path.name
    copy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return copy


async def test_nothing_fires_while_blocks_come_and_the_right_alerts_do_when_the_node_is_gone(
    database: str, tmp_path: Path
) -> None:
    chain = simulated_chain(7, upgrade_at=None, start_ms=int(time.time() * 1000), block_ms=int(BLOCK_S * 1000))
    copies = [hurried(path, tmp_path) for path in (RECORDING, ALERTS)]
    async with anyio.create_task_group() as group:
        group.start_soon(beat, chain, BLOCK_S)
        node = DevNode(chain)
        await node.__aenter__()
        async with (
            watched(database, node.url, stop=10_000, ready_lag_s=180.0) as daemon,
            prometheus(tmp_path, {"indexer": [f"127.0.0.1:{daemon.port}"]}, rule_files=copies) as server,
        ):
            await server.wait_for("indexer_ready == 1")
            # Prometheus takes 5 s to pass a new target on, in which there is none.
            await server.wait_for('absent(ALERTS{alertname="IndexerAbsent"})')
            began_s, began = time.monotonic(), (await server.query("indexer_committed_block"))[0].value
            await server.wait_for(f"indexer_committed_block > {began + 12}")
            well_ms = int((time.monotonic() - began_s) * 1000)
            assert await server.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{well_ms}ms])') == []
            health = (await server.get("rules"))["groups"]
            assert {rule["health"] for one in health for rule in one["rules"]} == {"ok"}

            await node.__aexit__()
            await server.wait_for('ALERTS{alertname="IndexerNoUsableNode", alertstate="firing"}')
            await server.wait_for('ALERTS{alertname="IndexerHeadNotMoving", alertstate="firing"}')
            await server.wait_for('ALERTS{alertname="IndexerLagSeconds", alertstate="firing"}')
            assert await server.alerts() - CONSEQUENCES == {"IndexerNoUsableNode", "IndexerHeadNotMoving"}
            daemon.group.cancel_scope.cancel()
        group.cancel_scope.cancel()
