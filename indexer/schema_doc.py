"""migrations/SCHEMA.md: every table, view, function, index and parameter, as Markdown.

Pure: it needs no database, so the document can be checked by a unit test and printed by ``indexer schema``.
What it says comes from ``schema_facts``; there is no second text to keep true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from indexer import schema_facts
from indexer.datasets import DATASETS
from indexer.datasets._parameters import NETWORK_PARAMETERS, SUBNET_PARAMETERS, Parameter
from indexer.schema_facts import IndexFact, TableFact

_INTRODUCTION = """\
# Schema

Written by `indexer schema`; do not edit. `--format dbml` and `--format mermaid` give diagrams of the tables.

* Amounts are in rao (1 TAO or alpha = 10^9 rao). Accounts are 32 raw bytes in tables and SS58 text in views and
  functions; `accounts` has both.
* A table `X` has one row per key that exists now. Its history has one row per change: it holds from its
  `block_number` until the key's next row; `exists` is false where the key was removed.
* A column that is NULL says that the chain has no such storage key; the runtime then uses its default.
* Functions that take a block take NULL for the last committed one, and raise an error that names the indexed range
  for a block outside it. `spec` in a comment is the spec_version of the runtime that executed the block.
* *from* names the storage item that a column is filled from. Every primary key is an index too.
"""
MANY_ITEMS = 20
"""So many storage items in one column are told elsewhere."""


_ITEMS = """\
## Any storage item

Chosen with `--item Pallet.Item`; each is a dataset of that name in `cursors`, `coverage`, `gaps` and `status`.
Read them through `storage_changes` and `storage_at`.

"""


def as_markdown() -> str:
    """The whole document."""
    tables = schema_facts.tables()
    parts = [
        _INTRODUCTION,
        "## Functions\n\n" + "".join(f"* `{f.signature}`\n  {f.comment}\n" for f in schema_facts.functions()),
        "## Views\n\n" + "\n".join(_views()),
        "## Core tables\n\n" + "\n".join(_tables(tables, "core")),
        *(_dataset(name, tables) for name in DATASETS),
        _ITEMS + "\n".join(_tables(tables, schema_facts.ITEMS)),
        "## Hyperparameters\n\nNames in `hyperparameters` and `hyperparameters_at`. Which of them exist depends on the "
        "runtime.\n\n### Per subnet\n\n" + _parameters(SUBNET_PARAMETERS),
        "### Of the network (netuid NULL)\n\n" + _parameters(NETWORK_PARAMETERS),
    ]
    return "\n".join(parts)


def _views() -> Iterator[str]:
    for view in schema_facts.views():
        rows = [(f"`{name}`", unit, meaning) for name, unit, meaning in view.columns]
        if view.name in ("subnets", "subnet_history"):
            rows.append(("…", "", "Every column of subnet_info and subnet_pools."))
        yield f"### {view.name}\n\n{view.comment}\n\n" + grid(("column", "unit", "meaning"), rows)


def _dataset(name: str, tables: Sequence[TableFact]) -> str:
    dataset = DATASETS[name]
    items = ", ".join(f"`{item}`" for item in dataset.items) or "none; it reads plain values of every block"
    off = "" if dataset.by_default else " Off by default: `--datasets` names it."
    return f"## Dataset {name}\n\nStorage: {items}.{off}\n\n" + "\n".join(_tables(tables, name))


def _tables(tables: Sequence[TableFact], group: str) -> Iterator[str]:
    histories = {table.name: table for table in tables if table.is_history}
    for table in tables:
        if table.group != group or table.is_history:
            continue
        text = f"### {table.name}\n\n{table.comment}\n\nKey: {_names(table.keys)}."
        indexes = list(table.indexes)
        if table.history:
            text += f" History: `{table.history}`, key: {_names(histories[table.history].keys)}."
            indexes += histories[table.history].indexes
        if indexes:
            text += "\n\nIndexes: " + "; ".join(map(_index, indexes)) + "."
        rows = []
        for column in table.columns:
            items = ", ".join(f"`{item}`" for item in column.items)
            if len(column.items) > MANY_ITEMS:
                items = f"{len(column.items)} items: see Hyperparameters"
            rows.append((f"`{column.name}`", column.type, column.unit, column.meaning, items))
        yield f"{text}\n\n" + grid(("column", "type", "unit", "meaning", "from"), rows)


def _index(index: IndexFact) -> str:
    where = f" where {index.condition}" if index.condition else ""
    return f"`{index.name}` ({', '.join(index.columns)}{where}){' unique' if index.is_unique else ''}"


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def _parameters(parameters: tuple[Parameter, ...]) -> str:
    rows = [
        (f"`{p.name}`", f"`{p.item}`", f"{p.comment} ({p.unit})" if p.unit else p.comment)
        for p in sorted(parameters, key=lambda p: p.name)
    ]
    return grid(("name", "storage item", "meaning (unit)"), rows)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a ``|`` in a cell does not end it."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
