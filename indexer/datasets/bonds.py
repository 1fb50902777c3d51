"""Bonds: what each validator of a subnet holds in whom. Off by default: large, and every epoch writes them anew.

Owns ``bond_rows`` and its history, a row per validator; the view ``bonds`` and ``bonds_at()`` in SQL take the rows
apart by target.
"""

from __future__ import annotations

from dataclasses import replace

from indexer.datasets._fields import of_tables, table
from indexer.datasets._mechanisms import MECHANISM, pairs_of
from indexer.schema import integer, netuid

DATASET = replace(
    of_tables(
        "bonds",
        [
            table(
                "bond_rows",
                "bond_row_history",
                keys=[netuid(), MECHANISM, integer("uid", "Validator that holds them.", nullable=False)],
                fields=[
                    pairs_of(
                        "SubtensorModule.Bonds",
                        ("targets", "Uids they are held in."),
                        ("bonds", "Bond in each of targets, in this order (u16, 65535 for 1)."),
                    )
                ],
                comment="Bonds of validators, a row per validator.",
            )
        ],
    ),
    by_default=False,
)
