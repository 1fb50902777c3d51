"""Identities: what coldkeys tell of themselves, in every layout the chain has had.

Owns ``identities`` and its history. Texts are the account's own words, as stored: nothing checks that
they are true, or that two accounts do not tell the same.
"""

from __future__ import annotations

from indexer.datasets._fields import JSON, field, of_tables, table
from indexer.schema import account

_TEXTS = 'as an object of texts; bytes that are no text as {"hex": …}.'

DATASET = of_tables(
    "identities",
    [
        table(
            "identities",
            "identity_history",
            keys=[account("coldkey", "Coldkey (before spec 233: hotkeys too).")],
            fields=[
                field("SubtensorModule.Identities", JSON, "first_layout", f"Identities (before spec 233), {_TEXTS}"),
                field(
                    "SubtensorModule.IdentitiesV2",
                    JSON,
                    "identity",
                    f"IdentitiesV2: name, url, github_repo, image, discord, description, additional, {_TEXTS}",
                ),
            ],
            comment="What accounts tell of themselves, as stored.",
        )
    ],
)
