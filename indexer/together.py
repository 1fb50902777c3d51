"""A run of blocks in few round trips: what many tables get few rows of is read in one, and appended in another.

Owns which tables go together and which alone. A COPY or a SELECT costs both sides as much as some dozens of rows, and
most tables get fewer of a block. The two statements name every table of the line, so that each is prepared once a
session; a table that goes alone, or has nothing, is given no rows there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from indexer import statements
from indexer.commit import (
    Written,
    accounts_in,
    append_rows,
    arrays,
    log_records,
    merge_on,
    read_rows,
    stored,
)
from indexer.merge import Key, Patch, Values, exists
from indexer.recent import Recent
from indexer.schema import Keyed, Log
from indexer.session import Connection

ROWS_FEW = 40
"""So many of a table go with those of others: about here a COPY of their own is as cheap."""
TABLES_FEW = 3
"""Fewer tables than this have nothing to share."""


class Together:
    """What a session knows of its tables."""

    def __init__(self) -> None:
        self._order: dict[str, tuple[int, ...]] = {}
        """By history or log, from the columns of its type to those of the rows we make."""

    async def write_run(
        self,
        connection: Connection,
        tables: Sequence[Keyed | Log],
        patches: Mapping[str, list[Patch]],
        recent: Recent,
        progressed: Callable[[], None],
    ) -> dict[str, Written]:
        """Append a run of blocks to those of ``tables`` that it changes; current rows follow by ``upkeep.renew``.

        ``progressed`` is called after each table, or each handful.
        """
        await connection.execute(statements.PLAN_ONCE)
        bases = await _stored_before(connection, tables, patches, recent)
        written: dict[str, Written] = {}
        rows: dict[str, list[tuple[object, ...]]] = {}
        for table in tables:
            given = patches.get(table.name)
            if not given:
                continue
            if isinstance(table, Log):
                rows[table.name] = log_records(table, given)
                accounts = accounts_in(rows[table.name], statements.log_columns(table), table.accounts)
                written[table.name] = Written(len(rows[table.name]), accounts)
                continue
            base = bases[table.name]
            merged = await merge_on(table, base, given)
            recent.keep(table.name, merged.state)
            rows[table.name] = merged.history
            # The texts of a key's accounts were written with its row.
            new = [key for key in merged.last_block if key not in base or not exists(base[key])]
            others = [name for name in table.accounts if name not in table.keys]
            accounts = accounts_in(merged.history, statements.history_columns(table), others)
            accounts |= accounts_in(new, table.keys, table.accounts)
            written[table.name] = Written(len(merged.history), accounts, is_current=not merged.last_block)
            progressed()
        await self._append(connection, tables, rows, progressed)
        return written

    async def _append(
        self,
        connection: Connection,
        tables: Sequence[Keyed | Log],
        rows: Mapping[str, list[tuple[object, ...]]],
        progressed: Callable[[], None],
    ) -> None:
        """Append ``rows`` to histories and logs."""
        together = _few(tables, rows)
        for table in tables:
            if rows.get(table.name) and table.name not in together:
                await append_rows(connection, table, rows[table.name])
                progressed()
        if together:
            await self._learn_order(connection, tables)
            given = []
            for table in tables:
                order = self._order[statements.appended(table)]
                mine = rows[table.name] if table.name in together else ()
                given.append([tuple([row[at] for at in order]) for row in mine])
            await connection.execute(statements.append_together(tuple(tables)), *given)
            progressed()

    async def _learn_order(self, connection: Connection, tables: Sequence[Keyed | Log]) -> None:
        columns = {statements.appended(table): statements.appended_columns(table) for table in tables}
        new = [name for name in columns if name not in self._order]
        if new:
            for name, order in await connection.fetch(statements.COLUMN_ORDER, new):
                self._order[name] = tuple(columns[name].index(one) for one in order)


async def _stored_before(
    connection: Connection, tables: Sequence[Keyed | Log], patches: Mapping[str, list[Patch]], recent: Recent
) -> dict[str, dict[Key, Values]]:
    """The current rows that the patches of each keyed table are to be put on."""
    bases: dict[str, dict[Key, Values]] = {}
    unknown: dict[str, list[Key]] = {}
    keyed = [table for table in tables if isinstance(table, Keyed)]
    for table in keyed:
        if given := patches.get(table.name):
            bases[table.name], unknown[table.name] = recent.find(table.name, {row.key for _, row in given})
    line = tuple(table for table in keyed if not statements.has_arrays(table))
    together = _few(line, unknown)
    for table in keyed:
        if unknown.get(table.name) and table.name not in together:
            found = await read_rows(connection, table, unknown[table.name], statements.select_current(table))
            bases[table.name].update(found)
    if together:
        asked: list[list[object]] = []
        for table in line:
            asked += arrays(unknown[table.name] if table.name in together else (), len(table.keys))
        records: dict[int, list[tuple[object, ...]]] = {}
        for at, record in await connection.fetch(statements.select_current_together(line), *asked):
            records.setdefault(at, []).append(record)
        for at, rows in records.items():
            bases[line[at].name].update(stored(line[at], rows))
    return bases


def _few(tables: Sequence[Keyed | Log], rows: Mapping[str, Sequence[object]]) -> frozenset[str]:
    """The tables that go together."""
    few = [table.name for table in tables if 0 < len(rows.get(table.name, ())) <= ROWS_FEW]
    return frozenset(few) if len(few) >= TABLES_FEW else frozenset()
