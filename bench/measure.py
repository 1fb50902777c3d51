"""Times the documented queries and tells their plans, those inside functions too (``auto_explain``).

Two times each: what the client waited, over a connection to the same machine, and what the server's process had
a processor for, which other load on the machine does not change much.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import asyncpg

from bench.queries import QUERIES, Query
from bench.world import Size

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one query took."""

    query: Query
    waited_ms: list[float]
    """By the client, of every run, in ascending order."""
    worked_ms: list[float]
    """By the server's process, likewise."""
    rows: int
    """Of the last run."""
    plan: tuple[str, ...]
    """Distinct scans, as ``access path of table``."""


async def measure(connection: Connection, size: Size, query: Query, *, seed: int = 1) -> Measured:
    """Run a query as often as it says, each time with other arguments."""
    random, rows = Random(seed), 0
    waited_ms, worked_ms = [], []
    statement = await connection.prepare(query.sql)
    for _ in range(min(3, query.runs)):
        await statement.fetch(*query.arguments(random, size))
    server = connection.get_server_pid()
    for _ in range(query.runs):
        arguments = query.arguments(random, size)
        before, began = _on_processor_ms(server), time.perf_counter()
        rows = len(await statement.fetch(*arguments))
        waited_ms.append((time.perf_counter() - began) * 1000)
        worked_ms.append(_on_processor_ms(server) - before)
    plan = await scans(connection, query.sql, *query.arguments(random, size))
    return Measured(query, sorted(waited_ms), sorted(worked_ms), rows, tuple(sorted(set(plan))))


def percentile(ascending: list[float], share: float) -> float:
    """The value that ``share`` of all do not exceed."""
    return ascending[round((len(ascending) - 1) * share)]


def _on_processor_ms(pid: int) -> float:
    """What a process of this machine has had a processor for; 0 where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return 0.0


async def scans(connection: Connection, sql: str, *arguments: object) -> list[str]:
    """Every scan in the plans of a statement and of the statements inside its functions."""
    return [scan for plan in await plans(connection, sql, *arguments) for scan in _scans(plan)]


async def plans(connection: Connection, sql: str, *arguments: object) -> list[dict[str, Any]]:
    """The plans of a statement and of all statements inside its functions; needs a superuser."""
    found: list[dict[str, Any]] = []

    def heard(_: object, message: Any) -> None:
        _, marked, text = str(message.message).partition("plan:\n")
        if marked:
            found.append(json.loads(text)["Plan"])

    await connection.execute(
        "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; "
        "set auto_explain.log_format = 'json'; set client_min_messages = 'log'"
    )
    connection.add_log_listener(heard)
    try:
        await connection.fetch(sql, *arguments)
    finally:
        connection.remove_log_listener(heard)
        await connection.execute("reset client_min_messages; set auto_explain.log_min_duration = -1")
    return found


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Bitmap Index Scan":
        yield f"Bitmap Index Scan {plan['Index Name']}"
    elif "Relation Name" in plan and plan["Node Type"] != "Bitmap Heap Scan":
        yield f"{plan['Node Type']} {plan.get('Index Name') or plan['Relation Name']}"
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)


async def report(connection: Connection, size: Size) -> Iterator[str]:
    """A Markdown table of all queries, then their plans."""
    measured = []
    for query in QUERIES:
        measured.append(one := await measure(connection, size, query))
        print(_line(one), flush=True)
    return _lines(measured)


def _line(one: Measured) -> str:
    figures = [f"{percentile(ms, share):.2f}" for ms in (one.worked_ms, one.waited_ms) for share in (0.5, 0.99)]
    most = "" if one.query.most_ms is None else f"{one.query.most_ms:g}"
    return f"| {one.query.name} | {one.rows:,} | {' | '.join(figures)} | {most} |"


def _lines(measured: list[Measured]) -> Iterator[str]:
    yield "| query | rows | work p50 | work p99 | wait p50 | wait p99 | promised |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    yield from map(_line, measured)
    yield ""
    for one in measured:
        yield f"* {one.query.name}: {', '.join(one.plan)}"
