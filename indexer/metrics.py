"""Every metric name, and the HTTP thread behind /metrics, /healthz and /readyz.

The numbers cannot lie: lag is computed when somebody asks, from the time of the last committed block,
and the answer comes from a thread of its own; so a hung event loop shows as growing lag and as a 503.
This module knows nothing of the daemon, which calls its setters.
"""

from __future__ import annotations

import json
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal

import anyio
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from indexer import __version__
from indexer.errors import ConfigError

BEAT_S = 1.0
STALLED_AFTER_S = 30.0
"""Age of the last heartbeat at which the event loop counts as hung: far above any step that holds the loop."""

# Each counter's creation time would be a further series that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

_LATENCY_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_STEP_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_CALLS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
_BLOCKS = (1, 2, 3, 4, 5, 8, 16, 32, 64, 128)


class Metrics:
    """One process' metrics and health. The fields are prometheus_client's own objects, safe in any thread."""

    def __init__(
        self,
        *,
        follow: Literal["finalized", "best"] = "finalized",
        ready_lag_s: float = 180.0,
        stalled_after_s: float = STALLED_AFTER_S,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.follow, self.ready_lag_s, self.stalled_after_s = follow, ready_lag_s, stalled_after_s
        self._now_s, self._monotonic_s = now_s, monotonic_s
        self._started_s = now_s()
        self._beaten_s = self._told_s = monotonic_s()
        self._committed: tuple[int, float] | None = None
        self._heads: dict[str, int] = {}
        self._conditions: dict[str, str | None] = {"node": "not connected yet", "database": "not connected yet"}

        self.registry = registry = CollectorRegistry()
        self.head_block = Gauge(
            "indexer_head_block", "Height of the newest block the node told of.", ["kind"], registry=registry
        )
        self.finality_lag_blocks = Gauge(
            "indexer_finality_lag_blocks",
            "Blocks between the best head and the finalized one; two or three are usual.",
            registry=registry,
        )
        self.committed_block = Gauge(
            "indexer_committed_block", "Height of the last committed block.", registry=registry
        )
        self.lag_blocks = Gauge(
            "indexer_lag_blocks", "Blocks between the followed head and the last committed block.", registry=registry
        )
        self.lag_seconds = Gauge(
            "indexer_lag_seconds",
            "Seconds since the time of the last committed block (before the first commit: since the start).",
            registry=registry,
        )
        self.head_to_commit_seconds = Histogram(
            "indexer_head_to_commit_seconds",
            "Seconds from a head's announcement to its commit.",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.blocks = Counter("indexer_blocks_total", "Blocks committed.", registry=registry)
        self.rows = Counter("indexer_rows_total", "Rows written.", ["table"], registry=registry)
        self.step_seconds = Histogram(
            "indexer_step_seconds",
            "Seconds per step of a block's way, or of a transaction.",
            ["step"],
            buckets=_STEP_S,
            registry=registry,
        )
        self.rpc_requests = Counter(
            "indexer_rpc_requests_total", "Requests to nodes.", ["method", "outcome"], registry=registry
        )
        self.rpc_seconds = Histogram(
            "indexer_rpc_seconds", "Seconds per request to a node.", ["method"], buckets=_STEP_S, registry=registry
        )
        self.rpc_bytes = Counter("indexer_rpc_bytes_total", "Bytes received from nodes.", registry=registry)
        self.endpoint_usable = Gauge(
            "indexer_endpoint_usable",
            "Whether a node's endpoint is neither left alone nor known to lag or to be on a fork.",
            ["endpoint"],
            registry=registry,
        )
        self.endpoint_left = Counter(
            "indexer_endpoint_left_total",
            "How often an endpoint was left for another one or for later.",
            ["endpoint", "cause"],
            registry=registry,
        )
        self.endpoint_lies = Counter(
            "indexer_endpoint_lies_total",
            "Answers that do not hash to what was asked.",
            ["endpoint"],
            registry=registry,
        )
        self.endpoint_head_block = Gauge(
            "indexer_endpoint_head_block",
            "Height of the best head an endpoint told of.",
            ["endpoint"],
            registry=registry,
        )
        self.endpoint_concurrency = Gauge(
            "indexer_endpoint_concurrency",
            "Requests an endpoint may have under way at once, as its refusals allow.",
            ["endpoint"],
            registry=registry,
        )
        self.node_calls_per_block = Histogram(
            "indexer_node_calls_per_block", "Round trips to capture one block.", buckets=_CALLS, registry=registry
        )
        self.queue_depth = Gauge("indexer_queue_depth", "Items that wait in a queue.", ["queue"], registry=registry)
        self.reorgs = Counter("indexer_reorgs_total", "Rewinds because the chain left our blocks.", registry=registry)
        self.reorg_depth = Histogram(
            "indexer_reorg_depth", "Blocks taken back per rewind.", buckets=_BLOCKS, registry=registry
        )
        self.restarts = Counter(
            "indexer_restarts_total", "Runs that ended and began anew.", ["cause"], registry=registry
        )
        self.incomplete_blocks = Counter(
            "indexer_incomplete_blocks_total", "Blocks committed without proof of completeness.", registry=registry
        )
        self.first_block = Gauge(
            "indexer_first_block", "First block that is kept, once older ones were forgotten.", registry=registry
        )
        self.verified_block = Gauge(
            "indexer_verified_block", "Height of the last block whose tables were compared with the chain.",
            registry=registry,
        )  # fmt: skip
        self.verify_differences = Gauge(
            "indexer_verify_differences", "Differences that the last comparison found.", registry=registry
        )
        self.verify_seconds = Gauge(
            "indexer_verify_seconds", "Seconds that the last comparison took.", registry=registry
        )
        self.undecodable = Gauge(
            "indexer_undecodable",
            "Block at which a dataset stopped, since it cannot be decoded; raw: the first bytes.",
            ["dataset", "item", "raw"],
            registry=registry,
        )
        build = Gauge("indexer_build_info", "Always 1; the labels tell.", ["version", "python"], registry=registry)
        build.labels(version=__version__, python=platform.python_version()).set(1)
        self.lag_seconds.set_function(self.lag_s)
        self.lag_blocks.set_function(self._lag_blocks)
        self.finality_lag_blocks.set_function(self._finality_lag_blocks)
        ProcessCollector(registry=registry)

    def head(self, kind: Literal["finalized", "best"], number: int) -> None:
        """The node told of a head."""
        self._heads[kind] = number
        self.head_block.labels(kind=kind).set(number)

    def committed(self, number: int, timestamp_s: float) -> None:
        """The last committed block and its own time (Unix seconds)."""
        self._told_s = self._monotonic_s()
        self._committed = (number, timestamp_s)
        self.committed_block.set(number)

    def resumed(self, number: int, timestamp_s: float) -> None:
        """What a run finds committed, after a start or a rewind: lag counts from that block, not from the start."""
        if self._committed is None or self._committed[0] != number:  # else the steady clock goes on
            self.committed(number, timestamp_s)

    def verified(self, number: int, differences: int, seconds: float) -> None:
        """The tables as of a block were compared with the chain."""
        self.verify_differences.set(differences)
        self.verify_seconds.set(seconds)
        self.verified_block.set(number)

    def stopped(self, dataset: str, block: int, item: str, raw: str, reason: str) -> None:
        """A dataset cannot go on at ``block``: the data are not current, so readiness is lost."""
        self.undecodable.labels(dataset=dataset, item=item, raw=raw).set(block)
        self.condition(f"dataset {dataset}", False, reason)

    def decodable(self, dataset: str) -> None:
        """A dataset goes on, or tries to."""
        for labels in [one.labels for one in next(iter(self.undecodable.collect())).samples]:
            if labels["dataset"] == dataset:
                self.undecodable.remove(labels["dataset"], labels["item"], labels["raw"])
        self.condition(f"dataset {dataset}", True)

    def rpc(self, method: str, outcome: str, seconds: float, size: int) -> None:
        """A request to a node ended."""
        self.rpc_requests.labels(method=method, outcome=outcome).inc()
        self.rpc_seconds.labels(method=method).observe(seconds)
        self.rpc_bytes.inc(size)

    def queue(self, name: str, depth: Callable[[], float]) -> None:
        """Report ``depth()`` as a queue's depth, asked from the HTTP thread at each scrape."""
        self.queue_depth.labels(queue=name).set_function(depth)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Observe the body's duration as ``indexer_step_seconds{step=name}``, also if it fails."""
        with self.step_seconds.labels(step=name).time():
            yield

    def condition(self, name: str, ok: bool, reason: str = "") -> None:
        """State whether something needed for readiness holds. ``node`` and ``database`` begin as not ready."""
        self._conditions[name] = None if ok else reason or "not ready"

    def heartbeat(self) -> None:
        """The event loop turns."""
        self._beaten_s = self._monotonic_s()

    async def beat(self) -> None:
        """Call ``heartbeat`` every second, for ever: a task of the daemon's group."""
        while True:
            self.heartbeat()
            await anyio.sleep(BEAT_S)

    def lag_s(self) -> float:
        """Seconds since the last committed block's time, as of now.

        At least the seconds since it was told of: a wall clock that is set back hides no stall.
        """
        age_s = self._now_s() - (self._committed[1] if self._committed else self._started_s)
        return max(age_s, self._monotonic_s() - self._told_s)

    def _lag_blocks(self) -> float:
        if self._committed is None or self.follow not in self._heads:
            return float("nan")
        return max(0, self._heads[self.follow] - self._committed[0])

    def _finality_lag_blocks(self) -> float:
        if len(self._heads) < 2:
            return float("nan")
        return max(0, self._heads["best"] - self._heads["finalized"])

    def health(self) -> tuple[bool, dict[str, object]]:
        """Whether the event loop turned lately, and the answer of /healthz."""
        age_s = self._monotonic_s() - self._beaten_s
        alive = age_s < self.stalled_after_s
        return alive, {"alive": alive, "heartbeat_age_seconds": round(age_s, 3)}

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether the data can be relied on as current, and the answer of /readyz with every reason against."""
        reasons = {name: reason for name, reason in list(self._conditions.items()) if reason is not None}
        alive, _ = self.health()
        if not alive:
            reasons["loop"] = "the event loop hangs"
        lag_s = self.lag_s()
        if self._committed is None:
            reasons["lag"] = "no block is committed yet"
        elif lag_s > self.ready_lag_s:
            reasons["lag"] = f"{lag_s:.0f} s behind, the limit is {self.ready_lag_s:.0f} s"
        committed = self._committed[0] if self._committed else None
        return not reasons, {
            "ready": not reasons,
            "reasons": reasons,
            "committed_block": committed,
            "lag_seconds": round(lag_s, 3),
            "finality_lag_blocks": None if len(self._heads) < 2 else self._finality_lag_blocks(),
        }

    def serve(self, address: str) -> Endpoint:
        """Answer HTTP on ``host:port`` (port 0: any free one) from a thread of its own, until closed.

        :raises ConfigError: the address is in use or not ours.
        """
        host, _, port = address.rpartition(":")
        try:
            server = _server_for(self, host.strip("[]"), int(port))
        except OSError as error:
            raise ConfigError(
                f"cannot serve metrics on {address}: {error.strerror}; choose another --metrics-address, or 'off'"
            ) from error
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        thread.start()
        return Endpoint(server, thread)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running HTTP server; ``close`` frees its port."""

    server: ThreadingHTTPServer
    thread: threading.Thread

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server.server_address[1])

    def close(self) -> None:
        """Stop answering and wait for the thread."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _server_for(metrics: Metrics, host: str, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds; a client that says nothing must not hold a thread for ever

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, content_type, encode(metrics.registry))
            elif path == "/healthz":
                self._state(*metrics.health())
            elif path == "/readyz":
                self._state(*metrics.readiness())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics /healthz /readyz\n")

        def _state(self, good: bool, answer: dict[str, object]) -> None:
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(answer).encode() + b"\n")

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape is no event."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    return Server((host, port), Handler)
