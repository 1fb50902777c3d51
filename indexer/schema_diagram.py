"""The tables as a diagram: DBML (for dbdiagram and the like) and a Mermaid entity-relationship diagram.

Owns the grammar of the two and what may stand in a name or a text of each; what they show is ``schema_facts``'.
References are drawn where a column holds an account or a block that ``accounts`` or ``blocks`` has; the database
has no foreign keys for them. Histories are in DBML only: in Mermaid they would double the picture.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer import schema_facts
from indexer.schema_facts import ColumnFact, TableFact


def as_dbml() -> str:
    """Every table with its columns, keys, indexes and references, grouped by dataset."""
    tables = schema_facts.tables()
    parts = ["// Written by `indexer schema --format dbml`; do not edit.\n"]
    parts += ["\n".join(_dbml_table(table)) for table in tables]
    for group in dict.fromkeys(table.group for table in tables):
        names = "\n".join(f"  {table.name}" for table in tables if table.group == group)
        parts.append(f"TableGroup {group} {{\n{names}\n}}\n")
    return "\n".join(parts)


def _dbml_table(table: TableFact) -> Iterator[str]:
    yield f"Table {table.name} {{"
    alone = len(table.keys) == 1
    for column in table.columns:
        settings = [f"note: {_dbml_text(_note(column))}"]
        if not column.is_nullable:
            settings.insert(0, "not null")
        if column.is_key and alone:
            settings.insert(0, "pk")
        if reference := _reference(table, column):
            settings.append(f"ref: > {reference}")
        kind = f'"{column.type}"' if "[" in column.type else column.type
        yield f'  "{column.name}" {kind} [{", ".join(settings)}]'
    if not alone or table.indexes:
        yield "  indexes {"
        if not alone:
            yield f"    ({', '.join(table.keys)}) [pk]"
        for index in table.indexes:
            where = f", note: {_dbml_text(f'where {index.condition}')}" if index.condition else ""
            unique = "unique, " if index.is_unique else ""
            yield f"    ({', '.join(index.columns)}) [{unique}name: '{index.name}'{where}]"
        yield "  }"
    yield f"  Note: {_dbml_text(table.comment)}"
    yield "}\n"


def _dbml_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _note(column: ColumnFact) -> str:
    """The meaning, and what it comes from."""
    if not column.items or len(column.items) > 1:
        return column.meaning
    return f"{column.meaning} From {column.items[0]}."


def _reference(table: TableFact, column: ColumnFact) -> str | None:
    if column.is_account and table.name != "accounts":
        return "accounts.account"
    if column.name == "block_number" and table.name != "blocks":
        return "blocks.block_number"
    return None


def as_mermaid() -> str:
    """Every table that is no history, with its columns and the accounts it refers to."""
    tables = [table for table in schema_facts.tables() if not table.is_history]
    lines = ["%% Written by `indexer schema --format mermaid`; do not edit.", "erDiagram"]
    for table in tables:
        lines.append(f"    {table.name} {{")
        lines += [f"        {_mermaid_column(column)}" for column in table.columns]
        lines.append("    }")
    for table in tables:
        for column in table.columns:
            if column.is_account and table.name != "accounts":
                lines.append(f'    accounts ||--o{{ {table.name} : "{column.name}"')
    return "\n".join(lines) + "\n"


def _mermaid_column(column: ColumnFact) -> str:
    kind = column.type.replace("double precision", "float8")
    text = column.meaning.replace('"', "'")
    return f'{kind} {column.name}{" PK" if column.is_key else ""} "{text}"'
