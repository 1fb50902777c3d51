"""The SQL that keeps a declared table, generated from its declaration.

Strings only: ``store`` runs them. Rows travel as one array per column (``unnest``), so each
statement has the same text whatever the number of rows, and is prepared once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from indexer.schema import Keyed, Log

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def quoted(names: tuple[str, ...], prefix: str = "") -> str:
    """A column list, each name quoted (``exists`` is a keyword)."""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def column_types(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    """The Postgres types of some columns."""
    return tuple(table.columns[name].type.compile(dialect=_DIALECT) for name in names)


def history_columns(table: Keyed) -> tuple[str, ...]:
    """Columns of a history row in the order of ``merge``'s tuples."""
    return (*table.keys, "block_number", *table.values, "exists")


def current_columns(table: Keyed) -> tuple[str, ...]:
    """Columns of a current row in the order of ``merge``'s tuples."""
    return (*table.keys, "block_number", *table.values)


def log_columns(table: Log) -> tuple[str, ...]:
    """Columns of a log row."""
    return ("block_number", *table.keys, *table.values)


@lru_cache(maxsize=1024)
def appended_columns(table: Keyed | Log) -> tuple[str, ...]:
    """Columns of a row of a history or log."""
    return log_columns(table) if isinstance(table, Log) else history_columns(table)


def appended(table: Keyed | Log) -> str:
    """The history or log that each block appends to."""
    return table.table.name if isinstance(table, Log) else table.history.name


@lru_cache(maxsize=1024)
def has_arrays(table: Keyed) -> bool:
    """Whether a column is an array: asyncpg reads none in a record without a name."""
    return any(isinstance(column.type, ARRAY) for column in table.current.columns)


def _unnest(table: Keyed, names: tuple[str, ...], first: int = 1) -> str:
    types = column_types(table.current, names)
    return "unnest(" + ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(types, first)) + ")"


def _same_key(table: Keyed, left: str, right: str) -> str:
    return " AND ".join(f'{left}."{key}" = {right}."{key}"' for key in table.keys)


def _scope(table: Keyed | Log, prefix: str = "") -> str:
    """The condition that its rows have in common; statements that name keys need none."""
    scope = table.scope if isinstance(table, Keyed) else ()
    return " AND ".join(f"""{prefix}"{name}" = {_literal(text)}""" for name, text in scope) or "true"


def _literal(text: str) -> str:
    """Text as a constant of SQL, so that the planner knows it."""
    return "'" + text.replace("'", "''") + "'"


@lru_cache(maxsize=256)
def select_current(table: Keyed) -> str:
    """Current rows of the given keys: keys, then values. One array per key column."""
    return (
        f"SELECT {quoted(table.keys, 'x.')}, {quoted(table.values, 'x.')} FROM {table.current.name} x "
        f"JOIN {_unnest(table, table.keys)} AS asked({quoted(table.keys)}) ON {_same_key(table, 'x', 'asked')}"
    )


@lru_cache(maxsize=64)
def select_current_together(tables: tuple[Keyed, ...]) -> str:
    """Current rows of the given keys: the position of their table, and keys and values as one record. One array per
    key column of each table."""
    parts, first = [], 1
    for at, table in enumerate(tables):
        parts.append(
            f"SELECT {at}, ROW({quoted(table.keys, 'x.')}, {quoted(table.values, 'x.')}) FROM {table.current.name} x "
            f"JOIN {_unnest(table, table.keys, first)} AS asked({quoted(table.keys)}) "
            f"ON {_same_key(table, 'x', 'asked')}"
        )
        first += len(table.keys)
    return " UNION ALL ".join(parts)


@lru_cache(maxsize=64)
def append_together(tables: tuple[Keyed | Log, ...]) -> str:
    """Append rows to histories and logs. One array for each, of rows of its own type (``COLUMN_ORDER``)."""
    parts = []
    for at, table in enumerate(tables):
        name, columns = appended(table), quoted(appended_columns(table))
        parts.append(f"t{at} AS (INSERT INTO {name} ({columns}) SELECT {columns} FROM unnest(${at + 1}::{name}[]))")
    return f"WITH {', '.join(parts)} SELECT"


