"""The status as it is drawn and documented: for terminals of any width, for pipes, for machines."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from rich.console import Console

from indexer import datasets, status, status_view
from indexer.status import DatasetStatus, FirstStateStatus, Pace, Status, TableSize, Writer

DOC = (Path(__file__).resolve().parents[2] / "docs" / "STATUS.md").read_text(encoding="utf-8")
USUAL = [one.name for one in datasets.DATASETS.values() if one.by_default]
FIRST, HEAD = 9_000_000, 9_012_400


def dataset(name: str, **given: Any) -> DatasetStatus:
    usual = DatasetStatus(
        dataset=name,
        state="followed",
        start_block=FIRST,
        committed_block=HEAD,
        committed_hash="0x" + "ab" * 32,
        finalized_block=HEAD,
        committed_at="2026-11-23T10:00:00+00:00",
        lag_blocks=0,
        chain_lag_seconds=0.0,
        lag_seconds=6.0,
        complete_blocks=12_401,
        incomplete_blocks=0,
        ranges=((FIRST, HEAD, True),),
        gaps=(),
        note=None,
        size_bytes=12_000_000,
    )
    return replace(usual, **given)


def report(*rows: DatasetStatus, **given: Any) -> Status:
    usual = Status(
        chain="Bittensor",
        genesis_hash="0x" + "2f" * 32,
        spec_version=475,
        block_time="2026-11-23T10:00:00+00:00",
        lag_seconds=6.0,
        datasets=rows or tuple(dataset(name) for name in USUAL),
        activity="following",
        headline="following, 6 s behind",
        is_healthy=True,
        is_complete=True,
        committed_block=HEAD,
        head_block=HEAD,
        lag_blocks=0,
        writer=Writer("bittensor-indexer at 10.0.0.5/32 (host web1, process 4711)", "2026-11-23T09:00:00+00:00", 99),
        database_bytes=7_900_000_000,
        largest_tables=(TableSize("stake_shares_history", 3_400_000_000, 12_345_678),),
    )
    return replace(usual, **given)


def drawn(what: Status, columns: int = 80, *, every: bool = False) -> list[str]:
    """The lines on a terminal of so many columns."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None, highlight=False)
    console.print(status_view.view(what, every=every))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("columns", [80, 200])
def test_datasets_that_are_level_are_one_line(columns: int) -> None:
    lines = drawn(report(), columns)
    assert lines[0] == "● following, 6 s behind"
    assert re.fullmatch(r"  Bittensor, runtime 475, block 9,012,400, 6 s behind the clock, complete", lines[1])
    text = " ".join(" ".join(lines).split())
    assert "written by bittensor-indexer at 10.0.0.5/32 (host web1, process 4711) since 2026-11-23 09:00:00 UTC" in text
    assert "database 7.9 GB, the largest: stake_shares_history 3.4 GB (12M rows)" in text
    assert len([line for line in lines if "█" in line]) == 1
    assert all(len(line) <= columns for line in lines)
    if columns == 200:
        (row,) = [line for line in lines if "█" in line]
        assert re.fullmatch(rf"default \({len(USUAL)} datasets\) +9,012,400 +0 +all +█{{24}} +9000000-9012400", row)


def test_each_dataset_has_its_line_with_its_size_if_asked_for() -> None:
    lines = drawn(report(), 120, every=True)
    for name in USUAL:
        assert any(line.startswith(f"{name} 12 MB ") for line in lines)


def test_what_is_missing_incomplete_or_stopped_is_a_line_of_its_own_with_its_reason() -> None:
    behind = dataset(
        "stake",
        state="behind",
        committed_block=FIRST + 6200,
        lag_blocks=6200,
        complete_blocks=6000,
        incomplete_blocks=100,
        ranges=(
            (FIRST, FIRST + 3000, True),
            (FIRST + 3002, FIRST + 3201, True),
            (FIRST + 3202, FIRST + 3301, False),
            (FIRST + 3302, FIRST + 6200, True),
        ),
        gaps=((FIRST + 3001, FIRST + 3001, "dropped"), (FIRST + 3202, FIRST + 3301, "no proofs")),
    )
    stopped = dataset("events", state="stopped", stopped_at=HEAD + 1, stop_reason="cannot be read")
    lines = drawn(report(*[dataset(n) for n in USUAL if n != "stake"], behind, stopped, is_complete=False), 200)
    text = "\n".join(lines)
    assert f"default ({len(USUAL) - 1} of {len(USUAL)} datasets)" in text
    (row,) = [line for line in lines if line.startswith("stake behind")]
    assert re.search(r"9,006,200 +6,200 +6,000 +(\S+) ", row)
    assert "█████!▒██████···········" in row
    assert row.endswith("9000000-9003000, … 2 more …, 9003302-9006200")
    assert "gap 9003001-9003001: dropped (stake)" in text
    assert "gap 9003202-9003301: no proofs (stake)" in text
    assert "events: stopped before block 9012401: cannot be read" in text
    assert "! missing" in text
    narrow = drawn(report(*[dataset(n) for n in USUAL if n != "stake"], behind, stopped, is_complete=False), 80)
    assert all(len(line) <= 80 for line in narrow)
    assert "gap 9003001-9003001: dropped (stake)" in "\n".join(narrow)


