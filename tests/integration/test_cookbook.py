"""docs/COOKBOOK.md: every statement runs on the recorded chain and gives the answer it shows, and the right one.

What an answer should be comes from ``cookbook_truth`` and ``cookbook_truth_subnets``, which read the recorded
states, and from ``cookbook_truth_causes``, which reads events and extrinsics, too. ``WRITE_COOKBOOK=1`` puts the
answers into the document instead of comparing them; the truth holds all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import asyncpg
import cookbook
import pytest
from anyio.from_thread import BlockingPortal
from cookbook_made import CAUSES, COPIES, PRICES, load_causes, load_copies, load_prices
from cookbook_truth import TRUTH, Rows
from cookbook_truth_causes import ITEM
from cookbook_truth_subnets import REVIEWED
from loader import load_tape
from recorded_state import RecordedStates

from indexer import datasets

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

RECIPES = cookbook.recipes()


@pytest.fixture(scope="module")
def recorded(realdata: Path) -> RecordedStates:
    """The recorded states, read once."""
    return RecordedStates(realdata / "tape/blocks.jsonl.gz")


@pytest.fixture(scope="module")
def tape(_portal: BlockingPortal, shared_database: str, realdata: Path) -> str:
    """A database that holds the recorded chain, every dataset of it, filled once: statements only read it."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    chosen = datasets.load(["all", ITEM])
    _portal.call(load_tape, shared_database, realdata / "tape/blocks.jsonl.gz", metadata, 7, chosen)
    return shared_database


async def answer(dsn: str, query: str) -> tuple[list[str], Rows]:
    """Columns and rows of a statement."""
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        statement = await connection.prepare(query.rstrip("; \n"))
        rows: list[Any] = await statement.fetch()
        return [column.name for column in statement.get_attributes()], [tuple(row) for row in rows]
    finally:
        await connection.close()


def test_the_cookbook_has_a_truth_or_a_review_for_each_of_its_many_questions() -> None:
    assert len(RECIPES) == 60
    assert cookbook.DOCUMENT.read_text("utf-8").count("```sql\n") == len(RECIPES)
    assert RECIPES.keys() == TRUTH.keys() | REVIEWED | {PRICES}
    assert not TRUTH.keys() & REVIEWED


def test_a_question_says_which_datasets_it_needs_beside_those_by_default() -> None:
    off = {f"`{dataset.name}`" for dataset in datasets.DATASETS.values() if not dataset.by_default}
    assert cookbook.OPTIONAL.keys() == off | {"`--item "}
    for title, recipe in RECIPES.items():
        assert cookbook.said_to_be_needed(recipe) == cookbook.needed(recipe), title
    assert sum(bool(cookbook.needed(recipe)) for recipe in RECIPES.values()) == 7


@pytest.mark.parametrize("title", [title for title in RECIPES if title != PRICES])
async def test_a_question_is_answered_as_the_recorded_states_have_it(
    tape: str, recorded: RecordedStates, title: str
) -> None:
    columns, rows = await answer(tape, RECIPES[title].query)
    assert rows, "an answer without rows shows nothing"
    if title in TRUTH:
        assert rows == TRUTH[title](recorded)
    _compare(title, columns, rows)


async def test_the_price_of_a_registration_is_told_by_the_hour(database: str) -> None:
    expected = await load_prices(database)
    columns, rows = await answer(database, RECIPES[PRICES].query)
    assert rows == expected
    _compare(PRICES, columns, rows)


async def test_copied_weights_are_told_with_whose_they_were(database: str) -> None:
    expected = await load_copies(database)
    assert (await answer(database, RECIPES[COPIES].query))[1] == expected


async def test_changes_by_hooks_without_events_and_by_fees_alone_are_told_apart(database: str) -> None:
    expected = await load_causes(database)
    assert (await answer(database, RECIPES[CAUSES].query))[1] == expected


def _compare(title: str, columns: list[str], rows: Rows) -> None:
    shown = cookbook.shown(columns, rows)
    if os.environ.get("WRITE_COOKBOOK"):
        cookbook.rewrite({**{each.title: each.answer for each in cookbook.recipes().values()}, title: shown})
    assert cookbook.recipes()[title].answer == shown, "write it anew: WRITE_COOKBOOK=1 pytest -n 0 <this file>"
