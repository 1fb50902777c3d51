"""`indexer verify` as a person runs it, and the same on the daemon's schedule."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import anyio
import asyncpg
import pytest
from anyio import to_thread
from running import index, indexer_async, running
from tables import all_rows, assert_equal

from indexer import config, daemon
from indexer.devchain.rpc import Params
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.verify import Report, verify

pytestmark = pytest.mark.anyio

LENGTH = 12


@pytest.fixture
async def devnode() -> AsyncIterator[DevNode]:
    chain = simulated_chain(7)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    async with DevNode(chain) as node:
        yield node


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_command_tells_what_differs_and_repairs_it(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=LENGTH)
    before = await all_rows(database)
    arguments = ("verify", "--network", devnode.url, "--database-url", database)
    right = await indexer_async(*arguments)
    assert (right.code, "no difference in" in right.out) == (0, True), right
    assert "not compared" not in right.out

    await execute(database, "UPDATE balances SET free = free + 5 WHERE account = (SELECT min(account) FROM balances)")
    await execute(database, "DELETE FROM subnet_info WHERE netuid = 1")
    wrong = await indexer_async(*arguments, "--json")
    assert wrong.code == 1
    report = json.loads(wrong.out)
    assert (report["block"], report["whole"], report["maps"] > 150) == (LENGTH, True, True)
    assert (report["api_values"] > 100, report["skipped"]) == (True, [])
    assert {(one["table"], len(one["key"])) for one in report["differences"]} == {("balances", 1), ("subnet_info", 1)}
    shown = await indexer_async(*arguments)
    assert shown.code == 1, shown
    assert "differences at block 12" in shown.out, shown
    assert "System.Account" in shown.out, shown.out
    assert (await indexer_async(*arguments, "--sample", "1000")).code == 1

    repaired = await indexer_async(*arguments, "--repair")
    assert (repaired.code, "repaired 2 rows" in repaired.out) == (0, True), repaired
    assert_equal(await all_rows(database), before)
    again = await indexer_async(*arguments, "--repair", "--json")
    assert (again.code, "repaired" in json.loads(again.out)) == (0, False)


async def test_a_repair_beside_a_running_indexer_is_refused(database: str, devnode: DevNode) -> None:
    async with running(database, devnode.url):
        with anyio.fail_after(30):
            while (await indexer_async("verify", "--network", devnode.url, "--database-url", database)).code != 0:  # noqa: ASYNC110
                await anyio.sleep(0.5)
        refused = await indexer_async("verify", "--network", devnode.url, "--database-url", database, "--repair")
    assert refused.code == 4
    assert "another instance writes to this database" in refused.err


async def test_a_node_that_lies_in_a_proof_is_no_witness(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=LENGTH)

    async def alter(method: str, params: Params, result: Any) -> Any:
        if method == "state_getReadProof" and len(params[0]) > 100:
            longest = max(result["proof"], key=len)
            result["proof"][result["proof"].index(longest)] = longest[:-2] + ("00" if longest[-2:] != "00" else "11")
        return result

    devnode.tamper = alter
    ended = await indexer_async("verify", "--network", devnode.url, "--database-url", database)
    assert ended.code != 0
    assert "is missing" in ended.err
    assert "difference" not in ended.out


async def test_the_daemon_verifies_by_itself(database: str, devnode: DevNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each multiple of the setting, near the head, and with what it found in the metrics."""
    monkeypatch.setattr("indexer.verify.schedule.POLL_S", 0.05)
    monkeypatch.setattr("indexer.verify.schedule.NEAR_HEAD_BLOCKS", -1)
    rounds: list[int] = []

    async def counted(*given: Any) -> Report:
        report = await verify(*given)
        rounds.append(report.block.number // 5)
        return report

    monkeypatch.setattr("indexer.verify.schedule.verify", counted)
    free = config.load({"metrics_address": "127.0.0.1:0"})
    assert free.verify_every_blocks == 7200
    ports: list[int] = []
    serve = daemon.exposition.serve

    def noting(metrics: Any, address: str) -> Any:
        endpoint = serve(metrics, address)
        ports.append(endpoint.port)
        return endpoint

    monkeypatch.setattr(daemon.exposition, "serve", noting)

    async def metric(name: str) -> float:
        def read() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/metrics", timeout=5) as answer:
                return str(answer.read().decode())

        text = await to_thread.run_sync(read)
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))

    async def until(name: str, value: float) -> None:
        with anyio.fail_after(20):
            while not ports or await metric(name) != value:  # noqa: ASYNC110 - only the scrape tells
                await anyio.sleep(0.05)

    given = {
        "network": (devnode.url,), "database_url": database, "start": "genesis", "metrics_address": "127.0.0.1:0",
        "verify_every_blocks": 5,
    }  # fmt: skip
    async with anyio.create_task_group() as group:
        group.start_soon(daemon.serve, config.load(given))
        await until("indexer_committed_block", LENGTH)
        await anyio.sleep(1)
        assert rounds == [], "as good as far behind the head"
        monkeypatch.setattr("indexer.verify.schedule.NEAR_HEAD_BLOCKS", 64)
        await until("indexer_verified_block", LENGTH)
        assert await metric("indexer_verify_differences") == 0
        assert await metric("indexer_verify_seconds") > 0
        await execute(database, "UPDATE subnet_info SET subnet_mechanism = 7")
        devnode.chain.grow(2)
        devnode.chain.finalize(LENGTH + 2)
        await until("indexer_committed_block", LENGTH + 2)
        await anyio.sleep(1)
        assert await metric("indexer_verified_block") == LENGTH
        devnode.chain.grow(1)
        devnode.chain.finalize(LENGTH + 3)
        await until("indexer_verified_block", LENGTH + 3)
        assert await metric("indexer_verify_differences") > 0
        assert rounds == [2, 3]
        group.cancel_scope.cancel()
