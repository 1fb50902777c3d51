"""What was removed from stake_shares since a block, by coldkey and by hotkey: else a portfolio reads all removals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

HISTORY = "stake_shares_history"
COLUMNS = ("coldkey", "hotkey")


def upgrade() -> None:
    """Two partial indexes over the few rows that end a key. Locks writers out while they are built."""
    for column in COLUMNS:
        op.create_index(
            f"{HISTORY}_removed_{column}_idx",
            HISTORY,
            [column, "block_number"],
            postgresql_where=sa.text('NOT "exists"'),
        )


def downgrade() -> None:
    """Drop them."""
    for column in COLUMNS:
        op.drop_index(f"{HISTORY}_removed_{column}_idx", HISTORY)
