"""The Prometheus that other tests ask: it scrapes what it is told to, and says what is wrong with a query."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_server import prometheus

from indexer.exposition import serve
from indexer.metrics import Metrics

pytestmark = pytest.mark.anyio


async def test_it_scrapes_a_running_endpoint_and_evaluates_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: one, rules: [{alert: Far, expr: indexer_committed_block > 40}]}]")
    metrics = Metrics()
    metrics.committed_block.set(41)
    with serve(metrics, "127.0.0.1:0") as endpoint:
        async with prometheus(tmp_path, {"indexer": [f"127.0.0.1:{endpoint.port}"]}, rule_files=[rules]) as server:
            (sample,) = await server.wait_for("indexer_committed_block")
            assert (sample.value, sample.labels["job"]) == (41, "indexer")
            await server.wait_for('ALERTS{alertname="Far", alertstate="firing"}')
            assert await server.alerts() == {"Far"}
            with pytest.raises(AssertionError, match="parse error"):
                await server.query("indexer_committed_block >")
