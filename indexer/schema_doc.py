"""SCHEMA.md: every table, view, function and parameter, from the declarations and the migrations' SQL files.

Pure: it needs no database, so the document can be checked by a unit test and printed by ``indexer schema``.
What it says of a column is the column's comment, word for word; there is no second text to keep true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from indexer import schema
from indexer.datasets import DATASETS, STORAGE_ITEMS
from indexer.datasets._parameters import NETWORK_PARAMETERS, SUBNET_PARAMETERS, Parameter
from indexer.datasets.base import Dataset
from indexer.schema import Keyed
from migrations import sql

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

_INTRODUCTION = """\
# Schema

Written by `indexer schema`; do not edit.

* Amounts are in rao (1 TAO or alpha = 10^9 rao). Accounts are 32 raw bytes in tables and SS58 text in views and
  functions; `accounts` has both.
* A table `X` has one row per key that exists now. Its history has one row per change: it holds from its
  `block_number` until the key's next row; `exists` is false where the key was removed.
* A column that is NULL says that the chain has no such storage key; the runtime then uses its default.
* Functions that take a block take NULL for the last committed one, and raise an error that names the indexed range
  for a block outside it. `spec` in a comment is the spec_version of the runtime that executed the block.
"""


_ITEMS = """\
## Any storage item

Chosen with `--item Pallet.Item`; each is a dataset of that name in `cursors`, `coverage`, `gaps` and `status`.
Read them through `storage_changes` and `storage_at`.

"""


def as_markdown() -> str:
    """The whole document."""
    comments = _comments()
    parts = [
        _INTRODUCTION,
        "## Functions\n\n" + "".join(_functions(comments)),
        "## Views\n\n" + "\n".join(_views(comments)),
        "## Core tables\n\n" + "\n".join(_table(table) for table in schema.CORE),
        *(_dataset(dataset) for dataset in DATASETS.values()),
        _ITEMS + _table(STORAGE_ITEMS.current, STORAGE_ITEMS.history.name),
        "## Hyperparameters\n\nNames in `hyperparameters` and `hyperparameters_at`. Which of them exist depends on the "
        "runtime.\n\n### Per subnet\n\n" + _parameters(SUBNET_PARAMETERS),
        "### Of the network (netuid NULL)\n\n" + _parameters(NETWORK_PARAMETERS),
    ]
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Comment:
    kind: str
    """function, view or column."""
    name: str
    """As the statement names it: with argument types, or view.column."""
    text: str


_COMMENT = re.compile(r"comment on (function|view|column) (.*?) is\s+'(.*)'", re.DOTALL | re.IGNORECASE)
_FUNCTION = re.compile(r"create function (\w+)\((.*?)\)\s*(returns .*?|)\s*language", re.DOTALL | re.IGNORECASE)


def _statements() -> Iterator[str]:
    for script in sql.scripts():
        for statement in sql.statements(script):
            yield re.sub(r"^(--[^\n]*\n\s*)+", "", statement)


def _comments() -> list[_Comment]:
    """Comments on views, their own columns and functions; a later revision's replaces an earlier one's."""
    found: dict[tuple[str, str], _Comment] = {}
    for statement in _statements():
        if match := _COMMENT.fullmatch(statement):
            kind, name, text = match.group(1).lower(), match.group(2).replace('"', ""), match.group(3)
            found[kind, name] = _Comment(kind, name, text.replace("''", "'"))
    return list(found.values())


def _functions(comments: list[_Comment]) -> Iterator[str]:
    """Signature and comment of every function, those for readers first: the block may be left out."""
    signatures = {}
    for statement in _statements():
        if match := _FUNCTION.match(statement):
            name, arguments, returns = (_one_line(part) for part in match.groups())
            signatures[name] = f"{name}({arguments}) {returns}".strip()
    described = {c.name.partition("(")[0]: c.text for c in comments if c.kind == "function"}
    for name in sorted(described, key=lambda name: "block bigint default null" not in signatures[name]):
        yield f"* `{signatures[name]}`\n  {described[name]}\n"


def _one_line(part: str) -> str:
    return re.sub(r"\s+", " ", part).replace("( ", "(").replace(" )", ")").strip()


def _views(comments: list[_Comment]) -> Iterator[str]:
    for view in (comment for comment in comments if comment.kind == "view"):
        columns = [
            (comment.name.partition(".")[2], "", comment.text)
            for comment in comments
            if comment.kind == "column" and comment.name.partition(".")[0] == view.name
        ]
        if view.name in ("subnets", "subnet_history"):
            columns.append(("…", "", "Every column of subnet_info and subnet_pools."))
        yield f"### {view.name}\n\n{view.text}\n\n" + _grid(("column", "", "meaning"), columns)


def _dataset(dataset: Dataset) -> str:
    items = ", ".join(f"`{item}`" for item in dataset.items) or "none; it reads plain values of every block"
    tables = [table.current if isinstance(table, Keyed) else table.table for table in dataset.tables]
    histories = {table.current.name: table.history.name for table in dataset.tables if isinstance(table, Keyed)}
    return f"## Dataset {dataset.name}\n\nStorage: {items}.\n\n" + "\n".join(
        _table(table, histories.get(table.name)) for table in tables
    )


def _table(table: Table, history: str | None = None) -> str:
    keys = ", ".join(f"`{column.name}`" for column in table.primary_key)
    text = f"### {table.name}\n\n{table.comment}\n\nKey: {keys}."
    if history:
        text += f" History: `{history}`, key: {keys}, `block_number`."
    columns = [
        (column.name, column.type.compile(dialect=_DIALECT).lower(), column.comment or "") for column in table.columns
    ]
    return f"{text}\n\n" + _grid(("column", "type", "meaning"), columns)


def _parameters(parameters: tuple[Parameter, ...]) -> str:
    rows = [
        (p.name, f"`{p.item}`", f"{p.comment} ({p.unit})" if p.unit else p.comment)
        for p in sorted(parameters, key=lambda p: p.name)
    ]
    return _grid(("name", "storage item", "meaning (unit)"), rows)


def _grid(head: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> str:
    """A Markdown table; a column whose head is empty is left out."""
    wanted = [at for at, title in enumerate(head) if title]
    lines = [head, tuple("---" for _ in head), *((f"`{row[0]}`", *row[1:]) for row in rows)]
    return "".join("| " + " | ".join(line[at].replace("|", "\\|") for at in wanted) + " |\n" for line in lines)
