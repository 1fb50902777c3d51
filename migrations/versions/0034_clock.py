"""Reads that move with the block number alone: epochs, and the time of a block."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0034_clock")


def downgrade() -> None:
    """Drop its functions."""
    for statement in sql.statements(_DROPS):
        op.execute(statement)


_DROPS = """\
drop function blocks_since_last_step(integer, bigint);
drop function blocks_until_next_epoch(integer, bigint);
drop function next_epoch_start_block(integer, bigint);
drop function epoch_status_at(bigint, integer[]);
drop function existential_deposit(bigint);
drop function is_fast_blocks(bigint);
drop function block_time(bigint);
"""
