"""docs/METRICS.md: every metric with its labels, type, unit and meaning, and what is normal.

Name, labels, type and meaning come from ``metrics``. What is normal stands here, as it is for people: a metric
without a word here is one whose meaning says enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.metrics import MetricWrapperBase

from indexer.metrics import Metrics
from indexer.schema_doc import grid

_INTRODUCTION = """\
# Metrics

Written by `make docs` from `indexer/metrics.py`; do not edit.

`http://127.0.0.1:9477/metrics` (`--metrics-address`) serves them for Prometheus, beside `/healthz` and `/readyz`, from
a thread of its own: a hung event loop is seen as growing ages, not as its last good numbers. Lag and ages are
computed at the scrape. Names and labels stay; a new one is told in the changelog.

A counter begins at 0 with each start of the process: use `rate()` or `increase()`. A histogram is the series
`…_bucket`, `…_sum` and `…_count`. A gauge that is not known yet is absent or NaN.
"""

NORMAL: Mapping[str, str] = {
    "indexer_head_block": "Rises by one every 12 s on the public networks.",
    "indexer_head_age_seconds": "Up to two times between blocks. Growing: the chain, or every node, stands still.",
    "indexer_finality_lag_blocks": "From 30 on the log says `finality_stalled`.",
    "indexer_progress_age_seconds": "Seconds, also while nothing is to be done.",
    "indexer_writer": "1; 0 in a standby, which is its purpose. The sum over all instances of one database is 1.",
    "indexer_ready": "1; 0 while it catches up after a start.",
    "indexer_committed_block": "Rises with `indexer_head_block`.",
    "indexer_lag_blocks": "0 to 2. Falls steadily while it catches up.",
    "indexer_lag_seconds": "At the head: the age of the followed head, up to the time between two blocks with "
    "`--follow best`, and two or three such times more with `finalized`.",
    "indexer_head_to_commit_seconds": "Well below the time between two blocks, else the indexer falls behind. "
    "Mostly the node's time.",
    "indexer_blocks_total": "One per block of the chain at the head; as fast as the node gives while catching up.",
    "indexer_step_seconds": "`capture` is the node's share, and most of it.",
    "indexer_rpc_requests_total": "Mostly `ok`.",
    "indexer_rpc_messages_total": "Fewer than requests, while it catches up.",
    "indexer_rpc_seconds": "Constant per node; it sets the speed.",
    "indexer_endpoint_usable": "1. The indexer is in trouble when all are 0.",
    "indexer_endpoint_left_total": "Rare with an own node; `busy` is usual for public ones.",
    "indexer_endpoint_lies_total": "0. Any is worth a look: a broken node, or one that cheats.",
    "indexer_endpoint_head_block": "Within 3 of each other.",
    "indexer_endpoint_concurrency": "Constant; it shrinks when an endpoint refuses, and is won back by answers.",
    "indexer_node_calls_per_block": "A few, each for many keys. Many: the node's limit on answers is small.",
    "indexer_queue_depth": "0 at the head; `order` up to `--window` while catching up.",
    "indexer_reorgs_total": "0 with `--follow finalized`; now and then with `best`.",
    "indexer_reorg_depth": "1 or 2; more where finality is late.",
    "indexer_restarts_total": "Rises while a node or the database is away, and only then.",
    "indexer_incomplete_blocks_total": "0 as long as one endpoint serves read proofs.",
    "indexer_dataset_committed_block": "All alike, but of those that still catch up.",
    "indexer_dataset_missing_blocks": "0. The view `gaps` says which, and why.",
    "indexer_dataset_incomplete_blocks": "0. The view `gaps` says which, and why.",
    "indexer_database_bytes": "Grows with the chain, or stays with `--retain`; [SIZE.md](SIZE.md) has figures.",
    "indexer_disk_free_bytes": "More than `indexer_database_bytes` adds in a month.",
    "indexer_first_block": "Absent without `--retain`.",
    "indexer_verified_block": "At most `--verify-every-blocks` and the time of one comparison behind.",
    "indexer_verify_differences": "0. The log names each difference.",
    "indexer_verify_failures_total": "0; one now and then if nodes are cut off.",
    "indexer_undecodable": "Absent. Present: a dataset stands still until a version that can read the block.",
}
"""Metric to what a quiet day shows, where its meaning does not say it."""

LABELS: Mapping[str, str] = {
    "kind": "`best` or `finalized`: which head of the chain.",
    "table": "A table of migrations/SCHEMA.md.",
    "step": "`header`, `capture`, `decode`, `rows` (each per block) and `commit` (per transaction).",
    "method": "A node's RPC method.",
    "outcome": "`ok`; `refused`, an error that the node gave as its answer; `too_large`, over its size limit; `busy`, "
    "a rate limit; `failed`, no answer.",
    "endpoint": "A node's URL without what is secret in it.",
    "cause": "Of `indexer_endpoint_left_total`: see [ENDPOINTS.md](ENDPOINTS.md). Of `indexer_restarts_total`: the "
    "kind of error, such as `NodeError`, `StoreError` or `Reorg`.",
    "reason": "Why /readyz says no: `node`, `database`, `writer`, `finality`, `lag`, `loop` or `dataset NAME`.",
    "queue": "`jobs`: heights that wait to be captured; `order`: captured blocks that wait to be committed in order.",
    "dataset": "A dataset, or a storage item given by `--item`.",
    "data_dir": "`--data-dir`.",
    "item": "The storage item that cannot be decoded.",
    "raw": "The first bytes of what cannot be decoded.",
    "version": "The indexer's version.",
    "python": "Python's version.",
}

_PROCESS = """\
## Of the process

As Prometheus' client libraries name them: `process_resident_memory_bytes` (flat over weeks), `process_open_fds` and
`process_max_fds` (far apart), `process_cpu_seconds_total`, `process_start_time_seconds` (a change is a restart) and
`process_virtual_memory_bytes`.
"""

_UNITS = {"seconds": "seconds", "bytes": "bytes", "blocks": "blocks", "block": "height", "depth": "items"}
_UNUSUAL = {"indexer_reorg_depth": "blocks", "indexer_node_calls_per_block": "round trips"}


def declared() -> list[MetricWrapperBase]:
    """Every metric of the indexer, in the order of its declaration."""
    return [one for one in Metrics().registry._collector_to_names if isinstance(one, MetricWrapperBase)]


def name_of(metric: MetricWrapperBase) -> str:
    """A metric's name as it is scraped."""
    return f"{metric._name}_total" if metric._type == "counter" else metric._name


def unit_of(name: str) -> str:
    """What a metric counts: by the last word of its name, as Prometheus wants it; empty for a mere number."""
    return _UNUSUAL.get(name) or _UNITS.get(name.removesuffix("_total").rpartition("_")[2], "")


def as_markdown() -> str:
    """The whole document."""
    metrics = [(name_of(one), one) for one in declared()]
    rows = [
        (
            f"`{name}`",
            ", ".join(f"`{label}`" for label in one._labelnames),
            str(one._type),
            unit_of(name),
            one._documentation,
            NORMAL.get(name, ""),
        )
        for name, one in metrics
    ]
    used = list(dict.fromkeys(label for _, one in metrics for label in one._labelnames))
    return "\n".join(
        (
            _INTRODUCTION,
            grid(("metric", "labels", "type", "unit", "meaning", "normal"), rows),
            "## Labels\n\n" + grid(("label", "values"), [(f"`{label}`", LABELS.get(label, "")) for label in used]),
            _PROCESS,
        )
    )
