"""No call of a session waits for ever, and a session that was given up is not waited for either."""

from __future__ import annotations

import time

import anyio
import pytest
from proxy import Proxy

from indexer import migrate, session
from indexer.errors import StoreError
from indexer.session import Session, open_session

pytestmark = pytest.mark.anyio


async def test_a_slow_call_is_given_up_and_the_session_with_it(database: str) -> None:
    began_s = time.monotonic()
    async with open_session(database, application="test") as opened:
        with pytest.raises(StoreError, match="sleep: the database did not answer within 0 s"):
            async with opened.transaction("sleep", 0.2) as connection:
                await connection.execute("SELECT pg_sleep(30)")
        assert opened.lost
        with pytest.raises(StoreError, match="is lost"):
            async with opened.calls("more"):
                pass
    assert time.monotonic() - began_s < 2


async def stalled_copy(opened: Session, proxy: Proxy, timeout_s: float) -> None:
    """Far more than fits into the buffers on the way."""
    async with opened.transaction("copy", timeout_s) as connection:
        await connection.execute("CREATE TEMP TABLE t (x text)")
        proxy.stall()
        await connection.copy_records_to_table("t", records=[("x" * 1000,)] * 50_000)


async def test_a_stalled_copy_is_given_up_without_a_word_from_the_server(database: str) -> None:
    async with Proxy(database) as proxy:
        began_s = time.monotonic()
        async with open_session(proxy.dsn, application="test") as opened:
            with pytest.raises(StoreError, match="did not answer within 1 s"):
                await stalled_copy(opened, proxy, 1.0)
        assert time.monotonic() - began_s < 4


async def test_a_connection_lost_while_a_copy_waits_to_write_is_noticed_at_once(database: str) -> None:
    async with Proxy(database) as proxy:
        began_s = time.monotonic()
        async with open_session(proxy.dsn, application="test") as opened, anyio.create_task_group() as group:

            async def cut() -> None:
                await anyio.sleep(0.7)
                proxy.cut()

            group.start_soon(cut)
            with pytest.raises(StoreError, match="the connection was lost"):
                await stalled_copy(opened, proxy, 60.0)
        assert time.monotonic() - began_s < 4


async def test_a_call_that_is_cancelled_costs_the_session_as_its_state_is_not_known(database: str) -> None:
    async with open_session(database, application="test") as opened:
        with anyio.move_on_after(0.1):
            async with opened.calls("sleep") as connection:
                await connection.execute("SELECT pg_sleep(30)")
        assert opened.lost


async def test_a_server_that_accepts_and_says_nothing_costs_a_connect_time_out(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(migrate, "CONNECT_TIMEOUT_S", 0.3)
    async with Proxy(database) as proxy:
        proxy.stall()
        with anyio.fail_after(3):
            with pytest.raises(StoreError, match="connect to the database"):
                async with open_session(proxy.dsn, application="test"):
                    pass
            with pytest.raises(StoreError, match="cannot reach"):
                await migrate.upgrade(proxy.dsn)


async def test_a_server_that_falls_silent_while_it_is_asked_for_its_revision_is_given_up(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "CHECK_TIMEOUT_S", 0.7)
    monkeypatch.setattr(migrate, "CONNECT_TIMEOUT_S", 0.7)  # on a busy machine it may be silent before it is asked
    async with Proxy(database) as proxy, anyio.create_task_group() as group:

        async def stall() -> None:
            while not proxy.connections:  # noqa: ASYNC110 - the proxy has no event for it
                await anyio.sleep(0.001)
            await anyio.sleep(0.03)
            proxy.stall()

        group.start_soon(stall)

        async def ask() -> None:
            while True:
                await migrate.upgrade(proxy.dsn)

        with anyio.fail_after(4), pytest.raises(StoreError, match="cannot reach"):
            await ask()
