"""The documents' queries run on a database as the migrations make it: those of the README and of docs/.

The cookbook and the SDK's reads have tests of their own, with answers.
"""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

from indexer import datasets

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path
    for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
    if path.name not in ("COOKBOOK.md", "SDK.md")
]
QUERIES = list(
    dict.fromkeys(
        query.strip()
        for document in DOCUMENTS
        for block in re.findall(r"```sql\n(.*?)```", document.read_text(encoding="utf-8"), re.S)
        for query in block.split(";")
        if query.strip()
    )
)
"""Each once, in the order of the documents."""


def test_the_three_as_of_functions_are_among_the_examples() -> None:
    for function in ("balance_at(", "delegations_at(", "hyperparameters_at("):
        assert any(function in query for query in QUERIES), function


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0].removeprefix("-- "))
async def test_an_example_runs(database: str, query: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        # As if the blocks of the examples were indexed; the functions refuse others.
        for dataset in datasets.load([*datasets.DATASETS, "SubtensorModule.Tempo"]):
            await connection.execute(
                "INSERT INTO cursors (dataset, start_block, block_number, block_hash, committed_at) "
                "VALUES ($1, 0, 9300000, $2, now())",
                dataset.name,
                bytes(32),
            )
        await connection.fetch(query)
    finally:
        await connection.close()
