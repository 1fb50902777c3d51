"""docs/SDK.md: every statement in it runs on a database as the migrations make it."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

from indexer import datasets
from indexer.scale import ss58_encode

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "SDK.md").read_text(encoding="utf-8")
READS = {
    name: statement.replace("\\|", "|") for name, statement in re.findall(r"^\| `(\w+)` \| `(.*?)` \| ", DOCUMENT, re.M)
}
BESIDE = re.findall(r"^\* `(SELECT .*?)`$", DOCUMENT, re.M)
"""Statements beside the table."""


def test_every_row_of_the_table_is_one_read_and_one_statement() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert len(rows) == len(READS) > 20
    assert list(READS) == sorted(READS)
    assert len(BESIDE) == 3


@pytest.mark.parametrize(
    "statement", [*READS.values(), *BESIDE], ids=[*READS, *(f"beside-{at}" for at in range(len(BESIDE)))]
)
async def test_a_statement_runs(database: str, statement: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        # As if the block of the examples were indexed; the functions refuse others.
        for dataset in datasets.load([*datasets.DATASETS, "SubtensorModule.Tempo"]):
            await connection.execute(
                "INSERT INTO cursors (dataset, start_block, block_number, block_hash, committed_at) "
                "VALUES ($1, 0, 9300000, $2, now())",
                dataset.name,
                bytes(32),
            )
        await connection.fetch(statement.replace("5G…", ss58_encode(bytes(32))))
    finally:
        await connection.close()
