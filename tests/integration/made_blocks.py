"""Blocks made up for tests of SQL: rows as a dataset would give them, without a chain behind."""

from __future__ import annotations

from indexer.model import BlockRef, BlockRows, Row


def block(number: int, *rows: Row, spec: int = 1, first: int = 1) -> BlockRows:
    """A finalized block with these rows and its own; ``first`` is the one that the index begins with."""
    own = Row(
        "blocks",
        (),
        {
            "hash": bytes([number]) * 32,
            "parent_hash": bytes([number - 1]) * 32,
            "spec_version": spec,
            "extrinsic_count": 0,
            "state_root": bytes(32),
            "extrinsics_root": bytes(32),
            "complete": True,
        },
    )
    return BlockRows(
        ref=BlockRef(number, bytes([number]) * 32),
        parent_hash=bytes([number - 1]) * 32,
        timestamp_ms=None,
        finalized=True,
        complete=True,
        bootstrap=number == first,
        rows=(own, *rows),
    )
