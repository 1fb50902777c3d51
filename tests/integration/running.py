"""Starting the indexer in tests: in this process for stories, as a process of its own for death and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import asyncpg
from anyio.abc import Process

from indexer import config, daemon


async def index(dsn: str, url: str, *, stop: int, **options: object) -> None:
    """Run the daemon in this process until block ``stop`` is committed."""
    given = {"network": (url,), "database_url": dsn, "start": "genesis", "stop": stop, "metrics_address": "off"}
    await daemon.serve(config.load({**given, **options}))


async def committed(dsn: str) -> int:
    """The last block that all datasets have; -1 if there is none."""
    connection = await asyncpg.connect(dsn)
    try:
        value = await connection.fetchval("SELECT min(block_number) FROM cursors")
        return -1 if value is None else int(value)
    finally:
        await connection.close()


async def wait_for(dsn: str, number: int, *, within_s: float = 30.0) -> None:
    """Wait until block ``number`` is committed."""
    with anyio.fail_after(within_s):
        while await committed(dsn) < number:  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished command."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> list[str]:
    """The console script as installed beside this Python."""
    return [str(Path(sys.executable).with_name("indexer")), *arguments]


def indexer(*arguments: str, env: dict[str, str] | None = None, timeout_s: float = 60.0) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


async def indexer_async(*arguments: str) -> Ended:
    """The same without holding the loop, for a node that is served by it."""
    done = await anyio.run_process(command(*arguments), check=False)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@asynccontextmanager
async def running(dsn: str, url: str, *options: str) -> AsyncIterator[Process]:
    """`indexer run` as a process; killed at the end if it still lives."""
    arguments = ["run", "--network", url, "--database-url", dsn, "--start", "genesis", "--metrics-address", "off"]
    process = await anyio.open_process(command(*arguments, *options), stdout=None, stderr=None)
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()
            await process.aclose()
