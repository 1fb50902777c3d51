"""Locks and conviction rolled forward to a block, by the chain's own fixed-point arithmetic."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0032_convictions")


def downgrade() -> None:
    """Drop its functions."""
    for statement in sql.statements(_DROPS):
        op.execute(statement)


_DROPS = """\
drop function stake_availability_at(bigint, text[], integer[]);
drop function subnet_ownership(integer, bigint);
drop function subnet_convictions(integer, bigint);
drop function blocks_to_conviction_estimate(numeric, numeric, numeric, numeric, numeric, bigint, bigint, numeric);
drop function most_convicted_hotkey(integer, bigint);
drop function convictions_at(bigint, integer[], text[]);
drop function lock_buckets(bigint, integer[], text[]);
drop function locks_at(bigint, text[], integer[], text[]);
drop function subnet_owner_hotkey(integer, bigint);
drop function lock_clock(bigint);
drop function roll_lock(integer, bigint, numeric, bigint, bigint, bigint, boolean, boolean);
drop function exp_decay(bigint, bigint);
"""
