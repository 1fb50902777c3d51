"""What the bench of the write path writes: a stored state, and blocks as the main network's change it.

Owns the counts and the values; knows no clock. Rows are patches as the datasets give them: an account whole, a
subnet's pool as one patch per storage item. Seeded: the same size gives the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

import asyncpg
from sqlalchemy import BigInteger, Boolean, DateTime, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from indexer import datasets, statements
from indexer.model import BlockRef, BlockRows, Row
from indexer.schema import AnyColumn, Keyed, Log

SUBNETS, UIDS = 129, 256
DATASETS = datasets.load()
TABLES: Mapping[str, Keyed | Log] = {table.name: table for dataset in DATASETS for table in dataset.tables}

CHANGES: Mapping[str, int] = {
    **dict.fromkeys(TABLES, 2),
    "balances": 250,
    "issuance": 2,
    "stake_shares": 160,
    "hotkey_pools": 120,
    "subnet_pools": SUBNETS,
    "stored_hyperparameters": SUBNETS // 4,
    "dividends": UIDS // 2,
    "neuron_vectors": 4,
    "transfer_log": 30,
    "stake_event_log": 50,
}
"""Rows that a block changes, by table. 160 shares and two items of 120 pools are 400 stake keys."""

PATCHES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "stake_shares": (("share_mantissa", "share_exponent"),),
    "hotkey_pools": (("alpha",), ("share_mantissa", "share_exponent")),
}
"""The columns that each storage item of a table fills, where a block does not fill all of them with one patch."""

NEW, REMOVED = 0.02, 0.01
"""Shares of the rows whose key was not stored before, and that end theirs."""

MOVING = 24
"""Items of a subnet's pool that every block changes; the others stay."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is stored before anything is measured."""

    accounts: int
    pools: int
    shares: int

    def keys(self, table: Keyed) -> int:
        """Rows that a table holds."""
        most = {
            "balances": self.accounts,
            "stake_shares": self.shares,
            "hotkey_pools": self.pools,
            "delegates": self.pools,
            "dividends": self.pools,
            "registrations": self.pools,
            "uids": SUBNETS * UIDS,
            "stored_hyperparameters": SUBNETS * 60,
            "neuron_vectors": SUBNETS * 12,
        }
        return SUBNETS if table.keys == ("netuid",) else min(most.get(table.name, 500), self.accounts)


def account(number: int) -> bytes:
    """The account of a number, as ``fill`` makes it."""
    return hashlib.sha256(str(number).encode()).digest()


