"""A long life: a chain that grows as fast as it is indexed, with faults, and a census now and then.

This process is the node, the network between the parties, and the observer; the indexer is a process of its own,
so that its memory means something. What happens when is decided by the seed and the height alone.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import signal
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import asyncpg
from anyio.abc import Process
from proxy import Proxy

from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode, DropConnection

CENSUS = Path(__file__).with_name("census.py")
AHEAD = 96
"""Blocks that the chain is ahead of the indexer at most: so many states a node keeps in any case."""
GROWN_AT_ONCE = 8
FORK_EVERY, CUT_EVERY, DROP_EVERY, SILENCE_EVERY = 120, 200, 150, 250
"""Blocks between two forks, two cuts of the database's connections, two of a node's, two silences."""
DEEP_EVERY, DEEP = 2000, 60
"""Blocks between two stalls of finality, and their length: room for deep forks."""
RATES = {"delay": 0.003, "forget": 0.001, "refuse": 0.0005, "drop": 0.0002}
"""How often a request meets each fault; some six make a block. No lies: a liar is left alone for an hour."""
TIMEOUT_S = 1.0
LEFT_ALONE_S = 400.0
"""An endpoint that fell silent again and again is left alone for five minutes."""
SETTLING_S = 30.0
"""What ends late has so long to do so before it counts as left behind."""


@dataclass
class Weather:
    """A ``Tamper`` for all nodes. Seed, request and attempt decide, never the order of tasks."""

    seed: int
    strength: float = 1.0
    over: bool = False
    silent: bool = False
    """The next request is answered too late."""
    met: Counter[str] = field(default_factory=Counter)
    _attempts: Counter[bytes] = field(default_factory=Counter)

    async def __call__(self, method: str, params: Any, result: Any) -> Any:
        """Answer, or fail."""
        request = hashlib.blake2b(json.dumps([method, params]).encode(), digest_size=8).digest()
        if len(self._attempts) > 10_000:
            self._attempts.clear()  # nobody asks again what was asked long ago
        self._attempts[request] += 1
        if self.silent:
            self.silent = False
            await anyio.sleep(2 * TIMEOUT_S)
        roll = random.Random(f"{self.seed} {request.hex()} {self._attempts[request]}").random()
        for kind, rate in RATES.items():
            roll -= rate * self.strength
            if roll < 0 and not self.over:
                self.met[kind] += 1
                return await _fail(kind, method, result)
        return result


async def _fail(kind: str, method: str, result: Any) -> Any:
    if kind == "drop":
        raise DropConnection
    if kind == "refuse":
        raise RpcError(-32000, "Server is busy, try again later")
    if kind == "forget":
        return None if method == "chain_getBlockHash" else result
    await anyio.sleep(0.05)
    return result


@dataclass(frozen=True, slots=True)
class Census:
    """What was held at a moment of rest."""

    block: int
    rss_mib: float
    node_rss_mib: float
    counts: Counter[str]
    """Descriptors, tasks, threads, sessions of Postgres, sockets of the node; by kind."""
    largest: tuple[str, ...] = ()


@dataclass
class Life:
    """One indexer process, its node and its database, from ``lived`` on."""

    chain: Chain
    nodes: tuple[DevNode, ...]
    proxy: Proxy
    weather: Weather
    process: Process
    told: Path
    log: Path
    database: asyncpg.Connection[asyncpg.Record]
    met: Counter[str] = field(default_factory=Counter)

    async def committed(self) -> int:
        """The last block all datasets have; -1 if none."""
        assert self.process.returncode is None, f"the indexer ended with {self.process.returncode}: {self.last_words()}"
        value = await self.database.fetchval("SELECT min(block_number) FROM cursors")
        return -1 if value is None else int(value)

    async def level(self) -> None:
        """Wait until the best head is committed."""
        with anyio.fail_after(120):
            while True:
                tips = await self.database.fetch("SELECT DISTINCT block_hash FROM cursors")
                if [row["block_hash"] for row in tips] == [self.chain.best.hash]:
                    return
                await self.committed()
                await anyio.sleep(0.05)

    async def final(self) -> set[int | None]:
        """Up to where the datasets hold their blocks for final."""
        return {row["finalized_block"] for row in await self.database.fetch("SELECT finalized_block FROM cursors")}

    async def all_connected(self) -> None:
        """Wait until every node is in use or in reserve: also one that was left alone for a while."""
        (metrics,) = {line["port"] for line in self.events("metrics")[-1:]}
        url = f"http://127.0.0.1:{metrics}/metrics"
        with anyio.fail_after(LEFT_ALONE_S):
            while True:
                usable = re.findall(
                    r"^indexer_endpoint_usable{.*} (\S+)$", await anyio.to_thread.run_sync(_get, url), re.M
                )
                if set(usable) == {"1.0"} and all(node.connections for node in self.nodes):
                    return
                await anyio.sleep(0.2)

    async def census(self, no_more_than: Counter[str] | None = None) -> Census:
        """Count once all is level and connected; again until no kind is over its number, or for ``SETTLING_S``.

        Without numbers to hold against: until nothing is new. A node counts a connection before its client does.
        """
        await self.level()
        await self.all_connected()
        taken = await self._count()
        with anyio.move_on_after(SETTLING_S):
            seen = no_more_than or Counter[str]()
            while taken.counts - seen:
                seen = seen if no_more_than else taken.counts
                await anyio.sleep(0.5)
                taken = await self._count()
        return taken

    async def _count(self) -> Census:
        self.told.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        with anyio.fail_after(20):
            while not self.told.exists():  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.02)
        held = json.loads(self.told.read_text())
        counts = Counter(
            {f"{what} {name}": n for what in ("fds", "tasks", "threads") for name, n in held[what].items()}
        )
        counts["sessions"] = await self.database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        counts["node sockets"] = sum(node.connections for node in self.nodes)
        counts["node subscriptions"] = sum(node.subscriptions for node in self.nodes)
        return Census(
            block=await self.committed(),
            rss_mib=held["rss_kib"] / 1024,
            node_rss_mib=_rss_kib("self") / 1024,
            counts=counts,
            largest=tuple(held.get("largest", ())),
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]

    def last_words(self) -> str:
        """The end of the indexer's log."""
        return "\n".join(self.log.read_text().splitlines()[-8:])


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _rss_kib(pid: str) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


