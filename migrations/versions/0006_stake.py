"""The dataset stake: its tables, the view delegations, and delegations_at()."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import sql, tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "stake_shares",
        "stake_shares_history",
        "Shares of coldkeys in hotkey pools, as stored. What they are worth: delegations.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id; 0 for the stake of before dTAO (spec < 233)."),
            ("hotkey", tables.ACCOUNT, "Hotkey the stake is on."),
            ("coldkey", tables.ACCOUNT, "Coldkey the stake belongs to."),
        ],
        values=[
            ("stake", tables.RAO, "Stake: the amount itself in rao of TAO, before dTAO (spec < 233)."),
            ("share_bits", tables.NUMBER, "Alpha: v1 share of the pool, bits of a U64F64 (value is bits / 2^64)."),
            ("share_mantissa", tables.NUMBER, "AlphaV2: mantissa of the v2 share (value is mantissa * 10^exponent)."),
            ("share_exponent", tables.INTEGER, "AlphaV2: exponent of the v2 share."),
            ("share_epoch", tables.INTEGER, "AlphaShareEpoch: pool generation the share was written in; NULL is 0."),
        ],
        indexes=[["coldkey"], ["hotkey"]],
    )
    tables.create_keyed(
        "hotkey_pools",
        "hotkey_pools_history",
        "Totals of hotkey pools, as stored: the value of a pool and the shares it is divided into.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id; 0 for the totals of before dTAO (spec < 233)."),
            ("hotkey", tables.ACCOUNT, "Hotkey of the pool."),
        ],
        values=[
            ("stake", tables.RAO, "TotalHotkeyStake: stake on the hotkey in rao of TAO, before dTAO (spec < 233)."),
            ("alpha", tables.RAO, "TotalHotkeyAlpha: what the pool holds, in rao of alpha (of TAO on netuid 0)."),
            ("share_bits", tables.NUMBER, "TotalHotkeyShares: sum of v1 shares, bits of a U64F64."),
            ("share_mantissa", tables.NUMBER, "TotalHotkeySharesV2: mantissa of the sum of v2 shares."),
            ("share_exponent", tables.INTEGER, "TotalHotkeySharesV2: exponent of the sum of v2 shares."),
            (
                "pool_epoch",
                tables.INTEGER,
                "AlphaSharePoolEpoch: generation of the pool; shares of another one are void.",
            ),
        ],
    )
    tables.create_keyed(
        "delegates",
        "delegate_history",
        "Hotkeys, their owners and, where they are delegates, their take.",
        keys=[
            ("hotkey", tables.ACCOUNT, "Hotkey."),
        ],
        values=[
            ("owner", tables.ACCOUNT, "Owner: coldkey that controls the hotkey."),
            ("take", tables.INTEGER, "Delegates: the delegate's take, /65535; NULL: not open for delegation."),
        ],
        indexes=[["owner"]],
    )
    tables.create_keyed(
        "coldkey_stakes",
        "coldkey_stake_history",
        "Stake per coldkey as the chain summed it before dTAO (spec < 233).",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey."),
        ],
        values=[
            ("stake", tables.RAO, "TotalColdkeyStake: all stake of the coldkey in rao of TAO."),
        ],
    )
    op.create_index(
        "stake_shares_history_removed_idx",
        "stake_shares_history",
        ["block_number"],
        postgresql_where=sa.text('NOT "exists"'),
    )
    sql.run("0006_stake")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0006_stake")
    tables.forget("stake")
    tables.drop(
        "stake_shares",
        "stake_shares_history",
        "hotkey_pools",
        "hotkey_pools_history",
        "delegates",
        "delegate_history",
        "coldkey_stakes",
        "coldkey_stake_history",
    )
