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
    """Drop its functions, and put the older comments back."""
    for statement in sql.statements(_BEFORE):
        op.execute(statement)


_BEFORE = """\
drop function blocks_since_last_step(integer, bigint);
drop function blocks_until_next_epoch(integer, bigint);
drop function next_epoch_start_block(integer, bigint);
drop function epoch_status_at(bigint, integer[]);
drop function existential_deposit(bigint);
drop function is_fast_blocks(bigint);
drop function block_time(bigint);
comment on function spec_at(bigint) is
'spec_version of the runtime that executed the block: the one in the state of its parent.';
comment on function effective_hyperparameter(integer, text, bigint) is
'One parameter as the runtime uses it: as hyperparameter_as_of, but min_childkey_take of a subnet is not below that \
of the network.';
comment on function neuron_vector(integer, text, bigint, bigint) is
'A vector of neuron_vectors as of a block, whose element uid + 1 is that of the uid; NULL if there is none. It does \
not ask whether the block is indexed: neurons_at and neuron_vectors_at do.';
"""
