"""Settings of Postgres that are worth changing for the indexer, each with its reason. Pure.

The embedded Postgres runs with what is suggested here (``embedded.server.SETTINGS``). What a session of the
indexer sets for itself (``session.SETTINGS``) is not looked at: the server's value does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from indexer.preflight.findings import Level, Setting

MB = 1 << 20
LONG_STATEMENT_S = 600
"""Seconds a statement may take at the longest: the first block of a large chain writes a million rows."""


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    is_poor: Callable[[float], bool]
    """Of the value in bytes or seconds; of a switch: 1 for on, 0 for off, a half for on in a cheap way."""
    suggested: str
    reason: str
    level: Level = Level.NOTE


RULES = (
    _Rule("default_transaction_read_only", bool, "off", "nothing can be written", Level.BAD),
    _Rule(
        "statement_timeout", lambda s: 0 < s < 5, "0 for the indexer's role",
        "the server ends every larger statement, so nothing large is ever written", Level.BAD,
    ),
    _Rule(
        "statement_timeout", lambda s: 5 <= s < LONG_STATEMENT_S, "0 for the indexer's role",
        "the first block, a long rewind or a verification may take longer, and is then tried again for ever",
        Level.WARNING,
    ),
    _Rule(
        "transaction_timeout", lambda s: 0 < s < LONG_STATEMENT_S, "0 for the indexer's role",
        "the first block is one transaction and may take longer, and is then tried again for ever", Level.WARNING,
    ),
    _Rule(
        "idle_session_timeout", lambda s: 0 < s < 60, "0 for the indexer's role",
        "sessions are ended that only wait for the next block", Level.WARNING,
    ),
    _Rule("fsync", lambda on: not on, "on", "a power failure destroys the database", Level.WARNING),
    _Rule("full_page_writes", lambda on: not on, "on", "a power failure may destroy pages", Level.WARNING),
    _Rule(
        "autovacuum", lambda on: not on, "on", "statistics grow old and dead rows stay: queries get ever slower",
        Level.WARNING,
    ),
    _Rule(
        "synchronous_commit", lambda on: not on, "on",
        "a crash of the server may lose the last committed blocks; they are then indexed again",
    ),
    _Rule("max_wal_size", lambda size: size < 2048 * MB, "4GB", "a backfill makes a checkpoint every few seconds"),
    _Rule("checkpoint_timeout", lambda s: s < 600, "15min", "each checkpoint writes whole pages to the log anew"),
    _Rule(
        "wal_compression", lambda on: on == 1, "off, or lz4 or zstd if the server has it",
        "pglz halves the log, but makes a block's write after a checkpoint take several times as long",
    ),
    _Rule(
        "shared_buffers", lambda size: size < 256 * MB, "256MB or more, up to a quarter of the memory",
        "current rows are looked up and changed with every block",
    ),
    _Rule("work_mem", lambda size: size < 16 * MB, "16MB", "as-of queries sort and hash thousands of rows"),
    _Rule("jit", bool, "off", "compiling as-of queries costs more than they take"),
)  # fmt: skip
NAMES = (*dict.fromkeys(rule.name for rule in RULES),)

Row: TypeAlias = Mapping[str, str | None]
"""A row of pg_settings: name, setting, unit and vartype."""

_UNITS: Mapping[str, float] = {
    "B": 1, "kB": 1 << 10, "8kB": 8 << 10, "16kB": 16 << 10, "MB": MB, "16MB": 16 * MB, "GB": 1 << 30,
    "ms": 0.001, "s": 1, "min": 60, "h": 3600,
}  # fmt: skip


def advice(rows: Mapping[str, Row]) -> Iterator[Setting]:
    """What to change among settings by name; those a server does not have are left out."""
    for rule in RULES:
        row = rows.get(rule.name)
        if row is None:
            continue
        value = _value(row)
        if value is not None and rule.is_poor(value):
            yield Setting(rule.level, rule.name, shown(row), rule.suggested, rule.reason)


def _value(row: Row) -> float | None:
    setting = row["setting"] or ""
    if row["vartype"] in ("integer", "real"):
        return float(setting) * _UNITS.get(row["unit"] or "", 1)
    return {"off": 0.0, "lz4": 0.5, "zstd": 0.5}.get(setting, 1.0)  # switches, some can be on in several ways


def shown(row: Row) -> str:
    """The value as Postgres' own SHOW would tell it, nearly."""
    setting, unit = row["setting"] or "", row["unit"]
    if unit is None or row["vartype"] not in ("integer", "real") or float(setting) <= 0:
        return setting
    value = float(setting) * _UNITS.get(unit, 1)
    scales = (("GB", 1 << 30), ("MB", MB), ("kB", 1 << 10)) if "B" in unit else (("min", 60), ("s", 1), ("ms", 0.001))
    for name, size in scales:
        if value >= size:
            return f"{round(value / size, 1):g}{name}"
    return f"{setting}{unit}"
