"""The database is cut, stalled, refused, full, locked, read-only or killed: the tables do not show it.

While it lasts the daemon is alive and not ready, tries again with growing pauses, and does not flood
the log; afterwards it goes on by itself and says so.
"""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from proxy import Fault, Proxy
from running import committed, index, wait_for
from tables import all_rows, assert_equal
from watched import LENGTH, Watched, watched

from indexer import daemon, embedded, errors, leader, session
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("_short_timeouts")]

BEGUN = 6
"""Blocks committed before the fault."""


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


async def assert_undisturbed(dsn: str, another: str, devnode: DevNode) -> None:
    """The tables are those of a run that nothing happened to."""
    await index(another, devnode.url, stop=LENGTH)
    assert_equal(await all_rows(dsn), await all_rows(another))


async def lasting(line: Watched, seconds: float) -> None:
    """The outage goes on: not ready all the time, alive all the time."""
    with anyio.move_on_after(seconds):
        while True:
            assert "database" in await line.reasons()
            status, _ = await line.get("/healthz")
            assert status == 200
            await anyio.sleep(0.1)


def fault_of(seed: int, connection: int) -> Fault | None:
    """What becomes of a connection: by seed and number alone, so that a seed repeats its story."""
    chance = random.Random(f"{seed} {connection}")
    kind: Any = chance.choice(["cut", "cut", "cut", "stall", "delay"])
    if connection == 2:  # the first that writes: not before it has shown that these settings are good
        return Fault("stall" if kind == "stall" else "cut", int(10 ** chance.uniform(4.5, 5.3)))
    if not 2 < connection < 14 or chance.random() < 0.15:
        return None
    return Fault(kind, int(10 ** chance.uniform(1.5, 5.3)))


