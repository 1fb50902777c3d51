"""The migration of a new dataset, written from its declaration: tables, indexes and a function as of a block.

Run once by whoever adds a dataset (``make migration DATASET=name``); the two files are then checked in and
frozen, like any migration, and may be added to by hand. Nothing here runs in the daemon.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from indexer.datasets import DATASETS
from indexer.datasets.base import Dataset
from indexer.schema import AnyColumn, Keyed

COMMENT_WIDTH = 60

_TYPES: dict[type, tuple[str, str]] = {
    BigInteger: ("tables.INTEGER", "bigint"),
    Integer: ("tables.NETUID", "integer"),
    Numeric: ("tables.NUMBER", "numeric"),
    Boolean: ("tables.FLAG", "boolean"),
    Text: ("tables.TEXT", "text"),
    JSONB: ("tables.JSON", "jsonb"),
    LargeBinary: ("tables.RAW", "bytea"),
    ARRAY: ("tables.INTEGERS", "bigint[]"),
}
"""Column type -> its name in a revision, and in SQL."""


def write(dataset: Dataset, folder: Path) -> tuple[Path, Path]:
    """Write the next revision's ``.py`` and ``.sql`` into ``folder``; returns both. Never overwrites a file."""
    numbers = sorted(int(path.name[:4]) for path in folder.glob("[0-9][0-9][0-9][0-9]_*.py"))
    last = numbers[-1] if numbers else 0
    name = f"{last + 1:04d}_{dataset.name}"
    python, script = folder / f"{name}.py", folder / f"{name}.sql"
    for path, text in ((python, revision(dataset, last)), (script, functions(dataset))):
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return python, script


def revision(dataset: Dataset, after: int) -> str:
    """The revision that follows number ``after``: creates every table, then runs the SQL file of the same name."""
    name = f"{after + 1:04d}_{dataset.name}"
    created = "".join(_create(table) for table in _keyed(dataset))
    dropped = ", ".join(f'"{table.current.name}", "{table.history.name}"' for table in _keyed(dataset))
    return (
        f'"""The dataset {dataset.name}."""\n\n'
        "from __future__ import annotations\n\nfrom migrations import sql, tables\n\n"
        f'revision = "{after + 1:04d}"\ndown_revision = "{after:04d}"\nbranch_labels = None\ndepends_on = None\n\n\n'
        'def upgrade() -> None:\n    """Create the tables, then run the SQL file of the same name."""\n'
        f'{created}    sql.run("{name}")\n\n\n'
        "def downgrade() -> None:\n"
        '    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""\n'
        f'    sql.undo("{name}")\n    tables.forget("{dataset.name}")\n    tables.drop({dropped})\n'
    )


def functions(dataset: Dataset) -> str:
    """The SQL file: per table a function that tells its rows as of a block."""
    parts = [f"-- The dataset {dataset.name} as of a block.\n"]
    parts += [as_of(dataset.name, table) for table in _keyed(dataset)]
    return "\n".join(parts)


def as_of(dataset: str, table: Keyed) -> str:
    """``<table>_at(block, of_key => ...)``: the rows that held at a block, accounts as SS58 text.

    Keys come from the current rows and from what was removed since, so the cost is that of what is asked for,
    not of the history. A filter that is not given is not part of the query that runs.
    """
    keys = [table.current.columns[name] for name in table.keys]
    values = [table.current.columns[name] for name in table.values]
    arguments = ["block bigint default null"]
    arguments += [f"of_{column.name} {_shown(column)}[] default null" for column in keys]
    returned = [f'"{column.name}" {_shown(column)}' for column in (*keys, *values)]
    using = ["at", *(_filter_value(column) for column in keys)]
    wheres = "\n".join(
        f"        || case when of_{column.name} is null then '' else ' and k.{column.name} = any(${position})' end"
        for position, column in enumerate(keys, start=2)
    )
    key_list = ", ".join(f"k.{column.name}" for column in keys)
    same = " and ".join(f"h.{column.name} = k.{column.name}" for column in keys)
    told = ",\n            ".join([_told(column, "k") for column in keys] + [_told(column, "h") for column in values])
    signature = ", ".join(["bigint", *(f"{_shown(column)}[]" for column in keys)])
    comment = (
        f"{(table.current.comment or '').replace(chr(39), chr(39) * 2)} As of a block (NULL: the last committed), of "
        "these keys only where they are given; since_block: the block that gave the row its values."
    )
    name = f"{table.name}_at"
    listed = ",\n    ".join(arguments)
    return f"""\
create function {name}(
    {listed}
)
returns table ({", ".join([*returned, "since_block bigint"])})
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('{dataset}', block);
    chosen constant text := ''
{wheres};
begin
    return query execute
        'with keys as (
            select {key_list} from {table.name} k where true' || chosen || '
            union
            select {key_list} from {table.history.name} k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            {told},
            h.block_number
        from keys k
        cross join lateral (
            select * from {table.history.name} h
            where {same} and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using {", ".join(using)};
end
$$;
comment on function {name}({signature}) is
'{comment}';
"""


