"""The metagraph: the view neurons, neurons_at(), and the small questions beside it."""

from __future__ import annotations

from migrations import sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0012_metagraph")


def downgrade() -> None:
    """Take back what the SQL file did; no data is lost."""
    sql.undo("0012_metagraph")
