"""A TCP proxy in front of Postgres that can stop passing bytes, cut, refuse and delay.

A stalled proxy keeps its side towards the server open when the client goes: the server does not learn
of it, as in a partition of the network.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 65_536


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
        self.delay_s = 0.0
        self.connections = 0
        """Connections accepted so far."""
        self.cut_after_bytes: int | None = None
        """Cut everything once the client has sent so many further bytes."""

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
        try:
            await self._flowing.wait()
            there, out = await asyncio.open_connection(self._target.hostname, self._target.port)
            pair = (writer, out)
            self._pairs.add(pair)
            try:
                await asyncio.gather(self._pass(reader, out, counted=True), self._pass(there, writer))
            finally:
                self._pairs.discard(pair)
                for each in pair:
                    each.transport.abort()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if counted and self.cut_after_bytes is not None:
                    self.cut_after_bytes -= len(data)
                    if self.cut_after_bytes < 0:
                        writer.write(data[: self.cut_after_bytes])  # in the middle of a message
                        await writer.drain()
                        self.cut_after_bytes = None
                        self.cut()
                        return
                writer.write(data)
                await writer.drain()
        await self._flowing.wait()
        writer.transport.abort()
