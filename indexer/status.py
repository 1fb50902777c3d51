"""How a database stands: how far, how complete and how late it is, who writes, how fast, and how large it is.

Asks in one snapshot, with a reader's rights, and needs no node: what it says of the head is what the writer knew at
its last commit, what it says of time is as of now. It draws nothing: see ``status_view``. The JSON form is these
dataclasses, field by field (docs/STATUS.md); fields are added, never renamed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from indexer import datasets
from indexer.errors import ConfigError
from indexer.progress import duration, per_second
from indexer.schema import Keyed
from indexer.session import Connection
from indexer.sqlstate import mapped_errors
from indexer.store import WRITER_LOCK

BEHIND_BLOCKS = 10
"""Blocks to the head above which it is catching up."""
STILL_AFTER_S = 120.0
"""Seconds since the last commit after which it stands still: ten blocks."""
CONNECT_TIMEOUT_S = 10.0
LARGEST_TABLES = 10
PACE_COMMITS = 60


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
    stopped_at: int | None = None
    """Block that it cannot decode."""
    stop_reason: str | None = None
    size_bytes: int | None = None
    """Its tables with their indexes; None where it shares them."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The instance that holds the writer lock."""

    name: str | None
    """Application, address, host and process, as far as they are known."""
    since: str | None
    """When it became the writer."""
    backend_pid: int
    """Process of its session on the database server."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table of the database."""

    table: str
    size_bytes: int
    """With its indexes."""
    rows_about: int | None
    """As the planner guesses; None where it never looked."""


@dataclass(frozen=True, slots=True)
class FirstStateStatus:
    """A whole state that is being read: nothing of it is in the tables yet."""

    block: int
    """Block whose state it is."""
    datasets: tuple[str, ...]
    keys_read: int
    """Keys read by now; a run that ends goes on behind them."""
    nodes_read: int
    """Nodes of the state trie read for them."""
    began_at: str
    updated_at: str
    """When the last keys were read."""


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
    activity: str = "not_running"
    """following, catching_up, standing_still, starting or not_running."""
    headline: str = ""
    """The same in words."""
    is_healthy: bool = False
    """Whether it follows the head, and every dataset is level, complete and not stopped."""
    is_complete: bool = False
    """Whether no block is missing or incomplete in any dataset of the configuration."""
    committed_block: int | None = None
    """The last block of the dataset furthest ahead."""
    head_block: int | None = None
    """The followed head, as the writer knew it at its last commit."""
    lag_blocks: int | None = None
    """Blocks from ``committed_block`` to that head."""
    last_commit_seconds: float | None = None
    """Seconds since the last commit."""
    blocks_per_second: float | None = None
    """Pace of the last commits that were seen; None at the head, or if none came meanwhile."""
    eta_seconds: float | None = None
    """Seconds until it has caught up at that pace."""
    writer: Writer | None = None
    """None: no instance writes."""
    database_bytes: int | None = None
    largest_tables: tuple[TableSize, ...] = ()
    first_states: tuple[FirstStateStatus, ...] = ()
    """Whole states that are being read."""


@dataclass(slots=True)
class Pace:
    """Commits seen by several looks at one database: (time of commit in seconds, block)."""

    seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=PACE_COMMITS))

    def see(self, committed_s: float, block: int) -> None:
        """Note the last commit, if it is another one; one that takes blocks back begins anew."""
        if self.seen and block < self.seen[-1][1]:
            self.seen.clear()
        if not self.seen or block > self.seen[-1][1]:
            self.seen.append((committed_s, block))

    @property
    def blocks_per_second(self) -> float | None:
        """None before the second commit."""
        if len(self.seen) < 2 or self.seen[-1][0] <= self.seen[0][0]:
            return None
        return (self.seen[-1][1] - self.seen[0][1]) / (self.seen[-1][0] - self.seen[0][0])


async def find(url: str, pace: Pace) -> Status:
    """The state of the database at ``url``, which has our schema. Raises ``StoreError`` or ``ConfigError``."""
    with mapped_errors("read the status"):
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
        try:
            return await _find(connection, pace)
        finally:
            await connection.close()


async def _find(connection: Connection, pace: Pace) -> Status:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        chain = await connection.fetchrow("SELECT name, genesis_hash FROM chain")
        if chain is None:
            raise ConfigError("the database is ours but empty: no run has reached a node yet")
        found = await connection.fetch("SELECT * FROM status ORDER BY dataset ~ '[.]', dataset")
        last = await connection.fetchrow(
            "SELECT timestamp, spec_version FROM blocks ORDER BY block_number DESC LIMIT 1"
        )
        writer = await _writer(connection)
        begun = await connection.fetch("SELECT * FROM first_states ORDER BY id")
        sizes = await _sizes(connection)
        total = await connection.fetchval("SELECT pg_database_size(current_database())")
    rows = tuple(_dataset_status(row, sizes) for row in found)
    time, now = last["timestamp"] if last else None, datetime.now(UTC)
    committed = max((row.committed_block for row in rows if row.committed_block is not None), default=None)
    at = max((row["committed_at"] for row in found if row["committed_at"]), default=None)
    if at is not None and committed is not None:
        pace.see(at.timestamp(), committed)
    told: dict[str, Any] = {
        "lag_seconds": round((now - time).total_seconds(), 3) if time else None,
        "committed_block": committed,
        "head_block": max((row["head_block"] for row in found if row["head_block"] is not None), default=None),
        "last_commit_seconds": round((now - at).total_seconds(), 3) if at else None,
    }
    told["lag_blocks"] = None if committed is None else max(0, (told["head_block"] or committed) - committed)
    told |= activity(told, is_written=writer is not None, rate=pace.blocks_per_second)
    kept = [row for row in rows if row.state != "left"]
    is_complete = bool(kept) and not any(row.incomplete_blocks or row.gaps or row.stopped_at for row in kept)
    return Status(
        chain=chain["name"],
        genesis_hash="0x" + chain["genesis_hash"].hex(),
        spec_version=last["spec_version"] if last else None,
        block_time=time.isoformat() if time else None,
        datasets=rows,
        is_complete=is_complete,
        is_healthy=is_complete and told["activity"] == "following" and all(row.state == "followed" for row in kept),
        writer=writer,
        database_bytes=total,
        largest_tables=tuple(sorted(sizes.values(), key=lambda one: -one.size_bytes)[:LARGEST_TABLES]),
        first_states=tuple(map(_first_state, begun)),
        **told,
    )