@asynccontextmanager
async def lived(chain: Chain, dsn: str, folder: Path, weather: Weather, *options: str) -> AsyncIterator[Life]:
    """The indexer follows the best head of two nodes of ``chain``; it is killed at the end if it still lives."""
    told, log = folder / "census.json", folder / "indexer.log"
    database = await asyncpg.connect(dsn)
    try:
        async with DevNode(chain, tamper=weather) as one, DevNode(chain, tamper=weather) as two, Proxy(dsn) as proxy:
            arguments = ["run", "--network", f"{one.url},{two.url}", "--database-url", proxy.dsn, "--follow", "best"]
            arguments += ["--start", "genesis", "--rpc-timeout-s", str(TIMEOUT_S), "--log-format", "json"]
            arguments += ["--metrics-address", "127.0.0.1:0", *options]
            with log.open("ab") as stderr:
                process = await anyio.open_process(
                    [sys.executable, str(CENSUS), str(told), *arguments], stdout=None, stderr=stderr
                )
            life = Life(chain, (one, two), proxy, weather, process, told, log, database)
            try:
                yield life
            finally:
                with anyio.CancelScope(shield=True):
                    if process.returncode is None:
                        process.send_signal(signal.SIGKILL)
                    await process.wait()
                    await process.aclose()
    finally:
        await database.close()


async def live(life: Life, until: int, chance: random.Random) -> None:
    """Let the chain grow to height ``until``, things going wrong on the way."""
    chain = life.chain
    while chain.best.number < until:
        if chain.best.number - await life.committed() > AHEAD - GROWN_AT_ONCE:
            await anyio.sleep(0.02)
            continue
        before = chain.best.number
        for _ in range(min(GROWN_AT_ONCE, until - chain.best.number)):
            chain.grow(1)
            await anyio.lowlevel.checkpoint()  # the nodes of this process answer in between
        final_to = chain.best.number - chance.randint(2, 12)
        if chain.best.number % DEEP_EVERY > DEEP:
            chain.finalize(max(0, final_to))
        for name, every, happen in _MISHAPS:
            if before // every < chain.best.number // every:
                life.met[name] += 1
                await happen(life, chance)


async def _fork(life: Life, chance: random.Random) -> None:
    """A longer branch from somewhere above finality, once the present one is committed."""
    chain = life.chain
    await life.level()
    depth = chance.randint(1, chain.best.number - chain.finalized.number)
    chain.fork(chain.best.number - depth, depth + 1, salt=chance.randint(1, 1 << 30))
    life.met["blocks taken back"] += depth


async def _cut_database(life: Life, _: random.Random) -> None:
    life.proxy.cut()


async def _drop_nodes(life: Life, chance: random.Random) -> None:
    chance.choice(life.nodes).drop_connections()


async def _fall_silent(life: Life, _: random.Random) -> None:
    life.weather.silent = True


_MISHAPS: tuple[tuple[str, int, Callable[[Life, random.Random], Awaitable[None]]], ...] = (
    ("forks", FORK_EVERY, _fork),
    ("database cuts", CUT_EVERY, _cut_database),
    ("node cuts", DROP_EVERY, _drop_nodes),
    ("silences", SILENCE_EVERY, _fall_silent),
)
