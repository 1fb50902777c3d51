"""A first state that is interrupted, or whose block or node is not what it was: gone on with, or begun anew."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import asyncpg
import pytest
from first_states import (
    HEAD,
    START,
    STRETCH_KEYS,
    WANTED_AT_ONCE,
    Gate,
    assert_nothing_seen,
    broken_off,
    finalized,
    gated,
    tables_besides,
    waiting,
)
from running import index, indexer_async
from structlog.testing import capture_logs
from tables import all_rows, assert_equal

from indexer import config, inspection, migrate, survey
from indexer.capture import CODE_KEY, EVENTS, item_prefix, track
from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode

pytestmark = pytest.mark.anyio

SHORT = (
    "from indexer import first_state, survey\n"
    f"first_state.STRETCH_KEYS, first_state.WANTED_AT_ONCE, survey.PROBES = {STRETCH_KEYS}, {WANTED_AT_ONCE}, 0\n"
    "from indexer.cli import main\n"
    "main()\n"
)
"""The command, with stretches as short as in this process."""


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return gated(monkeypatch)


@pytest.fixture
def chain() -> Chain:
    return finalized()


@pytest.fixture
async def devnode(chain: Chain, gate: Gate) -> AsyncIterator[DevNode]:
    async with DevNode(chain, tamper=gate) as node:
        yield node


def passed_over(asked: set[str], last: str) -> list[str]:
    """Of the paths asked for those with nothing below but keys before ``last``, or that one, and no plain value."""
    tracked = track(load(["default"]))
    plain = [item_prefix(item).hex() for item in (EVENTS, *tracked.reads, *tracked.parent_reads)]

    def leads_to(path: str, key: str) -> bool:
        return key.startswith(path) or (path.endswith("0") and key.startswith(path[:-1]))

    ways = [last, CODE_KEY.hex(), *plain]
    return [path for path in asked if path < last[: len(path)] and not any(leads_to(path, key) for key in ways)]


async def until(connection: Any, question: str, within_s: float = 30.0) -> None:
    with anyio.fail_after(within_s):
        while not await connection.fetchval(question):  # noqa: ASYNC110 - another process does it
            await anyio.sleep(0.02)


@pytest.mark.parametrize("moment", ["while parts are read", "while one is committed", "just before the end"])
async def test_a_killed_process_leaves_what_is_gone_on_with(
    database: str, another_database: str, devnode: DevNode, gate: Gate, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(survey, "PROBES", 0)  # it looks here and there, also at what is there already
    await index(another_database, devnode.url, start=START, stop=START)
    anew, gate.slow_s = gate.asked, 0.02
    await migrate.upgrade(database)
    run = ["run", "--network", devnode.url, "--database-url", database, "--metrics-address", "off"]
    process = await anyio.open_process(
        [sys.executable, "-c", SHORT, *run, "--start", str(START), "--stop", str(START)], stdout=None, stderr=None
    )
    connection = await asyncpg.connect(database)
    if moment == "while parts are read":
        await until(connection, "SELECT keys_read > 100 FROM first_states")
        gate.ended.set()
        process.send_signal(signal.SIGKILL)
    else:
        of = "first_states" if moment == "while one is committed" else "cursors"
        await until(connection, "SELECT keys_read > 200 FROM first_states")
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {of} IN SHARE ROW EXCLUSIVE MODE")
            await until(connection, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            process.send_signal(signal.SIGKILL)
            if moment == "just before the end":  # the server finds out, although its statement goes on
                await until(connection, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted)", 10.0)
    await process.wait()
    (begun,) = await connection.fetch("SELECT * FROM first_states")
    await connection.close()
    assert_nothing_seen(await all_rows(database))
    gate.slow_s, gate.ended, gate.asked = 0.0, anyio.Event(), set()
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    (told,) = [line for line in lines if line["event"] == "first_state_resumed"]
    assert told["keys"] == begun["keys_read"] > 0
    assert not passed_over(gate.asked, begun["last_key"].hex())
    assert len(passed_over(anew, begun["last_key"].hex())) > 30
    assert_equal(await all_rows(database), await all_rows(another_database))
    assert await tables_besides(database) == []


async def test_killed_again_and_again_it_ends_all_the_same(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await index(another_database, devnode.url, start=START, stop=START)
    reached = [0]
    for _ in range(3):
        await broken_off(database, devnode, gate, after=2, start=START, stop=START)
        reached += [row["keys_read"] for row in await waiting(database)]
    await index(database, devnode.url, start=START, stop=START)
    assert reached == sorted(set(reached))
    assert len(reached) == 4
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_begun_at_the_newest_block_it_goes_on_with_that_block_although_the_chain_has_moved(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start="latest", stop=HEAD + 3)
    (begun,) = await waiting(database)
    devnode.chain.grow(3)
    devnode.chain.finalize(HEAD + 3)
    await index(database, devnode.url, start="latest", stop=HEAD + 3)
    await index(another_database, devnode.url, start=begun["block_number"], stop=HEAD + 3)
    assert begun["block_number"] == HEAD
    assert begun["keys_read"] > 0
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_where_the_state_is_gone_meanwhile_it_begins_anew_and_says_so(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start="latest", stop=HEAD + 3)
    gate.gone = {"0x" + devnode.chain.at(number).hash.hex() for number in range(HEAD + 1)}
    devnode.chain.grow(3)
    devnode.chain.finalize(HEAD + 3)
    with capture_logs() as lines:
        await index(database, devnode.url, start="latest", stop=HEAD + 3)
    (told,) = [line for line in lines if line["event"] == "first_state_dropped"]
    assert (told["block"], told["reason"]) == (HEAD, "no endpoint has its state any more")
    await index(another_database, devnode.url, start="latest", stop=HEAD + 3)
    assert_equal(await all_rows(database), await all_rows(another_database))
    assert await tables_besides(database) == []


@pytest.mark.parametrize("why", ["its state is dropped", "another block takes its height"])
async def test_what_befalls_its_block_while_it_is_read_makes_it_begin_anew_and_leaves_nothing_of_it(
    database: str, another_database: str, devnode: DevNode, gate: Gate, why: str
) -> None:
    chain, lost = devnode.chain, devnode.chain.best
    chosen = {"start": HEAD, "stop": HEAD + 2, "follow": "best", "workers": 1}
    if why == "its state is dropped":
        chosen["start"] = "latest"
    else:
        chain.grow(1)
        lost = chain.best  # not final, as those after the start may be
        chosen["start"] = lost.number

    def befall() -> None:
        if why == "its state is dropped":
            gate.gone = {"0x" + chain.at(number).hash.hex() for number in range(HEAD + 1)}
            chain.grow(2)
        else:
            chain.fork(HEAD, 2)
        chain.finalize(HEAD + 2)

    gate.at_part[2] = befall
    with capture_logs() as lines:
        await index(database, devnode.url, **chosen)
    (told,) = [line for line in lines if line["event"] == "first_state_dropped"]
    reason = (
        "no endpoint has its state any more"
        if chosen["start"] == "latest"
        else "its block is not on the chain any more"
    )
    assert (told["block"], told["reason"]) == (lost.number, reason)
    assert told["keys"] > 0
    assert await tables_besides(database) == []
    assert await waiting(database) == []
    await index(another_database, devnode.url, **chosen)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_in_the_middle_the_commands_tell_what_is_there_and_what_is_not(
    database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start="latest", stop=HEAD)
    (begun,) = await waiting(database)
    devnode.chain.grow(2)
    devnode.chain.finalize(HEAD + 2)
    given = config.load({"network": (devnode.url,), "database_url": database})
    told = await inspection.status(given)
    (state,) = told.first_states
    assert (state.block, state.keys_read) == (HEAD, begun["keys_read"])
    assert (told.committed_block, told.is_complete, told.datasets) == (None, False, ())
    verify = await indexer_async("verify", "--network", devnode.url, "--database-url", database)
    assert (verify.code, "nothing is indexed yet" in verify.err) == (2, True)
    status = await indexer_async("status", "--database-url", database)
    assert f"first state of block {HEAD}: {begun['keys_read']} keys read" in status.out
    check = await indexer_async("check", "--network", devnode.url, "--database-url", database)
    words = f"would go on with the first state of block {HEAD}, of which {begun['keys_read']} keys are read"
    assert words in check.out


async def test_an_endpoint_that_lags_does_not_lose_what_is_read(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start=START, stop=START)
    gate.unknown[START] = 3
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    assert gate.unknown[START] == 0
    assert [line["event"] for line in lines].count("first_state_resumed") == 1
    await index(another_database, devnode.url, start=START, stop=START)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_a_node_that_begins_to_lie_ends_the_run_and_an_honest_one_goes_on(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    gate.lies_after = 2
    with anyio.move_on_after(5) as time:
        await index(database, devnode.url, start=START, stop=START)
    assert time.cancelled_caught
    assert_nothing_seen(await all_rows(database))
    (begun,) = await waiting(database)
    assert begun["keys_read"] > 0
    gate.lies_after = 10**9
    await index(database, devnode.url, start=START, stop=START)
    await index(another_database, devnode.url, start=START, stop=START)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_rows_that_a_crash_of_the_server_took_are_read_anew(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=3, start=START, stop=START)
    connection = await asyncpg.connect(database)
    tables = await tables_besides(database)
    await connection.execute(f"TRUNCATE {tables[0]}")  # what a crash does to unlogged tables
    await connection.close()
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    assert not [line for line in lines if line["event"] == "first_state_resumed"]
    await index(another_database, devnode.url, start=START, stop=START)
    assert_equal(await all_rows(database), await all_rows(another_database))
