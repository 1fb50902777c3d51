"""What a migration would do, revision by revision: what it creates and drops, what it locks, for about how long.

Reads the statements that each revision would run, without running any; the sizes of tables are asked for by
``migrate``. A lock is told only on tables that exist before the migration: nobody waits for a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from indexer.errors import ConfigError
from migrations import sql

BASE = "base"
"""The revision of a database without any of the indexer's tables."""
INDEXED_ROWS_PER_S = 500_000
"""Rows that an index is built over per second, roughly: a small server's rate."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One statement as people need to know it."""

    what: str
    """What it does, as in "create table x"."""
    table: str | None = None
    """Table it locks, if that exists before."""
    lock: str = ""
    """What the lock keeps others from; empty: from nothing."""
    reads_all: bool = False
    """Whether it takes as long as the table is large."""
    loses: bool = False
    """Whether the rows of the table are lost."""


@dataclass(frozen=True, slots=True)
class Step:
    """One revision, applied or taken back."""

    revision: str
    title: str
    """First line of the revision's docstring; where it is taken back, that of its downgrade."""
    is_downgrade: bool
    effects: tuple[Effect, ...]


def config() -> Config:
    """Alembic's configuration for the revisions of this version."""
    made = Config()
    made.set_main_option("script_location", str(files("migrations")))
    return made


@cache
def revisions() -> tuple[str, ...]:
    """All revisions of this version, oldest first."""
    return tuple(s.revision for s in reversed(list(ScriptDirectory.from_config(config()).walk_revisions())))


def target(name: str | None) -> str | None:
    """The revision that ``--to`` means: the newest for None, None for ``base``; ``ConfigError`` for none of ours."""
    known = revisions()
    if name is None:
        return known[-1]
    if name == BASE:
        return None
    if name not in known:
        raise ConfigError(f"this version knows no revision {name}: it has {known[0]} to {known[-1]}, and {BASE}")
    return name


def steps(current: str | None, to: str | None) -> list[Step]:
    """What leads from one revision to another, in order; None is the empty database."""
    known = revisions()
    at, end = (0 if one is None else known.index(one) + 1 for one in (current, to))
    if at == end:
        return []
    is_downgrade = at > end
    output, settings = StringIO(), config()
    settings.attributes["output"] = output
    run = command.downgrade if is_downgrade else command.upgrade
    run(settings, f"{current}:{to or BASE}" if current else to or BASE, sql=True)
    scripts = _RUNNING.split(output.getvalue())[1:]
    passed = known[end:at][::-1] if is_downgrade else known[at:end]
    directory = ScriptDirectory.from_config(settings)
    return [
        Step(one, _title(directory, one, is_downgrade), is_downgrade, tuple(_effects(script)))
        for one, script in zip(passed, scripts, strict=True)
    ]


def tables(found: list[Step]) -> set[str]:
    """The tables whose sizes matter."""
    return {effect.table for step in found for effect in step.effects if effect.table}


def described(found: list[Step], rows: Mapping[str, int]) -> Iterator[str]:
    """The plan as lines; ``rows`` holds the estimated rows of each table that exists."""
    for step in found:
        yield f"{'back from ' if step.is_downgrade else ''}{step.revision}  {step.title}"
        for effect in step.effects:
            yield f"    {effect.what}{_consequence(effect, rows)}"


def lost(found: list[Step], rows: Mapping[str, int]) -> dict[str, int]:
    """Tables that would be dropped, with the estimated rows that go with them."""
    return {e.table: rows.get(e.table, 0) for step in found for e in step.effects if e.loses and e.table}


def _consequence(effect: Effect, rows: Mapping[str, int]) -> str:
    if effect.table is None or effect.table not in rows:
        return ""
    count = rows[effect.table]
    if effect.loses:
        return f": {effect.lock}; loses about {count:,} rows"
    seconds = (
        f"about {max(1, round(count / INDEXED_ROWS_PER_S)):,} s ({count:,} rows)" if effect.reads_all else "a moment"
    )
    return f": {effect.lock or 'blocks nobody'}, {seconds}"


_RUNNING = re.compile(r"^-- Running .*$", re.MULTILINE)
"""What alembic writes before the statements of each revision."""


def _title(directory: ScriptDirectory, revision: str, is_downgrade: bool) -> str:
    module = directory.get_revision(revision).module
    document = module.downgrade.__doc__ if is_downgrade else module.__doc__
    return (document or "").strip().partition("\n")[0]


_NAME = r'"?(?P<name>\w+)"?'
_ON = r'"?(?P<table>\w+)"?'
_WRITES = "blocks reading and writing"
_PATTERNS: tuple[tuple[re.Pattern[str], Effect], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), effect)
    for pattern, effect in (
        (rf"create table {_NAME}", Effect("create table {name}")),
        (rf"create (?P<kind>view|function) {_NAME}", Effect("create {kind} {name}")),
        (rf"create or replace (?P<kind>view|function) {_NAME}", Effect("replace {kind} {name}")),
        (
            rf"create (?:unique )?index concurrently {_NAME} on {_ON}",
            Effect("create index {name} on {table}", "{table}", "", reads_all=True),
        ),
        (
            rf"create (?:unique )?index {_NAME} on {_ON}",
            Effect("create index {name} on {table}", "{table}", "blocks writing", reads_all=True),
        ),
        (
            rf"alter table {_ON} (?P<name>add constraint|alter column .*(?:type|not null))",
            Effect("alter table {table}", "{table}", _WRITES, reads_all=True),
        ),
        (rf"alter table {_ON} ", Effect("alter table {table}", "{table}", _WRITES)),
        (rf"drop table {_ON}", Effect("drop table {table}", "{table}", _WRITES, loses=True)),
        (rf"drop (?P<kind>view|function|index)(?: concurrently)? (?:if exists )?{_NAME}", Effect("drop {kind} {name}")),
        (rf"(?:do .*? then )?(?P<kind>insert into|update|delete from) {_ON}", Effect("{kind} {table}", "{table}")),
    )
)


def _effects(script: str) -> Iterator[Effect]:
    """The effects of the statements alembic wrote; its own bookkeeping and comments on things are left out."""
    made: set[str] = set()
    for statement in sql.statements(script):
        text = re.sub(r"\s+", " ", sql.bare(statement))
        for pattern, effect in _PATTERNS:
            if found := pattern.match(text):
                named = {**found.groupdict(), "kind": (found.groupdict().get("kind") or "").lower()}
                what = effect.what.format(**named)
                table = effect.table and effect.table.format(**named)
                if what.startswith("create table"):
                    made.add(named["name"])
                elif table in made:
                    table = None
                if "alembic_version" not in what:
                    yield Effect(what, table, effect.lock, effect.reads_all, effect.loses)
                break
