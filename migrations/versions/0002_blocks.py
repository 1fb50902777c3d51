"""The dataset blocks."""

from __future__ import annotations

from migrations import sql, tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_plain(
        "blocks",
        "Every indexed block.",
        keys=[
            ("block_number", tables.INTEGER, "Height of the block."),
        ],
        values=[
            ("hash", tables.HASH, "Hash of the header: blake2b-256."),
            ("parent_hash", tables.HASH, "Hash of the parent."),
            ("timestamp", tables.TIME, "Timestamp.Now set by the block; NULL at genesis."),
            ("spec_version", tables.INTEGER, "spec_version of the runtime that executed the block."),
            ("extrinsic_count", tables.INTEGER, "Extrinsics in the block, inherents included."),
            ("event_count", tables.INTEGER, "Events the block deposited (System.EventCount)."),
            ("state_root", tables.HASH, "Root of the state after the block."),
            ("extrinsics_root", tables.HASH, "Root of the extrinsics."),
            ("author", tables.ACCOUNT, "Aura authority whose slot the block fills; NULL where not told."),
            ("complete", tables.FLAG, "True: every change was proven exact against state_root."),
        ],
        nullable=["timestamp", "event_count", "author", "complete"],
    )
    sql.run("0002_blocks")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0002_blocks")
    tables.forget("blocks")
    tables.drop("blocks")
