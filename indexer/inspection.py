"""What a person asks of an indexer from beside it: status, verify, rewind, psql.

Reads through SQL what the daemon committed; only ``rewind`` and
``migrated`` change anything, under locks.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit, urlunsplit

import anyio
import asyncpg
from rich.markup import escape
from rich.table import Table

from indexer import daemon, datasets, embedded, migrate, migration_plan, verify
from indexer.config import Settings
from indexer.errors import ConfigError
from indexer.model import BlockRef
from indexer.node import open_node
from indexer.sqlstate import mapped_errors
from indexer.store import open_store


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """How far one dataset is: a row of the view ``status``."""

    dataset: str
    state: str
    """followed, behind, stopped or left."""
    start_block: int | None
    """None, as all that follows, where not even the first block could be decoded."""
    committed_block: int | None
    committed_hash: str | None
    finalized_block: int | None
    committed_at: str | None
    lag_blocks: int | None
    chain_lag_seconds: float | None
    lag_seconds: float | None
    complete_blocks: int
    incomplete_blocks: int
    ranges: tuple[tuple[int, int, bool], ...]
    """(first block, last block, complete)."""
    gaps: tuple[tuple[int, int, str], ...]
    """(first block, last block, why they are missing or not complete)."""
    note: str | None
    """What is to be known of it: that the runtime lacks the item, that it is no longer in the configuration."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a database."""

    chain: str
    genesis_hash: str
    spec_version: int | None
    block_time: str | None
    """Time of the last committed block."""
    lag_seconds: float | None
    """Seconds since then."""
    datasets: tuple[DatasetStatus, ...]


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
    """The state of the configured database. Raises ``ConfigError`` if there is none of ours."""
    async with _existing_database(settings) as url:
        await migrate.check(url)
        with mapped_errors("read the status"):
            connection = await asyncpg.connect(url)
            try:
                return await _status(connection)
            finally:
                await connection.close()


async def _status(connection: asyncpg.Connection[asyncpg.Record]) -> Status:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        chain = await connection.fetchrow("SELECT name, genesis_hash FROM chain")
        found = await connection.fetch("SELECT * FROM status ORDER BY dataset ~ '[.]', dataset")
        last = await connection.fetchrow(
            "SELECT timestamp, spec_version FROM blocks ORDER BY block_number DESC LIMIT 1"
        )
    if chain is None:
        raise ConfigError("the database is ours but empty: no run has reached a node yet")
    time = last["timestamp"] if last else None
    return Status(
        chain=chain["name"],
        genesis_hash="0x" + chain["genesis_hash"].hex(),
        spec_version=last["spec_version"] if last else None,
        block_time=time.isoformat() if time else None,
        lag_seconds=round((datetime.now(UTC) - time).total_seconds(), 3) if time else None,
        datasets=tuple(_dataset_status(row) for row in found),
    )


def _dataset_status(row: asyncpg.Record) -> DatasetStatus:
    given = {name: row[name] for name in DatasetStatus.__slots__ if name in row.keys()}  # noqa: SIM118 - a record
    told = [
        (first, last, complete)
        for complete, name in ((True, "complete_ranges"), (False, "incomplete_ranges"))
        for first, last in json.loads(row[name])
    ]
    given |= {name: float(row[name]) for name in ("chain_lag_seconds", "lag_seconds") if row[name] is not None}
    given["committed_at"] = row["committed_at"] and row["committed_at"].isoformat()
    given["gaps"] = tuple((gap["first_block"], gap["last_block"], gap["reason"]) for gap in json.loads(row["gaps"]))
    return DatasetStatus(**given, ranges=tuple(sorted(told)))


def as_json(report: Status) -> str:
    """The status as one JSON object."""
    return json.dumps(asdict(report), indent=2)


def as_table(report: Status) -> Table:
    """The status as a person reads it."""
    lag = "no block yet" if report.lag_seconds is None else f"{report.lag_seconds:,.0f} s behind the clock"
    title = f"{report.chain} ({report.genesis_hash[:10]}…), runtime {report.spec_version}, {lag}"
    table = Table(title=title, title_justify="left")
    for name in ("dataset", "committed", "finalized", "lag", "complete", "incomplete", "ranges"):
        words = name in ("dataset", "ranges")
        table.add_column(name, justify="left" if words else "right", no_wrap=name == "dataset")
    for row in report.datasets:
        ranges = ", ".join(f"{a}-{b}{'' if complete else ' (incomplete)'}" for a, b, complete in row.ranges)
        table.add_row(
            row.dataset, _shown(row.committed_block), _shown(row.finalized_block), _shown(row.lag_blocks),
            str(row.complete_blocks), str(row.incomplete_blocks), ranges,
        )  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for row in report.datasets:
        for start, end, reason in row.gaps:
            reasons.setdefault(f"{start}-{end}: {reason}", []).append(row.dataset)
    remarks = [f"gap {gap} ({', '.join(names)})" for gap, names in reasons.items()]
    remarks += [f"{row.dataset}: {row.note}" for row in report.datasets if row.note]
    if remarks:
        table.caption = escape("\n".join(remarks))
        table.caption_justify = "left"
    return table


def _shown(number: int | None) -> str:
    return "-" if number is None else str(number)


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
            return await verify.verify(node, url, wanted, block=block, sample=sample), None
        async with open_store(url) as store:
            await store.lock_writer()
            wanted = datasets.load(kept or None)
            report = await verify.verify(node, url, wanted, block=block, sample=sample)
            if not any(one.is_repairable for one in report.differences):
                return report, None
            repaired = await verify.repair(node, url, store, wanted, report)
        return await verify.verify(node, url, wanted, block=block, sample=sample), repaired


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