COLUMN_ORDER = (
    "SELECT t.name, array_agg(a.attname::text ORDER BY a.attnum) FROM unnest($1::text[]) AS t(name) "
    "JOIN pg_attribute a ON a.attrelid = to_regclass(t.name) AND a.attnum > 0 AND NOT a.attisdropped GROUP BY t.name"
)
"""The columns of the named tables as a row of their type has them: migrations have added some at the end."""


@lru_cache(maxsize=256)
def select_all(table: Keyed) -> str:
    """All current rows: keys, then values."""
    return f"SELECT {quoted(table.keys)}, {quoted(table.values)} FROM {table.current.name} WHERE {_scope(table)}"


@lru_cache(maxsize=256)
def select_before(table: Keyed) -> str:
    """Rows of the given keys as of the block before $1, from the history. Then one array per key column."""
    keys = quoted(table.keys, "h.")
    types = column_types(table.current, table.keys)
    arrays = ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(types, 2))
    return (
        f"SELECT {quoted(table.keys)}, {quoted(table.values)} FROM ("
        f"SELECT DISTINCT ON ({keys}) h.* FROM {table.history.name} h "
        f"JOIN unnest({arrays}) AS asked({quoted(table.keys)}) ON {_same_key(table, 'h', 'asked')} "
        f"WHERE h.block_number < $1 ORDER BY {keys}, h.block_number DESC) latest WHERE latest.exists"
    )


BY_KEY = "SET LOCAL enable_seqscan TO {0}; SET LOCAL enable_hashjoin TO {0}; SET LOCAL enable_mergejoin TO {0}"
PLAN_ONCE = "SET LOCAL plan_cache_mode TO force_generic_plan; " + BY_KEY.format("off")
"""Rows are found by their keys alone, and a plan is made once a session. Left to itself Postgres makes some of them
for every block, among them that of the read of all tables; and one made while a table was small is kept, so it may
not be one that reads all of it."""
PLAN_AS_EVER = "SET LOCAL plan_cache_mode TO DEFAULT; " + BY_KEY.format("DEFAULT")


@lru_cache(maxsize=1024)
def renew_of_block(table: Keyed) -> str:
    """Make the current rows of the keys that block $1 (and $2) changed what their history says."""
    columns = quoted((*current_columns(table), "exists"))
    return _renew(table, f"SELECT {columns} FROM {table.history.name} WHERE block_number = $1 AND {_scope(table)}")


@lru_cache(maxsize=1024)
def renew_of_run(table: Keyed) -> str:
    """The same of the keys that blocks $1 to $2 changed: by their last change in them."""
    columns, keys = quoted((*current_columns(table), "exists")), quoted(table.keys)
    return _renew(
        table,
        f"SELECT DISTINCT ON ({keys}) {columns} FROM {table.history.name} "
        f"WHERE block_number BETWEEN $1 AND $2 AND {_scope(table)} ORDER BY {keys}, block_number DESC",
    )


def _renew(table: Keyed, found: str) -> str:
    """A MERGE writes each changed row to the log once; an INSERT that has a conflict also writes that it locked it."""
    columns = current_columns(table)
    replaced = ", ".join(f'"{name}" = s."{name}"' for name in ("block_number", *table.values))
    return (
        f"MERGE INTO {table.current.name} x USING ({found}) s ON {_same_key(table, 'x', 's')} "
        f'WHEN MATCHED AND s."exists" THEN UPDATE SET {replaced} WHEN MATCHED THEN DELETE '
        f'WHEN NOT MATCHED AND s."exists" THEN INSERT ({quoted(columns)}) VALUES ({quoted(columns, "s.")})'
    )


