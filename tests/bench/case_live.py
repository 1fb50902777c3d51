"""Live: from a head at the node to rows that another connection sees, one block per second.

The clock starts when the node has the block, before it tells anybody, and stops when a connection that listens for
commits is told (Postgres does that after the commit). These are milliseconds on this machine, not a ratio, since the
goal is one; what the node itself took to answer the block's requests is beside them.
"""

from __future__ import annotations

from statistics import median, quantiles

import anyio
import anyio.to_thread
from case_backfill import with_first_state
from loads import finney_chain
from measuring import Case, Effort, Figure, Goal
from processes import NodeProcess, indexer, watched

MEDIAN, WORST = Goal(150.0, "at most"), Goal(1000.0, "at most")
BLOCKS, BLOCKS_SHORT = 120, 12
BEFORE, BEFORE_SHORT = 200, 8
"""Blocks that are there before: the indexer has caught up with them, and knows what changes often."""
INTERVAL_S, INTERVAL_SHORT_S = 1.0, 0.5


async def follow(chain: str, blocks: int, interval_s: float) -> tuple[list[float], float]:
    """Milliseconds from head to row for each block, and the node's own per block."""
    async with with_first_state(chain) as (server, template):
        with NodeProcess(chain) as node:
            async with server.copied(template) as dsn, watched(dsn) as seen:
                with indexer(dsn, node.url):
                    await seen.block(node.head)
                    node.told()
                    node.beat(blocks, interval_s)
                    heads = await anyio.to_thread.run_sync(node.heads, blocks)
                    await seen.block(node.head + blocks)
                    told = node.told()
    # A commit may hold several blocks, and tells of the last.
    visible = [min(at_s for seen_number, at_s in seen.at_s.items() if seen_number >= number) for number in heads]
    latencies = [1000 * (at_s - begun_s) for at_s, begun_s in zip(visible, heads.values(), strict=True)]
    return latencies, 1000 * told["answering_s"] / blocks


def live(effort: Effort) -> list[Figure]:
    """p50 and p99 in milliseconds."""
    blocks, interval_s = (BLOCKS_SHORT, INTERVAL_SHORT_S) if effort.short else (BLOCKS, INTERVAL_S)
    chain = finney_chain(effort.short, BEFORE_SHORT if effort.short else BEFORE)
    runs = [anyio.run(follow, chain, blocks, interval_s) for _ in range(1 if effort.short else effort.runs)]
    notes = {"node answering ms per block": round(median(node_ms for _, node_ms in runs), 2), "blocks per run": blocks}
    return [
        Figure("p50 in ms", MEDIAN, tuple(median(latencies) for latencies, _ in runs), unit="ms", notes=notes),
        Figure(
            "p99 in ms", WORST, tuple(quantiles(latencies, n=100)[98] for latencies, _ in runs), unit="ms", notes=notes
        ),
    ]


CASES = [Case("live", "a head at the node to its rows at another connection", "the goal in milliseconds", live)]
