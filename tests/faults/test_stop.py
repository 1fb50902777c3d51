"""SIGTERM ends the process within the promised ten seconds, with exit code 0, whatever it waits for at that moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import anyio
import pytest
from proxy import Proxy
from running import committed, index, wait_for
from watched import LENGTH, Watched, watched

from indexer import config, first_state, migrate, pipeline, session
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.model import BlockRows
from indexer.node import METHOD_NOT_FOUND
from indexer.store import open_store

pytestmark = pytest.mark.anyio

STOP_S = 10.0
CLOSE_S = 3.0
"""What closing the connections may take at most, after the blocks in hand."""
BEGUN = 6


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


async def stop(line: Watched) -> None:
    """Nothing is raised: a Fatal would be the exit code."""
    os.kill(os.getpid(), signal.SIGTERM)
    with anyio.fail_after(STOP_S):
        await line.ended.wait()


def test_the_time_to_finish_leaves_time_to_close() -> None:
    assert config.Settings().stop_timeout_s + CLOSE_S < STOP_S


async def test_while_a_whole_state_is_read(database: str, chain: Chain, devnode: DevNode) -> None:
    grow(chain, BEGUN)
    asked, free = anyio.Event(), anyio.Event()

    async def held(method: str, params: Any, result: Any) -> Any:
        if method == "state_getReadProof" and len(params[0]) > 1:  # one key only: whether proofs are served at all
            asked.set()
            await free.wait()
        return result

    devnode.tamper = held
    async with watched(database, devnode.url, stop=LENGTH, rpc_timeout_s=3600.0, stop_timeout_s=1.0) as line:
        with anyio.fail_after(30):
            await asked.wait()
        await stop(line)
        free.set()
    assert await committed(database) == -1


@pytest.mark.parametrize("module", [first_state, pipeline], ids=["in parts", "at once, without proofs"])
async def test_while_a_whole_state_becomes_rows_in_a_thread(
    database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    """Nothing ends a thread from outside, and the process waits for it."""
    grow(chain, BEGUN)
    begun = anyio.Event()

    async def without_proofs(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        return result

    def for_ever(*given: Any) -> BlockRows:
        progressed: Callable[[], None] = given[-1]
        anyio.from_thread.run_sync(begun.set)
        while True:
            progressed()
            time.sleep(0.05)

    if module is pipeline:
        devnode.tamper = without_proofs
    monkeypatch.setattr(module, "decode", for_ever)
    async with watched(database, devnode.url, stop=LENGTH, stop_timeout_s=1.0) as line:
        with anyio.fail_after(30):
            await begun.wait()
        await stop(line)
    assert await committed(database) == -1


@pytest.mark.usefixtures("_short_timeouts")
async def test_while_the_database_is_down(database: str, chain: Chain, devnode: DevNode) -> None:
    grow(chain, BEGUN)
    async with Proxy(database) as proxy, watched(proxy.dsn, devnode.url, stop=LENGTH) as line:
        await wait_for(database, BEGUN)
        await proxy.refuse()
        await line.until(lambda reasons: "database" in reasons)
        await stop(line)


async def test_while_it_comes_up_and_the_database_is_silent(
    database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are accepted and nothing is answered: whoever waited for the time-outs would come too late."""
    monkeypatch.setattr(session, "CONNECT_TIMEOUT_S", 60.0)
    monkeypatch.setattr(migrate, "CONNECT_TIMEOUT_S", 60.0)
    monkeypatch.setattr(migrate, "CHECK_TIMEOUT_S", 60.0)
    grow(chain, BEGUN)
    await index(database, devnode.url, stop=3)
    async with Proxy(database) as proxy:
        async with watched(proxy.dsn, devnode.url, stop=LENGTH) as line:
            proxy.stall()
            proxy.cut()
            await anyio.sleep(1.5)
            await stop(line)
        proxy.flow()


async def test_while_a_node_that_lags_is_waited_for(database: str, chain: Chain, devnode: DevNode) -> None:
    grow(chain, BEGUN)
    await index(database, devnode.url, stop=BEGUN)
    late = simulated_chain(7)
    grow(late, BEGUN - 2)
    async with DevNode(late) as lagging, watched(database, lagging.url, stop=LENGTH) as line:
        await line.until(lambda reasons: "lags" in reasons.get("node", ""))
        await stop(line)
    assert await committed(database) == BEGUN


async def test_while_it_stands_by(database: str, devnode: DevNode) -> None:
    async with open_store(database) as writer:
        await writer.lock_writer()
        async with watched(database, devnode.url, stop=LENGTH, standby=True) as line:
            await line.until(lambda reasons: "writer" in reasons)
            await stop(line)
