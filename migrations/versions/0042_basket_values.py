"""What root baskets hold and are worth, and what of it is whose."""

from __future__ import annotations

from migrations import sql

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0042_basket_values")


def downgrade() -> None:
    """Drop its functions; no data is lost."""
    sql.undo("0042_basket_values")
