"""The health endpoints tell the truth of a hung process, of one that has lost everything, and of one that is late."""

from __future__ import annotations

import json
import re
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from proxy import Proxy
from running import wait_for
from watched import Watched, get, watched

from indexer import metrics
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode

pytestmark = pytest.mark.anyio

HANGS = """
import sys, time
from functools import partial
from indexer import daemon, metrics, store
daemon.Metrics = partial(metrics.Metrics, stalled_after_s=2.0)
write = store.Store.write
async def hang(self, blocks, datasets):
    if blocks[-1].ref.number > 6:
        time.sleep(3600)  # holds the loop, as a call does that should have been in a thread
    return await write(self, blocks, datasets)
store.Store.write = hang
from indexer import cli
cli.main()
"""


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


async def test_a_process_whose_loop_hangs_says_so_itself(
    database: str, chain: Chain, devnode: DevNode, tmp_path: Path
) -> None:
    """A process of its own: nothing that is left of it but the thread of the health endpoints could answer."""
    assert metrics.STALLED_AFTER_S <= 30
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    grow(chain, 6)
    arguments = ["run", "--network", devnode.url, "--database-url", database, "--start", "genesis"]
    command = [sys.executable, str(script), *arguments, "--metrics-address", address, "--ready-lag-s", "1e9"]
    process = await anyio.open_process(command, stdout=None, stderr=None)

    async def ask(path: str) -> tuple[int, str]:
        return await anyio.to_thread.run_sync(get, f"http://{address}{path}")

    try:
        await wait_for(database, 6)
        with anyio.fail_after(10):
            while (await ask("/readyz"))[0] != 200:  # noqa: ASYNC110 - another process
                await anyio.sleep(0.1)
        assert (await ask("/healthz"))[0] == 200
        grow(chain, 7)
        with anyio.fail_after(20):
            while (await ask("/healthz"))[0] != 503:  # noqa: ASYNC110
                await anyio.sleep(0.1)
        assert process.returncode is None
        status, body = await ask("/readyz")
        assert (status, json.loads(body)["reasons"]["loop"]) == (503, "the event loop hangs")
        lags = []
        for _ in range(2):
            _, text = await ask("/metrics")
            lags += map(float, re.findall(r"^indexer_lag_seconds (\S+)", text, re.M))
            await anyio.sleep(0.2)
        assert lags[1] > lags[0]
    finally:
        process.kill()
        await process.wait()
        await process.aclose()


async def alive_for(line: Watched, seconds: float, *reasons: str) -> None:
    with anyio.move_on_after(seconds):
        while True:
            assert set(reasons) <= set(await line.reasons())
            assert (await line.get("/healthz"))[0] == 200
            await anyio.sleep(0.1)


@pytest.mark.usefixtures("_short_timeouts")
async def test_without_node_and_database_it_is_alive_and_not_ready_and_says_why(database: str, chain: Chain) -> None:
    grow(chain, 6)
    async with AsyncExitStack() as nodes, Proxy(database) as proxy:
        devnode = await nodes.enter_async_context(DevNode(chain))
        port = devnode.port
        async with watched(proxy.dsn, devnode.url, stop=8, rpc_timeout_s=0.5) as line:
            await wait_for(database, 6)
            await line.until(lambda reasons: not reasons)
            await nodes.aclose()
            await line.until(lambda reasons: "node" in reasons)
            await proxy.refuse()
            await line.until(lambda reasons: {"node", "database"} <= set(reasons))
            await alive_for(line, 3.0, "node", "database")
            await proxy.accept()
            async with DevNode(chain, port=port):
                grow(chain, 8)
                await line.ended.wait()


async def test_it_is_not_ready_while_it_lags_also_after_a_restart(
    database: str, chain: Chain, devnode: DevNode
) -> None:
    """The simulated chain's clock began long ago: with an ordinary limit it is behind, with a wide one it is not.

    The second start finds nothing to write: lag counts from what is there, not from the start.
    """
    grow(chain, 6)
    for limit_s, expected in ((180.0, {"lag"}), (1e9, set())):
        async with watched(database, devnode.url, stop=chain.best.number + 1, ready_lag_s=limit_s) as line:
            reasons = await line.until(lambda reasons: not {"node", "database", "writer"} & set(reasons))
            await wait_for(database, chain.best.number)
            reasons = await line.until(lambda reasons, expected=expected: set(reasons) == expected)
            assert all("limit is 180 s" in reason for reason in reasons.values())
            assert (await line.get("/healthz"))[0] == 200
            _, text = await line.get("/metrics")
            lag_s = float(re.findall(r"^indexer_lag_seconds (\S+)", text, re.M)[0])
            assert lag_s > 1e6
            assert f"indexer_committed_block {chain.best.number}.0" in text
            grow(chain, chain.best.number + 1)
