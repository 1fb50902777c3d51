"""Collateral of miners: alpha that a registration locked on a stake position (after spec 424).

Owns ``miner_collateral``, ``coldkey_collateral`` and their histories. The alpha is part of the stake: it is
never added to it.
"""

from __future__ import annotations

from indexer.datasets._fields import FIXED64, RAO, field, of_tables, struct, table
from indexer.datasets._lists import ADDRESS, array
from indexer.schema import account, netuid

DATASET = of_tables(
    "collateral",
    [
        table(
            "miner_collateral",
            "miner_collateral_history",
            keys=[netuid(), account("hotkey", "Miner."), account("coldkey", "Coldkey of the stake position.")],
            fields=[
                struct(
                    "SubtensorModule.MinerCollateral",
                    {
                        "locked": (RAO, "Alpha still locked, rao."),
                        "drain_ratio": (FIXED64, "Alpha released per alpha earned, as of the last registration."),
                        "min_locked": (RAO, "Floor that the miner set: below it emission is locked, rao of alpha."),
                        "earned": (RAO, "Alpha earned since the entry exists, rao."),
                    },
                )
            ],
            comment="Collateral of stake positions of miners.",
            indexes=[("hotkey",), ("coldkey",)],
        ),
        table(
            "coldkey_collateral",
            "coldkey_collateral_history",
            keys=[netuid(), account("coldkey", "Coldkey.")],
            fields=[
                field(
                    "SubtensorModule.ColdkeyMinerCollateral",
                    RAO,
                    "locked",
                    "ColdkeyMinerCollateral: sum over its miners, rao of alpha.",
                ),
                field(
                    "SubtensorModule.ColdkeyCollateralHotkeys",
                    array(ADDRESS),
                    "hotkeys",
                    "ColdkeyCollateralHotkeys: its miners with collateral.",
                ),
            ],
            comment="Collateral per coldkey, as the chain sums it.",
            indexes=[("coldkey",)],
        ),
    ],
)
