"""Memory: the indexer's resident memory as blocks go by, against itself at an early block.

A quiet chain whose state does not grow, kept a little ahead of the indexer: whatever grows is a leak.
"""

from __future__ import annotations

import anyio
from measuring import Case, Effort, Figure, Goal
from processes import NodeProcess, databases, indexer, memory_mib, watched

FLAT = Goal(1.05, "at most")
EARLY, LATE = 1_000, 50_000
EARLY_SHORT, LATE_SHORT = 100, 300
AHEAD = 96
"""Blocks that the chain is ahead at most; the node keeps so many states."""


async def grown(early: int, late: int) -> tuple[float, float, list[int]]:
    """MiB at the two heights, the mean of the last tenth before each, as it breathes; and at each tenth of the way."""
    async with databases() as server:
        name = await server.migrated()
        dsn, samples = server.named(name), list[tuple[int, float]]()
        with NodeProcess("quiet") as node:
            async with watched(dsn) as seen:
                with indexer(dsn, node.url) as process:
                    known = await seen.block(0)
                    while known < late:
                        node.reveal(min(late, known + AHEAD))
                        known = await seen.block(min(late, known + AHEAD // 2))
                        samples.append((known, memory_mib(process.pid)))

    def mean_before(height: int) -> float:
        found = [mib for block, mib in samples if 0.9 * height <= block <= height + AHEAD]
        return sum(found) / len(found)

    tenths = [round(mean_before(late * tenth // 10)) for tenth in range(1, 11)]
    return mean_before(early), mean_before(late), tenths


def memory(effort: Effort) -> list[Figure]:
    """One run: it takes its time."""
    early, late = (EARLY_SHORT, LATE_SHORT) if effort.short else (EARLY, LATE)
    before, after, tenths = anyio.run(grown, early, late)
    goal = None if effort.short else FLAT  # what a short life takes is caches that fill
    notes = {"early_block": early, "late_block": late, "MiB at each tenth": tenths}
    return [Figure("resident memory", goal, (after / before,), (after,), (before,), unit="MiB", notes=notes)]


CASES = [Case("memory", "the indexer's resident memory after many blocks", "itself after a few", memory)]