@lru_cache(maxsize=256)
def delete_current(table: Keyed) -> str:
    """Delete current rows. One array per key column."""
    return (
        f"DELETE FROM {table.current.name} x USING {_unnest(table, table.keys)} AS gone({quoted(table.keys)}) "
        f"WHERE {_same_key(table, 'x', 'gone')}"
    )


def touched_since(table: Keyed) -> str:
    """Keys with a change above block $1."""
    return f"SELECT DISTINCT {quoted(table.keys)} FROM {table.history.name} WHERE block_number > $1 AND {_scope(table)}"


def rebuild_current(table: Keyed) -> str:
    """Insert the latest row of each given key from the history, where it exists. One array per key column."""
    columns = current_columns(table)
    return (
        f"INSERT INTO {table.current.name} ({quoted(columns)}) "
        f"SELECT {quoted(columns)} FROM ("
        f"SELECT DISTINCT ON ({quoted(table.keys, 'h.')}) h.* FROM {table.history.name} h "
        f"JOIN {_unnest(table, table.keys)} AS asked({quoted(table.keys)}) ON {_same_key(table, 'h', 'asked')} "
        f"ORDER BY {quoted(table.keys, 'h.')}, h.block_number DESC) latest WHERE latest.exists"
    )


def delete_at(table: Keyed | Log) -> str:
    """Delete what a history or log says of block $1; returns the keys."""
    return f"DELETE FROM {appended(table)} WHERE block_number = $1 AND {_scope(table)} RETURNING {_told_keys(table)}"


def delete_between(table: Keyed | Log) -> str:
    """Delete what a history or log says of blocks $1 to $2; returns the keys."""
    condition = f"block_number BETWEEN $1 AND $2 AND {_scope(table)}"
    return f"DELETE FROM {appended(table)} WHERE {condition} RETURNING {_told_keys(table)}"


def delete_above(table: Keyed | Log) -> str:
    """Delete what a history or log says of blocks above $1."""
    return f"DELETE FROM {appended(table)} WHERE block_number > $1 AND {_scope(table)}"


def _told_keys(table: Keyed | Log) -> str:
    return "block_number" if isinstance(table, Log) else quoted(table.keys)


def read_current(table: Keyed) -> str:
    """Every current row: keys, values, and the block that gave them."""
    return (
        f"SELECT {quoted((*table.keys, *table.values, 'block_number'))} FROM {table.current.name} WHERE {_scope(table)}"
    )


def read_as_of(table: Keyed) -> str:
    """Every row as of block $1, from the history: keys, values, and the block that gave them."""
    return (
        f"SELECT {quoted((*table.keys, *table.values, 'block_number'))} FROM ("
        f"SELECT DISTINCT ON ({quoted(table.keys)}) * FROM {table.history.name} "
        f"WHERE block_number <= $1 AND {_scope(table)} "
        f'ORDER BY {quoted(table.keys)}, block_number DESC) latest WHERE "exists"'
    )


def these(table: Keyed, query: str, parameters: int) -> str:
    """The rows of ``query``, which has so many parameters, under the given keys. One array per key column."""
    return (
        f"SELECT x.* FROM ({query}) x JOIN {_unnest(table, table.keys, parameters + 1)} "
        f"AS asked({quoted(table.keys)}) ON {_same_key(table, 'x', 'asked')}"
    )


def disagreements(table: Keyed) -> str:
    """Keys whose current row is not what the latest row of the history says."""
    columns = ("block_number", *table.values)
    return (
        f"SELECT {quoted(table.keys)} FROM (SELECT * FROM {table.current.name} WHERE {_scope(table)}) c FULL JOIN ("
        f"SELECT * FROM (SELECT DISTINCT ON ({quoted(table.keys)}) * FROM {table.history.name} WHERE {_scope(table)} "
        f'ORDER BY {quoted(table.keys)}, block_number DESC) latest WHERE "exists") h USING ({quoted(table.keys)}) '
        f"WHERE ROW({quoted(columns, 'c.')}) IS DISTINCT FROM ROW({quoted(columns, 'h.')})"
    )


