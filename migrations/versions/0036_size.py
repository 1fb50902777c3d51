"""The same answers sooner, at the size of the full chain."""

from __future__ import annotations

from alembic import op

from migrations import sql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

ARGUMENTS = "integer, bigint, bigint, numeric, numeric, bigint, numeric, numeric, bigint, bigint, bigint"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    sql.run("0036_size")


def downgrade() -> None:
    """Put the view and the functions of revisions 0004 and 0006 back."""
    op.execute("drop function delegations_at(bigint, text, text, integer)")
    op.execute("drop function delegations_as_of(bigint, integer, bytea, bytea, integer, boolean, boolean)")
    op.execute("drop function stake_shares_as_of(bigint, bytea, bytea, integer)")
    op.execute("drop view delegations")
    op.execute(f"drop function alpha_rao({ARGUMENTS})")
    op.execute(f"drop function alpha_rao_of_any({ARGUMENTS})")
    op.execute("drop function power_of_ten(bigint)")
    op.execute("drop function subnets_as_of(bigint)")
    for one in ("spec_at(bigint)", "indexed_block(text, bigint)"):
        op.execute(f"alter function {one} parallel unsafe")
    sql.run("0004_subnets", only=["create function subnets_as_of(", "comment on function subnets_as_of("])
    sql.run(
        "0006_stake",
        only=[
            "create function alpha_rao(",
            "comment on function alpha_rao(",
            "create view delegations",
            "comment on view delegations",
            "comment on column delegations.",
            "create function delegations_at(",
            "comment on function delegations_at(",
        ],
    )
