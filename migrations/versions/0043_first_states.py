"""Where a first state waits that is read in parts, and how far it is."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, then run the SQL file of the same name."""
    tables.create_plain(
        "first_states",
        "First states that are being read: their rows wait in tables of their own until all are there.",
        keys=[
            ("id", tables.SPEC, "Names the tables first_state_<id>_…"),
        ],
        values=[
            ("block_number", tables.INTEGER, "Block whose whole state is being read."),
            ("block_hash", tables.HASH, "Its hash."),
            ("datasets", tables.JSON, "For which datasets, each with a hash of how it is kept."),
            ("last_key", tables.RAW, "All keys up to this one are read; NULL: none is."),
            ("keys_read", tables.INTEGER, "Keys read by now."),
            ("nodes_read", tables.INTEGER, "Nodes of the state trie read by now."),
            ("rows", tables.JSON, "Rows that wait by now, by table."),
            ("untyped", tables.JSON, "Storage items met whose type no known runtime tells."),
            ("began_at", tables.TIME, "When reading it began."),
            ("updated_at", tables.TIME, "When the last keys were read."),
        ],
        nullable=["last_key"],
    )
    sql.run("0043_first_states")


def downgrade() -> None:
    """Drop the table: what waits of first states is lost, and read anew after the next upgrade."""
    op.execute("select first_state_forget(id) from first_states")
    sql.undo("0043_first_states")
    tables.drop("first_states")
