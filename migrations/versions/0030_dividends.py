"""The datasets dividends and rate_limits."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "dividends",
        "dividend_history",
        "What the last epoch of a subnet paid to hotkeys, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Hotkey."),
        ],
        values=[
            ("alpha_dividends", tables.INTEGER, "AlphaDividendsPerSubnet: paid by the last epoch, rao of alpha."),
            (
                "tao_dividends",
                tables.INTEGER,
                "TaoDividendsPerSubnet: paid to its root stake by the last epoch, rao of TAO (before spec 334).",
            ),
            (
                "root_alpha_dividends",
                tables.INTEGER,
                "RootAlphaDividendsPerSubnet: paid for its root stake by the last epoch, rao of alpha.",
            ),
        ],
        indexes=[("hotkey",)],
    )
    tables.index_removed("dividend_history")
    tables.create_keyed(
        "rate_limits",
        "rate_limit_history",
        "When what the chain limits in time was last done (since spec ~273).",
        keys=[
            (
                "name",
                tables.TEXT,
                "What was done, and by or on what: NetworkLastRegistered, LastTxBlock:5G…, "
                "OwnerHyperparamUpdate:7:Tempo.",
            ),
        ],
        values=[
            ("last_block", tables.INTEGER, "LastRateLimitedBlock: block at which it was last done."),
        ],
    )
    tables.index_removed("rate_limit_history")
    sql.run("0030_dividends")


def downgrade() -> None:
    """Drop the functions and the tables: their history is lost, and indexed again after the next upgrade."""
    op.execute("DROP FUNCTION rate_limits_at(bigint, text[])")
    op.execute("DROP FUNCTION dividends_at(bigint, integer[], text[])")
    for table in ("rate_limit_history", "rate_limits", "dividend_history", "dividends"):
        op.drop_table(table)
    for dataset in ("dividends", "rate_limits"):
        tables.forget(dataset)
