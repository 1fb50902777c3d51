"""What a database may suffer for a while in a story, each as Postgres itself would let us feel it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import asyncpg
from proxy import Fault, Proxy

APPLICATION = "bittensor-indexer"
CUTS = 3
"""New connections that are cut as well, each at some byte."""


@asynccontextmanager
async def outage(
    kind: str, dsn: str, proxy: Proxy | None, chance: random.Random, lasts_s: float
) -> AsyncIterator[None]:
    """Within the context, and for ``lasts_s`` beyond, the database at ``dsn`` is at fault; then it is well again."""
    if proxy is not None:
        await _begin_between(kind, proxy, chance)
        yield
        await anyio.sleep(lasts_s)
        proxy.flow()
        if kind == "refused":
            await proxy.accept()
        proxy.fault_of = lambda _: None
        return
    admin = await asyncpg.connect(dsn, server_settings={"application_name": "admin"})
    if kind == "killed":
        await _kill(admin)
        yield
        await _wait_for_answer(dsn)
    elif kind == "ended":
        await _end_sessions(admin)
        yield
        await anyio.sleep(lasts_s)
        await _end_sessions(admin)
    elif kind == "locked":
        async with admin.transaction():
            await admin.execute("LOCK TABLE balance_history IN ACCESS EXCLUSIVE MODE")
            yield
            await anyio.sleep(lasts_s)
    else:
        begin, end = await _statements(kind, admin, chance)
        await admin.execute(begin)
        if kind == "read_only":
            await _end_sessions(admin)
        yield
        await anyio.sleep(lasts_s)
        await admin.execute(end)
    await admin.close()


async def _begin_between(kind: str, proxy: Proxy, chance: random.Random) -> None:
    """What happens on the way to the server."""
    if kind == "hung":
        proxy.stall()
    elif kind == "refused":
        await proxy.refuse()
    else:
        until = proxy.connections + CUTS
        after_bytes = [int(10 ** chance.uniform(2.5, 5.3)) for _ in range(CUTS + 1)]
        proxy.fault_of = lambda number: Fault("cut", after_bytes[until - number]) if number <= until else None
        proxy.cut()


async def _statements(kind: str, admin: asyncpg.Connection[asyncpg.Record], chance: random.Random) -> tuple[str, str]:
    """How a disk that is full (by a trigger that raises what Postgres does then) or read-only begins and ends."""
    if kind == "full":
        table = chance.choice(["balance_history", "blocks", "cursors"])
        return (
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; "
            f"CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION full_disk()",
            f"DROP TRIGGER no_space ON {table}; DROP FUNCTION full_disk",
        )
    name = await admin.fetchval("SELECT current_database()")
    setting = "default_transaction_read_only"
    return f"ALTER DATABASE {name} SET {setting} = on", f"SET {setting} = off; ALTER DATABASE {name} RESET {setting}"


async def _end_sessions(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """What a fail-over does to clients."""
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = $1",
        APPLICATION,
    )


async def _kill(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """SIGKILL for the process that serves the indexer: Postgres drops everybody, and recovers from its log."""
    served = await admin.fetchval(
        "SELECT coalesce(max(pid), pg_backend_pid()) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = $1",
        APPLICATION,
    )
    os.kill(served, signal.SIGKILL)
    with anyio.fail_after(10):
        while not admin.is_closed():  # noqa: ASYNC110 - the server tells by closing
            await anyio.sleep(0.01)


async def _wait_for_answer(dsn: str) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                connection = await asyncpg.connect(dsn)
            except (OSError, asyncpg.PostgresError):
                await anyio.sleep(0.02)
            else:
                await connection.close()
                return
