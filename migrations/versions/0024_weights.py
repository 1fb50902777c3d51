"""The datasets weights, bonds and weight_commits, all off by default."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "weight_rows",
        "weight_row_history",
        "Weights as validators set them, a row per validator.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("mechanism", tables.INTEGER, "Mechanism of the subnet, from 0."),
            ("uid", tables.INTEGER, "Validator that set them."),
        ],
        values=[
            ("targets", tables.INTEGERS, "Uids they are set on."),
            ("weights", tables.INTEGERS, "Weight of each of targets, in this order (u16): see weights for fractions."),
        ],
    )
    tables.index_removed("weight_row_history")
    tables.create_keyed(
        "bond_rows",
        "bond_row_history",
        "Bonds of validators, a row per validator.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("mechanism", tables.INTEGER, "Mechanism of the subnet, from 0."),
            ("uid", tables.INTEGER, "Validator that holds them."),
        ],
        values=[
            ("targets", tables.INTEGERS, "Uids they are held in."),
            ("bonds", tables.INTEGERS, "Bond in each of targets, in this order (u16, 65535 for 1)."),
        ],
    )
    tables.index_removed("bond_row_history")
    tables.create_keyed(
        "weight_commits",
        "weight_commit_history",
        "Sealed weights of validators, a row per epoch.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("mechanism", tables.INTEGER, "Mechanism of the subnet, from 0."),
            ("epoch", tables.INTEGER, "Epoch of the subnet they are made in."),
        ],
        values=[
            ("timelocked", tables.JSON, "TimelockedWeightCommits: [{hotkey, block, ciphertext, round}], in order."),
            ("crv3_v2", tables.JSON, "CRV3WeightCommitsV2: the same of runtimes before."),
            ("crv3", tables.JSON, "CRV3WeightCommits: the same of those before, which did not tell the block."),
        ],
    )
    tables.index_removed("weight_commit_history")
    sql.run("0024_weights")


def downgrade() -> None:
    """Drop the tables with all that reads them: their history is lost, and indexed again after the next upgrade."""
    op.execute("DROP FUNCTION timelocked_weight_commits_at(bigint, integer[], bigint[], bigint[])")
    for name in ("weights", "bonds"):
        op.execute(f"DROP FUNCTION {name}_at(bigint, integer[], bigint[], bigint[], bigint[])")
        op.execute(f"DROP VIEW {name}")
    for table in ("weight_rows", "bond_rows", "weight_commits"):
        op.execute(f"DROP FUNCTION {table}_at(bigint, integer[], bigint[], bigint[])")
    for table in ("weight_row_history", "weight_rows", "bond_row_history", "bond_rows"):
        op.drop_table(table)
    op.drop_table("weight_commit_history")
    op.drop_table("weight_commits")
    for table in ("cursors", "coverage", "holes"):
        op.execute(f"DELETE FROM {table} WHERE dataset IN ('weights', 'bonds', 'weight_commits')")
