"""A TCP proxy in front of Postgres that can stop passing bytes, cut, refuse and delay.

A stalled proxy keeps its side towards the server open when the client goes: the server does not learn
of it, as in a partition of the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 65_536
DELAY_S = 0.02


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one connection once the client has sent so many bytes."""

    kind: Literal["cut", "stall", "delay"]
    after_bytes: int


class Proxy:
    """``async with Proxy(dsn) as proxy: ... proxy.dsn``."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._port = 0
        self.fault_of: Callable[[int], Fault | None] = lambda _: None
        """The fate of the n-th connection, n from 1."""
        self.connections = 0
        """Connections accepted so far."""

    @property
    def dsn(self) -> str:
        """The database's URL through the proxy."""
        user, _, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}"))

    async def __aenter__(self) -> Proxy:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stall(self) -> None:
        """Pass no byte in either direction until ``flow``; connections are accepted and left alone."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass bytes again."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection on both sides."""
        for pair in tuple(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def refuse(self) -> None:
        """Reset every connection and listen no more: a new one is refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def accept(self) -> None:
        """Listen, on the port of the first time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            await self._flowing.wait()
            there, out = await asyncio.open_connection(self._target.hostname, self._target.port)
            pair = (writer, out)
            self._pairs.add(pair)
            try:
                await asyncio.gather(self._pass(reader, out, self.fault_of(number)), self._pass(there, writer))
            finally:
                self._pairs.discard(pair)
                for each in pair:
                    each.transport.abort()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None = None
    ) -> None:
        sent = 0
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                sent += len(data)
                if fault is not None and sent > fault.after_bytes:
                    if fault.kind == "delay":
                        await asyncio.sleep(DELAY_S)
                    else:
                        writer.write(data[: fault.after_bytes - sent])  # in the middle of a message
                        await writer.drain()
                        if fault.kind == "stall":
                            await asyncio.Event().wait()
                        writer.transport.abort()
                        return
                writer.write(data)
                await writer.drain()
        await self._flowing.wait()
        writer.transport.abort()
