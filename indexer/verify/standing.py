"""What the database says of itself: how far each dataset is, what is covered, which runtimes ran, what has ended.

No map of the chain holds these, so they are held against the rows they speak of, and against the hashes of the
chain. Only what a history says of keys that ended can be repaired; for the rest a person has to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import asyncpg

from indexer import statements
from indexer.datasets.base import Dataset
from indexer.errors import DecodeError
from indexer.node import Node
from indexer.scale import Runtime
from indexer.schema import Keyed
from indexer.sqlstate import mapped_errors
from indexer.verify.report import Difference
from indexer.verify.snapshot import Snapshot

BLOCKS = "blocks"
NAMED_AT_MOST = 100


async def standing(node: Node, snapshot: Snapshot, datasets: Sequence[Dataset]) -> list[Difference]:
    """Everything in cursors, coverage, runtimes, the links of blocks and ended rows that cannot be right."""
    found: list[Difference] = []
    with mapped_errors("read cursors and coverage"):
        cursors = await snapshot.connection.fetch("SELECT * FROM cursors ORDER BY dataset")
        ranges = await snapshot.connection.fetch("SELECT * FROM coverage ORDER BY dataset, first_block")
    finalized = (await node.finalized()).number
    for cursor in cursors:
        own = [row for row in ranges if row["dataset"] == cursor["dataset"]]
        found += _ranges(cursor, own)
        found += await _cursor(node, cursor, finalized)
    if BLOCKS in snapshot.cursors:
        found += await _blocks(snapshot)
    found += await _runtimes(snapshot)
    for dataset in datasets:
        for table in dataset.tables:
            if isinstance(table, Keyed) and dataset.name in snapshot.cursors:
                found += await _history(snapshot, dataset.name, table)
    return found


def _wrong(dataset: str, table: str, key: tuple[object, ...], what: str, stored: object, right: object) -> Difference:
    return Difference(dataset, table, key, what, _text(stored), _text(right), is_repairable=False)


def _text(value: object) -> str | None:
    if value is None:
        return None
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _ranges(cursor: asyncpg.Record, ranges: Sequence[asyncpg.Record]) -> Iterator[Difference]:
    """The ranges begin at the dataset's first block, end at its cursor, and do not overlap."""
    dataset, first, last = cursor["dataset"], cursor["start_block"], cursor["block_number"]
    if not ranges:
        yield _wrong(dataset, "coverage", (dataset, first), "range", None, f"{first} to {last}")
        return
    if ranges[0]["first_block"] != first:
        yield _wrong(dataset, "coverage", (dataset, first), "first_block", ranges[0]["first_block"], first)
    if ranges[-1]["last_block"] != last:
        yield _wrong(dataset, "coverage", (dataset, last), "last_block", ranges[-1]["last_block"], last)
    before = None
    for row in ranges:
        if row["last_block"] < row["first_block"] or (before is not None and row["first_block"] <= before):
            yield _wrong(dataset, "coverage", (dataset, row["first_block"]), "overlap", row["first_block"], None)
        before = row["last_block"]


async def _cursor(node: Node, cursor: asyncpg.Record, finalized: int) -> list[Difference]:
    """The cursor's block is the chain's, and so far final as it says."""
    dataset, number = cursor["dataset"], cursor["block_number"]
    found = []
    block_hash = await node.block_hash(number)
    if number <= finalized and block_hash != cursor["block_hash"]:
        found.append(_wrong(dataset, "cursors", (dataset,), "block_hash", cursor["block_hash"], block_hash))
    named = cursor["finalized_block"]
    if named is not None and named > finalized:
        found.append(_wrong(dataset, "cursors", (dataset,), "finalized_block", named, finalized))
    return found


async def _blocks(snapshot: Snapshot) -> list[Difference]:
    """Every covered block is there, links to the one before it, and is as proven as the coverage says."""
    with mapped_errors("compare blocks with the coverage"):
        rows = await snapshot.connection.fetch(
            "SELECT coalesce(b.block_number, n.number) AS number, b.block_number IS NULL AS missing, "
            "n.number IS NULL AS extra, b.parent_hash, p.hash AS before, b.complete, n.proven "
            "FROM (SELECT generate_series(first_block, last_block) AS number, complete AND reason IS NULL AS proven "
            "FROM coverage WHERE dataset = 'blocks') n FULL JOIN blocks b ON b.block_number = n.number "
            "LEFT JOIN blocks p ON p.block_number = b.block_number - 1 "
            "WHERE b.block_number IS NULL OR n.number IS NULL OR b.parent_hash <> p.hash "
            f"OR b.complete IS DISTINCT FROM n.proven ORDER BY 1 LIMIT {NAMED_AT_MOST}"
        )
    found = []
    for row in rows:
        key = (row["number"],)
        if row["missing"] or row["extra"]:
            stored, right = ("a row", "not covered") if row["extra"] else (None, "covered")
            found.append(_wrong(BLOCKS, "coverage", (BLOCKS, *key), "block", stored, right))
        elif row["before"] is not None and row["parent_hash"] != row["before"]:
            found.append(_wrong(BLOCKS, BLOCKS, key, "parent_hash", row["parent_hash"], row["before"]))
        else:
            found.append(_wrong(BLOCKS, "coverage", (BLOCKS, *key), "complete", row["proven"], row["complete"]))
    return found


async def _runtimes(snapshot: Snapshot) -> list[Difference]:
    """Each runtime's metadata can be read and is of its spec_version, which executed its first block."""
    with mapped_errors("read runtimes"):
        rows = await snapshot.connection.fetch(
            "SELECT r.code_hash, r.spec_version, r.first_block, r.metadata, b.spec_version AS executed "
            "FROM runtimes r LEFT JOIN blocks b ON b.block_number = r.first_block"
        )
    found = []
    for row in rows:
        key = (row["code_hash"],)
        try:
            told = Runtime.from_metadata(row["metadata"]).spec_version
        except DecodeError as error:
            found.append(_wrong("runtimes", "runtimes", key, f"metadata: {error}", None, None))
            continue
        if told != row["spec_version"]:
            found.append(_wrong("runtimes", "runtimes", key, "spec_version", row["spec_version"], told))
        if row["executed"] is not None and row["executed"] != told:
            what = f"first_block: block {row['first_block']} was executed by spec"
            found.append(_wrong("runtimes", "runtimes", key, what, told, row["executed"]))
    return found


async def _history(snapshot: Snapshot, dataset: str, table: Keyed) -> list[Difference]:
    """Rows in blocks that nothing covers, and ends of keys that had not begun, or that still have values."""
    width = len(table.keys)
    with mapped_errors(f"read {table.history.name}"):
        outside = await snapshot.connection.fetch(statements.uncovered(table, NAMED_AT_MOST), dataset)
        ends = await snapshot.connection.fetch(statements.void_ends(table))
    found = [
        _wrong(dataset, table.history.name, tuple(row)[:width], "block_number", row["block_number"], "not covered")
        for row in outside
    ]
    for row in ends:
        stored = f"ended at block {row['block_number']}"
        found.append(Difference(dataset, table.name, tuple(row)[:width], "end of a row that was none", stored, None))
    return found
