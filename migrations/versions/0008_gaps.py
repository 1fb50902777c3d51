"""Holes in the indexed ranges, the reason of each, and what is not proven: the view gaps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import sql, tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the column, then run the SQL file of the same name."""
    tables.create_plain(
        "holes",
        "Why blocks are missing; which ones are is derived from coverage: see the view gaps.",
        keys=[
            ("dataset", tables.TEXT, "Dataset."),
            ("first_block", tables.INTEGER, "First block that is missing."),
        ],
        values=[
            ("last_block", tables.INTEGER, "Last one; NULL where the dataset stopped and waits."),
            ("reason", tables.TEXT, "Why they are missing."),
            ("found_at", tables.TIME, "When that was found."),
        ],
        nullable=["last_block"],
    )
    reason = "Why the range is not complete, or not proven; NULL where it is."
    op.add_column("coverage", sa.Column("reason", tables.TEXT, comment=reason))
    complete = "True: exact: proven against the state roots, or, where reason says so, read in full."
    op.alter_column("coverage", "complete", comment=complete, existing_type=tables.FLAG, existing_nullable=False)
    sql.run("0008_gaps")


def downgrade() -> None:
    """Drop the view, the column and the table: the reasons of holes are lost, the holes stay in coverage."""
    sql.undo("0008_gaps")
    complete = "True: proven exact against the state root of each block."
    op.alter_column("coverage", "complete", comment=complete, existing_type=tables.FLAG, existing_nullable=False)
    op.drop_column("coverage", "reason")
    tables.drop("holes")
