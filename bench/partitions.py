"""What partitions by block range would cost and give: the same queries on plain and on partitioned histories.

Copies of three histories are made in schemas of their own, which the functions find first by ``search_path``.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bench.measure import Connection, measure, percentile
from bench.queries import QUERIES
from bench.world import FIRST_BLOCK, Size

HISTORIES = ("balance_history", "stake_shares_history", "hotkey_pools_history")
COUNTS = (8, 32, 128)
RUNS = 50
NAMES = (
    "balance of an account",
    "balances of 100 accounts",
    "portfolio of a coldkey",
    "history of the busiest account",
    "balances that moved within an hour",
    "whole chain's delegations at the head",
    "whole chain's delegations, half way back",
)


async def compare(connection: Connection, size: Size, counts: Sequence[int] = COUNTS) -> AsyncIterator[str]:
    """A Markdown table: p50 and p99 in ms of some queries, plain and for each number of partitions."""
    queries = [query for query in QUERIES if query.name in NAMES]
    found: dict[str, list[str]] = {query.name: [] for query in queries}
    made = ["0"]
    for count in (0, *counts):
        if count:
            began = time.monotonic()
            await connection.execute(f"drop schema if exists parted cascade; create schema parted; {_ddl(size, count)}")
            made.append(f"{time.monotonic() - began:.0f}")
            await connection.execute("set search_path = parted, public")
        for query in queries:
            one = await measure(connection, size, replace(query, runs=min(query.runs, RUNS)))
            print(count, query.name, flush=True)
            found[query.name].append(f"{percentile(one.worked_ms, 0.5):.2f} / {percentile(one.worked_ms, 0.99):.2f}")
        await connection.execute("set search_path = public")
    await connection.execute("drop schema if exists parted cascade")
    yield "| query: work p50 / p99, ms | plain | " + " | ".join(f"{count} partitions" for count in counts) + " |"
    yield "|---|" + "---:|" * (1 + len(counts))
    for name, figures in found.items():
        yield f"| {name} | {' | '.join(figures)} |"


def _ddl(size: Size, count: int) -> str:
    parts = []
    for history in HISTORIES:
        parts.append(
            f"create table parted.{history} (like public.{history} including defaults including indexes) "
            "partition by range (block_number);"
        )
        for at in range(count):
            low, high = (FIRST_BLOCK + edge * size.blocks // count for edge in (at, at + 1))
            parts.append(
                f"create table parted.{history}_{at} partition of parted.{history} for values from ({low}) to ({high});"
            )
        parts.append(f"insert into parted.{history} select * from public.{history}; analyze parted.{history};")
    return " ".join(parts)
