"""A node, the indexer and Postgres as processes of their own, and the processor seconds of each.

Owns their start and end; what is done with them, and what of it is timed, is the cases' business.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import anyio
import asyncpg

from indexer import embedded, migrate
from indexer.announce import BLOCK_CHANNEL

HERE = Path(__file__).resolve().parent
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PATIENCE_S = 1800.0
QUIET_S = 2.0
"""A program that asks a node nothing for so long has done what it had to do."""


def cpu_s(pid: int) -> float:
    """Processor seconds of a process, with those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * TICK_S


def tree_cpu_s(pid: int) -> float:
    """Processor seconds of a process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    total = cpu_s(pid)
    for child in children:
        try:
            total += tree_cpu_s(int(child))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended: its parent counts it
    return total


def memory_mib(pid: int, what: str = "VmRSS") -> float:
    """Resident memory now, or ``VmHWM``: the most there ever was."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(rf"{what}:\s+(\d+)", status)[0]) / 1024


class NodeProcess:
    """``node_process.py``. Its answers are lines of JSON; a head that it reveals says when."""

    def __init__(self, chain: str, record: Path | None = None) -> None:
        command = [sys.executable, str(HERE / "node_process.py"), chain, str(record or "-")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun = self._heard()
        self.url, self.head = str(begun["url"]), int(begun["head"])

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def say(self, line: str) -> None:
        """Tell it to do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def reveal(self, number: int) -> float:
        """Make block ``number`` the head; the monotonic time at which it was."""
        self.say(f"reveal {number}")
        return float(self._heard()["at_s"])

    def leap(self, number: int) -> float:
        """As ``reveal``, but the node tells of the last block alone, as one does that has just caught up itself."""
        self.say(f"leap {number}")
        return float(self._heard()["at_s"])

    async def idle(self) -> None:
        """Wait until somebody has asked it things, and then nothing for a while."""
        asked, quiet_since_s = 0, time.monotonic()
        while not asked or time.monotonic() - quiet_since_s < QUIET_S:
            await anyio.sleep(0.1)
            if more := self.told()["messages"]:
                asked, quiet_since_s = asked + more, time.monotonic()

    def beat(self, count: int, interval_s: float) -> None:
        """Begin to make heads, one after the other; ``heads`` tells when."""
        self.say(f"beat {count} {interval_s}")

    def heads(self, count: int) -> dict[int, float]:
        """Monotonic time by height of the next ``count`` heads."""
        lines = [self._heard() for _ in range(count)]
        return {line["head"]: line["at_s"] for line in lines}

    def told(self) -> dict[str, Any]:
        """What it was asked since it was last asked for this."""
        self.say("told")
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the node ended with exit code {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard


class Seen:
    """Another connection to the database: which blocks it sees, and since when."""

    def __init__(self) -> None:
        self.at_s: dict[int, float] = {}
        self._more = anyio.Event()

    def notified(self, *what: Any) -> None:
        """Called by asyncpg for each commit."""
        number = json.loads(what[3])["number"]
        self.at_s.setdefault(number, anyio.current_time())
        self._more.set()
        self._more = anyio.Event()

    async def block(self, number: int) -> int:
        """Wait until a block at or above this one is visible; which."""
        with anyio.fail_after(PATIENCE_S):
            while not any(seen >= number for seen in self.at_s):
                await self._more.wait()
        return max(self.at_s)


class Databases:
    """A Postgres server of its own, with databases that are copies of one another."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid

    def named(self, name: str) -> str:
        """URL of one of its databases."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    async def migrated(self) -> str:
        """Name of a new database with all tables, and nothing in them."""
        name = f"bench_{uuid.uuid4().hex}"
        await self._do(f"CREATE DATABASE {name}")
        await migrate.upgrade(self.named(name))
        return name

    @asynccontextmanager
    async def copied(self, template: str) -> AsyncIterator[str]:
        """URL of a copy; removed at the end."""
        name = f"bench_{uuid.uuid4().hex}"
        await self._do(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.named(name)
        finally:
            with anyio.CancelScope(shield=True):
                await self._do(f"DROP DATABASE {name} WITH (FORCE)")

    async def _do(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def databases(folder: Path | None = None) -> AsyncIterator[Databases]:
    """The embedded server, with the settings a user gets; on a folder that stays, if one is given."""
    with ExitStack() as stack:
        folder = folder or stack.enter_context(short_lived_folder())
        async with embedded.postgres(folder) as url:
            (pid_file,) = folder.rglob("postmaster.pid")
            pid = int(pid_file.read_text(encoding="utf-8").splitlines()[0])
            yield Databases(url, pid)


@contextmanager
def short_lived_folder() -> Iterator[Path]:
    """An empty folder that the user Postgres runs as can reach."""
    with tempfile.TemporaryDirectory(prefix="indexer-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[Seen]:
    """A connection that listens for commits."""
    seen = Seen()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.add_listener(BLOCK_CHANNEL, seen.notified)
        yield seen
    finally:
        await connection.close()


@contextmanager
def indexer(dsn: str, url: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """``indexer run`` on this checkout; ended by SIGTERM. Raises if it does not end well."""
    command = [sys.executable, "-c", "from indexer.cli import main; main()", "run", "--network", url]
    command += ["--database-url", dsn, "--metrics-address", "off", "--log-level", "warning", "--follow", "best"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    process = subprocess.Popen([*command, "--start", "genesis", *options], env=environment)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        if code:
            raise RuntimeError(f"the indexer ended with exit code {code}")
    finally:
        process.kill()
        process.wait()
