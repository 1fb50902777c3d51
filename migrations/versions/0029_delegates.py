"""Delegates as the runtime tells them, and what coldkeys delegate."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "delegated_at(bigint, text[])",
    "delegate_take(text, bigint)",
    "is_delegate(text, bigint)",
    "delegate_take_as_of(bytea, bigint)",
    "delegates_at(bigint, text[])",
    "nominators_as_of(bigint, bytea[])",
    "delegate_facts(bigint, bytea[])",
)


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0029_delegates")


def downgrade() -> None:
    """Drop the functions."""
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
