"""A commitment to a round that never comes does not break the query for everybody."""

from __future__ import annotations

from migrations import sql

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0041_rounds")


def downgrade() -> None:
    """Put the older form of the function back; no data is lost."""
    sql.undo("0041_rounds")