def test_one_missing_block_among_a_million_shows_in_the_bar() -> None:
    row = dataset("stake", ranges=((FIRST, FIRST + 7000, True), (FIRST + 7002, HEAD, True)))
    assert status_view.coverage(row, FIRST, HEAD).count("!") == 1
    assert status_view.coverage(dataset("stake"), FIRST, HEAD) == "█" * 24
    assert status_view.coverage(dataset("late", start_block=HEAD, ranges=((HEAD, HEAD, True),)), FIRST, HEAD) == (
        " " * 23 + "█"
    )


def test_a_database_without_a_block_says_so() -> None:
    empty = report(spec_version=None, committed_block=None, head_block=None, lag_seconds=None, is_complete=False)
    lines = drawn(replace(empty, datasets=(), headline="starting: the first state is being read"))
    assert lines[:2] == [
        "● starting: the first state is being read",
        "  Bittensor, runtime none, no block yet, not complete",
    ]
    assert not any("coverage" in line for line in lines)


def test_brackets_of_reasons_and_names_are_no_markup() -> None:
    text = "\n".join(drawn(report(dataset("A.B", note="near names: [red]", gaps=((1, 2, "[/] x"),))), 120))
    assert "near names: [red]" in text
    assert "gap 1-2: [/] x (A.B)" in text


@pytest.mark.parametrize(
    ("told", "is_written", "rate", "activity", "headline"),
    [
        ((3.0, 6.0, 1), True, None, "following", "following, 6 s behind"),
        ((3.0, 9e4, 12_400), True, 1.72, "catching_up", "catching up, 12,400 blocks, about 2 h at 1.7 blocks/s"),
        ((3.0, 9e4, 12_400), True, None, "catching_up", "catching up, 12,400 blocks"),
        ((840.0, 850.0, 1), True, None, "standing_still", "standing still for 14 min"),
        ((10_800.0, 10_806.0, 0), False, None, "not_running", "no instance writes, the last commit was 3 h ago"),
        ((None, None, None), True, None, "starting", "starting: the first state is being read"),
        ((None, None, None), False, None, "not_running", "no instance writes, nothing is committed yet"),
    ],
)
def test_the_headline_says_what_goes_on(
    told: tuple[float | None, float | None, int | None],
    is_written: bool,
    rate: float | None,
    activity: str,
    headline: str,
) -> None:
    given = dict(zip(("last_commit_seconds", "lag_seconds", "lag_blocks"), told, strict=True))
    found = status.activity(given, is_written=is_written, rate=rate)
    assert (found["activity"], found["headline"]) == (activity, headline)


def test_the_pace_is_that_of_the_commits_and_begins_anew_after_a_rewind() -> None:
    pace = Pace()
    for committed_s, block in ((100.0, 10), (100.0, 10), (110.0, 30), (120.0, 50)):
        pace.see(committed_s, block)
    assert pace.blocks_per_second == 2.0
    pace.see(130.0, 20)
    assert pace.blocks_per_second is None


def test_every_field_of_the_json_is_documented_with_its_type() -> None:
    sections = {
        "The object": Status,
        "Each of `datasets`": DatasetStatus,
        "`writer`": Writer,
        "Each of `largest_tables`": TableSize,
        "Each of `first_states`": FirstStateStatus,
    }
    for title, kind in sections.items():
        part = DOC.split(f"### {title}\n")[1].split("\n###")[0]
        told = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| \S.*\.? \|$", part, re.M)
        assert told == [(one.name, _json_type(get_type_hints(kind)[one.name])) for one in fields(kind)]


def _json_type(hint: Any) -> str:
    kinds = [one for one in getattr(hint, "__args__", ()) if one is not type(None)]
    if hasattr(hint, "__origin__"):
        return "list"
    if kinds:
        return f"{_json_type(kinds[0])}, null"
    return "object" if is_dataclass(hint) else str(hint.__name__)


def test_the_json_has_these_fields_and_nothing_else() -> None:
    told = json.loads(status.as_json(report()))
    assert list(told) == [one.name for one in fields(Status)]
    assert list(told["datasets"][0]) == [one.name for one in fields(DatasetStatus)]
    assert "\n" not in status.as_json(report(), indent=None)


def test_every_headline_of_the_document_is_one_that_is_told() -> None:
    assert set(re.findall(r"\| `(\w+)` \| (?:an instance|nobody)", DOC)) == set(status_view.COLOURS)
