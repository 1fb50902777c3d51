"""The metrics' HTTP thread: its answers, also while the event loop hangs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from indexer.errors import ConfigError
from indexer.exposition import Endpoint, serve
from indexer.metrics import Metrics


def get(endpoint: Endpoint, path: str) -> tuple[int, str, str]:
    """Status, content type, body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(stalled_after_s=1.5)


@pytest.fixture
def endpoint(metrics: Metrics) -> Iterator[Endpoint]:
    with serve(metrics, "127.0.0.1:0") as endpoint:
        yield endpoint


def test_metrics_are_served_as_prometheus_reads_them(metrics: Metrics, endpoint: Endpoint) -> None:
    metrics.rows.labels(table="balance_history").inc(5)
    status, content_type, body = get(endpoint, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert 'indexer_rows_total{table="balance_history"} 5.0' in body


def test_readyz_answers_503_with_reasons_until_all_is_well(metrics: Metrics, endpoint: Endpoint) -> None:
    status, content_type, body = get(endpoint, "/readyz")
    assert (status, content_type) == (503, "application/json")
    assert set(json.loads(body)["reasons"]) == {"node", "database", "lag"}
    metrics.condition("node", True)
    metrics.condition("database", True)
    metrics.committed(3, time.time())
    metrics.heartbeat()
    assert get(endpoint, "/readyz")[0] == 200


def test_an_unknown_path_is_not_found(endpoint: Endpoint) -> None:
    assert get(endpoint, "/")[0] == 404


async def test_healthz_turns_to_503_while_the_loop_hangs_and_back(metrics: Metrics, endpoint: Endpoint) -> None:
    statuses: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(metrics.beat)
        await anyio.sleep(0.05)
        assert (await anyio.to_thread.run_sync(get, endpoint, "/healthz"))[0] == 200
        time.sleep(1.6)  # noqa: ASYNC251 - the hang under test
        # The answer comes from the server's own thread while this one, the loop's, is still held.
        statuses.append(get(endpoint, "/healthz")[0])
        await anyio.sleep(0.2)
        statuses.append((await anyio.to_thread.run_sync(get, endpoint, "/healthz"))[0])
        group.cancel_scope.cancel()
    assert statuses == [503, 200]


def test_a_busy_port_is_one_clear_line(metrics: Metrics, endpoint: Endpoint) -> None:
    with pytest.raises(
        ConfigError, match=f"^cannot serve metrics on 127.0.0.1:{endpoint.port}: Address already in use"
    ):
        serve(metrics, f"127.0.0.1:{endpoint.port}")


def test_a_closed_endpoint_frees_its_port(metrics: Metrics) -> None:
    first = serve(metrics, "127.0.0.1:0")
    first.close()
    serve(metrics, f"127.0.0.1:{first.port}").close()
