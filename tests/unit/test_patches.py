"""Patches as Postgres takes them: JSON as text, also where it is empty, and rows as they come for a first state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer import schema
from indexer.commit import comparable_patches, unmerged
from indexer.model import Row
from indexer.schema import Keyed


@pytest.fixture(scope="module")
def notes() -> Iterator[Keyed]:
    table = schema.keyed(
        "test_notes",
        "test_note_history",
        keys=[schema.netuid()],
        values=[schema.rao("tao", "TAO."), schema.json("note", "Note.")],
        comment="A table with JSON.",
    )
    yield table
    for each in (table.current, table.history):
        schema.metadata.remove(each)
    del schema.KEYED["test_notes"]


@pytest.mark.parametrize(
    ("value", "text"), [({"b": 1, "a": 2}, '{"a": 2, "b": 1}'), ([], "[]"), (0, "0"), (None, None)]
)
def test_json_goes_as_text_also_where_it_is_empty(notes: Keyed, value: object, text: str | None) -> None:
    ((_, row),) = comparable_patches(notes, [(5, Row("test_notes", (1,), {"note": value}))])
    assert row.values == {"note": text}


def test_rows_of_a_first_state_stay_apart_and_those_that_say_nothing_are_left_out(notes: Keyed) -> None:
    given: list[dict[str, object] | None] = [{"tao": 7}, {"note": []}, None, {"tao": None, "note": None}]
    assert unmerged(notes, [(5, Row("test_notes", (1,), values)) for values in given]) == [
        (1, 7, None),
        (1, None, "[]"),
    ]
