"""Finality that stands still: told once, held against readiness only where it is waited for, and over at some time."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import structlog

from indexer.metrics import Metrics
from indexer.stall import BACK_BLOCKS, STALLED_BLOCKS, Stall


def told(stall: Stall, *heads: tuple[int, int]) -> list[Any]:
    """What is logged when these (finalized, best) heads are seen."""
    with structlog.testing.capture_logs() as log:
        for finalized, best in heads:
            stall.head("finalized", finalized)
            stall.head("best", best)
    return log


def reason(metrics: Metrics) -> object:
    reasons = metrics.readiness()[1]["reasons"]
    assert isinstance(reasons, dict)
    return reasons.get("finality")


@pytest.mark.parametrize("follow", ["best", "finalized"])
def test_a_stall_is_told_when_it_begins_and_when_it_is_over(follow: Literal["best", "finalized"]) -> None:
    metrics = Metrics(follow=follow)
    seconds = iter([100.0, 700.0])
    stall = Stall(metrics, lambda: next(seconds))
    assert told(stall, (100, 102), (100, 100 + STALLED_BLOCKS - 1)) == []
    assert reason(metrics) is None
    began = told(stall, *((100, 100 + STALLED_BLOCKS + more) for more in range(3000)))
    assert [line["event"] for line in began] == ["finality_stalled"]
    assert (began[0]["finalized"], began[0]["lag_blocks"]) == (100, STALLED_BLOCKS)
    assert metrics.readiness()[1]["finality_lag_blocks"] == STALLED_BLOCKS + 2999
    assert reason(metrics) == (None if follow == "best" else "nothing is final above block 100, best is 3129")
    assert told(stall, (3100, 3100 + BACK_BLOCKS + 1)) == []
    over = told(stall, (3120, 3130), (3130, 3132))
    assert [(line["event"], line["after_s"]) for line in over] == [("finality_back", 600.0)]
    assert reason(metrics) is None


def test_a_second_stall_is_told_again() -> None:
    stall = Stall(Metrics(follow="best"))
    log = told(stall, (1, 99), (99, 99), (99, 200))
    assert [line["event"] for line in log] == ["finality_stalled", "finality_back", "finality_stalled"]
