"""The service under a supervisor that does what systemd would do with the unit files of deploy/systemd.

Real processes, a real node's protocol, a real Postgres; only the supervisor is played, and times are shortened.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import asyncpg
import pytest
from running import committed, wait_for
from systemd_played import service
from watched import get

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode, NoAnswer
from indexer.devchain.simulate import simulated_chain
from indexer.errors import EXIT_USAGE
from indexer.store import open_store

pytestmark = pytest.mark.anyio

UNIT = "bittensor-indexer.service"
STANDBY = "bittensor-indexer-standby@.service"
STOP_S = 10.0
"""What is promised: so long after SIGTERM the process has ended. Without an embedded Postgres, which stops after it."""
WATCHDOG_S = 5.0
BEGUN = 6


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(7)
    grow(chain, BEGUN)
    return chain


@pytest.fixture
async def devnode(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as node:
        yield node


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


class Held:
    """A tamper that lets no answer to one method leave until ``let_go``."""

    def __init__(self, method: str) -> None:
        self._method, self._free = method, anyio.Event()
        self.asked = anyio.Event()

    async def __call__(self, method: str, _params: Any, result: Any) -> Any:
        if method == self._method:
            self.asked.set()
            await self._free.wait()
        return result

    def let_go(self) -> None:
        self._free.set()


async def mute(method: str, _params: Any, result: Any) -> Any:
    """A tamper that gives no proof, and whatever else is asked for."""
    if method == "state_getReadProof":
        raise NoAnswer
    return result


async def cursors(dsn: str) -> set[int]:
    """The blocks that datasets stand at, and the last stored one."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT block_number FROM cursors UNION SELECT max(block_number) FROM blocks")
    await connection.close()
    return {row["block_number"] for row in rows}


async def test_from_the_start_to_the_stop(database: str, chain: Chain, devnode: DevNode) -> None:
    held = devnode.tamper = Held("chain_getFinalizedHead")
    async with service(UNIT, database, devnode.url, watchdog_s=WATCHDOG_S) as started:
        life = started.life
        with anyio.fail_after(60):
            await held.asked.wait()
        await anyio.sleep(1)
        assert not life.count("READY=1"), "it is not aligned with the node yet"
        assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in life.told)
        held.let_go()
        await life.until("READY=1")
        await wait_for(database, BEGUN)
        await life.until("WATCHDOG=1", life.count("WATCHDOG=1") + 4)  # idle at the head, and nothing is amiss
        for number in range(BEGUN + 1, BEGUN + 4):
            grow(chain, number)
            await life.until("WATCHDOG=1", life.count("WATCHDOG=1") + 1)
            await wait_for(database, number)
        assert any(line.startswith(f"STATUS=block {BEGUN}, ") for line in life.told)
        grow(chain, BEGUN + 12)
        life.process.send_signal(signal.SIGTERM)
        assert await life.end(STOP_S) == 0
        assert life.count("STOPPING=1") == 1
        assert life.count("STATUS=finishing the blocks in hand"), "the end is told when it begins, not when it is over"
        assert life.told.index("READY=1") < life.told.index("STOPPING=1")
        await started.over.wait()
        assert len(started.lives) == 1
    found = await cursors(database)
    assert len(found) == 1, "every dataset and every row belong to one whole block"
    assert found.pop() >= BEGUN + 3


async def test_a_crash_and_a_frozen_process_are_restarted_and_go_on(
    database: str, chain: Chain, devnode: DevNode
) -> None:
    async with service(UNIT, database, devnode.url, watchdog_s=WATCHDOG_S) as started:
        await started.life.until("READY=1")
        await wait_for(database, BEGUN)
        started.life.process.send_signal(signal.SIGKILL)
        frozen = await started.next_life()
        assert not started.lives[0].tripped
        grow(chain, BEGUN + 1)
        await frozen.until("READY=1")
        await wait_for(database, BEGUN + 1)
        frozen.process.send_signal(signal.SIGSTOP)
        life = await started.next_life()
        assert frozen.tripped
        assert frozen.process.returncode in (-signal.SIGABRT, -signal.SIGKILL)
        grow(chain, BEGUN + 2)
        await life.until("READY=1")
        await wait_for(database, BEGUN + 2)
        assert not started.over.is_set()


async def test_a_wrong_configuration_is_told_and_left_to_a_person(database: str, devnode: DevNode) -> None:
    async with service(UNIT, database, devnode.url, batchh="1") as started:
        with anyio.fail_after(60):
            await started.over.wait()
        assert await started.life.end(1) == EXIT_USAGE
        assert len(started.lives) == 1
        assert not started.life.count("READY=1")


async def test_a_node_that_is_down_at_the_start_is_waited_for(database: str, chain: Chain) -> None:
    """Without a supervisor three tries end the process: a person waits. Here a machine boots, and the node is slow."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with service(UNIT, database, f"ws://127.0.0.1:{port}") as started:
        life = started.life
        with anyio.fail_after(60):
            while not any("cannot be reached" in line for line in life.told):
                assert life.process.returncode is None
                await anyio.sleep(0.05)
        extended = sum(line.startswith("EXTEND_TIMEOUT_USEC=") for line in life.told)
        with anyio.fail_after(60):
            while sum(line.startswith("EXTEND_TIMEOUT_USEC=") for line in life.told) < extended + 4:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert not life.count("READY=1")
        async with DevNode(chain, port=port):
            await life.until("READY=1")
            await wait_for(database, BEGUN)
            assert len(started.lives) == 1


async def test_a_pipeline_that_hangs_while_the_loop_turns_is_ended_by_the_watchdog(
    database: str, chain: Chain, devnode: DevNode
) -> None:
    """The node tells of heads, and gives no proof: whoever only looked whether the loop turns would ping for ever."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = {"rpc_timeout_s": "3600", "metrics_address": address, "progress_timeout_s": str(WATCHDOG_S * 0.6)}
    async with service(UNIT, database, devnode.url, watchdog_s=WATCHDOG_S, **options) as started:
        hung = started.life
        await hung.until("READY=1")
        await wait_for(database, BEGUN)

        async def health() -> tuple[int, dict[str, Any]]:
            status, body = await anyio.to_thread.run_sync(get, f"http://{address}/healthz")
            return status, json.loads(body)

        assert (await health())[0] == 200
        devnode.tamper = mute
        grow(chain, BEGUN + 1)
        with anyio.fail_after(30):
            while (await health())[0] != 503:  # noqa: ASYNC110 - another process
                await anyio.sleep(0.1)
        answer = (await health())[1]
        assert set(answer["reasons"]) == {"progress"}, "the loop turns"
        life = await started.next_life()
        assert hung.tripped
        assert hung.process.returncode == -signal.SIGABRT
        devnode.tamper = None
        await life.until("READY=1")
        await wait_for(database, BEGUN + 1)


async def test_a_standby_is_ready_while_it_waits_and_stops_in_time(database: str, devnode: DevNode) -> None:
    async with open_store(database) as writer:
        await writer.lock_writer()
        async with service(STANDBY, database, devnode.url, watchdog_s=WATCHDOG_S) as started:
            await started.life.until("READY=1")
            await started.life.until("WATCHDOG=1", started.life.count("WATCHDOG=1") + 4)
            assert any("standby" in line for line in started.life.told)
            started.life.process.send_signal(signal.SIGTERM)
            assert await started.life.end(STOP_S) == 0
            assert started.life.count("STOPPING=1") == 1
    assert await committed(database) == -1