def _first_state(row: asyncpg.Record) -> FirstStateStatus:
    return FirstStateStatus(
        block=row["block_number"],
        datasets=tuple(json.loads(row["datasets"])),
        keys_read=row["keys_read"],
        nodes_read=row["nodes_read"],
        began_at=row["began_at"].isoformat(),
        updated_at=row["updated_at"].isoformat(),
    )


def activity(told: Mapping[str, Any], *, is_written: bool, rate: float | None) -> dict[str, Any]:
    """What it does, and the same in words, from ``last_commit_seconds``, ``lag_seconds`` and ``lag_blocks``."""
    age_s, lag_s, behind = told["last_commit_seconds"], told["lag_seconds"], told["lag_blocks"]
    late = "" if lag_s is None else f"{duration(lag_s)} behind"
    ago = "nothing is committed yet" if age_s is None else f"the last commit was {duration(age_s)} ago"
    if not is_written:
        return {"activity": "not_running", "headline": f"no instance writes, {ago}"}
    if age_s is None:
        return {"activity": "starting", "headline": "starting: the first state is being read"}
    if age_s > STILL_AFTER_S:
        return {"activity": "standing_still", "headline": f"standing still for {duration(age_s)}"}
    if behind <= BEHIND_BLOCKS:
        return {"activity": "following", "headline": f"following, {late}"}
    eta_s = None if not rate else behind / rate
    pace = "" if rate is None or eta_s is None else f", about {duration(eta_s)} at {per_second(rate, ' blocks')}"
    return {
        "activity": "catching_up",
        "headline": f"catching up, {behind:,} blocks{pace}",
        "blocks_per_second": rate and float(f"{rate:.3g}"),
        "eta_seconds": eta_s and round(eta_s, 1),
    }


async def _writer(connection: Connection) -> Writer | None:
    """Who holds the writer lock; any role may see that it is held."""
    row = await connection.fetchrow(
        "SELECT l.pid, w.holder, w.since FROM pg_locks l CROSS JOIN writer w "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND (l.classid::bigint << 32 | l.objid::bigint) = $1 LIMIT 1",
        WRITER_LOCK,
    )
    return None if row is None else Writer(row["holder"], row["since"] and row["since"].isoformat(), row["pid"])


async def _sizes(connection: Connection) -> dict[str, TableSize]:
    """Every table of the schema, by name."""
    rows = await connection.fetch(
        "SELECT relname, pg_total_relation_size(oid) AS bytes, reltuples::bigint AS rows FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    )
    return {
        row["relname"]: TableSize(row["relname"], row["bytes"] or 0, row["rows"] if row["rows"] >= 0 else None)
        for row in rows
    }


def _dataset_status(row: asyncpg.Record, sizes: dict[str, TableSize]) -> DatasetStatus:
    given = {name: row[name] for name in DatasetStatus.__slots__ if name in row.keys()}  # noqa: SIM118 - a record
    told = [
        (first, last, complete)
        for complete, name in ((True, "complete_ranges"), (False, "incomplete_ranges"))
        for first, last in json.loads(row[name])
    ]
    given |= {name: float(row[name]) for name in ("chain_lag_seconds", "lag_seconds") if row[name] is not None}
    given["committed_at"] = row["committed_at"] and row["committed_at"].isoformat()
    given["gaps"] = tuple((gap["first_block"], gap["last_block"], gap["reason"]) for gap in json.loads(row["gaps"]))
    own = _tables(row["dataset"])
    given["size_bytes"] = sum(sizes[name].size_bytes for name in own if name in sizes) if own else None
    return DatasetStatus(**given, ranges=tuple(sorted(told)))


def _tables(name: str) -> Sequence[str]:
    """Tables that only this dataset fills; none of storage items, which share theirs."""
    dataset = datasets.DATASETS.get(name)
    if dataset is None:
        return ()
    keyed = [table for table in dataset.tables if isinstance(table, Keyed)]
    logs = [table.table.name for table in dataset.tables if not isinstance(table, Keyed)]
    return sorted({*logs, *(one.current.name for one in keyed), *(one.history.name for one in keyed)})


def as_json(report: Status, *, indent: int | None = 2) -> str:
    """The status as one JSON object."""
    return json.dumps(asdict(report), indent=indent)