@pytest.mark.parametrize("seed", range(8))
async def test_connections_cut_and_stalled_at_any_byte_leave_no_trace(
    database: str,
    another_database: str,
    chain: Chain,
    devnode: DevNode,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    monkeypatch.setattr(daemon, "backoff", lambda: errors.backoff(0.05, 0.5))
    grow(chain, LENGTH)
    async with Proxy(database) as proxy:
        proxy.fault_of = lambda number: fault_of(seed, number)
        async with watched(
            proxy.dsn, devnode.url, stop=LENGTH, batch=1 + seed % 4, workers=1 + seed % 3, commit_timeout_s=1.0
        ) as line:
            await line.ended.wait()
        assert line.events("restart")
    await assert_undisturbed(database, another_database, devnode)


async def test_a_server_that_refuses_is_tried_with_growing_pauses_and_told_of_once(
    database: str, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    grow(chain, BEGUN)
    async with Proxy(database) as proxy, watched(proxy.dsn, devnode.url, stop=LENGTH) as line:
        await wait_for(database, BEGUN)
        await line.until(lambda reasons: not reasons)
        await proxy.refuse()
        await line.until(lambda reasons: "database" in reasons)
        grow(chain, LENGTH)
        await lasting(line, 4.0)
        _, metrics = await line.get("/metrics")
        restarts = sum(map(float, re.findall(r'indexer_restarts_total\{cause="StoreError"\} (\S+)', metrics)))
        assert 2 <= restarts <= 7, "a pause of 0.2 s that doubles gives about five tries in four seconds"
        assert len(line.events("restart")) == 1
        await proxy.accept()
        await wait_for(database, LENGTH)
    assert [line["tries"] >= 2 for line in line.events("restored")] == [True]
    await assert_undisturbed(database, another_database, devnode)


async def test_a_server_that_says_nothing_is_given_up(
    database: str, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    grow(chain, BEGUN)
    async with Proxy(database) as proxy, watched(proxy.dsn, devnode.url, stop=LENGTH, commit_timeout_s=1.0) as line:
        await wait_for(database, BEGUN)
        await line.until(lambda reasons: not reasons)
        proxy.stall()
        reasons = await line.until(lambda reasons: "database" in reasons, within_s=5)
        assert "answer" in reasons["database"]
        grow(chain, LENGTH)
        await lasting(line, 3.0)
        proxy.flow()
        await wait_for(database, LENGTH)
    assert line.events("restored")
    await assert_undisturbed(database, another_database, devnode)


async def test_a_session_that_the_server_still_holds_does_not_lock_us_out(
    database: str, another_database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection stays open at the server for ever; the second goes around the stalled proxy."""
    grow(chain, BEGUN)
    async with Proxy(database) as proxy:
        opened = session.asyncpg.connect
        through = [proxy.dsn]

        async def connect(_dsn: str, **options: object) -> object:
            return await opened(through[0], **options)

        monkeypatch.setattr(session.asyncpg, "connect", connect)
        # The commit's answer may be on its way when the proxy stalls: given up after a second, like any call here.
        async with watched(proxy.dsn, devnode.url, stop=LENGTH, commit_timeout_s=1.0) as line:
            await wait_for_directly(opened, database, BEGUN)
            proxy.stall()
            through[0] = database
            grow(chain, LENGTH)
            with anyio.fail_after(20):
                await line.ended.wait()
        assert line.events("own_session_ended")
        monkeypatch.undo()
    await assert_undisturbed(database, another_database, devnode)


async def wait_for_directly(opened: Callable[..., object], dsn: str, number: int) -> None:
    """``wait_for`` over a connection that the test has not bent."""
    connection: asyncpg.Connection[asyncpg.Record] = await opened(dsn)  # type: ignore[misc]
    with anyio.fail_after(20):
        while (await connection.fetchval("SELECT min(block_number) FROM cursors") or 0) < number:  # noqa: ASYNC110
            await anyio.sleep(0.02)
    await connection.close()


async def test_sigterm_while_the_database_hangs_ends_the_daemon_in_time(
    database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "PING_S", 600.0)  # nothing but the commit in hand meets the silence
    grow(chain, BEGUN)
    async with (
        Proxy(database) as proxy,
        watched(proxy.dsn, devnode.url, stop=LENGTH, commit_timeout_s=600.0, stop_timeout_s=1.0) as line,
    ):
        await wait_for(database, BEGUN)
        proxy.stall()
        grow(chain, LENGTH)
        await anyio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        with anyio.fail_after(6):
            await line.ended.wait()
    assert BEGUN <= await committed(database) <= LENGTH


async def test_a_full_disk_is_waited_out(database: str, another_database: str, chain: Chain, devnode: DevNode) -> None:
    """Not a real one, as in ``test_failover``: a trigger raises what Postgres raises then. It runs anywhere."""
    admin = await asyncpg.connect(database)
    grow(chain, BEGUN)
    async with watched(database, devnode.url, stop=LENGTH) as line:
        await wait_for(database, BEGUN)
        await admin.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        await admin.execute("CREATE TRIGGER no_space BEFORE INSERT ON balance_history EXECUTE FUNCTION full_disk()")
        grow(chain, LENGTH)
        reasons = await line.until(lambda reasons: "database" in reasons)
        assert "disk is full" in reasons["database"]
        await lasting(line, 3.0)
        assert len(line.events("restart")) == 1
        assert not line.events("restored"), "a disk that is full lets us connect, but nothing is restored by that"
        await admin.execute("DROP TRIGGER no_space ON balance_history")
        await admin.execute("DROP FUNCTION full_disk")
        await wait_for(database, LENGTH)
    await admin.close()
    assert len(line.events("restored")) == 1
    await assert_undisturbed(database, another_database, devnode)


async def test_a_table_locked_by_somebody_else_is_waited_for_without_queueing_for_ever(
    database: str, another_database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session.SETTINGS, "lock_timeout", "300ms")
    admin = await asyncpg.connect(database)
    grow(chain, BEGUN)
    async with watched(database, devnode.url, stop=LENGTH) as line:
        await wait_for(database, BEGUN)
        async with admin.transaction():
            await admin.execute("LOCK TABLE balance_history IN ACCESS EXCLUSIVE MODE")
            grow(chain, LENGTH)
            reasons = await line.until(lambda reasons: "database" in reasons)
            assert "LockNotAvailable" in reasons["database"]
            await lasting(line, 1.0)
        await wait_for(database, LENGTH)
    await admin.close()
    await assert_undisturbed(database, another_database, devnode)


async def test_a_server_that_is_read_only_after_a_fail_over_is_waited_out(
    database: str, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    admin = await asyncpg.connect(database, server_settings={"application_name": "admin"})
    name = await admin.fetchval("SELECT current_database()")
    grow(chain, BEGUN)
    async with watched(database, devnode.url, stop=LENGTH) as line:
        await wait_for(database, BEGUN)
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await end_sessions(admin)
        grow(chain, LENGTH)
        await line.until(lambda reasons: "read-only" in reasons.get("database", ""))
        await lasting(line, 1.0)
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await wait_for(database, LENGTH)
    await admin.close()
    await assert_undisturbed(database, another_database, devnode)


async def end_sessions(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """What a fail-over does to clients."""
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'bittensor-indexer'"
    )


async def test_sessions_ended_again_and_again_leave_no_trace(
    database: str, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    grow(chain, LENGTH)
    admin = await asyncpg.connect(database, server_settings={"application_name": "admin"})
    async with watched(database, devnode.url, stop=LENGTH, batch=2) as line:
        for height in (0, 5, 11, 16, 21):
            await wait_for(database, height)
            await end_sessions(admin)
    await admin.close()
    assert line.events("restart")
    await assert_undisturbed(database, another_database, devnode)


async def test_the_embedded_postgres_killed_twice_comes_back_under_the_daemon(
    data_dir: Path, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    options = {"fsync": "off", "full_page_writes": "off"}
    grow(chain, BEGUN)
    async with embedded.postgres(data_dir, options=options) as dsn:
        async with watched(dsn, devnode.url, stop=LENGTH) as line:
            for height in (BEGUN, 15):
                with anyio.fail_after(30):
                    while await committed_if_there(dsn) < height:  # noqa: ASYNC110 - the daemon writes it
                        await anyio.sleep(0.05)
                postmaster = int((data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
                os.kill(postmaster, signal.SIGKILL)
                grow(chain, {BEGUN: 15, 15: LENGTH}[height])
        assert len(line.events("restored")) == 2
        await assert_undisturbed(dsn, another_database, devnode)


async def committed_if_there(dsn: str) -> int:
    try:
        return await committed(dsn)
    except (OSError, asyncpg.PostgresError):
        return -1
