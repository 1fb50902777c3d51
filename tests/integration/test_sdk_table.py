"""docs/SDK.md: every statement in its tables runs on a database as the migrations make it."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg

from indexer import datasets
from indexer.scale import ss58_encode

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "SDK.md").read_text(encoding="utf-8")
OLDER_NAMES = "## Names of the older AsyncSubtensor"


def _rows(part: str) -> dict[str, str]:
    """Statements of a table by the name they answer."""
    found = re.findall(r"^\| `(\w+)` \| `(.*?)` \| ", part, re.M)
    assert len({name for name, _ in found}) == len(found) == part.count("\n| `")
    return {name: statement.replace("\\|", "|") for name, statement in found}


READS, OLDER = (_rows(part) for part in DOCUMENT.split(OLDER_NAMES))
BESIDE = re.findall(r"^\* `(SELECT .*?)`$", DOCUMENT, re.M)
"""Statements beside the table."""


def test_every_row_of_the_table_is_one_read_and_one_statement() -> None:
    assert len(READS) > 60
    assert len(OLDER) > 25
    assert list(READS) == sorted(READS)
    assert list(OLDER) == sorted(OLDER)
    assert len(BESIDE) == 3


async def test_every_statement_runs(database: str) -> None:
    """On one database for all of them: a database each takes longer than the statements."""
    statements = {
        **READS,
        **{f"older {name}": one for name, one in OLDER.items()},
        **dict(zip(BESIDE, BESIDE, strict=True)),
    }
    refused = {}
    connection = await asyncpg.connect(database)
    try:
        # As if the block of the examples were indexed; the functions refuse others.
        for dataset in datasets.load(None):
            await connection.execute(
                "INSERT INTO cursors (dataset, start_block, block_number, block_hash, committed_at) "
                "VALUES ($1, 0, 9300000, $2, now())",
                dataset.name,
                bytes(32),
            )
        for name, statement in statements.items():
            try:
                await connection.fetch(statement.replace("5G…", ss58_encode(bytes(32))))
            except asyncpg.PostgresError as error:
                refused[name] = str(error)
    finally:
        await connection.close()
    assert refused == {}
