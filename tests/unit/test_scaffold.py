"""The migration that is written for a new dataset has a way up and a way back."""

from __future__ import annotations

import ast

import pytest

from indexer import scaffold
from indexer.datasets import DATASETS
from indexer.schema import Keyed

MAPS = [dataset for dataset in DATASETS.values() if any(isinstance(table, Keyed) for table in dataset.tables)]


@pytest.mark.parametrize("dataset", MAPS, ids=lambda dataset: dataset.name)
def test_the_way_back_undoes_the_functions_forgets_the_dataset_and_drops_its_tables(dataset: object) -> None:
    text = scaffold.revision(dataset, 99)  # type: ignore[arg-type]
    functions = {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    name = dataset.name  # type: ignore[attr-defined]
    keyed = [table for table in dataset.tables if isinstance(table, Keyed)]  # type: ignore[attr-defined]
    names = ", ".join(f"'{one}'" for table in keyed for one in (table.current.name, table.history.name))
    assert functions["downgrade"].splitlines()[2:] == [
        f"    sql.undo('0100_{name}')",
        f"    tables.forget('{name}')",
        f"    tables.drop({names})",
    ]
    assert f"sql.run('0100_{name}')" in functions["upgrade"]
