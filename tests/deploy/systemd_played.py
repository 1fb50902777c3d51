"""The part of systemd that a service meets, played by a test: start, notify socket, watchdog, restarts.

What to do comes from the unit file itself (ExecStart, Restart, RestartPreventExitStatus); only times are shortened.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process
from units import read

HASTE = Path(__file__).parents[1] / "faults" / "haste.py"
"""The indexer with its pauses shortened, so that a watchdog of seconds is far above them, as ten minutes are."""
ABORT_S = 1.0
RESTART_S = 0.1


@dataclass(slots=True)
class Life:
    """One process of the service."""

    process: Process
    told: list[str] = field(default_factory=list)
    """Every line of every message, in order."""
    tripped: bool = False
    """Whether the watchdog ended it."""
    ended: anyio.Event = field(default_factory=anyio.Event)

    def count(self, line: str) -> int:
        """How often a line was told."""
        return self.told.count(line)

    async def until(self, line: str, times: int = 1, within_s: float = 60.0) -> None:
        """Wait until a line was told so often."""
        with anyio.fail_after(within_s):
            while self.count(line) < times:
                assert self.process.returncode is None, f"it ended with {self.process.returncode}: {self.told}"
                await anyio.sleep(0.02)

    async def end(self, within_s: float) -> int:
        """Wait for its exit code, negative for a signal."""
        with anyio.fail_after(within_s):
            await self.ended.wait()
        assert self.process.returncode is not None
        return self.process.returncode


class Service:
    """A started unit; ``lives`` are its processes so far, ``over`` is set once none is to follow."""

    def __init__(self, unit: str, environment: Mapping[str, str], watchdog_s: float | None) -> None:
        self._unit, self._watchdog_s = read(unit), watchdog_s
        self._address = f"@indexer-test-{uuid.uuid4()}"
        self._environment = {
            **os.environ,
            **dict(setting.split("=", 1) for setting in self._unit["Environment"] if "%" not in setting),
            **environment,
            "NOTIFY_SOCKET": self._address,
        }
        self.lives: list[Life] = []
        self.over = anyio.Event()

    @property
    def life(self) -> Life:
        """The present process."""
        return self.lives[-1]

    async def next_life(self, within_s: float = 30.0) -> Life:
        """Wait for a process after the present one."""
        known = len(self.lives)
        with anyio.fail_after(within_s):
            while len(self.lives) == known:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        return self.life

    def command(self) -> Sequence[str]:
        """ExecStart with the program as it lies here."""
        program, *arguments = self._unit["ExecStart"][0].split()
        assert program == "/opt/bittensor-indexer/bin/indexer"
        return [sys.executable, str(HASTE), *arguments]

    async def run(self) -> None:
        """Start it, and again whenever the unit wants that."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
            listening.bind("\0" + self._address[1:])
            while not self.over.is_set():
                await self._live(listening)
                if not self._is_restarted():
                    self.over.set()
                await anyio.sleep(RESTART_S)

    async def _live(self, listening: socket.socket) -> None:
        environment = dict(self._environment)
        if self._watchdog_s is not None:
            environment["WATCHDOG_USEC"] = f"{self._watchdog_s * 1e6:.0f}"
        process = await anyio.open_process(self.command(), env=environment, stdout=None, stderr=None)
        life = Life(process)
        self.lives.append(life)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._listen, life, listening)
                await process.wait()
                await anyio.sleep(0.05)  # what it said last
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.wait()
                await process.aclose()
            life.ended.set()

    async def _listen(self, life: Life, listening: socket.socket) -> None:
        """Take messages; the watchdog runs from READY=1 on."""
        pinged_s = anyio.current_time()
        while True:
            with anyio.move_on_after(0.1):
                await anyio.wait_readable(listening)
                told = listening.recv(65_536).decode().split("\n")
                life.told += told
                if {"READY=1", "WATCHDOG=1"} & set(told):
                    pinged_s = anyio.current_time()
            silent_s = anyio.current_time() - pinged_s
            if self._watchdog_s is not None and "READY=1" in life.told and silent_s > self._watchdog_s:
                life.tripped = True
                life.process.send_signal(signal.SIGABRT)
                await anyio.sleep(ABORT_S)
                life.process.send_signal(signal.SIGKILL)
                return

    def _is_restarted(self) -> bool:
        assert self._unit["Restart"] == ["on-failure"]
        code = self.life.process.returncode
        prevented = map(int, self._unit["RestartPreventExitStatus"][0].split())
        return code != 0 and code not in prevented


@asynccontextmanager
async def service(
    unit: str, dsn: str, url: str, *, watchdog_s: float | None = None, **options: str
) -> AsyncIterator[Service]:
    """A unit of deploy/systemd on a database and a node, ended with the context. ``options`` of `indexer run`."""
    given = {"network": url, "database_url": dsn, "start": "genesis", "metrics_address": "off", **options}
    environment = {f"INDEXER_{name.upper()}": value for name, value in given.items()}
    started = Service(unit, environment, watchdog_s)
    async with anyio.create_task_group() as group:
        group.start_soon(started.run, name="played systemd")
        while not started.lives:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        yield started
        group.cancel_scope.cancel()
