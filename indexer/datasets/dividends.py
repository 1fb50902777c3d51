"""What the last epoch of a subnet paid to a hotkey and its nominators, as the chain keeps it until the next one.

Owns ``dividends`` and its history. Each epoch writes a subnet's rows anew, without an event: beside the pools,
which only show the sum of all that happened to them, this is the dividend itself.
"""

from __future__ import annotations

from indexer.datasets._fields import RAO, field, of_tables, table
from indexer.schema import account, netuid

DATASET = of_tables(
    "dividends",
    [
        table(
            "dividends",
            "dividend_history",
            keys=[netuid(), account("hotkey", "Hotkey.")],
            fields=[
                field(
                    "SubtensorModule.AlphaDividendsPerSubnet",
                    RAO,
                    "alpha_dividends",
                    "AlphaDividendsPerSubnet: paid by the last epoch, rao of alpha.",
                ),
                field(
                    "SubtensorModule.TaoDividendsPerSubnet",
                    RAO,
                    "tao_dividends",
                    "TaoDividendsPerSubnet: paid to its root stake by the last epoch, rao of TAO (before spec 334).",
                ),
                field(
                    "SubtensorModule.RootAlphaDividendsPerSubnet",
                    RAO,
                    "root_alpha_dividends",
                    "RootAlphaDividendsPerSubnet: paid for its root stake by the last epoch, rao of alpha.",
                ),
            ],
            comment="What the last epoch of a subnet paid to hotkeys, as stored.",
            indexes=[("hotkey",)],
        )
    ],
)
