"""Functions that serve others say that they do not ask whether the block is indexed."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0035_unchecked")


def downgrade() -> None:
    """Put the older comments back."""
    for statement in sql.statements(_BEFORE):
        op.execute(statement)


_BEFORE = """\
comment on function spec_at(bigint) is
'spec_version of the runtime that executed the block: the one in the state of its parent.';
comment on function effective_hyperparameter(integer, text, bigint) is
'One parameter as the runtime uses it: as hyperparameter_as_of, but min_childkey_take of a subnet is not below that \
of the network.';
comment on function neuron_vector(integer, text, bigint, bigint) is
'A vector of neuron_vectors as of a block, whose element uid + 1 is that of the uid; NULL if there is none. It does \
not ask whether the block is indexed: neurons_at and neuron_vectors_at do.';
"""
