"""What a person asks of an indexer from beside it: status, verify, rewind, psql.

Reads through SQL what the daemon committed; only ``rewind`` and
``migrated`` change anything, under locks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit, urlunsplit

import anyio

from indexer import daemon, datasets, embedded, migrate, migration_plan, verify
from indexer import status as standing
from indexer.config import Settings
from indexer.errors import ConfigError, IndexerError, Retryable
from indexer.model import BlockRef
from indexer.node import open_node
from indexer.status import Pace, Status
from indexer.store import open_store

WATCH_S = 2.0
PACE_WAIT_S, PACE_POLL_S = 3.0, 0.25


@asynccontextmanager
async def _existing_database(settings: Settings) -> AsyncIterator[str]:
    """URL of the database; refuses to make one where there is none."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    if not (settings.data_dir / "postgres").exists():
        raise ConfigError(
            f"there is no database under {settings.data_dir} yet: `indexer run` makes one; "
            "or name another place with --data-dir or --database-url"
        )
    async with embedded.postgres(settings.data_dir) as url:
        yield url


async def status(settings: Settings) -> Status:
    """The state of the configured database. Raises ``ConfigError`` if there is none of ours.

    Where it catches up, a second look tells how fast, if a commit comes within ``PACE_WAIT_S``.
    """
    async with _existing_database(settings) as url:
        await migrate.check(url)
        pace = Pace()
        report = await standing.find(url, pace)
        with anyio.move_on_after(PACE_WAIT_S):
            while report.activity == "catching_up" and report.blocks_per_second is None:
                await anyio.sleep(PACE_POLL_S)
                report = await standing.find(url, pace)
        return report


async def watch(settings: Settings, show: Callable[[Status | IndexerError], None]) -> None:
    """``show`` the state of the configured database every ``WATCH_S``, for ever; or why it cannot be told just now."""
    async with _existing_database(settings) as url:
        await migrate.check(url)
        pace = Pace()
        while True:
            try:
                show(await standing.find(url, pace))
            except Retryable as error:
                show(error)
            await anyio.sleep(WATCH_S)


async def migrated(settings: Settings, *, to: str | None = None, allow_downgrade: bool = False) -> str:
    """Migrate the configured database; returns its revision. Raises ``ConfigError`` for a way back nobody allowed."""
    async with daemon.database(settings) as url:
        steps, rows = await migrate.planned(url, to)
        if steps and steps[0].is_downgrade:
            if not allow_downgrade:
                lost = migration_plan.lost(steps, rows)
                raise ConfigError(
                    f"revision {to} is older than the database's {steps[0].revision}: going back drops {len(lost)} "
                    f"tables with about {sum(lost.values()):,} rows; --plan tells which, --allow-downgrade does it"
                )
            await migrate.downgrade(url, to or migration_plan.BASE)
        else:
            await migrate.upgrade(url, to)
        return await migrate.current(url) or migration_plan.BASE


async def migration_planned(settings: Settings, to: str | None = None) -> list[str]:
    """What ``migrated`` would do, as lines."""
    async with daemon.database(settings) as url:
        steps, rows = await migrate.planned(url, to)
        return list(migration_plan.described(steps, rows)) or ["nothing to do: the database is at that revision"]


async def rewind(settings: Settings, block: int) -> str:
    """Forget every block above ``block``; returns what was done."""
    async with _existing_database(settings) as url:
        await migrate.check(url)
        async with open_store(url) as store:
            await store.lock_writer()
            cursors = await store.cursors()
            if not cursors:
                return "nothing is indexed yet"
            tip = max(cursor.block.number for cursor in cursors.values())
            first = max(cursor.start_block for cursor in cursors.values())
            if block >= tip:
                return f"nothing to do: the last committed block is {tip}"
            block_hash = await store.block_hash(block)
            if block_hash is None or block < first:
                raise ConfigError(f"block {block} is not indexed: the earliest block to rewind to is {first}")
            await store.rewind(BlockRef(block, block_hash), datasets.load(list(cursors)))
            return f"rewound from block {tip} to {block}"


async def verified(
    settings: Settings, *, block: int | None, sample: int | None, mend: bool
) -> tuple[verify.Report, int | None]:
    """Compare the database with the chain; with ``mend``, repair what differs and compare again.

    Returns the last report and the number of rows repaired (None: none was needed or asked for).
    """
    async with (
        _existing_database(settings) as url,
        open_node(settings.endpoints, archive=settings.archive_endpoints, timeout_s=settings.rpc_timeout_s) as node,
    ):
        await migrate.check(url)
        async with open_store(url) as store:
            kept = list(await store.cursors())
        if not mend:
            wanted = datasets.load(["all", *filter(datasets.is_item, kept)])
            return await verify.verify(node, url, wanted, block=block, sample=sample, is_awaited=True), None
        async with open_store(url) as store:
            await store.lock_writer()
            wanted = datasets.load(kept or None)
            report = await verify.verify(node, url, wanted, block=block, sample=sample, is_awaited=True)
            if not any(one.is_repairable for one in report.differences):
                return report, None
            repaired = await verify.repair(node, url, store, wanted, report)
        return await verify.verify(node, url, wanted, block=block, sample=sample, is_awaited=True), repaired


async def psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Run psql on the configured database, the terminal handed over; returns its exit code."""
    program = shutil.which("psql") or str(embedded.psql_binary())
    async with _existing_database(settings) as url:
        address, secret = _without_password(url)
        command = [program, "-d", address, *arguments]  # without the password: anyone may list processes
        process = await anyio.open_process(command, stdin=None, stdout=None, stderr=None, env={**os.environ, **secret})
        return await process.wait()


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """The URL that a command line may hold, and the environment with what it lacks."""
    parts = urlsplit(url)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    options = []
    for option in parts.query.split("&"):
        name, _, value = option.partition("=")
        if name == "sslpassword":
            raise ConfigError("psql takes no sslpassword but on its command line, for all to see: use a key without")
        if name == "password":
            password = value
        else:
            options.append(option)
    address = urlunsplit(parts._replace(netloc=f"{user}{at}{hosts}", query="&".join(options)))
    return address, {"PGPASSWORD": unquote(password)} if password else {}
