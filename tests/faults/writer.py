"""The indexer of a story: a task that can be ended anywhere, or a process that can be killed and suspended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process, TaskGroup

from indexer import config, daemon

HASTE = Path(__file__).with_name("haste.py")


class Writer:
    """``async with writing(...) as writer``: one indexer, and for a time a second one that stands by."""

    def __init__(self, group: TaskGroup, settings: Mapping[str, Any], *, own_process: bool) -> None:
        self._group, self._settings, self._own_process = group, settings, own_process
        self._process: Process | None = None
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    async def start(self) -> None:
        """Begin to index."""
        if self._own_process:
            self._process = await anyio.open_process(
                [sys.executable, str(HASTE), "run", *_arguments(self._settings)],
                stdout=subprocess.DEVNULL,
                stderr=None,
            )
        else:
            self._start_task()

    async def shock(self, kind: str) -> None:
        """``restart``, ``kill_9``, ``sigstop`` (a standby takes over) or ``sigcont``."""
        if kind == "restart":
            self._scope.cancel()
            await self._ended.wait()
            self._start_task()
        elif kind == "kill_9":
            await self._kill()
            await self.start()
        elif kind == "sigstop":
            self._signal(signal.SIGSTOP)
            self._start_task(standby=True)
        else:
            self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End whatever runs."""
        self._scope.cancel()
        await self._kill()

    def exit_code(self) -> int | None:
        """Of the process, if it has ended."""
        return None if self._process is None else self._process.returncode

    def _start_task(self, **options: object) -> None:
        self._scope, self._ended = anyio.CancelScope(), anyio.Event()
        self._group.start_soon(self._serve, self._scope, self._ended, options, name="indexer")

    async def _serve(self, scope: anyio.CancelScope, ended: anyio.Event, options: dict[str, object]) -> None:
        with scope:
            await daemon.serve(config.load({**self._settings, **options}))
        ended.set()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _kill(self) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._signal(signal.SIGKILL)
            await self._process.wait()
            await self._process.aclose()
            self._process = None


@asynccontextmanager
async def writing(settings: Mapping[str, Any], *, own_process: bool) -> AsyncIterator[Writer]:
    """An indexer with these settings, started; ended with the context."""
    async with anyio.create_task_group() as group:
        writer = Writer(group, settings, own_process=own_process)
        try:
            await writer.start()
            yield writer
        finally:
            with anyio.CancelScope(shield=True):
                await writer.stop()


def _arguments(settings: Mapping[str, Any]) -> list[str]:
    """Settings as a command line."""
    arguments = []
    for name, value in settings.items():
        for one in value if isinstance(value, tuple) else [value]:
            arguments += [f"--{name.replace('_', '-')}", str(one)]
    return arguments
