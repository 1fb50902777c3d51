"""What is shown of a pipeline, from beside it: what it does, how far, and when that is no longer of interest."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from indexer import pursuit
from indexer.heads import Heads
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.plan import Plan
from indexer.pursuit import Pursuit

Line = MutableMapping[str, Any]


@dataclass
class Pipe:
    """As much of a pipeline as is looked at."""

    plan: Plan
    tip: BlockRef | None
    read_blocks: int = 0

    @property
    def heals(self) -> bool:
        return self.plan.proves or self.plan.hole_last is not None


@pytest.fixture(autouse=True)
def _every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pursuit, "LINE_EVERY_S", 0.0)


def at(number: int) -> BlockRef:
    return BlockRef(number, bytes(32))


def plan(first: int, stop: int | None, **given: Any) -> Plan:
    datasets = (cast(Any, SimpleNamespace(name="stake")),)
    return Plan(datasets=datasets, after=None, first=first, stop=stop, workers=1, window=1, batch=1, **given)


def looks(pipe: Pipe, *steps: tuple[int, int]) -> list[Line]:
    """Log lines while the pipeline goes through (committed or read, head)."""
    heads = cast(Heads, SimpleNamespace(target=0))
    with ExitStack() as stack, capture_logs() as lines:
        one = Pursuit(pipe, heads, Metrics(), stack)
        for committed, cast(Any, heads).target in steps:
            if pipe.plan.proves:
                pipe.read_blocks = committed
            else:
                pipe.tip = at(committed)
            one.look()
    return list(lines)


def test_blocks_are_counted_against_the_head_until_it_is_reached_and_again_once_it_is_far() -> None:
    lines = looks(Pipe(plan(1, None), at(0)), (0, 100), (50, 101), (99, 101), (101, 103), (101, 111), (101, 113))
    told = [(line["event"], line["doing"], line["block"], line.get("done"), line.get("total")) for line in lines]
    assert told == [
        ("progress", "catching_up", 0, 0, 100),
        ("progress", "catching_up", 50, 50, 101),
        ("caught_up", "following", 99, None, None),
        ("progress", "catching_up", 101, 0, 12),
    ]


def test_a_stop_is_the_goal_and_no_head_is_followed_then() -> None:
    lines = looks(Pipe(plan(1, 40), at(0)), (10, 100), (39, 100), (40, 100))
    assert [(line["done"], line["total"]) for line in lines] == [(10, 40), (39, 40), (40, 40)]


def test_a_whole_state_that_is_read_first_is_shown_by_itself() -> None:
    pipe = Pipe(plan(50, None), None)
    with ExitStack() as stack, capture_logs() as lines:
        Pursuit(pipe, cast(Heads, SimpleNamespace(target=100)), Metrics(), stack).look()
    assert lines == []


def test_at_the_head_the_log_has_a_line_in_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(pursuit, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    heads = cast(Heads, SimpleNamespace(target=7))
    with ExitStack() as stack, capture_logs() as lines:
        one = Pursuit(Pipe(plan(1, None), at(7)), heads, Metrics(), stack)
        for second in range(1800):
            now_s[0] = float(second)
            one.look()
    assert [(line["event"], line["block"], line["head"]) for line in lines] == [
        ("caught_up", 7, 7),
        ("progress", 7, 7),
        ("progress", 7, 7),
    ]


def test_a_hole_and_blocks_that_are_proven_tell_of_what_is_mended() -> None:
    hole = looks(Pipe(plan(20, 41, leads=False, hole_last=40), at(19)), (25, 100))
    (line,) = hole
    assert (line["doing"], line["datasets"], line["done"], line["total"]) == ("filling_hole", ["stake"], 6, 22)
    proving = looks(Pipe(plan(20, 41, leads=False, proves=True), None), (4, 100), (22, 100))
    assert [(line["doing"], line["done"], line["total"]) for line in proving] == [
        ("proving", 4, 22),
        ("proving", 22, 22),
    ]


def test_a_dataset_that_catches_up_beside_the_others_is_named() -> None:
    (line,) = looks(Pipe(plan(20, 60, leads=False), at(19)), (25, 100))
    assert (line["datasets"], line["done"], line["total"]) == (["stake"], 6, 41)
