"""What questions over a stretch of time begin with: block_at(), stake_flows(), alpha_per_share()."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0040"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0040_flows")


def downgrade() -> None:
    """Drop the functions; no data is lost."""
    op.execute("drop function alpha_per_share(integer, text, bigint)")
    op.execute("drop function stake_flows(bigint, bigint, text[], text[], integer[])")
    op.execute("drop function block_at(timestamptz)")
