"""An outage in the log: its beginning, a line a minute, every new cause, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from indexer.errors import NodeError, StoreError
from indexer.outage import Outage


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_the_same_cause_is_told_once_a_minute_and_the_end_once(log: list[Any]) -> None:
    clock = Clock()
    outage = Outage(clock)
    for second in range(0, 150, 10):
        clock.now_s = float(second)
        outage.failed(StoreError(f"refused {second}"), 10.0)
    assert outage.lasts
    outage.over()
    outage.over()
    assert not outage.lasts
    assert [(line["event"], line.get("tries"), line.get("untold")) for line in log] == [
        ("restart", None, None),
        ("restart", 7, 5),
        ("restart", 13, 5),
        ("restored", 15, None),
    ]
    assert log[-1]["after_s"] == 140.0


def test_another_cause_is_told_at_once(log: list[Any]) -> None:
    outage = Outage(Clock())
    for error in (StoreError("lost"), StoreError("lost"), NodeError("lost")):
        outage.failed(error, 1.0)
    assert [line["cause"] for line in log] == ["StoreError", "NodeError"]


def test_a_new_outage_begins_anew(log: list[Any]) -> None:
    outage = Outage(Clock())
    outage.failed(StoreError("lost"), 1.0)
    outage.over()
    outage.failed(StoreError("lost"), 1.0)
    assert [line["event"] for line in log] == ["restart", "restored", "restart"]
