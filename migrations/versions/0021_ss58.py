"""Addresses are decoded, and their checksum held, also where no table has met them."""

from __future__ import annotations

from migrations import sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0021_ss58")


def downgrade() -> None:
    """Take back what the SQL file did; no data is lost."""
    sql.undo("0021_ss58")
