"""Weights: what each validator of a subnet has set on whom. Off by default: large, and of use to few.

Owns ``weight_rows`` and its history, a row per validator, as the chain sets them all at once; the view ``weights``
and ``weights_at()`` in SQL take the rows apart by target.
"""

from __future__ import annotations

from dataclasses import replace

from indexer.datasets._fields import of_tables, table
from indexer.datasets._mechanisms import MECHANISM, pairs_of
from indexer.schema import integer, netuid

DATASET = replace(
    of_tables(
        "weights",
        [
            table(
                "weight_rows",
                "weight_row_history",
                keys=[netuid(), MECHANISM, integer("uid", "Validator that set them.", nullable=False)],
                fields=[
                    pairs_of(
                        "SubtensorModule.Weights",
                        ("targets", "Uids they are set on."),
                        ("weights", "Weight of each of targets, in this order (u16): see weights for fractions."),
                    )
                ],
                comment="Weights as validators set them, a row per validator.",
            )
        ],
    ),
    by_default=False,
)
