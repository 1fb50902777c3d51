"""The dataset baskets."""

from __future__ import annotations

from migrations import sql, tables

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "basket_funds",
        "basket_fund_history",
        "Funds of root validators, as stored.",
        keys=[
            ("hotkey", tables.ACCOUNT, "Root validator."),
        ],
        values=[
            ("shares", tables.NUMBER, "BasketShares: all shares, 1e-9 beta."),
            ("rate", tables.NUMBER, "BasketRate: shares earned per rao of root stake since the fund began."),
            ("twr", tables.NUMBER, "BasketTwr: index of the return to stakers; NULL: 1."),
            ("deposited_tao", tables.INTEGER, "BasketDepositedTao: put in, ever, rao of TAO."),
            ("redeemed_tao", tables.INTEGER, "BasketRedeemedTao: paid out, ever, rao of TAO."),
            ("baseline_price_divisor", tables.NUMBER, "BetaBaseline: price of a share at first_block over the index."),
            ("baseline_rate0", tables.NUMBER, "BetaBaseline: rate at first_block."),
            ("baseline_tr_splice", tables.NUMBER, "BetaBaseline: factor from twr to the price of staked TAO."),
            ("baseline_first_block", tables.INTEGER, "BetaBaseline: block of the baseline."),
            ("baseline_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            ("trade_tao_available", tables.INTEGER, "BasketTradeBucket: left to trade as of trade_block, rao of TAO."),
            ("trade_block", tables.INTEGER, "BasketTradeBucket: block of the last trade; NULL: a full bucket."),
            ("frozen", tables.FLAG, "BasketTradingFrozen: true: it may not trade."),
        ],
    )
    tables.index_removed("basket_fund_history")
    tables.create_keyed(
        "basket_claims",
        "basket_claim_history",
        "What stakers have claimed of a fund, as stored.",
        keys=[
            ("hotkey", tables.ACCOUNT, "Root validator."),
            ("coldkey", tables.ACCOUNT, "Staker."),
        ],
        values=[
            (
                "claimed",
                tables.NUMBER,
                "BasketClaimed: shares to be taken off rate x root stake; negative: shares granted.",
            ),
        ],
        indexes=[("coldkey",)],
    )
    tables.index_removed("basket_claim_history")
    tables.create_keyed(
        "basket_slots",
        "basket_slot_history",
        "What a fund has under way on a subnet, as stored.",
        keys=[
            ("hotkey", tables.ACCOUNT, "Root validator."),
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            ("pending", tables.INTEGER, "PendingBasketDeposits: dividends that wait to be put in, rao of alpha."),
            ("liquidity_used", tables.INTEGER, "BasketLiquidityUsed: bought on the subnet as of liquidity_block, rao."),
            ("liquidity_block", tables.INTEGER, "BasketLiquidityUsed: block of the last purchase."),
        ],
    )
    tables.index_removed("basket_slot_history")
    sql.run("0020_baskets")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0020_baskets")
    tables.forget("baskets")
    tables.drop(
        "basket_funds",
        "basket_fund_history",
        "basket_claims",
        "basket_claim_history",
        "basket_slots",
        "basket_slot_history",
    )
