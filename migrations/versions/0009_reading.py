"""What every generated as-of function needs: many addresses at once, and an index on what was removed."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HISTORIES = (
    "balance_history",
    "issuance_history",
    "subnet_pool_history",
    "subnet_info_history",
    "stored_hyperparameter_history",
    "hyperparameter_default_history",
    "hotkey_pools_history",
    "delegate_history",
    "coldkey_stake_history",
)


def upgrade() -> None:
    """Create the indexes that are missing, then run the SQL file of the same name."""
    for history in HISTORIES:
        tables.index_removed(history)
    sql.run("0009_reading")


def downgrade() -> None:
    """Drop the function and the indexes; no data is lost."""
    sql.undo("0009_reading")
    for history in HISTORIES:
        op.drop_index(f"{history}_removed_idx", history)
