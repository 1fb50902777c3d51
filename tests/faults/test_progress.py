"""What counts as progress and what does not: waiting for others does, hanging with work before it does not.

Counted are the calls, so no clock takes part: a state in which the count goes on is one in which a watchdog is fed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from proxy import Proxy
from running import committed, wait_for
from watched import LENGTH, watched

from indexer import daemon, heads, migrate, staging, store
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode, NoAnswer
from indexer.devchain.simulate import simulated_chain
from indexer.metrics import Metrics
from indexer.node import METHOD_NOT_FOUND
from indexer.store import open_store

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("_short_timeouts")]

BEGUN = 6


class Counted(Metrics):
    """Metrics that tell how often something was got on with."""

    count = 0
    made: list[Counted] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made.append(self)

    def progressed(self) -> None:
        super().progressed()
        self.count += 1


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "Metrics", Counted)
    monkeypatch.setattr(heads, "POLL_S", 0.2)
    Counted.made.clear()


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


async def goes_on(times: int = 3) -> None:
    """The count rises from now on."""
    with anyio.fail_after(20):
        while not Counted.made:  # noqa: ASYNC110 - the daemon is only watched
            await anyio.sleep(0.01)
        metrics = Counted.made[-1]
        until = metrics.count + times
        while metrics.count < until:  # noqa: ASYNC110
            await anyio.sleep(0.02)


async def looks(devnode: DevNode, times: int) -> None:
    """Wait until the heads were asked for so often again."""
    until = devnode.requests["chain_getFinalizedHead"] + times
    with anyio.fail_after(20):
        while devnode.requests["chain_getFinalizedHead"] < until:  # noqa: ASYNC110
            await anyio.sleep(0.02)


def gauge(name: str) -> float | None:
    return Counted.made[-1].registry.get_sample_value(name)


async def test_idle_at_the_head_and_waiting_for_finality(database: str, chain: Chain, devnode: DevNode) -> None:
    grow(chain, BEGUN)
    async with watched(database, devnode.url, stop=LENGTH) as line:
        await wait_for(database, BEGUN)
        await goes_on()
        chain.grow(5)
        await looks(devnode, 2)
        await goes_on()
        assert await committed(database) == BEGUN
        assert (await line.get("/healthz"))[0] == 200
        grow(chain, LENGTH)


async def test_a_pipeline_that_hangs_below_the_head_is_none(database: str, chain: Chain, devnode: DevNode) -> None:
    """The loop turns, the heads are looked at, the database is pinged: nothing of that is what there is to do."""
    grow(chain, BEGUN)

    async def mute(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            raise NoAnswer
        return result

    async with watched(database, devnode.url, stop=LENGTH, rpc_timeout_s=3600.0) as line:
        await wait_for(database, BEGUN)
        devnode.tamper = mute
        grow(chain, BEGUN + 2)
        await looks(devnode, 3)
        before = Counted.made[-1].count
        await looks(devnode, 10)
        assert Counted.made[-1].count == before
        assert (await line.get("/readyz"))[0] == 200
        devnode.tamper = None
        devnode.drop_connections()
        grow(chain, LENGTH)
        await goes_on()


@pytest.mark.parametrize("lost", ["node", "database"])
async def test_waiting_for_a_node_or_database_that_is_down(database: str, chain: Chain, lost: str) -> None:
    grow(chain, BEGUN)
    async with Proxy(database) as proxy, DevNode(chain) as devnode:
        gate = Gate()
        devnode.tamper = gate
        async with watched(proxy.dsn, devnode.url, stop=LENGTH, rpc_timeout_s=0.5) as line:
            await wait_for(database, BEGUN)
            if lost == "node":
                gate.shut = True
            else:
                await proxy.refuse()
            await line.until(lambda reasons: lost in reasons)
            await goes_on()
            gate.shut = False
            if lost == "database":
                await proxy.accept()
            grow(chain, LENGTH)


class Gate:
    """A node that answers with errors while it is shut."""

    shut = False

    async def __call__(self, _method: str, _params: Any, result: Any) -> Any:
        if self.shut:
            raise RpcError(-32000, "no")
        return result


async def test_waiting_for_a_node_that_lags(database: str, chain: Chain) -> None:
    grow(chain, BEGUN)
    async with DevNode(chain) as devnode, watched(database, devnode.url, stop=BEGUN):
        pass
    late = simulated_chain(7)
    grow(late, BEGUN - 2)
    async with DevNode(late) as lagging, watched(database, lagging.url, stop=LENGTH) as line:
        await line.until(lambda reasons: "lags" in reasons.get("node", ""))
        await goes_on(2)
        grow(late, LENGTH)


async def test_standing_by_and_who_writes(database: str, chain: Chain, devnode: DevNode) -> None:
    grow(chain, BEGUN)
    async with open_store(database) as writer:
        await writer.lock_writer()
        async with watched(database, devnode.url, stop=LENGTH, standby=True) as line:
            await line.until(lambda reasons: "writer" in reasons)
            await goes_on()
            assert gauge("indexer_writer") == 0
            writer.give_up()
            await wait_for(database, BEGUN)
            assert gauge("indexer_writer") == 1
            grow(chain, LENGTH)
    assert gauge("indexer_writer") == 0


@pytest.mark.parametrize("proofs", [True, False])
async def test_a_whole_state_that_is_read_by_and_by(
    database: str, chain: Chain, devnode: DevNode, proofs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held up before its last answers: up to there it got on, though nothing is committed."""
    monkeypatch.setattr("indexer.fallback.KEYS_PER_CALL", 20)
    grow(chain, BEGUN)
    enough, free = anyio.Event(), anyio.Event()
    counts: list[int] = []
    method_of_state = "state_getReadProof" if proofs else "state_getKeysPaged"

    async def held(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof" and not proofs:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        if method == method_of_state:
            counts.append(Counted.made[-1].count)
            if counts[-1] > counts[0] + 1:
                enough.set()
                await free.wait()
        return result

    devnode.tamper = held
    async with watched(database, devnode.url, start=BEGUN, stop=BEGUN, rpc_timeout_s=3600.0):
        with anyio.fail_after(30):
            await enough.wait()
        assert await committed(database) == -1
        free.set()


async def test_a_long_migration(database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(chain, BEGUN)
    free = anyio.Event()
    upgrade: Callable[[str], Any] = migrate.upgrade

    async def long(dsn: str) -> None:
        await free.wait()
        await upgrade(dsn)

    monkeypatch.setattr(migrate, "upgrade", long)
    async with watched(database, devnode.url, stop=BEGUN) as line:
        await goes_on(2)
        assert "database" in await line.reasons()
        free.set()


@pytest.mark.parametrize("proofs", ["proofs", "no proofs"])
async def test_a_commit_tells_of_each_table_before_its_end(
    database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch, proofs: str
) -> None:
    """The transaction of a whole state may take longer than the watchdog waits."""
    grow(chain, BEGUN)
    counts: list[int] = []

    def noted(write: Callable[..., Any]) -> Callable[..., Any]:
        async def note(*given: Any, **named: Any) -> Any:
            counts.append(Counted.made[-1].count)
            return await write(*given, **named)

        return note

    async def without_proofs(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        return result

    if proofs == "proofs":  # read in parts, of which the rows wait: some tables are moved, some written
        monkeypatch.setattr(staging, "write_table", noted(staging.write_table))
        monkeypatch.setattr(staging, "_move", noted(staging._move))
    else:
        devnode.tamper = without_proofs
        monkeypatch.setattr(store, "write_table", noted(store.write_table))
    async with watched(database, devnode.url, stop=0):
        pass
    assert len(set(counts)) == len(counts) > 3, "before each table of the first block, at least those of one"
