"""Root baskets: funds of root validators in which their stakers hold shares (beta), as stored (since spec 441).

Owns ``basket_funds``, ``basket_claims``, ``basket_slots`` and their histories. What a fund holds is ordinary
stake of the escrow coldkey (``delegations``); what it is worth is told by SQL (``baskets_at``), not kept.
"""

from __future__ import annotations

from indexer.datasets._fields import (
    FIXED32,
    FIXED64,
    INTEGER,
    NUMBER,
    PRESENT,
    RAO,
    field,
    of_tables,
    parts,
    struct,
    table,
)
from indexer.schema import account, netuid

_FUNDS = table(
    "basket_funds",
    "basket_fund_history",
    keys=[account("hotkey", "Root validator.")],
    fields=[
        field("SubtensorModule.BasketShares", NUMBER, "shares", "BasketShares: all shares, 1e-9 beta."),
        field(
            "SubtensorModule.BasketRate",
            FIXED32,
            "rate",
            "BasketRate: shares earned per rao of root stake since the fund began.",
        ),
        field("SubtensorModule.BasketTwr", FIXED64, "twr", "BasketTwr: index of the return to stakers; NULL: 1."),
        field(
            "SubtensorModule.BasketDepositedTao", RAO, "deposited_tao", "BasketDepositedTao: put in, ever, rao of TAO."
        ),
        field(
            "SubtensorModule.BasketRedeemedTao", RAO, "redeemed_tao", "BasketRedeemedTao: paid out, ever, rao of TAO."
        ),
        struct(
            "SubtensorModule.BetaBaseline",
            {
                "price_divisor": (FIXED64, "BetaBaseline: price of a share at first_block over the index."),
                "rate0": (FIXED32, "BetaBaseline: rate at first_block."),
                "tr_splice": (FIXED64, "BetaBaseline: factor from twr to the price of staked TAO."),
                "first_block": (INTEGER, "BetaBaseline: block of the baseline."),
            },
            renamed={
                name: f"baseline_{name}" for name in ("price_divisor", "rate0", "tr_splice", "first_block", "other")
            },
        ),
        parts(
            "SubtensorModule.BasketTradeBucket",
            {
                "trade_tao_available": (RAO, "BasketTradeBucket: left to trade as of trade_block, rao of TAO."),
                "trade_block": (INTEGER, "BasketTradeBucket: block of the last trade; NULL: a full bucket."),
            },
        ),
        field("SubtensorModule.BasketTradingFrozen", PRESENT, "frozen", "BasketTradingFrozen: true: it may not trade."),
    ],
    comment="Funds of root validators, as stored.",
)

_CLAIMS = table(
    "basket_claims",
    "basket_claim_history",
    keys=[account("hotkey", "Root validator."), account("coldkey", "Staker.")],
    fields=[
        field(
            "SubtensorModule.BasketClaimed",
            NUMBER,
            "claimed",
            "BasketClaimed: shares to be taken off rate x root stake; negative: shares granted.",
        )
    ],
    comment="What stakers have claimed of a fund, as stored.",
    indexes=[("coldkey",)],
)

_SLOTS = table(
    "basket_slots",
    "basket_slot_history",
    keys=[account("hotkey", "Root validator."), netuid()],
    fields=[
        field(
            "SubtensorModule.PendingBasketDeposits",
            RAO,
            "pending",
            "PendingBasketDeposits: dividends that wait to be put in, rao of alpha.",
        ),
        parts(
            "SubtensorModule.BasketLiquidityUsed",
            {
                "liquidity_used": (RAO, "BasketLiquidityUsed: bought on the subnet as of liquidity_block, rao."),
                "liquidity_block": (INTEGER, "BasketLiquidityUsed: block of the last purchase."),
            },
        ),
    ],
    comment="What a fund has under way on a subnet, as stored.",
)

DATASET = of_tables("baskets", [_FUNDS, _CLAIMS, _SLOTS])
