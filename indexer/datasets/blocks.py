"""Blocks: one row per block, with the author where the digest tells it.

Owns the ``blocks`` table, the source of the executing spec of every block (and so of every formula
chosen by spec range). It tracks no storage map; it reads four plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, DateTime, LargeBinary

from indexer.datasets._values import whole
from indexer.datasets.base import Dataset, RuntimeView
from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import account, flag, integer, log

NOW = ItemRef("Timestamp", "Now")
EVENT_COUNT = ItemRef("System", "EventCount")
AUTHORITIES = ItemRef("Aura", "Authorities")

_PRE_RUNTIME = 6
"""Variant of ``DigestItem`` in which the author's node states its slot."""


def _hash(name: str, comment: str) -> Column[bytes]:
    return Column(name, LargeBinary(32), nullable=False, comment=comment)


BLOCKS = log(
    "blocks",
    values=[
        _hash("hash", "Hash of the header: blake2b-256."),
        _hash("parent_hash", "Hash of the parent."),
        Column("timestamp", DateTime(timezone=True), comment="Timestamp.Now set by the block; NULL at genesis."),
        integer("spec_version", "spec_version of the runtime that executed the block.", nullable=False),
        integer("extrinsic_count", "Extrinsics in the block, inherents included.", nullable=False),
        integer("event_count", "Events the block deposited (System.EventCount)."),
        _hash("state_root", "Root of the state after the block."),
        _hash("extrinsics_root", "Root of the extrinsics."),
        account("author", "Aura authority whose slot the block fills; NULL where not told.", nullable=True),
        flag("complete", "True: every change was proven exact against state_root."),
    ],
    comment="Every indexed block.",
)


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """The one row of the block."""
    del changes, runtime
    yield Row(
        "blocks",
        (),
        {
            "hash": block.hash,
            "parent_hash": block.parent_hash,
            "timestamp": _timestamp(block.reads.get(NOW)),
            "spec_version": block.spec_version,
            "extrinsic_count": block.extrinsic_count,
            "event_count": block.reads.get(EVENT_COUNT),
            "state_root": block.state_root,
            "extrinsics_root": block.extrinsics_root,
            "author": author(block.digest, block.parent_reads.get(AUTHORITIES)),
            "complete": block.complete,
        },
    )


def _timestamp(now_ms: object | None) -> datetime | None:
    """Genesis sets no timestamp; its stored or default 0 says nothing."""
    if not now_ms:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=whole(now_ms))


def author(digest: Sequence[bytes], authorities: object | None) -> bytes | None:
    """The authority that filled the block's slot: ``authorities[slot % len]``, the parent state's list.

    None without an Aura pre-runtime digest (genesis) or without the list.
    """
    slot = _aura_slot(digest)
    if slot is None or not isinstance(authorities, list) or not authorities:
        return None
    chosen = authorities[slot % len(authorities)]
    return chosen if isinstance(chosen, bytes) else None


def _aura_slot(digest: Sequence[bytes]) -> int | None:
    """Slot from ``PreRuntime(b"aura", slot u64)``: variant, engine id, compact length 8, eight bytes."""
    for item in digest:
        if item[:6] == bytes([_PRE_RUNTIME]) + b"aura" + bytes([8 << 2]) and len(item) == 14:
            return int.from_bytes(item[6:], "little")
    return None


DATASET = Dataset(
    name="blocks",
    tables=(BLOCKS,),
    items=(),
    rows=rows,
    reads=(NOW, EVENT_COUNT),
    parent_reads=(AUTHORITIES,),
)
