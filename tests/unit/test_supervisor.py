"""What a service manager is told, over both kinds of sockets; and that nothing is said unasked."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from indexer.errors import ConfigError
from indexer.metrics import Metrics
from indexer.redaction import remember
from indexer.supervisor import STATUS_CHARACTERS, Supervisor

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    folder = Path(tempfile.mkdtemp(prefix="s-"))  # not tmp_path: a socket's path may have 107 bytes
    address = f"@indexer-{uuid.uuid4()}" if request.param == "abstract" else str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind(address.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield bound
    shutil.rmtree(folder)


def heard(listening: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(listening.recv(65_536).decode())
        except BlockingIOError:
            return messages


async def until_heard(listening: socket.socket, wanted: set[str]) -> list[str]:
    """What is heard until all of ``wanted`` is."""
    messages: list[str] = []
    with anyio.fail_after(20):
        while not wanted <= set(messages):
            messages += heard(listening)
            await anyio.sleep(0.02)
    return messages


async def told(supervisor: Supervisor, metrics: Metrics, seconds: float = 0.3) -> None:
    with anyio.move_on_after(seconds):
        await supervisor.keep_told(metrics)


async def test_it_pings_on_progress_only(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    metrics = Metrics()
    with Supervisor() as supervisor:
        await told(supervisor, metrics)
        assert heard(listening).count("WATCHDOG=1") == 1, "the start itself"
        metrics.heartbeat()
        metrics.head("best", 7)
        await told(supervisor, metrics, 0.02)
        heard(listening)
        await anyio.sleep(0.01)
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.keep_told, metrics)
            await anyio.sleep(0.1)
            heard(listening)
            await anyio.sleep(0.3)
            assert "WATCHDOG=1" not in heard(listening)
            metrics.progressed()
            assert (await until_heard(listening, {"WATCHDOG=1"})).count("WATCHDOG=1") == 1
            group.cancel_scope.cancel()


async def test_ready_comes_once_and_puts_an_end_to_extending_the_start(listening: socket.socket) -> None:
    metrics = Metrics(no_progress_after_s=40.0)
    with Supervisor() as supervisor:
        await told(supervisor, metrics, 0.1)
        first = heard(listening)
        assert "READY=1" not in first
        assert "EXTEND_TIMEOUT_USEC=40000000" in first
        metrics.started()
        metrics.progressed()
        await told(supervisor, metrics, 0.1)
        await told(supervisor, metrics, 0.1)
        second = heard(listening)
        assert second.count("READY=1") == 1
        assert not [line for line in second if line.startswith("EXTEND")]
        assert not [line for line in first + second if line == "WATCHDOG=1"], "nobody asked for it"


async def test_what_matters_is_said_again_to_a_manager_that_is_busy(listening: socket.socket) -> None:
    """The kernel keeps some ten messages that nobody reads."""
    metrics = Metrics()
    with Supervisor() as supervisor:
        for at in range(1000):
            supervisor.status(f"state {at}")
        metrics.started()
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.keep_told, metrics)
            await anyio.sleep(0.05)
            supervisor.stopping("asked to")
            assert not {"READY=1", "STOPPING=1"} & set(heard(listening))
            await until_heard(listening, {"READY=1", "STOPPING=1"})
            group.cancel_scope.cancel()


async def test_another_process_watchdog_is_not_fed(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    with Supervisor() as supervisor:
        await told(supervisor, Metrics())
    assert "WATCHDOG=1" not in heard(listening)


async def test_the_state_is_one_line_without_secrets(listening: socket.socket) -> None:
    remember("postgresql://indexer:opensesame@db.example/indexer")
    metrics = Metrics()
    metrics.committed(9_240_000, 0.0)
    metrics.condition("node", True)
    metrics.condition("database", False, "cannot connect:\nwith opensesame\x1b[31m" + "x" * 1000)
    with Supervisor() as supervisor:
        await told(supervisor, metrics, 0.1)
    status = next(line for line in heard(listening) if line.startswith("STATUS=block"))
    assert status.startswith("STATUS=block 9240000, ")
    assert "database: cannot connect: with" in status
    assert "opensesame" not in status
    assert status.isprintable()
    assert len(status) <= STATUS_CHARACTERS + len("STATUS=")


async def test_the_end_is_told_with_its_reason(listening: socket.socket) -> None:
    with pytest.raises(ConfigError), Supervisor():
        raise ConfigError("the port is in use")
    assert heard(listening) == ["STOPPING=1", "STATUS=error: the port is in use"]


async def test_a_child_inherits_nothing_and_a_manager_that_is_gone_ends_nothing(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    supervisor = Supervisor()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
    with supervisor:
        for at in range(5000):  # more than its queue takes: nobody reads
            supervisor.status(f"state {at}")
        listening.close()
        await told(supervisor, Metrics())


@pytest.mark.parametrize("address", ["", "vsock:2:1234"])
async def test_without_a_socket_that_is_known_it_keeps_silent(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with Supervisor() as supervisor:
        assert not supervisor.is_there
        await told(supervisor, Metrics())
        supervisor.stopping("why")