def _keyed(dataset: Dataset) -> Sequence[Keyed]:
    return [table for table in dataset.tables if isinstance(table, Keyed)]


def _create(table: Keyed) -> str:
    keys = [table.current.columns[name] for name in table.keys]
    values = [table.current.columns[name] for name in table.values]
    indexes = [[column.name for column in index.columns] for index in sorted(table.current.indexes, key=_index_name)]
    lines = [
        "    tables.create_keyed(",
        f'        "{table.name}",',
        f'        "{table.history.name}",',
        f"        {_quoted(table.current.comment)},",
        "        keys=[",
        *_declared(keys),
        "        ],",
        "        values=[",
        *_declared(values),
        "        ],",
        *([f"        indexes={_python(indexes)},"] if indexes else []),
        "    )",
        f'    tables.index_removed("{table.history.name}")',
    ]
    return "\n".join(lines) + "\n"


def _declared(columns: Sequence[AnyColumn]) -> Iterator[str]:
    for column in columns:
        kind = "tables.ACCOUNT" if column.info.get("account") else _types(column)[0]
        yield f'            ("{column.name}", {kind}, {_wrapped(column.comment or "")}),'


def _index_name(index: object) -> str:
    return str(getattr(index, "name", ""))


def _python(indexes: Sequence[Sequence[str]]) -> str:
    shown = ", ".join(
        "(" + ", ".join(f'"{name}"' for name in one) + ("," if len(one) == 1 else "") + ")" for one in indexes
    )
    return f"[{shown}]"


def _quoted(text: str | None) -> str:
    return json.dumps(text or "", ensure_ascii=False)


def _wrapped(text: str) -> str:
    """A text as one literal, or as several that fit a line."""
    return "\n             ".join(_quoted(part) for part in _broken(text))


def _broken(text: str) -> Iterator[str]:
    words = text.split(" ")
    line = ""
    for at, word in enumerate(words):
        line += word + (" " if at < len(words) - 1 else "")
        if len(line) > COMMENT_WIDTH:
            yield line
            line = ""
    if line or not text:
        yield line


def _types(column: Column[object]) -> tuple[str, str]:
    return _TYPES[type(column.type)]


def _shown(column: AnyColumn) -> str:
    """The SQL type that readers see: accounts are text."""
    return "text" if column.info.get("account") else _types(column)[1]


def _filter_value(column: AnyColumn) -> str:
    return f"account_ids(of_{column.name})" if column.info.get("account") else f"of_{column.name}"


def _told(column: AnyColumn, alias: str) -> str:
    name = f'{alias}."{column.name}"'
    return f"(select a.address from accounts a where a.account = {name})" if column.info.get("account") else name


def main() -> None:
    """``python -m indexer.scaffold DATASET``."""
    if len(sys.argv) != 2 or sys.argv[1] not in DATASETS:
        sys.exit(f"usage: make migration DATASET=name, one of {', '.join(DATASETS)}")
    for path in write(DATASETS[sys.argv[1]], Path("migrations/versions")):
        print(path)


if __name__ == "__main__":
    main()
