"""The dataset collateral."""

from __future__ import annotations

from migrations import sql, tables

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "miner_collateral",
        "miner_collateral_history",
        "Collateral of stake positions of miners.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Miner."),
            ("coldkey", tables.ACCOUNT, "Coldkey of the stake position."),
        ],
        values=[
            ("locked", tables.INTEGER, "Alpha still locked, rao."),
            ("drain_ratio", tables.NUMBER, "Alpha released per alpha earned, as of the last registration."),
            ("min_locked", tables.INTEGER, "Floor that the miner set: below it emission is locked, rao of alpha."),
            ("earned", tables.INTEGER, "Alpha earned since the entry exists, rao."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
        ],
        indexes=[("coldkey",), ("hotkey",)],
    )
    tables.index_removed("miner_collateral_history")
    tables.create_keyed(
        "coldkey_collateral",
        "coldkey_collateral_history",
        "Collateral per coldkey, as the chain sums it.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("coldkey", tables.ACCOUNT, "Coldkey."),
        ],
        values=[
            ("locked", tables.INTEGER, "ColdkeyMinerCollateral: sum over its miners, rao of alpha."),
            ("hotkeys", tables.JSON, "ColdkeyCollateralHotkeys: its miners with collateral."),
        ],
        indexes=[("coldkey",)],
    )
    tables.index_removed("coldkey_collateral_history")
    sql.run("0018_collateral")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0018_collateral")
    tables.forget("collateral")
    tables.drop(
        "miner_collateral",
        "miner_collateral_history",
        "coldkey_collateral",
        "coldkey_collateral_history",
    )
