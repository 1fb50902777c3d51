"""What `check` decides without asking anybody: horizon, settings, beginnings, words, and the contract of --json."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from indexer import config
from indexer.embedded.server import SETTINGS
from indexer.preflight import advice, beginning, findings, horizon, words
from indexer.preflight.findings import CursorFacts, DatabaseFacts, EndpointFacts, Level, Range

pytestmark = pytest.mark.anyio

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "CHECK.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("head", [0, 1, 2, 40, 5000, 9_000_000])
@pytest.mark.parametrize("kept", [1, 2, 31, 32, 33, 256, 4096, 10**9])
async def test_the_horizon_is_found_to_the_block_in_few_questions(head: int, kept: int) -> None:
    oldest = max(0, head - kept + 1)
    asked: list[int] = []

    async def has_state(number: int) -> bool:
        asked.append(number)
        return number >= oldest

    found = await horizon.find(has_state, head)
    assert found == horizon.Horizon(oldest, False)
    assert len(asked) <= 2 * max(1, head.bit_length()) + 4
    assert all(0 <= number <= head for number in asked)


async def test_a_node_that_keeps_the_first_state_beside_the_last_ones_is_no_archive() -> None:
    async def has_state(number: int) -> bool:
        return number == 0 or number > 900

    assert await horizon.find(has_state, 1000) == horizon.Horizon(901, False)


async def test_a_node_without_its_heads_state_has_no_horizon() -> None:
    async def has_state(number: int) -> bool:
        return number < 900

    assert await horizon.find(has_state, 1000) is None


async def test_an_endpoint_that_answers_in_two_ways_is_told() -> None:
    asked: list[int] = []

    async def has_state(number: int) -> bool:
        asked.append(number)
        return number > 900 or (number == 900 and asked.count(900) > 1)

    assert await horizon.find(has_state, 1000) == horizon.Horizon(901, True)


def row(setting: str, unit: str | None = None, vartype: str = "integer") -> advice.Row:
    return {"setting": setting, "unit": unit, "vartype": vartype}


@pytest.mark.parametrize(
    ("name", "poor", "fine", "level"),
    [
        ("default_transaction_read_only", row("on", None, "bool"), row("off", None, "bool"), Level.BAD),
        ("statement_timeout", row("1000", "ms"), row("0", "ms"), Level.BAD),
        ("statement_timeout", row("30000", "ms"), row("3600000", "ms"), Level.WARNING),
        ("transaction_timeout", row("30000", "ms"), row("0", "ms"), Level.WARNING),
        ("idle_session_timeout", row("2000", "ms"), row("0", "ms"), Level.WARNING),
        ("fsync", row("off", None, "bool"), row("on", None, "bool"), Level.WARNING),
        ("full_page_writes", row("off", None, "bool"), row("on", None, "bool"), Level.WARNING),
        ("autovacuum", row("off", None, "bool"), row("on", None, "bool"), Level.WARNING),
        ("synchronous_commit", row("off", None, "enum"), row("local", None, "enum"), Level.NOTE),
        ("max_wal_size", row("1024", "MB"), row("4096", "MB"), Level.NOTE),
        ("checkpoint_timeout", row("300", "s"), row("900", "s"), Level.NOTE),
        ("wal_compression", row("pglz", None, "enum"), row("off", None, "enum"), Level.NOTE),
        ("wal_compression", row("on", None, "enum"), row("lz4", None, "enum"), Level.NOTE),
        ("shared_buffers", row("16384", "8kB"), row("32768", "8kB"), Level.NOTE),
        ("work_mem", row("4096", "kB"), row("16384", "kB"), Level.NOTE),
        ("jit", row("on", None, "bool"), row("off", None, "bool"), Level.NOTE),
    ],
)
def test_a_setting_worth_changing_is_told_and_a_fine_one_is_not(
    name: str, poor: advice.Row, fine: advice.Row, level: Level
) -> None:
    (told,) = advice.advice({name: poor})
    assert (told.name, told.level) == (name, level)
    assert list(advice.advice({name: fine})) == []


def test_what_is_suggested_is_what_the_embedded_postgres_has() -> None:
    """The rules that are a matter of speed: whoever follows them has what we run ourselves."""
    for rule in advice.RULES:
        if rule.name in SETTINGS:
            assert rule.suggested.startswith(SETTINGS[rule.name]), rule.name


def test_a_setting_is_shown_as_postgres_shows_it() -> None:
    assert advice.shown(row("16384", "8kB")) == "128MB"
    assert advice.shown(row("300", "s")) == "5min"
    assert advice.shown(row("1024", "MB")) == "1GB"
    assert advice.shown(row("off", None, "enum")) == "off"


def endpoint(name: str, head: int, oldest: int, *, is_archive: bool = False) -> EndpointFacts:
    return EndpointFacts(name, is_archive, finalized_block=head, oldest_state_block=oldest, genesis_hash="0x00")


def cursor(dataset: str, block: int) -> CursorFacts:
    return CursorFacts(dataset, 0, block, f"0x{block:x}", block)


def settings(**given: Any) -> config.Settings:
    return config.load({"network": ("ws://127.0.0.1:9",), **given})


def empty() -> DatabaseFacts:
    return DatabaseFacts("here", is_embedded=False)


def planned(given: config.Settings, cursors: list[CursorFacts], *endpoints: EndpointFacts) -> findings.StartFacts:
    facts = dataclasses.replace(empty(), cursors=tuple(cursors))
    return beginning.plan(given, ["balances", "blocks", "stake"], facts, endpoints)


def test_an_empty_database_begins_at_the_head_by_default() -> None:
    (one,) = planned(settings(), [], endpoint("a", 1000, 745)).beginnings
    assert (one.first_block, one.behind_blocks, one.endpoint, one.after_block) == (1000, 1, "a", None)


def test_a_first_state_that_was_begun_is_gone_on_with_unless_it_is_of_others_or_gone() -> None:
    names = ("balances", "blocks", "stake", "subnets")

    def begins(given: config.Settings, *states: findings.FirstStateFacts, oldest: int = 745) -> tuple[int, int]:
        facts = dataclasses.replace(empty(), first_states=states)
        (one,) = beginning.plan(given, names[:3], facts, [endpoint("a", 1000, oldest)]).beginnings
        return one.first_block, one.keys_read

    begun = findings.FirstStateFacts(900, names, 146)
    assert begins(settings(), begun) == (900, 146)
    assert begins(settings(start="900"), begun) == (900, 146)
    assert begins(settings(start="800"), begun) == (800, 0)
    assert begins(settings(), begun, oldest=900) == (1000, 0)
    assert begins(settings(), dataclasses.replace(begun, datasets=names[1:])) == (1000, 0)
    assert begins(settings(), dataclasses.replace(begun, block=1001)) == (1000, 0)


def test_an_old_first_block_is_read_from_whoever_has_its_state() -> None:
    both = endpoint("a", 1000, 745), endpoint("b", 1000, 0, is_archive=True)
    (one,) = planned(settings(start="10"), [], *both).beginnings
    assert (one.first_block, one.behind_blocks, one.endpoint) == (10, 991, "b")
    (one,) = planned(settings(start="10"), [], both[0]).beginnings
    assert one.endpoint is None


def test_a_first_block_needs_the_state_before_it_too() -> None:
    """The runtime that executed a block is in its parent's state."""
    (one,) = planned(settings(start="745"), [], endpoint("a", 1000, 745)).beginnings
    assert one.endpoint is None
    (one,) = planned(settings(start="746"), [], endpoint("a", 1000, 745)).beginnings
    assert one.endpoint == "a"


