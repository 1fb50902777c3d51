"""Backfill: blocks that are there already, from a node to rows, all default datasets.

Ours is all that this takes: node, indexer and Postgres. The floor is a node that answers the very messages that the
indexer sent, to a client that drops what comes. Processor seconds of the processes, from the moment when the node,
which had nothing but block 0, has all blocks at once to the last commit: neither starting nor the first state is in
it, as both are paid once.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import anyio
import anyio.to_thread
from loads import finney_chain
from measuring import Case, Effort, Figure, Goal
from processes import (
    HERE,
    Databases,
    NodeProcess,
    cpu_s,
    databases,
    indexer,
    short_lived_folder,
    tree_cpu_s,
    watched,
)

CPU, CALLS = Goal(3.0, "at most"), Goal(2.0, "at most")
AT_ONCE = 8
BLOCKS = 400


@dataclass(frozen=True, slots=True)
class Spent:
    """Per block."""

    node_s: float
    indexer_s: float
    postgres_s: float
    floor_node_s: float
    client_s: float
    messages: float
    requests: float
    per_s: float
    kib: float

    @property
    def ratio(self) -> float:
        """All of ours against all of the floor."""
        return (self.node_s + self.indexer_s + self.postgres_s) / (self.floor_node_s + self.client_s)


_STATES: dict[str, tuple[Path, str]] = {}
"""By the chain's folder: that of a server, and the database that has block 0 there."""
_FOLDERS = ExitStack()
atexit.register(_FOLDERS.close)


@asynccontextmanager
async def with_first_state(chain: str) -> AsyncIterator[tuple[Databases, str]]:
    """A server, and the name of its database that has block 0: read once for all benches that want it."""
    prepared = chain.rpartition(":")[0]
    if prepared not in _STATES:
        folder = _FOLDERS.enter_context(short_lived_folder())
        async with databases(folder) as server:
            _STATES[prepared] = folder, await first_state(server, f"{prepared}:0")
    folder, name = _STATES[prepared]
    async with databases(folder) as server:
        yield server, name


async def first_state(server: Databases, chain: str) -> str:
    """Name of a new database that has block 0."""
    name = await server.migrated()
    with NodeProcess(chain) as node:
        async with watched(server.named(name)) as seen:
            with indexer(server.named(name), node.url, "--stop", "0"):
                await seen.block(0)
    return name


async def once(server: Databases, template: str, chain: str, *options: str) -> Spent:
    """One backfill and its floor."""
    prepared, _, last = chain.rpartition(":")
    blocks = int(last)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "messages"
        with NodeProcess(f"{prepared}:0", record) as node:
            async with server.copied(template) as dsn, watched(dsn) as seen:
                with indexer(dsn, node.url, *options) as process:
                    await node.idle()
                    skipped = len(record.read_bytes().splitlines())
                    before = [cpu_s(node.pid), cpu_s(process.pid), tree_cpu_s(server.pid)]
                    started_s = node.leap(blocks)
                    await seen.block(blocks)
                    took_s = time.monotonic() - started_s
                    after = [cpu_s(node.pid), cpu_s(process.pid), tree_cpu_s(server.pid)]
                    told = node.told()
            lines = record.read_bytes().splitlines(keepends=True)[skipped : skipped + told["messages"]]
            record.write_bytes(b"".join(lines))
            started_node_s = cpu_s(node.pid)
            command = [sys.executable, str(HERE / "discard_process.py"), node.url, str(record), str(AT_ONCE)]
            done = await anyio.to_thread.run_sync(
                lambda: subprocess.run(command, check=True, capture_output=True, text=True)
            )
            floor_node_s = cpu_s(node.pid) - started_node_s
    client_s, size = map(float, done.stdout.split())
    return Spent(
        *((end - begin) / blocks for begin, end in zip(before, after, strict=True)),
        floor_node_s / blocks,
        client_s / blocks,
        told["messages"] / blocks,
        told["requests"] / blocks,
        blocks / took_s,
        size / blocks / 1024,
    )


async def backfills(chain: str, runs: int, *options: str) -> list[Spent]:
    """Several, each on a copy of one database with the first state."""
    async with with_first_state(chain) as (server, template):
        return [await once(server, template, chain, *options) for _ in range(runs)]


def backfill(effort: Effort) -> list[Figure]:
    """Processor time against the floor's, and calls per block."""
    found = anyio.run(backfills, finney_chain(effort.short, BLOCKS), effort.runs)
    parts = ("node_s", "indexer_s", "postgres_s", "floor_node_s", "client_s", "per_s", "kib", "requests")
    notes = {name: round(median(getattr(one, name) for one in found), 4) for name in parts}
    return [
        Figure(
            "processor time per block",
            None if effort.short else CPU,  # it is near twice the goal: chance would decide
            tuple(one.ratio for one in found),
            tuple(one.node_s + one.indexer_s + one.postgres_s for one in found),
            tuple(one.floor_node_s + one.client_s for one in found),
            notes=notes,
        ),
        Figure("calls per block", CALLS, tuple(one.messages for one in found), unit=""),
    ]


CASES = [
    Case(
        "backfill",
        "blocks that are there already, from the node to rows",
        "the same messages, answered by the node and dropped",
        backfill,
    )
]
