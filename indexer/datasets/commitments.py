"""Commitments: what hotkeys published on a subnet, in the clear or sealed, and what the chain has revealed.

Owns ``commitment_records`` and its history; ``commitments_at`` tells from them what can be read, and when the
rest can. A sealed payload is kept as the bytes it is.
"""

from __future__ import annotations

from indexer.datasets._fields import INTEGER, JSON, RAO, Kind, field, of_tables, struct, table
from indexer.datasets._lists import array, tuples
from indexer.datasets._values import document, documented
from indexer.errors import DecodeError
from indexer.schema import account, json, netuid


def _read_field(value: object) -> object:
    """``Data``: the name of a case without content, or {case: content}."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise DecodeError(f"expected a case of Data, found {type(value).__name__}")
    return document(value)


def _write_field(stored: object) -> object:
    return stored if isinstance(stored, str) else documented(stored)


_FIELD = Kind(json, _read_field, _write_field)
DATASET = of_tables(
    "commitments",
    [
        table(
            "commitment_records",
            "commitment_history",
            keys=[netuid(), account("hotkey", "Hotkey that published it (it may be registered no more).")],
            fields=[
                struct(
                    "Commitments.CommitmentOf",
                    {
                        "block": (INTEGER, "CommitmentOf: block at which it was published."),
                        "deposit": (RAO, "CommitmentOf: reserved for it, rao."),
                        "info": (
                            array(_FIELD),
                            'CommitmentOf: its fields, [{case: content} or "case"]; texts, or {"hex": …} for others.',
                        ),
                    },
                    renamed={"block": "committed_block", "info": "fields"},
                ),
                field(
                    "Commitments.RevealedCommitments",
                    tuples(data=JSON, block=INTEGER),
                    "revealed",
                    'RevealedCommitments: [{data, block}], oldest first; data: SCALE bytes as text or {"hex": …}.',
                ),
                field(
                    "Commitments.LastCommitment", INTEGER, "last_commitment", "LastCommitment: block of the last one."
                ),
                field(
                    "Commitments.LastBondsReset",
                    INTEGER,
                    "last_bonds_reset",
                    "LastBondsReset: block at which it last asked for its bonds to be reset.",
                ),
                struct(
                    "Commitments.UsedSpaceOf",
                    {
                        "last_epoch": (INTEGER, "UsedSpaceOf: epoch that used_space counts in."),
                        "used_space": (INTEGER, "UsedSpaceOf: bytes published in that epoch."),
                    },
                    renamed={"last_epoch": "used_space_epoch", "other": "used_space_other"},
                ),
            ],
            comment="Commitments of hotkeys on subnets, as stored.",
        )
    ],
)
