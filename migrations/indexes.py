"""Indexes that are built beside the work on a table: concurrently, outside of a transaction, and resumable.

A revision that builds one does nothing else: what came before it in the same revision would be committed
without the revision's number, and run again after a broken build.
"""

from __future__ import annotations

from alembic import op

from migrations import sql


def build(name: str, definition: str) -> None:
    """``create index concurrently name on definition``, a table and its columns; nothing if it is there.

    An index that a broken build has left is invalid: it is dropped and built again.
    """
    context = op.get_context()
    with context.autocommit_block():
        if not context.as_sql:
            query = f"select indisvalid from pg_index where indexrelid = to_regclass('{name}')"
            valid = op.get_bind().exec_driver_sql(query).scalar()
            if valid:
                return
            if valid is False:
                sql.execute(f"drop index concurrently {name}")
        sql.execute(f"create index concurrently {name} on {definition}")


def take_back(name: str) -> None:
    """Drop an index that ``build`` made, or left broken, beside the work on its table."""
    with op.get_context().autocommit_block():
        sql.execute(f"drop index concurrently if exists {name}")
