"""Each statement that docs/SDK.md gives runs on a database as the migrations make it."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

from indexer import datasets

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "SDK.md").read_text(encoding="utf-8")
STATEMENTS = re.findall(r"`(select [^`]*)`", DOCUMENT)


def test_every_row_of_the_table_has_its_statement() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    for row in rows:
        assert re.fullmatch(r"\| .+ \| `select [^`]*` \| (exact|estimate).* \|", row), row


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_statement_of_the_table_runs(database: str, statement: str) -> None:
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
        await connection.fetch(statement)
    finally:
        await connection.close()
