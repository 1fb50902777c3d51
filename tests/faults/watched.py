"""The daemon in this process, with its health endpoints and its log under the eyes of a story."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskGroup
from running import index

LENGTH = 24
"""Blocks at the end of a story: past the upgrade at 20."""


@dataclass(slots=True)
class Watched:
    """A running daemon."""

    port: int
    group: TaskGroup
    log: list[Any] = field(default_factory=list)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def events(self, name: str) -> list[Any]:
        """Log lines of one event."""
        return [line for line in self.log if line["event"] == name]

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of a health endpoint."""
        return await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{self.port}{path}")

    async def reasons(self) -> dict[str, str]:
        """What speaks against readiness."""
        return dict(json.loads((await self.get("/readyz"))[1])["reasons"])

    async def until(self, holds: Callable[[dict[str, str]], bool], within_s: float = 20.0) -> dict[str, str]:
        """Wait until the reasons against readiness are as wished."""
        with anyio.fail_after(within_s):
            while True:
                reasons = await self.reasons()
                if holds(reasons):
                    return reasons
                await anyio.sleep(0.05)


@asynccontextmanager
async def watched(dsn: str, url: str, *, stop: int, **options: object) -> AsyncIterator[Watched]:
    """Index until block ``stop``; at the end of the context wait for that."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {"metrics_address": f"127.0.0.1:{port}", "ready_lag_s": 1e9, **options}
    with structlog.testing.capture_logs() as log:
        async with anyio.create_task_group() as group:
            daemon = Watched(port, group, log)

            async def run() -> None:
                await index(dsn, url, stop=stop, **given)
                daemon.ended.set()

            group.start_soon(run, name="daemon")
            yield daemon
            with anyio.fail_after(60):
                await daemon.ended.wait()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
