"""Table declarations: the core tables, and keyed tables with their history.

A keyed table is declared once, here or in a dataset's file, and two SQLAlchemy tables come of it:
``X`` (the current row per key) and ``X_history`` (one row per change, append-only). From the same
declaration come the COPY column lists, the upkeep of current rows, the rewind statements and
migrations/SCHEMA.md. This module never touches a database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy import text as sql_text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s_idx", "pk": "%(table_name)s_pkey"})

AnyColumn: TypeAlias = Column[Any]

KEYED: dict[str, Keyed] = {}
"""Every keyed table by the name of its current table, in order of declaration."""

LOGS: dict[str, Log] = {}
"""Every log table by name, in order of declaration."""

SETTINGS: dict[str, dict[str, str]] = {
    # A block changes a few rows in place: with room left in their pages, no index has to be touched for it.
    "current": {
        "fillfactor": "80",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_analyze_scale_factor": "0.02",
    },
    # Rows are only added. A fifth of a year would be too long to wait for statistics, and for pages known all visible.
    "history": {"autovacuum_vacuum_insert_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"},
    "log": {"autovacuum_vacuum_insert_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"},
}
"""Storage parameters by kind of table; ``migrate`` sets them on every declared table."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table of current rows and its append-only history, made from one declaration; or some rows of such a table."""

    name: str
    """What ``Row.table`` names: the current table's name, or that of a part of it."""
    current: Table
    history: Table
    keys: tuple[str, ...]
    values: tuple[str, ...]
    accounts: tuple[str, ...]
    """Columns that hold 32-byte accounts: their SS58 text is kept in ``accounts``."""
    scope: tuple[tuple[str, str], ...] = ()
    """(key column, text) that its rows have in common, where several datasets share the tables; else none."""

    def part(self, name: str, **scope: str) -> Keyed:
        """The rows with these values of key columns, as a table of one dataset."""
        return replace(self, name=name, scope=tuple(scope.items()))


@dataclass(frozen=True, slots=True)
class Log:
    """An append-only table of things that happened in a block: its primary key begins with ``block_number``."""

    name: str
    table: Table
    keys: tuple[str, ...]
    """Key columns after ``block_number``; empty if a block gives one row."""
    values: tuple[str, ...]
    accounts: tuple[str, ...]


def account(name: str, comment: str, *, nullable: bool = False) -> Column[bytes]:
    """A 32-byte account id; its SS58 text is kept once in ``accounts``."""
    return Column(name, LargeBinary(32), nullable=nullable, comment=comment, info={"account": True})


def rao(name: str, comment: str) -> Column[int]:
    """An amount in rao (1 TAO or alpha = 1e9 rao); u64 on chain, fits bigint."""
    return Column(name, BigInteger, nullable=True, comment=comment, info={"unit": "rao"})


def integer(name: str, comment: str, *, nullable: bool = True) -> Column[int]:
    """A whole number up to 2^63 - 1."""
    return Column(name, BigInteger, nullable=nullable, comment=comment)


def number(name: str, comment: str) -> Column[object]:
    """A whole number beyond 2^63, or a decimal."""
    return Column(name, Numeric, nullable=True, comment=comment)


def flag(name: str, comment: str) -> Column[bool]:
    """A boolean."""
    return Column(name, Boolean, nullable=True, comment=comment)


def text(name: str, comment: str, *, nullable: bool = True) -> Column[str]:
    """Text."""
    return Column(name, Text, nullable=nullable, comment=comment)


def integers(name: str, comment: str) -> Column[object]:
    """An array of whole numbers up to 2^63 - 1."""
    return Column(name, ARRAY(BigInteger), nullable=True, comment=comment)


def json(name: str, comment: str) -> Column[object]:
    """A JSON document."""
    return Column(name, JSONB, nullable=True, comment=comment)


def raw(name: str, comment: str, *, nullable: bool = True) -> Column[bytes]:
    """Bytes as the chain stores them."""
    return Column(name, LargeBinary, nullable=nullable, comment=comment)


def netuid(comment: str = "Subnet id.") -> Column[int]:
    """A subnet id (u16)."""
    return Column("netuid", Integer, nullable=False, comment=comment)