def key(table: Keyed, number: int) -> tuple[object, ...]:
    """A table's key of a number, as ``fill`` makes it."""
    parts: list[object] = []
    for at, name in enumerate(table.keys):
        column = table.current.columns[name]
        if name == "netuid":
            parts.append(number % SUBNETS)
        elif column.info.get("account") or str(column.type).startswith("BLOB"):
            parts.append(account(number // (at + 1)))
        elif isinstance(column.type, Text):
            parts.append(f"value_{number}")
        elif isinstance(column.type, Boolean):
            parts.append(number % 2 == 0)
        else:
            parts.append(number)
    return tuple(parts)


def _key_sql(table: Keyed, name: str) -> str:
    at, column = table.keys.index(name), table.current.columns[name]
    if name == "netuid":
        return f"n % {SUBNETS}"
    if column.info.get("account") or str(column.type).startswith("BLOB"):
        return f"sha256((n / {at + 1})::text::bytea)"
    if isinstance(column.type, Text):
        return "'value_' || n"
    return "n % 2 = 0" if isinstance(column.type, Boolean) else "n"


async def fill(connection: asyncpg.Connection[asyncpg.Record], size: Size, at: BlockRef) -> None:
    """A state, stored as of block ``at``: rows, accounts, cursors and coverage."""
    for table in TABLES.values():
        if isinstance(table, Log):
            continue
        given = ", ".join(_key_sql(table, name) for name in table.keys)
        values = ", ".join(_value_sql(table.current.columns[name]) for name in table.values)
        for name, columns, end in (
            (table.name, statements.current_columns(table), ""),
            (table.history.name, statements.history_columns(table), ", true"),
        ):
            await connection.execute(
                f"INSERT INTO {name} ({statements.quoted(columns)}) SELECT {given}, {at.number}, {values}{end} "
                f"FROM generate_series(0, {size.keys(table) - 1}) n"
            )
    await connection.execute(
        "INSERT INTO accounts (account, address) SELECT sha256(n::text::bytea), 'address ' || n "
        f"FROM generate_series(0, {size.accounts}) n"
    )
    names = [dataset.name for dataset in DATASETS]
    await connection.execute(
        "INSERT INTO cursors (dataset, start_block, block_number, block_hash, committed_at) "
        "SELECT d, $2::bigint, $2, $3, now() FROM unnest($1::text[]) d", names, at.number, at.hash,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO coverage (dataset, first_block, last_block, complete) SELECT d, $2::bigint, $2, true "
        "FROM unnest($1::text[]) d", names, at.number,
    )  # fmt: skip


def _value_sql(column: AnyColumn) -> str:
    if isinstance(column.type, Boolean):
        return "true"
    if isinstance(column.type, (BigInteger, Integer, Numeric)):
        return "1000000 + n"
    return "NULL"


@lru_cache(maxsize=64)
def _kind(column: AnyColumn) -> str:
    kinds = {Boolean: "flag", Numeric: "wide", Integer: "whole", Text: "text", JSONB: "json", DateTime: "time"}
    if isinstance(column.type, ARRAY):
        return "vector"
    return next((kind for one, kind in kinds.items() if isinstance(column.type, one)), "bytes")


def _value(chance: Random, column: AnyColumn, number: int) -> object:
    match _kind(column):
        case "flag":
            return chance.random() < 0.5
        case "wide":
            return chance.getrandbits(100)
        case "whole":
            return chance.getrandbits(50)
        case "text":
            return f"text {number % 7}"
        case "json":
            return {"kind": "made", "amount": chance.getrandbits(40)} if number % 2 else None
        case "time":
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=12 * number)
        case "vector":
            return [chance.getrandbits(16) for _ in range(UIDS)]
        case _:
            return account(int(40_000 * chance.random()))


def block_hash(number: int) -> bytes:
    """32 bytes."""
    return number.to_bytes(32, "big")


def block(number: int, size: Size) -> BlockRows:
    """One block: final, complete, with patches for every table of the line."""
    rows = [row for table in TABLES.values() for row in _rows(Random(f"{table.name} {number}"), table, number, size)]
    return BlockRows(
        BlockRef(number, block_hash(number)), block_hash(number - 1), number * 12_000, True, True, False, tuple(rows)
    )


def _rows(chance: Random, table: Keyed | Log, number: int, size: Size) -> Iterator[Row]:
    columns = [(table.table if isinstance(table, Log) else table.current).columns[name] for name in table.values]
    if isinstance(table, Log):
        for index in range(1 if table.name == "blocks" else CHANGES[table.name]):
            yield Row(table.name, (index,) if table.keys else (), {c.name: _value(chance, c, number) for c in columns})
        return
    stored, patches = size.keys(table), PATCHES.get(table.name, (table.values,))
    if table.name == "subnet_pools":
        patches = tuple((name,) for name in table.values[:MOVING])
    named = dict(zip(table.values, columns, strict=True))
    for at in range(CHANGES[table.name]):
        if table.name == "subnet_pools":
            one = key(table, at)
        elif chance.random() < NEW and table.keys != ("netuid",):
            one = key(table, stored + number * 1_000 + at)
        else:  # a few keys change very often and most hardly ever
            one = key(table, int(stored * chance.random() ** 3))
        if len(patches) == 1 and chance.random() < REMOVED:
            yield Row(table.name, one, None)
        else:
            for names in patches:
                yield Row(table.name, one, {name: _value(chance, named[name], number) for name in names})
