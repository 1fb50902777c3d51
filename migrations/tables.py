"""The shapes of tables that revisions create, so that a revision says only what is particular.

Frozen: a change of these functions would change what old revisions did. New shapes get new functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

ACCOUNT = HASH = sa.LargeBinary(32)
RAO = INTEGER = sa.BigInteger()
NETUID = SPEC = sa.Integer()
NUMBER = sa.Numeric()
FLAG = sa.Boolean()
TEXT = sa.Text()
JSON = JSONB()
RAW = sa.LargeBinary()
INTEGERS = ARRAY(sa.BigInteger())
TIME = sa.DateTime(timezone=True)

Columns = Sequence[tuple[str, sa.types.TypeEngine[Any], str]]
"""(name, type, comment)."""


def create_plain(name: str, comment: str, keys: Columns, values: Columns, *, nullable: Sequence[str] = ()) -> None:
    """A table with a primary key; its other columns are NOT NULL but those in ``nullable``."""
    op.create_table(
        name,
        *_columns(keys, primary_key=True),
        *(sa.Column(n, kind, nullable=n in nullable, comment=text) for n, kind, text in values),
        comment=comment,
    )


def create_keyed(
    name: str, history: str, comment: str, keys: Columns, values: Columns, *, indexes: Sequence[Sequence[str]] = ()
) -> None:
    """A table of current rows and its history of changes, with the indexes of both."""
    op.create_table(
        name,
        *_columns(keys, primary_key=True),
        *_columns(values),
        sa.Column("block_number", INTEGER, nullable=False, comment="Block that gave the row its present values."),
        comment=comment,
    )
    since = "First block with these values; they hold until the key's next row."
    op.create_table(
        history,
        *_columns(keys, primary_key=True),
        sa.Column("block_number", INTEGER, primary_key=True, autoincrement=False, comment=since),
        *_columns(values),
        sa.Column("exists", FLAG, nullable=False, comment="False: the key was removed at this block."),
        comment=f"{comment} One row per change.",
    )
    _index(history, "block_number")
    for columns in indexes:
        _index(name, *columns)
        _index(history, *columns, "block_number")


def index_removed(history: str) -> None:
    """What as-of functions look up: the keys that were removed since a block."""
    op.create_index(f"{history}_removed_idx", history, ["block_number"], postgresql_where=sa.text('NOT "exists"'))


def drop(*names: str) -> None:
    """Drop tables with their rows and indexes; what still depends on one is an error."""
    for name in names:
        op.drop_table(name)


def forget(dataset: str) -> None:
    """What a downgrade owes a dataset whose tables it drops: no cursor may say that blocks are indexed that are not."""
    for table in ("cursors", "coverage", "holes"):
        delete = f"delete from {table} where dataset = '{dataset}'"
        op.execute(f"do $$ begin if to_regclass('{table}') is not null then {delete}; end if; end $$")


def _columns(columns: Columns, *, primary_key: bool = False) -> list[sa.Column[Any]]:
    return [
        sa.Column(name, kind, primary_key=primary_key, nullable=not primary_key, autoincrement=False, comment=text)
        for name, kind, text in columns
    ]


def _index(table: str, *columns: str) -> None:
    op.create_index(f"{table}_{'_'.join(columns)}_idx", table, columns)