def keyed(
    name: str,
    history: str,
    *,
    keys: Sequence[AnyColumn],
    values: Sequence[AnyColumn],
    comment: str,
    indexes: Sequence[Sequence[str]] = (),
    removed: Sequence[Sequence[str]] = (),
) -> Keyed:
    """Declare a keyed table: ``name`` holds the current rows, ``history`` one row per change.

    ``indexes`` are further indexes on both tables beside the primary key (the history's get
    ``block_number`` appended), ``removed`` such on the history's rows that end a key: for large tables
    that are read as of a block by these columns. Values are nullable: NULL means that the storage key is absent.
    """
    every = [*keys, *values]
    current_table = Table(
        name,
        metadata,
        *_copies(keys, primary=True),
        *_copies(values, primary=False),
        Column("block_number", BigInteger, nullable=False, comment="Block that gave the row its present values."),
        *(Index(None, *columns) for columns in indexes),
        comment=comment,
        info={"keyed": "current"},
    )
    history_table = Table(
        history,
        metadata,
        *_copies(keys, primary=True),
        Column(
            "block_number",
            BigInteger,
            primary_key=True,
            autoincrement=False,
            nullable=False,
            comment="First block with these values; they hold until the key's next row.",
        ),
        *_copies(values, primary=False),
        Column("exists", Boolean, nullable=False, comment="False: the key was removed at this block."),
        Index(None, "block_number"),
        # As-of functions look up what was removed since a block: few rows among very many.
        Index(f"{history}_removed_idx", "block_number", postgresql_where=sql_text('NOT "exists"')),
        *(Index(None, *columns, "block_number") for columns in indexes),
        *(
            Index(
                f"{history}_removed_{'_'.join(columns)}_idx",
                *columns,
                "block_number",
                postgresql_where=sql_text('NOT "exists"'),
            )
            for columns in removed
        ),
        comment=f"{comment} One row per change.",
        info={"keyed": "history"},
    )
    table = Keyed(
        name,
        current_table,
        history_table,
        tuple(c.name for c in keys),
        tuple(c.name for c in values),
        tuple(c.name for c in every if c.info.get("account")),
    )
    KEYED[name] = table
    return table


def log(
    name: str,
    *,
    keys: Sequence[AnyColumn] = (),
    values: Sequence[AnyColumn],
    comment: str,
    indexes: Sequence[Sequence[str]] = (),
) -> Log:
    """Declare a log table, keyed by ``block_number`` and then ``keys``; a reorg deletes from it, nothing updates it.

    ``indexes`` are further indexes beside the primary key; each gets ``block_number`` appended.
    """
    table = Table(
        name,
        metadata,
        Column("block_number", BigInteger, primary_key=True, autoincrement=False, comment="Height of the block."),
        *_copies(keys, primary=True),
        *_copies(values, primary=False),
        *(Index(None, *columns, "block_number") for columns in indexes),
        comment=comment,
        info={"log": True},
    )
    LOGS[name] = Log(
        name,
        table,
        tuple(c.name for c in keys),
        tuple(c.name for c in values),
        tuple(c.name for c in [*keys, *values] if c.info.get("account")),
    )
    return LOGS[name]


def settings(table: Table) -> dict[str, str]:
    """The storage parameters of a table; empty for core tables."""
    return SETTINGS.get(table.info.get("keyed") or ("log" if table.info.get("log") else ""), {})


def _copies(columns: Sequence[AnyColumn], *, primary: bool) -> list[AnyColumn]:
    """Columns belong to one table: each table gets its own copies."""
    return [
        Column(
            c.name,
            c.type,
            primary_key=primary,
            nullable=c.nullable,
            comment=c.comment,
            info=c.info,
            autoincrement=False,
        )
        for c in columns
    ]


accounts = Table(
    "accounts",
    metadata,
    Column("account", LargeBinary(32), primary_key=True, comment="Account id: 32 raw bytes."),
    Column("address", Text, nullable=False, unique=True, comment="The same in SS58 (prefix 42)."),
    comment="SS58 text of every account that occurs in a table.",
)

runtimes = Table(
    "runtimes",
    metadata,
    Column("code_hash", LargeBinary(32), primary_key=True, comment="blake2b-256 of the runtime's code."),
    Column("spec_version", Integer, nullable=False, comment="The runtime's spec_version."),
    Column("first_block", BigInteger, nullable=False, comment="First indexed block that this runtime executed."),
    Column("metadata", LargeBinary, nullable=False, comment="Its metadata, SCALE encoded, beginning with 'meta'."),
    comment="Runtimes met while indexing: block N is decoded with the runtime found in the state of N-1.",
)

