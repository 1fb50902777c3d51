"""The dataset balances, and balance_at()."""

from __future__ import annotations

from migrations import sql, tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "balances",
        "balance_history",
        "Accounts of the chain (System.Account). A missing account has balance zero.",
        keys=[
            ("account", tables.ACCOUNT, "Account id."),
        ],
        values=[
            ("nonce", tables.INTEGER, "Transactions the account has signed."),
            ("consumers", tables.INTEGER, "Modules that forbid removing the account."),
            ("providers", tables.INTEGER, "Modules that keep the account alive."),
            ("sufficients", tables.INTEGER, "Modules that keep the account alive without a deposit."),
            ("free", tables.RAO, "Free balance in rao, frozen part included."),
            ("reserved", tables.RAO, "Reserved balance in rao (deposits, holds)."),
            ("frozen", tables.RAO, "Part of free that cannot be spent, in rao; NULL in the layout before spec ~146."),
            ("flags", tables.NUMBER, "ExtraFlags of AccountData (u128 bits); NULL in the layout before spec ~146."),
            ("misc_frozen", tables.RAO, "Old layout: frozen for anything but fees, in rao; NULL since spec ~146."),
            ("fee_frozen", tables.RAO, "Old layout: frozen for fees, in rao; NULL since spec ~146."),
            ("other", tables.JSON, "Fields of AccountInfo that this version does not know, by name; normally NULL."),
        ],
    )
    tables.create_keyed(
        "issuance",
        "issuance_history",
        "Totals of the network: issuance as two pallets count it, and TAO in pools.",
        keys=[
            (
                "name",
                tables.TEXT,
                "total_issuance, total_stake, balances_total_issuance or balances_inactive_issuance.",
            ),
        ],
        values=[
            ("amount", tables.RAO, "Amount in rao."),
        ],
    )
    sql.run("0003_balances")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0003_balances")
    tables.forget("balances")
    tables.drop("balances", "balance_history", "issuance", "issuance_history")
