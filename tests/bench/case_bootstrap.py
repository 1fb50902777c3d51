"""Bootstrap: the whole first state from a node to rows, every node of it proven against the state root.

Ours is all that this takes: node, indexer and Postgres, from its first part to the commit. The floor is
a node that answers the very messages that the indexer sent, to a client that drops what comes. Processor seconds of
the processes; beside them the seconds by the clock, and the most memory that the indexer ever had.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import anyio
import anyio.to_thread
import asyncpg
from loads import finney_chain
from measuring import Case, Effort, Figure, Goal
from processes import (
    HERE,
    PATIENCE_S,
    Databases,
    NodeProcess,
    cpu_s,
    databases,
    indexer,
    memory_mib,
    tree_cpu_s,
    watched,
)

TIME, MEMORY_MIB = Goal(5.0, "at most"), Goal(600.0, "at most")
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Spent:
    """One bootstrap and its floor."""

    node_s: float
    indexer_s: float
    postgres_s: float
    clock_s: float
    floor_node_s: float
    client_s: float
    floor_clock_s: float
    memory_mib: float
    messages: int
    mib: float

    @property
    def ratio(self) -> float:
        """All of ours against all of the floor."""
        return (self.node_s + self.indexer_s + self.postgres_s) / (self.floor_node_s + self.client_s)


async def begun(dsn: str) -> None:
    """Wait until the state is being read: what comes before is a start as any other."""
    connection = await asyncpg.connect(dsn)
    try:
        with anyio.fail_after(PATIENCE_S):
            while not await connection.fetchval(  # noqa: ASYNC110 - another process begins
                "SELECT EXISTS (SELECT FROM first_states) OR EXISTS (SELECT FROM blocks)"
            ):
                await anyio.sleep(0.01)
    finally:
        await connection.close()


async def once(server: Databases, template: str, chain: str) -> Spent:
    """One of each, the floor right behind."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "messages"
        with NodeProcess(chain, record) as node:
            async with server.copied(template) as dsn, watched(dsn) as seen:
                with indexer(dsn, node.url, "--stop", "0", "--verify-every-blocks", "0") as process:
                    await begun(dsn)
                    node.told()
                    skipped = len(record.read_bytes().splitlines())
                    before = [cpu_s(node.pid), cpu_s(process.pid), tree_cpu_s(server.pid)]
                    started_s = time.monotonic()
                    await seen.block(0)
                    clock_s = time.monotonic() - started_s
                    after = [cpu_s(node.pid), cpu_s(process.pid), tree_cpu_s(server.pid)]
                    most = memory_mib(process.pid, "VmHWM")
                    messages = node.told()["messages"]
            lines = record.read_bytes().splitlines(keepends=True)[skipped : skipped + messages]
            record.write_bytes(b"".join(lines))
            started_node_s, started_s = cpu_s(node.pid), time.monotonic()
            command = [sys.executable, str(HERE / "discard_process.py"), node.url, str(record), str(AT_ONCE)]
            done = await anyio.to_thread.run_sync(
                lambda: subprocess.run(command, check=True, capture_output=True, text=True)
            )
            floor_clock_s, floor_node_s = time.monotonic() - started_s, cpu_s(node.pid) - started_node_s
    client_s, size = map(float, done.stdout.split())
    spent = [end - begin for begin, end in zip(before, after, strict=True)]
    return Spent(
        node_s=spent[0], indexer_s=spent[1], postgres_s=spent[2], clock_s=clock_s, floor_node_s=floor_node_s,
        client_s=client_s, floor_clock_s=floor_clock_s, memory_mib=most, messages=messages, mib=size / 2**20,
    )  # fmt: skip


async def bootstraps(chain: str, runs: int) -> list[Spent]:
    """Several, each into an empty database."""
    async with databases() as server:
        template = await server.migrated()
        return [await once(server, template, chain) for _ in range(runs)]


def bootstrap(effort: Effort) -> list[Figure]:
    """Processor time against the floor's, and the most memory."""
    found = anyio.run(bootstraps, finney_chain(effort.short, 1), effort.runs)
    notes = {name: round(median(getattr(one, name) for one in found), 2) for name in Spent.__slots__}
    return [
        Figure(
            "processor time",
            None if effort.short else TIME,  # of so small a state most is what any transaction over all tables costs
            tuple(one.ratio for one in found),
            tuple(one.node_s + one.indexer_s + one.postgres_s for one in found),
            tuple(one.floor_node_s + one.client_s for one in found),
            notes=notes,
        ),
        Figure("most memory, MiB", MEMORY_MIB, tuple(one.memory_mib for one in found), unit=""),
    ]


CASES = [Case("bootstrap", "a whole first state, proven, to rows", "the same messages answered and dropped", bootstrap)]
