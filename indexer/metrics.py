"""Every metric's name and meaning, and what readiness is.

The numbers cannot lie: lag and ages are computed when somebody asks, from the time of the last committed block
and of the last progress (``liveness``); so a hung event loop shows as growing lag. This module knows nothing of the
daemon, which calls its setters, nor of HTTP (``exposition``).
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from indexer import __version__
from indexer.liveness import LOOP_HANGS, NO_PROGRESS_AFTER_S, STALLED_AFTER_S, Liveness

# Each counter's creation time would be a further series that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

_LATENCY_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_STEP_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_CALLS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
_BLOCKS = (1, 2, 3, 4, 5, 8, 16, 32, 64, 128)
RESTART_CAUSES = ("NodeError", "ProofError", "Reorg", "StoreError", "WriterFenced")
"""The errors after which a run begins anew, by class."""


class Metrics(Liveness):
    """One process' metrics and health. The fields are prometheus_client's own objects, safe in any thread."""

    def __init__(
        self,
        *,
        follow: Literal["finalized", "best"] = "finalized",
        ready_lag_s: float = 180.0,
        stalled_after_s: float = STALLED_AFTER_S,
        no_progress_after_s: float = NO_PROGRESS_AFTER_S,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            stalled_after_s=stalled_after_s, no_progress_after_s=no_progress_after_s, monotonic_s=monotonic_s
        )
        self.follow, self.ready_lag_s = follow, ready_lag_s
        self._now_s, self._monotonic_s = now_s, monotonic_s
        self._started_s = now_s()
        self._told_s = monotonic_s()
        self._committed: tuple[int, float] | None = None
        self._heads: dict[str, int] = {}
        self._head_told_s: dict[str, float] = {}
        self._conditions: dict[str, str | None] = {}

        self.registry = registry = CollectorRegistry()
        self.head_block = Gauge(
            "indexer_head_block", "Height of the newest block the node told of.", ["kind"], registry=registry
        )
        self.head_age_seconds = Gauge(
            "indexer_head_age_seconds",
            "Seconds since a node last told of a new head (before the first: since the start).",
            ["kind"],
            registry=registry,
        )
        self.finality_lag_blocks = Gauge(
            "indexer_finality_lag_blocks",
            "Blocks between the best head and the finalized one; two or three are usual.",
            registry=registry,
        )
        self.progress_age_seconds = Gauge(
            "indexer_progress_age_seconds",
            "Seconds since the process last got on with what there is to do; idle at the head is no standstill.",
            registry=registry,
        )
        self.writer = Gauge(
            "indexer_writer", "1 while this process writes to the database, 0 while it does not.", registry=registry
        )
        self.standby = Gauge(
            "indexer_standby", "1 while this process waits for another one to stop writing.", registry=registry
        )
        self.ready = Gauge("indexer_ready", "1 while /readyz answers that the data are current.", registry=registry)
        self.not_ready = Gauge(
            "indexer_not_ready", "1 for each reason that /readyz gives against it.", ["reason"], registry=registry
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
        self.rpc_messages = Counter(
            "indexer_rpc_messages_total",
            "Messages sent to nodes with requests; those of one batch share one.",
            registry=registry,
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
            "indexer_node_calls_per_block",
            "Round trips (messages, each of one request or a batch of them) to capture one block, its header included.",
            buckets=_CALLS,
            registry=registry,
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
        self.dataset_committed_block = Gauge(
            "indexer_dataset_committed_block",
            "Height of the last committed block of a dataset.",
            ["dataset"],
            registry=registry,
        )
        self.dataset_missing_blocks = Gauge(
            "indexer_dataset_missing_blocks",
            "Blocks missing between the first and the last block of a dataset.",
            ["dataset"],
            registry=registry,
        )
        self.dataset_incomplete_blocks = Gauge(
            "indexer_dataset_incomplete_blocks",
            "Blocks of a dataset that are stored but not proven complete.",
            ["dataset"],
            registry=registry,
        )
        self.database_bytes = Gauge(
            "indexer_database_bytes", "Size of the database, as Postgres tells it.", registry=registry
        )
        self.disk_free_bytes = Gauge(
            "indexer_disk_free_bytes",
            "Free space where the embedded Postgres keeps its files; absent for another database.",
            ["data_dir"],
            registry=registry,
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
        self.verify_every_blocks = Gauge(
            "indexer_verify_every_blocks", "Blocks between two comparisons; 0: none are made.", registry=registry
        )
        self.verify_failures = Counter(
            "indexer_verify_failures_total", "Comparisons that could not be made.", registry=registry
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
        self.progress_age_seconds.set_function(self.progress_age_s)
        self.ready.set_function(lambda: float(self.readiness()[0]))
        kinds: tuple[Literal["finalized", "best"], ...] = ("finalized", "best")
        for kind in kinds:
            self.head_age_seconds.labels(kind=kind).set_function(partial(self._head_age_s, kind))
        for reason in ("node", "database"):
            self.condition(reason, False, "not connected yet")
        for reason in ("loop", "lag"):
            self.not_ready.labels(reason=reason).set_function(partial(self._speaks_against, reason))
        for cause in RESTART_CAUSES:  # a counter that is born with its first count shows no increase
            self.restarts.labels(cause=cause)
        ProcessCollector(registry=registry)

    def head(self, kind: Literal["finalized", "best"], number: int) -> None:
        """The node told of a head, perhaps of the same one again."""
        if self._heads.get(kind) != number:
            self._head_told_s[kind] = self._monotonic_s()
        self._heads[kind] = number
        self.head_block.labels(kind=kind).set(number)

    def committed(self, number: int, timestamp_s: float) -> None:
        """The last committed block and its own time (Unix seconds)."""
        self._told_s = self._monotonic_s()
        self._committed = (number, timestamp_s)
        self.committed_block.set(number)

    def committed_by(self, datasets: Iterable[str], number: int) -> None:
        """The last block that each of some datasets has."""
        for dataset in datasets:
            self.dataset_committed_block.labels(dataset=dataset).set(number)

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
        self.not_ready.labels(reason=name).set(not ok)

    def lag_s(self) -> float:
        """Seconds since the last committed block's time, as of now.

        At least the seconds since it was told of: a wall clock that is set back hides no stall.
        """
        made_s = self._committed[1] if self._committed else 0.0
        age_s = self._now_s() - (made_s or self._started_s)  # genesis tells no time
        return max(age_s, self._monotonic_s() - self._told_s)

    def _head_age_s(self, kind: str) -> float:
        told_s = self._head_told_s.get(kind)
        return self._now_s() - self._started_s if told_s is None else self._monotonic_s() - told_s

    def _lag_blocks(self) -> float:
        if self._committed is None or self.follow not in self._heads:
            return float("nan")
        return max(0, self._heads[self.follow] - self._committed[0])

    def _finality_lag_blocks(self) -> float:
        if len(self._heads) < 2:
            return float("nan")
        return max(0, self._heads["best"] - self._heads["finalized"])

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether the data can be relied on as current, and the answer of /readyz with every reason against."""
        lag_s, reasons = self.lag_s(), self._reasons()
        committed = self._committed[0] if self._committed else None
        return not reasons, {
            "ready": not reasons,
            "reasons": reasons,
            "committed_block": committed,
            "lag_seconds": round(lag_s, 3),
            "finality_lag_blocks": None if len(self._heads) < 2 else self._finality_lag_blocks(),
        }

    def _reasons(self) -> dict[str, str]:
        reasons = {name: reason for name, reason in list(self._conditions.items()) if reason is not None}
        if self.loop_hangs():
            reasons["loop"] = LOOP_HANGS
        lag_s = self.lag_s()
        if self._committed is None:
            reasons["lag"] = "no block is committed yet"
        elif lag_s > self.ready_lag_s:
            reasons["lag"] = f"{lag_s:.0f} s behind, the limit is {self.ready_lag_s:.0f} s"
        return reasons

    def _speaks_against(self, reason: str) -> float:
        return float(reason in self._reasons())
