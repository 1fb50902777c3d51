"""Cursors, coverage and holes: what one transaction says of which blocks are indexed, and how well.

Functions over an open transaction of ``store``, beside ``commit``, which writes the rows themselves.
Coverage is only ever derived from blocks written in the same transaction, so it cannot promise more
than there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import asyncpg

from indexer.model import BlockRef, BlockRows
from indexer.session import Connection

STATE_DROPPED = "nothing was indexed until no endpoint had the state of these blocks any more: an archive node has it"

NOT_PROVEN = (
    "no endpoint serves state_getReadProof: likely changes were read, others may be missing until the next scan"
)
NO_BODY = "no endpoint had the extrinsics of these blocks any more: a node that keeps all blocks has them"
SCANNED = "no endpoint serves state_getReadProof: the whole state was read, on the endpoint's word"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one dataset is committed."""

    start_block: int
    block: BlockRef
    finalized_block: int | None


def cursors(rows: Iterable[asyncpg.Record]) -> dict[str, Cursor]:
    """Cursor by dataset, from rows of the table."""
    return {
        row["dataset"]: Cursor(
            row["start_block"], BlockRef(row["block_number"], row["block_hash"]), row["finalized_block"]
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class Hole:
    """Blocks of one dataset that are missing between indexed ones."""

    dataset: str
    after: BlockRef
    """The last indexed block before it."""
    last: int
    """The last missing block."""
    began: int
    """The first block that was missing when the hole was found; those up to ``after`` are filled in by now."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Blocks of one dataset that were read without proofs, up to one that was proven."""

    dataset: str
    first: int
    last: int
    is_based: bool
    """Whether the block before them was proven, so that differences to it are enough."""


_ADVANCE = """
WITH given AS (SELECT * FROM unnest($1::text[], $2::text[]) AS given(dataset, note)),
found AS (
  INSERT INTO holes (dataset, first_block, last_block, reason, found_at)
  SELECT dataset, block_number + 1, $3 - 1, $4, now() FROM cursors JOIN given USING (dataset)
  WHERE block_number < $3 - 1
  ON CONFLICT (dataset, first_block) DO UPDATE SET last_block = excluded.last_block, reason = excluded.reason
),
ranges AS (
  SELECT * FROM unnest($11::text[], $12::bigint[], $13::bigint[], $14::boolean[], $15::text[])
  AS ranges(dataset, first_block, last_block, complete, reason)
),
grown AS (
  UPDATE coverage c SET last_block = r.last_block FROM ranges r
  WHERE c.dataset = r.dataset AND c.last_block = r.first_block - 1 AND c.complete = r.complete
  AND c.reason IS NOT DISTINCT FROM r.reason RETURNING r.dataset, r.first_block
),
added AS (
  INSERT INTO coverage (dataset, first_block, last_block, complete, reason)
  SELECT * FROM ranges r WHERE (r.dataset, r.first_block) NOT IN (SELECT dataset, first_block FROM grown)
)
INSERT INTO cursors (dataset, start_block, block_number, block_hash, finalized_block, committed_at, writer_token,
  head_block, note)
SELECT dataset, $3, $5, $6, $7::bigint, now(), $8, $9::bigint, note FROM given
ON CONFLICT (dataset) DO UPDATE SET
  block_number = excluded.block_number, block_hash = excluded.block_hash, committed_at = excluded.committed_at,
  writer_token = excluded.writer_token, is_followed = true,
  head_block = coalesce(excluded.head_block, cursors.head_block),
  note = CASE WHEN $10 THEN excluded.note ELSE cursors.note END,
  finalized_block = coalesce(excluded.finalized_block, cursors.finalized_block)
"""
"""All of it sees the tables as they were before, so a range can only go on from one that was there."""


async def advance(connection: Connection, datasets: Sequence[str], blocks: Sequence[BlockRows], token: int) -> None:
    """Move the cursors and coverage of datasets over ``blocks``, as the writer that holds ``token``.

    A first block above the next one leaves a hole behind.
    """
    first, last = blocks[0], blocks[-1]
    finalized = max((block.ref.number for block in blocks if block.finalized), default=None)
    head = max((block.head for block in blocks if block.head is not None), default=None)
    met = next((block for block in reversed(blocks) if block.runtime is not None), None)
    notes = [met and met.notes.get(dataset) for dataset in datasets]
    ranges = [(dataset, *run) for dataset in datasets for run in _runs(blocks, dataset)]
    await connection.execute(
        _ADVANCE, datasets, notes, first.ref.number, STATE_DROPPED, last.ref.number, last.ref.hash, finalized, token,
        head, met is not None, *([run[at] for run in ranges] for at in range(5)),
    )  # fmt: skip


async def follow(connection: Connection, notes: Mapping[str, str | None]) -> None:
    """Note which datasets the run that begins keeps up, and what is to be said of them; the others are left behind."""
    await connection.execute("UPDATE cursors SET is_followed = dataset = ANY($1::text[])", list(notes))
    await connection.execute(
        "UPDATE cursors SET note = told.note FROM unnest($1::text[], $2::text[]) AS told(dataset, note) "
        "WHERE cursors.dataset = told.dataset",
        list(notes), list(notes.values()),
    )  # fmt: skip


async def fill(connection: Connection, dataset: str, blocks: Sequence[BlockRows], hole: Hole) -> None:
    """Extend the coverage before a hole over ``blocks``; the block after the hole joins it to the range behind it."""
    closing = blocks[-1].ref.number == hole.last + 1
    behind = None
    if closing:
        behind = await connection.fetchrow(
            "DELETE FROM coverage WHERE dataset = $1 AND first_block = $2 RETURNING last_block, complete, reason",
            dataset, hole.last + 1,
        )  # fmt: skip
    await _cover(connection, dataset, blocks)
    if behind and behind["last_block"] > hole.last + 1:
        await _cover_range(
            connection, dataset, hole.last + 2, behind["last_block"], behind["complete"], behind["reason"]
        )
    if closing:
        await connection.execute("DELETE FROM holes WHERE dataset = $1 AND last_block = $2", dataset, hole.last)


async def holes(connection: Connection) -> list[Hole]:
    """Every hole between indexed ranges, the highest first."""
    rows = await connection.fetch(
        "SELECT r.dataset, r.last_block, r.next_block - 1 AS last, b.hash, "
        "coalesce(h.first_block, r.last_block + 1) AS began FROM ("
        "SELECT dataset, last_block, lead(first_block) OVER (PARTITION BY dataset ORDER BY first_block) AS next_block "
        "FROM coverage) r JOIN blocks b ON b.block_number = r.last_block "
        "LEFT JOIN holes h ON h.dataset = r.dataset AND h.last_block = r.next_block - 1 "
        "WHERE r.next_block > r.last_block + 1 ORDER BY r.last_block DESC, r.dataset"
    )
    return [Hole(row["dataset"], BlockRef(row["last_block"], row["hash"]), row["last"], row["began"]) for row in rows]


async def unproven(connection: Connection) -> list[Unproven]:
    """Every run of blocks that were read without proofs, or without their bodies, and are followed by one that
    was read whole; the highest first."""
    found: list[Unproven] = []
    run: Unproven | None = None
    before: tuple[str, int, bool] | None = None
    for row in await connection.fetch("SELECT * FROM coverage ORDER BY dataset, first_block"):
        dataset, first, last = row["dataset"], row["first_block"], row["last_block"]
        is_proven = row["complete"] and row["reason"] is None
        continues = before is not None and before[:2] == (dataset, first - 1)
        if run is not None and continues and is_proven:
            found.append(run)
        if row["reason"] not in (NOT_PROVEN, SCANNED, NO_BODY):
            run = None
        elif run is not None and continues:
            run = replace(run, last=last)
        else:
            run = Unproven(dataset, first, last, is_based=continues and before is not None and before[2])
        before = (dataset, last, is_proven)
    return sorted(found, key=lambda one: (-one.last, one.dataset))


async def cover_anew(connection: Connection, dataset: str, blocks: Sequence[BlockRows]) -> None:
    """Say of blocks that are covered already what they are now; ranges around them keep what they say."""
    first, last = blocks[0].ref.number, blocks[-1].ref.number
    rows = await connection.fetch(
        "DELETE FROM coverage WHERE dataset = $1 AND last_block >= $2 AND first_block <= $3 RETURNING *",
        dataset, first - 1, last + 1,
    )  # fmt: skip
    parts = list(_runs(blocks, dataset))
    for row in rows:
        kind = (row["complete"], row["reason"])
        parts.append((row["first_block"], min(row["last_block"], first - 1), *kind))
        parts.append((max(row["first_block"], last + 1), row["last_block"], *kind))
    for start, end, complete, reason in sorted(parts, key=lambda part: part[0]):
        if start <= end:
            await _cover_range(connection, dataset, start, end, complete, reason)


async def stop_dataset(connection: Connection, dataset: str, first_block: int, reason: str) -> None:
    """Note that a dataset cannot go on at a block, and why. The note is void once its cursor is past the block."""
    await connection.execute("DELETE FROM holes WHERE dataset = $1 AND last_block IS NULL", dataset)
    await connection.execute(
        "INSERT INTO holes (dataset, first_block, reason, found_at) VALUES ($1, $2, $3, now()) "
        "ON CONFLICT (dataset, first_block) DO UPDATE SET last_block = NULL, reason = excluded.reason",
        dataset, first_block, reason,
    )  # fmt: skip


async def rewind_cursor(connection: Connection, dataset: str, to: BlockRef) -> None:
    """Move a dataset's cursor, coverage and holes back to block ``to``."""
    await connection.execute(
        "UPDATE cursors SET block_number = $2, block_hash = $3, committed_at = now() WHERE dataset = $1",
        dataset, to.number, to.hash,
    )  # fmt: skip
    await connection.execute("DELETE FROM coverage WHERE dataset = $1 AND first_block > $2", dataset, to.number)
    await connection.execute("DELETE FROM holes WHERE dataset = $1 AND first_block > $2", dataset, to.number)
    await connection.execute(
        "UPDATE coverage SET last_block = $2 WHERE dataset = $1 AND last_block > $2", dataset, to.number
    )


async def _cover(connection: Connection, dataset: str, blocks: Sequence[BlockRows]) -> None:
    for start, end, complete, reason in _runs(blocks, dataset):
        await _cover_range(connection, dataset, start, end, complete, reason)


async def _cover_range(
    connection: Connection, dataset: str, start: int, end: int, complete: bool, reason: str | None
) -> None:
    """Add a range, as a longer one before it if that is of the same kind."""
    grown = await connection.execute(
        "UPDATE coverage SET last_block = $3 WHERE dataset = $1 AND last_block = $2 - 1 AND complete = $4 "
        "AND reason IS NOT DISTINCT FROM $5",
        dataset, start, end, complete, reason,
    )  # fmt: skip
    if grown == "UPDATE 0":
        await connection.execute(
            "INSERT INTO coverage (dataset, first_block, last_block, complete, reason) VALUES ($1, $2, $3, $4, $5)",
            dataset, start, end, complete, reason,
        )  # fmt: skip


def _runs(blocks: Sequence[BlockRows], dataset: str) -> Iterator[tuple[int, int, bool, str | None]]:
    """(first, last, complete, reason) of each stretch of blocks with the same completeness for a dataset."""

    def kind(block: BlockRows) -> tuple[bool, str | None]:
        return block.complete and dataset not in block.doubts, block.doubt_of(dataset)

    start = 0
    for at in range(1, len(blocks) + 1):
        if at == len(blocks) or kind(blocks[at]) != kind(blocks[start]):
            yield blocks[start].ref.number, blocks[at - 1].ref.number, *kind(blocks[start])
            start = at


async def tip(connection: Connection) -> tuple[int, float] | None:
    """Height and time (Unix seconds; 0 where it has none) of the last indexed block; None before the first."""
    row = await connection.fetchrow(
        "SELECT block_number, coalesce(extract(epoch FROM timestamp), 0)::float8 FROM blocks "
        "ORDER BY block_number DESC LIMIT 1"
    )
    return None if row is None else (row[0], row[1])
