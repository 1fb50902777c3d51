"""What the SDK reads of accounts and stake: functions for many keys at once, and amounts in TAO."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0028"
down_revision = "0021"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "balance_at(text, bigint)",
    "balances_at(bigint, text[])",
    "hotkey_owner(text, bigint)",
    "hotkey_owners_at(bigint, text[])",
    "hotkey_identities_at(bigint, text[])",
    "alpha_prices_at(bigint, integer[])",
    "stake_for_coldkeys(text[], bigint)",
    "stake_value_for_coldkeys(text[], bigint)",
    "total_stake_for_coldkeys(text[], bigint)",
    "hotkey_stakes_as_of(bigint, bytea[], integer[])",
    "total_stake_for_hotkeys(text[], bigint)",
    "total_alpha_staked_at(bigint, integer[])",
    "tao(numeric)",
)


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0028_reads")


def downgrade() -> None:
    """Drop the functions, and put the older ``balance_at`` back."""
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    sql.run("0003_balances")
