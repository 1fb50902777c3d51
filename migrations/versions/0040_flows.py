"""What questions over a stretch of time begin with: block_at(), stake_flows(), alpha_per_share()."""

from __future__ import annotations

from migrations import sql

revision = "0040"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0040_flows")


def downgrade() -> None:
    """Take back what the SQL file did; no data is lost."""
    sql.undo("0040_flows")
