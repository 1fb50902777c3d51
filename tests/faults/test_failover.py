"""Two Postgres servers with streaming replication: the primary dies, the standby is promoted, and nothing shows it.

Also what only a real server does: a backend that is frozen while it appends rows, and a disk without space.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import asyncpg
import pytest
from anyio.abc import Process
from running import index, wait_for
from tables import all_rows, assert_equal
from watched import LENGTH, Watched, watched

from indexer import migrate
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.embedded.place import USER, Place, environment, initialise, prepare

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("_short_timeouts")]

BEGUN = 6
"""Blocks committed before the fault."""
OPTIONS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "shared_buffers": "32MB"}


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


async def not_ready_for(line: Watched, seconds: float) -> None:
    """Not ready all the time, alive all the time."""
    with anyio.move_on_after(seconds):
        while True:
            assert "database" in await line.reasons()
            assert (await line.get("/healthz"))[0] == 200
            await anyio.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def server(place: Place, folder: Path, port: int) -> AsyncIterator[Process]:
    """A postmaster that nobody restarts."""
    options = [f"-c{name}={value}" for name, value in {**OPTIONS, "port": str(port)}.items()]
    command = place.command("postgres", "-D", str(folder), *options)
    with (place.root / f"{folder.name}.log").open("ab") as log:
        process = await anyio.open_process(command, stdout=log, stderr=log, cwd="/", env=environment())
    try:
        await answers(url(place, port, "postgres"))
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.send_signal(signal.SIGQUIT)
            await process.wait()
            await process.aclose()


def url(place: Place, port: int, database: str = "indexer") -> str:
    return f"postgresql://{USER}:{place.password}@127.0.0.1:{port}/{database}"


async def answers(dsn: str) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                await (await asyncpg.connect(dsn)).close()
                return
            except (OSError, asyncpg.PostgresError):
                await anyio.sleep(0.05)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


def copy_of(place: Place, port: int) -> Path:
    """A base backup that follows the primary when it is started."""
    folder = place.root / "standby"
    folder.mkdir(mode=0o700)
    os.chown(folder, place.uid, place.gid)
    arguments = ["-D", str(folder), "-d", url(place, port, "postgres"), "-R", "-X", "stream", "-c", "fast"]
    done = subprocess.run(
        place.command("pg_basebackup", *arguments), env=environment(), cwd="/", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return folder


async def test_a_primary_killed_and_its_replica_promoted_leave_no_trace(
    data_dir: Path, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    place = prepare(data_dir)
    initialise(place)
    one, two = free_port(), free_port()
    grow(chain, BEGUN)
    async with server(place, place.cluster, one) as primary:
        await execute(url(place, one, "postgres"), "CREATE DATABASE indexer")
        await migrate.upgrade(url(place, one))
        async with server(place, copy_of(place, one), two):
            hosts = f"127.0.0.1:{one},127.0.0.1:{two}"
            both = f"postgresql://{USER}:{place.password}@{hosts}/indexer?target_session_attrs=read-write"
            async with watched(both, devnode.url, stop=LENGTH) as line:
                await wait_for(url(place, one), BEGUN)
                await line.until(lambda reasons: not reasons)
                primary.kill()  # with whatever the replica has not got yet
                await primary.wait()
                await line.until(lambda reasons: "database" in reasons)
                grow(chain, LENGTH)
                await not_ready_for(line, 3.0)
                assert len(line.events("restart")) <= 2
                tries = restarts(await line.get("/metrics"))
                assert 2 <= tries <= 12, "the pauses grow: no busy loop"
                await execute(url(place, two), "SELECT pg_promote()")
                await wait_for(url(place, two), LENGTH)
            assert line.events("restored")
            await index(another_database, devnode.url, stop=LENGTH)
            assert_equal(await all_rows(url(place, two)), await all_rows(another_database))


def restarts(answer: tuple[int, str]) -> float:
    lines = [line for line in answer[1].splitlines() if line.startswith("indexer_restarts_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_a_backend_frozen_in_mid_write_is_given_up_and_its_work_is_lost_whole(
    database: str, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    admin = await asyncpg.connect(database, server_settings={"application_name": "admin"})
    grow(chain, BEGUN)
    async with watched(database, devnode.url, stop=LENGTH, commit_timeout_s=1.0) as line:
        await wait_for(database, BEGUN)
        await line.until(lambda reasons: not reasons)
        await admin.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_sleep(0.05); RETURN NEW; END $$"
        )
        await admin.execute("CREATE TRIGGER slow BEFORE INSERT ON balance_history FOR EACH ROW EXECUTE FUNCTION slow()")
        grow(chain, LENGTH)
        pid = None
        with anyio.fail_after(20):
            while pid is None:
                pid = await admin.fetchval(
                    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
                )
        os.kill(pid, signal.SIGSTOP)
        try:
            await line.until(lambda reasons: "database" in reasons)
            await not_ready_for(line, 3.0)
        finally:
            os.kill(pid, signal.SIGCONT)
        with anyio.fail_after(20):
            while True:  # the trigger is locked by whoever writes
                try:
                    await admin.execute("SET lock_timeout = '200ms'")
                    await admin.execute("DROP TRIGGER slow ON balance_history")
                    break
                except asyncpg.LockNotAvailableError:
                    await anyio.sleep(0.05)
        await wait_for(database, LENGTH)
    await admin.execute("DROP FUNCTION slow")
    await admin.close()
    assert line.events("restored")
    await index(another_database, devnode.url, stop=LENGTH)
    assert_equal(await all_rows(database), await all_rows(another_database))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own; skipped where this process may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_disk_without_space_is_waited_out(
    data_dir: Path, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    """The tables' disk, not that of the log: Postgres itself goes down over the latter, which is another story."""
    place = prepare(data_dir)
    initialise(place)
    port = free_port()
    grow(chain, BEGUN)
    with small_disk(data_dir / "disk", 64) as disk:
        tables = disk / "tables"
        tables.mkdir(mode=0o700)
        os.chown(tables, place.uid, place.gid)
        async with server(place, place.cluster, port):
            await execute(url(place, port, "postgres"), f"CREATE TABLESPACE small LOCATION '{tables}'")
            await execute(url(place, port, "postgres"), "CREATE DATABASE indexer TABLESPACE small")
            await migrate.upgrade(url(place, port))
            async with watched(url(place, port), devnode.url, stop=LENGTH) as line:
                await wait_for(url(place, port), BEGUN)
                await line.until(lambda reasons: not reasons)
                ballast = disk / "ballast"
                with suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                grow(chain, LENGTH)
                reasons = await line.until(lambda reasons: "database" in reasons)
                assert "disk is full" in reasons["database"]
                await not_ready_for(line, 3.0)
                assert restarts(await line.get("/metrics")) <= 12
                ballast.unlink()
                await wait_for(url(place, port), LENGTH)
            assert line.events("restored")
            await index(another_database, devnode.url, stop=LENGTH)
            assert_equal(await all_rows(url(place, port)), await all_rows(another_database))
