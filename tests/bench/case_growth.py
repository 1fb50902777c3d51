"""How the cost of a block grows: one size of the chain doubled at a time, all else equal.

Processor seconds of the indexer's process per block of a backfill. The figure is the exponent: 1 is linear, 0 is flat.
For workers it is that of the blocks per second.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median

import anyio
from case_backfill import Spent, backfills
from loads import finney_chain
from measuring import Case, Effort, Figure

from indexer.devchain import finney
from indexer.devchain.finney_state import Sizes

BLOCKS = 150
BASE = replace(finney.sizes_of(accounts=50_000, blocks=BLOCKS + 1), changed_accounts=120)
"""More accounts change in a block than there are subnets when those are doubled."""
WORKERS = 4


def measured(sizes: Sizes, runs: int, workers: int = WORKERS) -> list[Spent]:
    """Backfills of a chain of these sizes."""
    chain = finney_chain(False, BLOCKS, sizes)
    return anyio.run(backfills, chain, runs, "--workers", str(workers))


def growth(effort: Effort) -> list[Figure]:
    """One exponent each; none in the short form, which has no time for it."""
    if effort.short:
        return []
    doubled = {
        "accounts": replace(BASE, accounts=2 * BASE.accounts, stakes=2 * BASE.stakes),
        "changes": replace(
            BASE, changed_accounts=2 * BASE.changed_accounts, changed_stake_keys=2 * BASE.changed_stake_keys
        ),
        "subnets": replace(BASE, subnets=2 * BASE.subnets - 1),
    }
    base = measured(BASE, effort.runs)
    figures = []
    for what, sizes in doubled.items():
        larger = measured(sizes, effort.runs)
        figures.append(_exponent(f"2x {what}", [one.indexer_s for one in base], [one.indexer_s for one in larger]))
    faster = measured(BASE, effort.runs, 2 * WORKERS)
    return [*figures, _exponent("2x workers", [one.per_s for one in base], [one.per_s for one in faster], "blocks/s")]


def _exponent(name: str, before: list[float], after: list[float], unit: str = "s") -> Figure:
    exponents = tuple(math.log2(new / median(before)) for new in after)
    return Figure(name, None, exponents, tuple(after), tuple(before), unit)


CASES = [Case("growth", "the indexer's processor time per block", "the same with half as much of one thing", growth)]
