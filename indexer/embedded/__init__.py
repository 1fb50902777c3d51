"""A supervised Postgres from a wheel, for those who bring no server of their own.

Owns its start, its stop and its restart. One data folder has at most one server: a second process
joins the one that runs, and takes over when it goes. The server dies with the process that started it,
even by ``kill -9``. It listens on 127.0.0.1 only, with a random password, on a port that stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from indexer.embedded.place import obstacle, prepare, psql_binary
from indexer.embedded.server import Server

__all__ = ["obstacle", "postgres", "psql_binary"]


@asynccontextmanager
async def postgres(data_dir: Path, *, options: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """Yield the URL of the Postgres that keeps its data under ``data_dir/postgres``.

    While the context is open the server is kept running under that URL: if it crashes, or another
    process that had started it ends, it is started again here. Enter from the main thread, or from one
    that lives as long: Linux ends the server with the thread that started it.

    :param options: Postgres settings over ours, used if this call starts the server.
    :raises ConfigError: the folder cannot be used.
    :raises Fatal: the server does not start; the text holds the end of its log.
    """
    server = Server(await anyio.to_thread.run_sync(prepare, data_dir), options or {})
    try:
        await server.ensure()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(server.keep, name="embedded-postgres")
                yield server.url
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            # The caller's own error came wrapped by the group; give it back as it was.
            if len(errors.exceptions) > 1:
                raise
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop()