def test_whoever_was_away_too_long_leaves_a_gap() -> None:
    known = [cursor(name, 700) for name in ("balances", "blocks", "stake")]
    (one,) = planned(settings(), known, endpoint("a", 1000, 745)).beginnings
    assert (one.gap, one.first_block) == ((701, 999), 1000)
    (one,) = planned(settings(), known, endpoint("a", 1000, 745), endpoint("b", 990, 0, is_archive=True)).beginnings
    assert (one.gap, one.first_block, one.behind_blocks, one.endpoint) == (None, 701, 300, "b")
    (one,) = planned(settings(), known, endpoint("a", 1000, 699)).beginnings
    assert one.gap is None, "the states of the last block and of its parent are enough"
    (one,) = planned(settings(), known, endpoint("a", 1000, 700)).beginnings
    assert one.gap == (701, 999)


def test_an_added_dataset_joins_the_others_and_one_left_out_is_told() -> None:
    known = [cursor(name, 990) for name in ("balances", "blocks", "weights")]
    start = planned(settings(), known, endpoint("a", 1000, 745))
    assert (start.added, start.left) == (("stake",), ("weights",))
    assert [(one.datasets, one.first_block) for one in start.beginnings] == [
        (("stake",), 990),
        (("balances", "blocks"), 991),
    ]


def test_one_endpoint_of_three_cannot_make_up_the_head() -> None:
    assert beginning.head_of([endpoint("a", 10**6, 0), endpoint("b", 1000, 0), endpoint("c", 999, 0)]) == 1000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0004, "0.4 ms"),
        (1.5, "1.5 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (864_000, "10.0 days"),
    ],
)
def test_durations_are_told_in_their_own_unit(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_sizes_counts_and_ranges_are_told_to_three_digits() -> None:
    assert words.size(7_900_000_000) == "7.9 GB"
    assert words.size(12) == "12 bytes"
    assert words.count(1, "block") == "1 block"
    assert words.count(1200, "block") == "1,200 blocks"
    assert words.between(Range(123_456, 200_000, 234_567)) == "123,000 to 235,000"
    assert words.between(Range(7, 7, 7)) == "7"


def classes(kind: type[Any] = findings.Report) -> set[type[Any]]:
    """The value classes that a report is made of."""
    found: set[type[Any]] = {kind}
    for hint in get_type_hints(kind).values():
        for part in [hint, *get_args(hint), *(inner for arg in get_args(hint) for inner in get_args(arg))]:
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                found |= classes(part)
    return found


def test_the_document_names_every_field_of_the_json_and_no_other() -> None:
    tables = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^### |^## |\Z)", DOCUMENT, re.M | re.S))
    documented = {name: re.findall(r"^\| `(\w+)` \|", text, re.M) for name, text in tables.items()}
    expected = {one.__name__: [field.name for field in dataclasses.fields(one)] for one in classes()}
    expected["Report"].insert(0, "works")
    assert documented == expected


def test_the_document_names_every_level_and_topic() -> None:
    for word in (*findings.Level, *findings.Topic):
        assert f"`{word}`" in DOCUMENT
