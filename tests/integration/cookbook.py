"""docs/COOKBOOK.md as data: questions, statements, and the answers it shows; and how an answer is shown.

Nothing here knows what an answer should be: ``cookbook_truth`` does, from the recorded states.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "COOKBOOK.md"
SHOWN_ROWS = 8
Row = tuple[object, ...]

_ADDRESS = re.compile(r"\b(5[1-9A-HJ-NP-Za-km-z]{6})[1-9A-HJ-NP-Za-km-z]{41}\b")
_RECIPE = re.compile(r"(?<=^### )(.+?)\n(.*?)```sql\n(.*?)```\n+(.*?)(?=^#|\Z)", re.DOTALL | re.MULTILINE)

OPTIONAL = {
    "`events`": r"(?:FROM|JOIN) events\b",
    "`extrinsics`": r"(?:FROM|JOIN) (?:extrinsics|extrinsics_of|extrinsic|extrinsic_log)\b",
    "`weights`": r"\b(?:weights_at|weight_rows|weight_row_history)\b|(?:FROM|JOIN) weights\b",
    "`bonds`": r"\b(?:bonds_at|bond_rows|bond_row_history)\b|(?:FROM|JOIN) bonds\b",
    "`weight_commits`": r"\b(?:timelocked_weight_commits_at|weight_commits|weight_commit_history)\b",
    "`--item ": r"\b(?:storage_changes|storage_at|storage_values|storage_value_history)\b",
}
"""Datasets that are off by default, as the document names them, and what statements read of them."""


@dataclass(frozen=True)
class Recipe:
    """One question of the cookbook."""

    title: str
    prose: str
    query: str
    answer: str
    """What follows the statement, up to the next heading."""


def recipes() -> dict[str, Recipe]:
    """Every question by its title."""
    found = [Recipe(*(part.strip() for part in match)) for match in _RECIPE.findall(DOCUMENT.read_text("utf-8"))]
    return {recipe.title: recipe for recipe in found}


def needed(recipe: Recipe) -> set[str]:
    """What a statement reads that is not indexed by default, by the names of ``OPTIONAL``."""
    return {name for name, read in OPTIONAL.items() if re.search(read, recipe.query)}


def said_to_be_needed(recipe: Recipe) -> set[str]:
    """What the document says that it needs, by the same names."""
    said = re.search(r"^\*Needs:\* (.+)\.$", recipe.prose, re.MULTILINE)
    return {re.sub(r"(?<=^`--item ).*", "", one) for one in said[1].split(", ")} if said else set()


def shown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """An answer as the document shows it: addresses shortened, the first rows of many."""
    lines = [columns, ["---"] * len(columns), *([cell(value) for value in row] for row in rows[:SHOWN_ROWS])]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return text if len(rows) <= SHOWN_ROWS else f"{text}\n\n… {len(rows)} rows in all."


def cell(value: object) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return _ADDRESS.sub(r"\1…", text)


def rewrite(answers: dict[str, str]) -> None:
    """Put new answers into the document."""
    text = DOCUMENT.read_text("utf-8")
    for recipe in recipes().values():
        start = text.index(f"### {recipe.title}\n")
        start = text.index("```\n", text.index("```sql\n", start) + 6) + 4
        end = start + len(text[start:]) - len(text[start:].lstrip("\n")) + len(recipe.answer)
        text = f"{text[:start]}\n{answers[recipe.title]}\n\n{text[end:].lstrip()}"
    DOCUMENT.write_text(text.rstrip() + "\n", "utf-8")
