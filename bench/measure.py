"""Times the documented queries and tells their plans, those inside functions too (``auto_explain``).

Plans are Postgres' own, of one run each; times are the client's, over a connection to the same machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
    p50_ms: float
    p99_ms: float
    rows: int
    """Of the last run."""
    plan: tuple[str, ...]
    """Distinct scans, as ``access path of table``."""


async def measure(connection: Connection, size: Size, query: Query, *, seed: int = 1) -> Measured:
    """Run a query as often as it says, each time with other arguments."""
    random, taken_ms, rows = Random(seed), [], 0
    statement = await connection.prepare(query.sql)
    for _ in range(min(3, query.runs)):
        await statement.fetch(*query.arguments(random, size))
    for _ in range(query.runs):
        arguments = query.arguments(random, size)
        began = time.perf_counter()
        rows = len(await statement.fetch(*arguments))
        taken_ms.append((time.perf_counter() - began) * 1000)
    taken_ms.sort()
    last = len(taken_ms) - 1
    plan = await scans(connection, query.sql, *query.arguments(random, size))
    return Measured(query, taken_ms[last // 2], taken_ms[round(last * 0.99)], rows, tuple(sorted(set(plan))))


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
        print(f"{query.name}: p50 {one.p50_ms:.2f} ms, p99 {one.p99_ms:.2f} ms, {one.rows} rows", flush=True)
    return _lines(measured)


def _lines(measured: list[Measured]) -> Iterator[str]:
    yield "| query | rows | p50, ms | p99, ms | must stay below, ms |"
    yield "|---|---:|---:|---:|---:|"
    for one in measured:
        most = "" if one.query.most_ms is None else f"{one.query.most_ms:g}"
        yield f"| {one.query.name} | {one.rows:,} | {one.p50_ms:.2f} | {one.p99_ms:.2f} | {most} |"
    yield ""
    for one in measured:
        yield f"* {one.query.name}: `{one.query.sql}`"
        yield f"  {', '.join(one.plan)}"
