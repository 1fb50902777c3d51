"""The database as it is before a start: rights, schema, settings, room, who writes to it. Changes nothing.

All is read in transactions that may not write. An embedded one that exists is started for the time, or joined
where it runs; one that does not exist yet is not made.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexer import embedded, migrate, migration_plan, schema
from indexer.config import Settings
from indexer.errors import IndexerError, root_cause
from indexer.preflight.advice import NAMES, advice
from indexer.preflight.findings import CursorFacts, DatabaseFacts, FirstStateFacts
from indexer.redaction import redact
from indexer.session import Connection, lock_holder, open_session
from indexer.store import WRITER_LOCK

OLDEST_VERSION = 150_000
ROWS_MEASURED = 100_000
"""Rows of history from which on a database tells how many bytes a row takes."""
CALL_S = 15.0


async def look(settings: Settings) -> DatabaseFacts:
    """The configured database. Never raises ``IndexerError``: what fails is told as the problem."""
    if settings.database_url is None:
        facts = _embedded(settings.data_dir)
        if not facts.exists or facts.problem is not None:
            return facts
    else:
        facts = DatabaseFacts(redact(settings.database_url), is_embedded=False)
    known: dict[str, Any] = {"wanted_revision": migrate.expected()}
    try:
        async with _opened(settings) as url:
            await _ask(url, known)
    except (IndexerError, BaseExceptionGroup) as error:
        cause = root_cause(error)
        if not isinstance(cause, IndexerError):
            raise
        known["problem"] = str(cause)
    return replace(facts, **known)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with embedded.postgres(settings.data_dir) as url:
        yield url


def _embedded(data_dir: Path) -> DatabaseFacts:
    """What the disk tells of an embedded Postgres, without touching it."""
    facts = DatabaseFacts(str(data_dir / "postgres"), is_embedded=True, wanted_revision=migrate.expected())
    exists = (data_dir / "postgres" / "cluster" / "PG_VERSION").exists()
    problem = embedded.obstacle(data_dir)
    disk = os.statvfs(_existing(data_dir))
    return replace(facts, exists=exists, problem=problem, free_bytes=disk.f_bavail * disk.f_frsize)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.resolve().parents) if folder.exists())


async def _ask(url: str, known: dict[str, Any]) -> None:
    """Fill ``known``; what came before an error stays in it."""
    revision = known["revision"] = await migrate.current(url)
    steps, rows = await migrate.planned(url)
    known["migrations"] = tuple(migration_plan.described(steps, rows))
    async with open_session(url, application="bittensor-indexer check") as session:
        async with session.calls("look at the database", CALL_S) as connection, connection.transaction(readonly=True):
            known |= await _server(connection)
            known |= await _rights(connection, revision is not None)
            holder = await lock_holder(connection, WRITER_LOCK)
            known["writer"] = holder.name if holder.pid else None
        if revision is not None:
            async with session.transaction("look at the tables", CALL_S) as connection:
                known |= await _contents(connection)


async def _server(connection: Connection) -> dict[str, Any]:
    began_s = time.time()
    now_s = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
    middle_s = (began_s + time.time()) / 2
    row = await connection.fetchrow(
        "SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number, "
        "current_user AS role, pg_is_in_recovery() AS is_replica, "
        "(SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding, "
        "pg_database_size(current_database()) AS size, current_setting('max_connections')::int "
        "- current_setting('superuser_reserved_connections')::int "
        "- (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS free"
    )
    assert row is not None
    found = await connection.fetch(
        "SELECT name, setting, unit, vartype FROM pg_settings WHERE name = ANY($1::text[])", list(NAMES)
    )
    settings: Mapping[str, Any] = {one["name"]: dict(one) for one in found}
    free = row["free"]
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        free += int(await connection.fetchval("SHOW superuser_reserved_connections"))
    problem = None
    if row["number"] < OLDEST_VERSION:
        problem = f"Postgres {row['version']} is too old: 15 or newer is needed"
    return {
        "version": row["version"].split()[0],
        "role": row["role"],
        "is_replica": row["is_replica"],
        "encoding": row["encoding"],
        "size_bytes": row["size"],
        "free_connections": free,
        "clock_ahead_s": round(now_s - middle_s, 3),
        "settings": tuple(advice(settings)),
        "problem": problem,
    }


async def _rights(connection: Connection, has_tables: bool) -> dict[str, Any]:
    """Whether the role may change the schema, and write rows."""
    if not has_tables:
        may = await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')")
        return {"can_migrate": bool(may)}
    row = await connection.fetchrow(
        "SELECT bool_and(pg_has_role(relowner, 'USAGE')) AS owns, bool_and("
        "has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') AND "
        "has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) AS writes "
        "FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
        "AND relname = ANY($1::text[])",
        list(schema.metadata.tables),
    )
    assert row is not None
    return {"can_migrate": row["owns"], "can_write": row["writes"]}


async def _contents(connection: Connection) -> dict[str, Any]:
    """How far it is, and how much room a row takes. Works on tables of older revisions too."""
    rows = await connection.fetch("SELECT * FROM cursors ORDER BY dataset")
    cursors = tuple(
        CursorFacts(
            row["dataset"], row["start_block"], row["block_number"], "0x" + row["block_hash"].hex(),
            row["finalized_block"],
        )
        for row in rows
    )  # fmt: skip
    states = []
    if await connection.fetchval("SELECT to_regclass('first_states')") is not None:
        states = await connection.fetch("SELECT block_number, datasets, keys_read FROM first_states ORDER BY id")
    genesis = await connection.fetchval("SELECT genesis_hash FROM chain")
    history = [
        name for name, table in schema.metadata.tables.items()
        if table.info.get("keyed") == "history" or table.info.get("log")
    ]  # fmt: skip
    held = await connection.fetchval(
        "SELECT sum(greatest(reltuples, 0))::float8 FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname = ANY($1::text[])",
        history,
    )
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    measured = round(size / held, 1) if held and held >= ROWS_MEASURED else None
    return {
        "cursors": cursors,
        "first_states": tuple(
            FirstStateFacts(at, tuple(sorted(json.loads(names))), keys) for at, names, keys in states
        ),
        "genesis_hash": None if genesis is None else "0x" + genesis.hex(),
        "bytes_per_row": measured,
    }