def latest_of(table: Keyed) -> str:
    """The latest history row of each given key: keys, values, exists. One array per key column."""
    return (
        f"SELECT DISTINCT ON ({quoted(table.keys, 'h.')}) {quoted(table.keys, 'h.')}, {quoted(table.values, 'h.')}, "
        f'h."exists" FROM {table.history.name} h '
        f"JOIN {_unnest(table, table.keys)} AS asked({quoted(table.keys)}) ON {_same_key(table, 'h', 'asked')} "
        f"ORDER BY {quoted(table.keys, 'h.')}, h.block_number DESC"
    )


def delete_history(table: Keyed) -> str:
    """Delete what the history says of the given keys from a block on. One array per key column, then the block."""
    return (
        f"DELETE FROM {table.history.name} x USING {_unnest(table, table.keys)} AS gone({quoted(table.keys)}) "
        f"WHERE {_same_key(table, 'x', 'gone')} AND x.block_number >= ${len(table.keys) + 1}"
    )


def uncovered(table: Keyed, limit: int) -> str:
    """Keys and blocks of history rows in blocks that the coverage of dataset $1 does not name.

    Not those that still held at its first block: where older blocks were forgotten, they are what is left.
    """
    name = table.history.name
    return (
        f"SELECT {quoted(table.keys, 'h.')}, h.block_number FROM {name} h "
        f"WHERE {_scope(table, 'h.')} AND NOT EXISTS ("
        "SELECT FROM coverage c WHERE c.dataset = $1 AND h.block_number BETWEEN c.first_block AND c.last_block) "
        "AND NOT (h.exists AND EXISTS (SELECT FROM cursors c WHERE c.dataset = $1 AND h.block_number < c.start_block "
        f"AND NOT EXISTS (SELECT FROM {name} n WHERE {_same_key(table, 'n', 'h')} "
        "AND n.block_number > h.block_number AND n.block_number <= c.start_block))) "
        f"ORDER BY h.block_number LIMIT {limit:d}"
    )


def void_ends(table: Keyed) -> str:
    """Keys and blocks of rows with ``exists = false`` that follow no row that exists, or still hold a value."""
    values = ", ".join(f'h."{name}"' for name in table.values)
    return (
        f"SELECT {quoted(table.keys, 'h.')}, h.block_number FROM {table.history.name} h "
        f"WHERE {_scope(table, 'h.')} AND NOT h.exists AND ("
        f"num_nonnulls({values}) > 0 OR NOT coalesce((SELECT p.exists FROM {table.history.name} p "
        f"WHERE {_same_key(table, 'p', 'h')} AND p.block_number < h.block_number "
        f"ORDER BY p.block_number DESC LIMIT 1), false)) ORDER BY h.block_number"
    )


def drop_void_ends(table: Keyed) -> str:
    """Delete those of ``void_ends`` under the given keys that follow no row that exists. One array per key column."""
    return (
        f"DELETE FROM {table.history.name} h USING {_unnest(table, table.keys)} AS asked({quoted(table.keys)}) "
        f"WHERE {_same_key(table, 'h', 'asked')} AND NOT h.exists AND NOT coalesce((SELECT p.exists "
        f"FROM {table.history.name} p WHERE {_same_key(table, 'p', 'h')} AND p.block_number < h.block_number "
        "ORDER BY p.block_number DESC LIMIT 1), false)"
    )


def clear_ends(table: Keyed) -> str:
    """Set the values of rows with ``exists = false`` to NULL under the given keys. One array per key column."""
    cleared = ", ".join(f'"{name}" = NULL' for name in table.values)
    return (
        f"UPDATE {table.history.name} h SET {cleared} "
        f"FROM {_unnest(table, table.keys)} AS asked({quoted(table.keys)}) "
        f"WHERE {_same_key(table, 'h', 'asked')} AND NOT h.exists"
    )


def has_current(table: Keyed) -> str:
    """Whether there is any current row."""
    return f"SELECT EXISTS (SELECT FROM {table.current.name} WHERE {_scope(table)})"