chain = Table(
    "chain",
    metadata,
    Column("genesis_hash", LargeBinary(32), primary_key=True, comment="Hash of block 0: tells chains apart."),
    Column("name", Text, nullable=False, comment="The node's system_chain."),
    Column("ss58_prefix", Integer, nullable=False, comment="SS58 prefix of addresses on this chain."),
    Column("started_at", DateTime(timezone=True), nullable=False, comment="When this database was first used."),
    comment="The one chain this database belongs to.",
)

cursors = Table(
    "cursors",
    metadata,
    Column("dataset", Text, primary_key=True, comment="Dataset."),
    Column("start_block", BigInteger, nullable=False, comment="First block indexed for the dataset."),
    Column("block_number", BigInteger, nullable=False, comment="Last committed block."),
    Column("block_hash", LargeBinary(32), nullable=False, comment="Its hash."),
    Column("finalized_block", BigInteger, nullable=True, comment="Last committed block known to be finalized."),
    Column("committed_at", DateTime(timezone=True), nullable=False, comment="When it was committed."),
    Column(
        "writer_token",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Token of the writer that committed it: never above the one in writer.",
    ),
    Column("head_block", BigInteger, nullable=True, comment="Height of the followed head when it was committed."),
    Column(
        "is_followed",
        Boolean,
        nullable=False,
        server_default="true",
        comment="Whether the newest run keeps the dataset up; false: it is no longer in the configuration.",
    ),
    Column("note", Text, nullable=True, comment="What is to be known of it, such as that the runtime lacks the item."),
    comment="How far each dataset is committed; written in the transaction that writes the rows.",
)

writer = Table(
    "writer",
    metadata,
    Column("singleton", Boolean, primary_key=True, comment="Always true: the table has one row."),
    Column("token", BigInteger, nullable=False, comment="Raised by each instance that becomes the writer."),
    Column("holder", Text, nullable=True, comment="application_name and address of the newest writer's session."),
    Column("since", DateTime(timezone=True), nullable=True, comment="When it became the writer."),
    comment="Who may write: every transaction of an instance checks here that no newer one has taken over.",
)

coverage = Table(
    "coverage",
    metadata,
    Column("dataset", Text, primary_key=True, comment="Dataset."),
    Column("first_block", BigInteger, primary_key=True, autoincrement=False, comment="First block of the range."),
    Column("last_block", BigInteger, nullable=False, comment="Last block of the range."),
    Column(
        "complete",
        Boolean,
        nullable=False,
        comment="True: exact: proven against the state roots, or, where reason says so, read in full.",
    ),
    Column("reason", Text, nullable=True, comment="Why the range is not complete, or not proven; NULL where it is."),
    comment="Which ranges of blocks are indexed, and whether they are complete, per dataset.",
)

holes = Table(
    "holes",
    metadata,
    Column("dataset", Text, primary_key=True, comment="Dataset."),
    Column("first_block", BigInteger, primary_key=True, autoincrement=False, comment="First block that is missing."),
    Column("last_block", BigInteger, nullable=True, comment="Last one; NULL where the dataset stopped and waits."),
    Column("reason", Text, nullable=False, comment="Why they are missing."),
    Column("found_at", DateTime(timezone=True), nullable=False, comment="When that was found."),
    comment="Why blocks are missing; which ones are is derived from coverage: see the view gaps.",
)

first_states = Table(
    "first_states",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="Names the tables first_state_<id>_…"),
    Column("block_number", BigInteger, nullable=False, comment="Block whose whole state is being read."),
    Column("block_hash", LargeBinary(32), nullable=False, comment="Its hash."),
    Column("datasets", JSONB, nullable=False, comment="For which datasets, each with a hash of how it is kept."),
    Column("last_key", LargeBinary, nullable=True, comment="All keys up to this one are read; NULL: none is."),
    Column("keys_read", BigInteger, nullable=False, comment="Keys read by now."),
    Column("nodes_read", BigInteger, nullable=False, comment="Nodes of the state trie read by now."),
    Column("rows", JSONB, nullable=False, comment="Rows that wait by now, by table."),
    Column("untyped", JSONB, nullable=False, comment="Storage items met whose type no known runtime tells."),
    Column("began_at", DateTime(timezone=True), nullable=False, comment="When reading it began."),
    Column("updated_at", DateTime(timezone=True), nullable=False, comment="When the last keys were read."),
    comment="First states that are being read: their rows wait in tables of their own until all are there.",
)

CORE = (accounts, runtimes, chain, cursors, coverage, holes, writer, first_states)
