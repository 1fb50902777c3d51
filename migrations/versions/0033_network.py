"""The dataset network: constants of runtimes, and single values of storage."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "chain_values",
        "chain_value_history",
        "Values that the chain keeps once, by name, as stored: keys of MEV Shield, sudo, EVM and the like.",
        keys=[
            ("name", tables.TEXT, "Pallet.Item of the storage."),
        ],
        values=[
            ("value", tables.JSON, "The value: numbers, text, or {hex: …} for bytes that are no text."),
        ],
    )
    tables.index_removed("chain_value_history")
    tables.create_keyed(
        "constant_sets",
        "constant_set_history",
        "The constants of the running runtime, in one row: see runtime_constants.",
        keys=[
            ("name", tables.TEXT, "Always constants."),
        ],
        values=[
            ("value", tables.JSON, "Every constant of the metadata: pallet, then name, then value."),
        ],
    )
    tables.index_removed("constant_set_history")
    sql.run("0033_network")


def downgrade() -> None:
    """Drop its functions, view and tables: the history of values is lost, and indexed again after the next upgrade."""
    op.execute("drop function runtime_constants_at(bigint, text[], text[])")
    op.execute("drop view runtime_constants")
    op.execute("drop function chain_values_at(bigint, text[])")
    for name in ("chain_values", "chain_value_history", "constant_sets", "constant_set_history"):
        op.drop_table(name)
    tables.forget("network")