def count_at(table: Keyed) -> str:
    """History rows of block $1."""
    return f"SELECT count(*) FROM {table.history.name} WHERE block_number = $1 AND {_scope(table)}"


def move_staged(table: Keyed, staged: str, *, is_merged: bool, is_empty: bool) -> tuple[str, ...]:
    """Make the rows of ``staged`` all that there is as of block $1: what is stored and not among them ends there.

    ``is_merged``: several rows of a key make up one, each naming columns of its own. ``is_empty``: nothing is stored.
    Rows go in sorted, which takes a fifth less time: the chain gives them in the order of its hashes.
    """
    keys, values = quoted(table.keys), quoted(table.values)
    source = f"SELECT {keys}, {values} FROM {staged} WHERE {_scope(table)}"
    if is_merged:
        merged = ", ".join(f'{_any_value(table, name)} AS "{name}"' for name in table.values)
        source = f"SELECT {keys}, {merged} FROM {staged} WHERE {_scope(table)} GROUP BY {keys}"
    into_history = f'INSERT INTO {table.history.name} ({keys}, block_number, {values}, "exists")'
    into_current = f"INSERT INTO {table.current.name} ({keys}, block_number, {values})"
    if is_empty:
        return (
            f"{into_current} SELECT {keys}, $1::bigint, {values} FROM ({source}) s ORDER BY {keys}",
            f"{into_history} SELECT {keys}, block_number, {values}, true FROM {table.current.name} "
            f"WHERE block_number = $1::bigint AND {_scope(table)}",
        )
    nothing = ", ".join("NULL" for _ in table.values)
    replaced = ", ".join(f'"{name}" = excluded."{name}"' for name in ("block_number", *table.values))
    same = _same_key(table, "s", "x")
    return (
        f"{into_history} SELECT {quoted(table.keys, 'x.')}, $1::bigint, {nothing}, false FROM {table.current.name} x "
        f"WHERE {_scope(table, 'x.')} AND NOT EXISTS (SELECT FROM {staged} s WHERE {same})",
        f"{into_history} SELECT {quoted(table.keys, 's.')}, $1::bigint, {quoted(table.values, 's.')}, true "
        f"FROM ({source}) s LEFT JOIN {table.current.name} x ON {same} WHERE x.block_number IS NULL "
        f"OR ROW({quoted(table.values, 's.')}) IS DISTINCT FROM ROW({quoted(table.values, 'x.')})",
        f"DELETE FROM {table.current.name} x USING {table.history.name} s "
        f'WHERE s.block_number = $1::bigint AND NOT s."exists" AND {same}',
        f"{into_current} SELECT {keys}, block_number, {values} FROM {table.history.name} "
        f'WHERE block_number = $1::bigint AND "exists" AND {_scope(table)} '
        f"ON CONFLICT ({keys}) DO UPDATE SET {replaced}",
    )


def _any_value(table: Keyed, name: str) -> str:
    """The one value of a column that is not NULL: not every type has a ``max``."""
    kind = column_types(table.current, (name,))[0]
    if kind == "BOOLEAN":
        return f'bool_or("{name}")'
    if kind == "JSONB":
        return f'max("{name}"::text)::jsonb'
    return f"decode(max(encode(\"{name}\", 'hex')), 'hex')" if kind == "BYTEA" else f'max("{name}")'


def new_accounts(tables: Sequence[Keyed | Log]) -> str:
    """Accounts that occur in what the tables' histories and logs say of block $1 and have no text yet, in order: then
    their texts are in order, too, and so is what goes into the indexes."""
    found = " UNION ".join(
        f'SELECT "{name}" AS account FROM {appended(table)} WHERE block_number = $1::bigint AND {_scope(table)}'
        for table in tables
        for name in table.accounts
    )
    return (
        f"SELECT f.account FROM ({found}) f WHERE f.account IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM accounts a WHERE a.account = f.account) ORDER BY f.account"
    )
