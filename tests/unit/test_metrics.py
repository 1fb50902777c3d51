"""Metrics: the contract of names, lag that grows while nothing happens, reasons against readiness."""

from __future__ import annotations

import math
import re

import pytest
from prometheus_client import generate_latest

from indexer import errors
from indexer.metrics import RESTART_CAUSES, Metrics

NAMES = {
    "indexer_head_block",
    "indexer_finality_lag_blocks",
    "indexer_head_age_seconds",
    "indexer_progress_age_seconds",
    "indexer_writer",
    "indexer_standby",
    "indexer_ready",
    "indexer_not_ready",
    "indexer_dataset_committed_block",
    "indexer_dataset_missing_blocks",
    "indexer_dataset_incomplete_blocks",
    "indexer_database_bytes",
    "indexer_disk_free_bytes",
    "indexer_verify_failures_total",
    "indexer_verify_every_blocks",
    "indexer_first_block",
    "indexer_committed_block",
    "indexer_lag_blocks",
    "indexer_lag_seconds",
    "indexer_head_to_commit_seconds",
    "indexer_blocks_total",
    "indexer_rows_total",
    "indexer_step_seconds",
    "indexer_rpc_messages_total",
    "indexer_rpc_requests_total",
    "indexer_rpc_seconds",
    "indexer_rpc_bytes_total",
    "indexer_node_calls_per_block",
    "indexer_endpoint_usable",
    "indexer_endpoint_left_total",
    "indexer_endpoint_lies_total",
    "indexer_endpoint_head_block",
    "indexer_endpoint_concurrency",
    "indexer_queue_depth",
    "indexer_reorgs_total",
    "indexer_reorg_depth",
    "indexer_restarts_total",
    "indexer_incomplete_blocks_total",
    "indexer_verified_block",
    "indexer_verify_differences",
    "indexer_verify_seconds",
    "indexer_build_info",
    "indexer_undecodable",
}
"""Dashboards and alerts of others name these: removing one breaks them."""


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(now_s=clock, monotonic_s=clock)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """What a scrape would show now."""
    return metrics.registry.get_sample_value(name, labels)


def test_the_names_are_those_of_the_contract(metrics: Metrics) -> None:
    text = generate_latest(metrics.registry).decode()
    assert set(re.findall(r"^# TYPE (indexer_\w+)", text, re.M)) == NAMES
    assert "process_resident_memory_bytes" in text


def test_a_hung_loop_shows_as_growing_lag(metrics: Metrics, clock: Clock) -> None:
    metrics.committed(7, clock.s - 12)
    assert value(metrics, "indexer_lag_seconds") == 12
    clock.s += 600
    assert value(metrics, "indexer_lag_seconds") == 612


def test_lag_grows_before_the_first_commit_too(metrics: Metrics, clock: Clock) -> None:
    clock.s += 45
    assert value(metrics, "indexer_lag_seconds") == 45


def test_the_lag_after_genesis_which_tells_no_time_counts_from_the_start(metrics: Metrics, clock: Clock) -> None:
    clock.s += 45
    metrics.committed(0, 0)
    assert value(metrics, "indexer_lag_seconds") == 45


def test_a_block_from_a_clock_ahead_of_ours_is_no_negative_lag(metrics: Metrics, clock: Clock) -> None:
    metrics.committed(7, clock.s + 3)
    assert value(metrics, "indexer_lag_seconds") == 0


def test_a_wall_clock_set_back_hides_no_stall_and_one_set_forward_is_no_lasting_lag(clock: Clock) -> None:
    wall = Clock()
    metrics = Metrics(now_s=wall, monotonic_s=clock)
    metrics.committed(7, wall.s - 12)
    wall.s -= 3600
    assert value(metrics, "indexer_lag_seconds") == 0
    clock.s += 600
    wall.s += 600
    assert value(metrics, "indexer_lag_seconds") == 600
    wall.s += 7200
    assert value(metrics, "indexer_lag_seconds") == 4212
    wall.s -= 3600
    metrics.committed(8, wall.s - 12)
    assert value(metrics, "indexer_lag_seconds") == 12


