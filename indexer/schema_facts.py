"""What the declarations and the migrations' SQL files say of the schema, as plain facts for every format.

Pure: it needs no database. Meanings are the comments, word for word; the storage items behind a column are
found by asking the dataset which columns it reads to give an item back; units are in declaration or comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Column, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql

from indexer import schema
from indexer.datasets import DATASETS, STORAGE_ITEMS
from indexer.datasets.base import Dataset
from indexer.errors import DecodeError
from indexer.schema import Keyed
from migrations import sql

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

ITEMS = "storage_items"
"""The group of the tables that all chosen storage items share; the others are datasets and ``core``."""


@dataclass(frozen=True, slots=True)
class ColumnFact:
    """One column of a table."""

    name: str
    type: str
    """As Postgres names it."""
    unit: str
    """What the number counts, as in rao, block, /65535; ``account`` for 32-byte ids; empty where it has none."""
    meaning: str
    items: tuple[str, ...]
    """Storage items (``Pallet.Item``) it is filled from; empty for keys and for what no item holds."""
    is_key: bool
    is_nullable: bool
    is_account: bool


@dataclass(frozen=True, slots=True)
class IndexFact:
    """One index beside the primary key."""

    name: str
    columns: tuple[str, ...]
    condition: str = ""
    """Rows it holds, as SQL; empty: all."""
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class TableFact:
    """One table; a history is told with all its columns too."""

    name: str
    comment: str
    columns: tuple[ColumnFact, ...]
    indexes: tuple[IndexFact, ...]
    group: str
    """The dataset, or ``core``."""
    history: str | None = None
    """Name of its table of changes, if it has one."""
    is_history: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        return tuple(column.name for column in self.columns if column.is_key)


@dataclass(frozen=True, slots=True)
class FunctionFact:
    """One SQL function."""

    name: str
    signature: str
    """With arguments, defaults and what it returns."""
    comment: str


@dataclass(frozen=True, slots=True)
class ViewFact:
    """One view."""

    name: str
    comment: str
    columns: tuple[tuple[str, str, str], ...]
    """(name, unit, meaning)."""


def tables() -> list[TableFact]:
    """Every table: core, then dataset by dataset, each with its history behind it."""
    found = [_table(table, "core", {}) for table in schema.CORE]
    for dataset in DATASETS.values():
        items = _items(dataset)
        for declared in dataset.tables:
            if isinstance(declared, Keyed):
                found.append(_table(declared.current, dataset.name, items, history=declared.history.name))
                same = {(declared.history.name, column): of for (table, column), of in items.items()
                        if table == declared.name}  # fmt: skip
                found.append(_table(declared.history, dataset.name, same, is_history=True))
            else:
                found.append(_table(declared.table, dataset.name, items))
    found.append(_table(STORAGE_ITEMS.current, ITEMS, {}, history=STORAGE_ITEMS.history.name))
    found.append(_table(STORAGE_ITEMS.history, ITEMS, {}, is_history=True))
    return found


def functions() -> list[FunctionFact]:
    """Every function, those for readers first: the block may be left out."""
    signatures = {}
    comments = {}
    for statement in _statements():
        if match := _FUNCTION.match(statement):
            name, arguments, returns = (_one_line(part) for part in match.groups())
            signatures[name] = f"{name}({arguments}) {returns}".strip()
        elif (match := _COMMENT.fullmatch(statement)) and match[1].lower() == "function":
            comments[match[2].partition("(")[0]] = _unquoted(match[3])
    named = sorted(comments, key=lambda name: "block bigint default null" not in signatures[name])
    return [FunctionFact(name, signatures[name], comments[name]) for name in named]


def views() -> list[ViewFact]:
    """Every view with the columns that have comments of their own."""
    comments: dict[str, str] = {}
    columns: dict[str, dict[str, str]] = {}
    for statement in _statements():
        if match := _COMMENT.fullmatch(statement):
            kind, name, text = match[1].lower(), match[2].replace('"', ""), _unquoted(match[3])
            if kind == "view":
                comments[name] = text
            elif kind == "column":
                view, _, column = name.partition(".")
                columns.setdefault(view, {})[column] = text
    return [
        ViewFact(
            name, text, tuple((column, unit(column, told), told) for column, told in columns.get(name, {}).items())
        )
        for name, text in comments.items()
    ]


_COMMENT = re.compile(r"comment on (function|view|column) (.*?) is\s+'(.*)'", re.DOTALL | re.IGNORECASE)
_FUNCTION = re.compile(
    r"create (?:or replace )?function (\w+)\((.*?)\)\s*(returns .*?|)\s*language", re.DOTALL | re.IGNORECASE
)
_UNIT = re.compile(
    r"(?<![\w.])(?:/65535|/1e18|TAO per alpha|rao per block|rao of TAO|rao of alpha|rao|blocks)\b"
    r"|/\(2\^64-1\)|(?<=, )(?:%|bytes|0 to 1)"
)
_BLOCK = re.compile(r"(^|: |, )(first |last )?block\b", re.IGNORECASE)


def unit(name: str, meaning: str, declared: str = "") -> str:
    """The unit of a column, from its declaration or the words of its comment."""
    found = _UNIT.search(meaning)
    if declared and not (found and found.group().startswith(declared)):
        return declared
    if found:
        return found.group()
    if name == "block_number" or name.endswith(("_block", "_at")) or (name != "block" and _BLOCK.match(meaning)):
        return "block"
    return ""


def _statements() -> Iterator[str]:
    for script in sql.scripts():
        for statement in sql.statements(script):
            yield sql.bare(statement)


def _one_line(part: str) -> str:
    return re.sub(r"\s+", " ", part).replace("( ", "(").replace(" )", ")").strip()


def _unquoted(text: str) -> str:
    return text.replace("''", "'")


def _table(
    table: Table,
    group: str,
    items: dict[tuple[str, str], list[str]],
    *,
    history: str | None = None,
    is_history: bool = False,
) -> TableFact:
    indexes = []
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        condition = index.dialect_options["postgresql"]["where"]
        names = tuple(column.name for column in index.columns)
        indexes.append(IndexFact(str(index.name), names, "" if condition is None else str(condition)))
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            names = tuple(column.name for column in constraint.columns)
            indexes.append(IndexFact(f"{table.name}_{'_'.join(names)}_key", names, is_unique=True))
    columns = tuple(_column(table, column, items.get((table.name, column.name), [])) for column in table.columns)
    return TableFact(table.name, table.comment or "", columns, tuple(indexes), group, history, is_history)


def _column(table: Table, column: Column[object], items: list[str]) -> ColumnFact:
    kind = str(column.type.compile(dialect=_DIALECT)).lower().replace("timestamp with time zone", "timestamptz")
    meaning = column.comment or ""
    is_number = kind in ("bigint", "integer", "numeric", "bigint[]")
    is_account = bool(column.info.get("account")) or (table.name, column.name) == ("accounts", "account")
    told = "account" if is_account else unit(column.name, meaning, column.info.get("unit", "")) if is_number else ""
    return ColumnFact(
        column.name,
        kind,
        told,
        meaning,
        () if column.primary_key else tuple(items),
        column.primary_key,
        bool(column.nullable),
        is_account,
    )


class _Asked(dict[str, object]):
    """A row in which nothing is stored, and that remembers which columns were looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[str] = []

    def __getitem__(self, name: str) -> object:
        self.columns.append(name)
        return None


def _items(dataset: Dataset) -> dict[tuple[str, str], list[str]]:
    """Storage items by (table, column): those whose way back from a row reads the column."""
    found: dict[tuple[str, str], list[str]] = {}
    for source in dataset.sources:
        row = _Asked()
        with suppress(DecodeError):  # a row in which nothing is stored may be one that never is
            dataset.value(source, row)
        for column in row.columns:
            known = found.setdefault((source.table, column), [])
            if str(source.item) not in known:
                known.append(str(source.item))
    return found
