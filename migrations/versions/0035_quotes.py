"""What staking and unstaking would give at a block, simulated."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0035_quotes")


def downgrade() -> None:
    """Drop its functions."""
    for statement in sql.statements(_DROPS):
        op.execute(statement)


_DROPS = """\
drop function quote_unstake_estimate(integer, bigint, bigint);
drop function quote_stake_estimate(integer, bigint, bigint);
drop function balancer_quote_weight(jsonb);
drop function swap_estimate(numeric, numeric, numeric, numeric, bigint, bigint, numeric);
"""