def test_lag_in_blocks_counts_to_the_followed_head(clock: Clock) -> None:
    metrics = Metrics(follow="finalized", now_s=clock, monotonic_s=clock)
    assert math.isnan(value(metrics, "indexer_lag_blocks") or 0)
    metrics.committed(100, clock.s)
    metrics.head("best", 112)
    assert math.isnan(value(metrics, "indexer_lag_blocks") or 0)
    metrics.head("finalized", 110)
    assert value(metrics, "indexer_lag_blocks") == 10
    assert value(metrics, "indexer_head_block", kind="best") == 112
    assert value(metrics, "indexer_committed_block") == 100


def test_the_lag_of_finality_is_that_between_the_heads(metrics: Metrics) -> None:
    assert math.isnan(value(metrics, "indexer_finality_lag_blocks") or 0)
    metrics.head("finalized", 100)
    metrics.head("best", 3100)
    assert value(metrics, "indexer_finality_lag_blocks") == 3000
    assert metrics.readiness()[1]["finality_lag_blocks"] == 3000


def test_a_step_is_timed_also_when_it_fails(metrics: Metrics) -> None:
    with pytest.raises(KeyError), metrics.step("commit"):
        raise KeyError
    assert value(metrics, "indexer_step_seconds_count", step="commit") == 1


def test_queue_depth_is_asked_at_the_scrape(metrics: Metrics) -> None:
    queue: list[int] = []
    metrics.queue("ready", lambda: len(queue))
    queue.extend((1, 2, 3))
    assert value(metrics, "indexer_queue_depth", queue="ready") == 3


def test_two_instances_do_not_share_a_registry() -> None:
    first, second = Metrics(), Metrics()
    first.blocks.inc()
    assert value(second, "indexer_blocks_total") == 0


def test_health_fails_when_the_loop_stops_beating(metrics: Metrics, clock: Clock) -> None:
    clock.s += 29
    assert metrics.health()[0]
    clock.s += 1
    alive, answer = metrics.health()
    assert not alive
    assert answer["heartbeat_age_seconds"] == 30
    metrics.heartbeat()
    assert metrics.health()[0]


def test_readiness_names_every_reason_against_it(metrics: Metrics, clock: Clock) -> None:
    ready, answer = metrics.readiness()
    assert not ready
    assert answer["reasons"] == {
        "node": "not connected yet",
        "database": "not connected yet",
        "lag": "no block is committed yet",
    }

    metrics.condition("node", True)
    metrics.condition("database", True)
    metrics.committed(7, clock.s - 10)
    ready, answer = metrics.readiness()
    assert ready
    assert answer == {
        "ready": True, "reasons": {}, "committed_block": 7, "lag_seconds": 10.0, "finality_lag_blocks": None
    }  # fmt: skip

    metrics.condition("database", False, "connection refused")
    clock.s += 171
    ready, answer = metrics.readiness()
    assert not ready
    assert answer["reasons"] == {
        "database": "connection refused",
        "loop": "the event loop hangs",
        "lag": "181 s behind, the limit is 180 s",
    }


def test_each_reason_against_readiness_is_a_series_that_goes_back_to_0(metrics: Metrics, clock: Clock) -> None:
    def against() -> set[str]:
        (family,) = (one for one in metrics.registry.collect() if one.name == "indexer_not_ready")
        return {sample.labels["reason"] for sample in family.samples if sample.value}

    assert against() == {"node", "database", "lag"}
    metrics.condition("node", True)
    metrics.committed(7, clock.s)
    assert against() == {"database"}
    metrics.condition("database", True)
    clock.s += 31
    assert against() == {"loop"}
    assert value(metrics, "indexer_not_ready", reason="node") == 0


def test_what_a_run_may_fail_of_is_counted_from_0(metrics: Metrics) -> None:
    assert value(metrics, "indexer_restarts_total", cause="StoreError") == 0
    roots = (errors.Retryable, errors.Reorg)
    declared = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, roots)}
    assert {*RESTART_CAUSES, "Retryable"} == declared
