"""Subnets, their parameters, the price of a new one, and the metagraph with stake weights, as the runtime tells."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "metagraph_at(bigint, integer[])",
    "stake_weights_as_of(bigint, integer[])",
    "dynamic_info_at(bigint, integer[])",
    "subnet_registration_cost(bigint)",
    "hyperparameter(text, integer, bigint)",
    "hyperparameter_names(text)",
    "subnet_hyperparameters_at(bigint, integer[])",
    "subnet_start_schedule_at(bigint, integer[])",
)


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0031_subnet_reads")


def downgrade() -> None:
    """Drop the functions."""
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
