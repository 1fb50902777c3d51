"""The same transfers and free balances from the same devchain, by this indexer and by two npm packages.

Each side runs from block 1 to ``SETTLED`` and again to ``LAST``: what the second takes more is the cost of the blocks
between, what is left of the first is the start. Node, indexer and Postgres are processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import asyncpg
from measuring import Case, Effort, Figure
from processes import Databases, NodeProcess, cpu_s, databases, tree_cpu_s
from sides import OURS, OURS_ALL, SIDES, SQUID, SUBQL, Command, Side, Task, environment
from truth import Found, Truth, found, truth

from indexer.devchain.simulate import simulated_chain

SEED = 1
"""Of the chain that ``node_process.py`` makes."""
SETTLED, LAST, LAST_SHORT = 30, 330, 130
"""The runtime upgrade at block 20 belongs to the start: every side has loaded both metadata before ``SETTLED``."""


@dataclass(frozen=True, slots=True)
class Spent:
    """By one run, from its start to its end."""

    wall_s: float
    indexer_s: float
    """Processor seconds, as the two below."""
    postgres_s: float
    node_s: float
    requests: int
    messages: int
    """WebSocket messages with requests in them: a batch is one."""


@dataclass(frozen=True, slots=True)
class Run:
    """One side, to both lengths."""

    short: Spent
    long: Spent
    blocks: int
    """Between the two."""

    def each(self, what: str) -> float:
        """Per block, between the two lengths."""
        return max(float(getattr(self.long, what) - getattr(self.short, what)), 0.0) / self.blocks

    def start(self, what: str) -> float:
        """What is paid once: the shorter run without its blocks."""
        return max(float(getattr(self.short, what)) - SETTLED * self.each(what), 0.0)


def _ended(command: Command, log: Path) -> tuple[float, float]:
    """Run to the end: wall seconds, processor seconds of the process and all it started."""
    with log.open("wb") as output:
        started_s = time.monotonic()
        process = subprocess.Popen(
            command.arguments, cwd=command.folder, env=environment(command), stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"{command.arguments} ended with exit code {process.returncode}:\n{text}")
    return wall_s, usage.ru_utime + usage.ru_stime


async def _once(
    server: Databases, template: str, node: NodeProcess, side: Side, genesis: str, last: int, true: Truth
) -> tuple[Spent, Found]:
    """One run on a database of its own, and its rows held against the truth; ``template`` has our tables."""
    async with server.copied(template if side.migrated else "template0") as url:
        if side.tables:
            await _execute(url, side.tables)
        with tempfile.TemporaryDirectory(prefix="indexer-peers-") as folder:
            task = Task(url, node.url, genesis, last, Path(folder))
            node.told()
            before = tree_cpu_s(server.pid), cpu_s(node.pid)
            command = side.command(task)
            wall_s, indexer_s = await anyio.to_thread.run_sync(_ended, command, Path(folder) / "log")
            after = tree_cpu_s(server.pid), cpu_s(node.pid)
        told = node.told()
        postgres_s, node_s = (end - begin for begin, end in zip(before, after, strict=True))
        spent = Spent(wall_s, indexer_s, postgres_s, node_s, told["requests"], told["messages"])
        database = await asyncpg.connect(url)
        try:
            return spent, found(true, *await side.rows(database))
        finally:
            await database.close()


async def _execute(url: str, statements: str) -> None:
    database = await asyncpg.connect(url)
    try:
        await database.execute(statements)
    finally:
        await database.close()


async def _rounds(runs: int, last: int, true: Truth, genesis: str) -> tuple[dict[Side, list[Run]], dict[Side, Found]]:
    """All sides in turns, each round begun by another one."""
    done: dict[Side, list[Run]] = {side: [] for side in SIDES}
    rows: dict[Side, Found] = {}
    # A node for each length: subql fetches beyond the block at which it is to end, as far as the head lets it.
    with NodeProcess(f"simulated:{SETTLED}") as settled, NodeProcess(f"simulated:{last}") as node:
        async with databases() as server:
            template = await server.migrated()
            for at in range(runs):
                turn = at % len(SIDES)
                for side in (*SIDES[turn:], *SIDES[:turn]):
                    short, _ = await _once(server, template, settled, side, genesis, SETTLED, true)
                    long, has = await _once(server, template, node, side, genesis, last, true)
                    if rows.setdefault(side, has) != has:
                        raise RuntimeError(f"{side.name} has other rows than in its first run: {has}, {rows[side]}")
                    done[side].append(Run(short, long, last - SETTLED))
                    print(f"run {at + 1}: {side.name}, to block {last}: {long.wall_s:.0f} s", flush=True)
    return done, rows


def compared(effort: Effort) -> list[Figure]:
    """A ratio above 1 is how many times as much the other one takes."""
    last = LAST_SHORT if effort.short else LAST
    chain = simulated_chain(SEED)
    chain.grow(last)
    true = truth(chain, last)
    runs, rows = anyio.run(_rounds, effort.runs, last, true, f"0x{chain.genesis.hash.hex()}")
    figures = []
    for peer in (SUBQL, SQUID):
        for own in (OURS, OURS_ALL):
            figures += _figures(peer, own, runs[peer], runs[own])
    return [*figures, *(_rows_figure(side, rows[side], true) for side in SIDES)]


PER_BLOCK = (
    ("indexer's CPU", "indexer_s", 1000.0, "ms"),
    ("Postgres's CPU", "postgres_s", 1000.0, "ms"),
    ("node's CPU", "node_s", 1000.0, "ms"),
    ("wall time", "wall_s", 1000.0, "ms"),
    ("requests", "requests", 1.0, ""),
    ("messages", "messages", 1.0, ""),
)


def _figures(peer: Side, own: Side, theirs: Sequence[Run], ours: Sequence[Run]) -> list[Figure]:
    def figure(name: str, value: Callable[[Run], float], unit: str) -> Figure:
        mine, others = tuple(map(value, ours)), tuple(map(value, theirs))
        ratios = tuple(other / max(one, 1e-9) for one, other in zip(mine, others, strict=True))
        return Figure(f"{peer.name}, {own.name}: {name}", None, ratios, mine, others, unit)

    return [
        *(
            figure(f"{name} a block", lambda run, what=what, scale=scale: run.each(what) * scale, unit)  # type: ignore[misc]
            for name, what, scale, unit in PER_BLOCK
        ),
        figure("indexer's CPU to start", lambda run: run.start("indexer_s"), "s"),
    ]


def _rows_figure(side: Side, has: Found, true: Truth) -> Figure:
    """How many of the changes of a free balance it has, rightly."""
    right = len(true.balances) - has.missed - has.wrong
    known = {**asdict(has), "changes": len(true.balances)}
    known |= {name: value for name, value in asdict(true).items() if isinstance(value, int)}
    return Figure(
        f"{side.name}: changes of balances",
        None,
        (right / len(true.balances),),
        (float(right),),
        (float(len(true.balances)),),
        "",
        known,
    )


CASES = [
    Case(
        "peers",
        "transfers and free balances of the simulated chain",
        "npm packages that index the same; a ratio above 1 is how many times as much they take",
        compared,
    )
]
