"""A simulated chain, the indexer that follows it, and a Prometheus that scrapes it: what dashboards are drawn from.

Things happen that dashboards show: a catch-up, a reorg, an endpoint that goes away, comparisons with the chain.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process
from prometheus_server import PrometheusServer, prometheus
from running import command, index, wait_for

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

JOB = "indexer"
FINAL_BELOW = 4
"""Blocks between the best head and the finalized one: a reorg needs some."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What to ask, and from when on there are data."""

    prometheus: PrometheusServer
    dsn: str
    chain: Chain
    first_node: DevNode
    begin_s: float
    """Time of the first block."""
    scraped_s: float
    """When Prometheus began."""
    growing: anyio.Lock
    """Held while a block is made: who takes it stops the chain."""

    async def reorganize(self) -> None:
        """Three blocks that are committed give way to five others."""
        async with self.growing:
            await wait_for(self.dsn, self.chain.best.number, within_s=60)
            self.chain.fork(self.chain.best.number - 3, 5)


@asynccontextmanager
async def watched_chain(
    folder: Path,
    dsn: str,
    *,
    past_blocks: int,
    block_s: float,
    scrape_s: float,
    rule_files: Sequence[Path] = (),
    verify_every_blocks: int = 20,
) -> AsyncIterator[Watched]:
    """A chain ``past_blocks`` old that goes on, followed by ``indexer run`` into the migrated database ``dsn``."""
    begin_s = time.time() - past_blocks * block_s
    chain = simulated_chain(7, start_ms=int(begin_s * 1000), block_ms=int(block_s * 1000))
    chain.grow(past_blocks)
    chain.finalize(past_blocks)
    async with DevNode(chain) as one, DevNode(chain) as two, anyio.create_task_group() as group:
        async with _indexer(folder, dsn, f"{one.url},{two.url}", verify_every_blocks) as port:
            targets = {JOB: [f"127.0.0.1:{port}"]}
            async with prometheus(folder, targets, rule_files=rule_files, step_s=scrape_s) as server:
                scraped_s = time.time()
                growing = anyio.Lock()
                group.start_soon(_beat, chain, begin_s, block_s, growing, name="the chain goes on")
                yield Watched(server, dsn, chain, one, begin_s, scraped_s, growing)
        group.cancel_scope.cancel()


async def filled(dsn: str, blocks: int, block_s: float) -> float:
    """A chain of so many blocks, and those that were due meanwhile, indexed into the migrated database ``dsn``.

    Returns when its first block was.
    """
    begin_s = time.time() - blocks * block_s
    chain = simulated_chain(7, start_ms=int(begin_s * 1000), block_ms=int(block_s * 1000))
    async with DevNode(chain) as node:
        while (due := int((time.time() - begin_s) / block_s)) > chain.best.number:
            chain.grow(due - chain.best.number)
            chain.finalize(due)
            await index(dsn, node.url, stop=due)
    return begin_s


async def _beat(chain: Chain, begin_s: float, block_s: float, growing: anyio.Lock) -> None:
    """A block whenever its time has come: none is from the future."""
    while True:
        if begin_s + (chain.best.number + 1) * block_s <= time.time():
            async with growing:
                chain.grow(1)
                chain.finalize(max(chain.finalized.number, chain.best.number - FINAL_BELOW))
        await anyio.sleep(block_s / 10)


@asynccontextmanager
async def _indexer(folder: Path, dsn: str, urls: str, verify_every_blocks: int) -> AsyncIterator[int]:
    """``indexer run`` until the end of the context; gives the port of its metrics."""
    log = folder / "indexer.log"
    arguments = ["run", "--network", urls, "--database-url", dsn, "--start", "genesis", "--follow", "best"]
    arguments += ["--metrics-address", "127.0.0.1:0", "--log-format", "json", "--batch", "20"]
    arguments += ["--verify-every-blocks", str(verify_every_blocks), "--rpc-timeout-s", "5"]
    with log.open("wb") as output:
        process = await anyio.open_process(command(*arguments), stdin=None, stdout=output, stderr=output)
        try:
            with anyio.fail_after(60):
                while (port := _port(log)) is None:
                    _must_live(process, log)
                    await anyio.sleep(0.05)
            yield port
            _must_live(process, log)
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                await process.wait()
                await process.aclose()


def _must_live(process: Process, log: Path) -> None:
    assert process.returncode is None, log.read_text(encoding="utf-8")[-2000:]


def _port(log: Path) -> int | None:
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "metrics":
            return int(event["port"])
    return None
