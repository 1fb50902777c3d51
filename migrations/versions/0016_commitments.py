"""The dataset commitments."""

from __future__ import annotations

from migrations import sql, tables

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "commitment_records",
        "commitment_history",
        "Commitments of hotkeys on subnets, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Hotkey that published it (it may be registered no more)."),
        ],
        values=[
            ("committed_block", tables.INTEGER, "CommitmentOf: block at which it was published."),
            ("deposit", tables.INTEGER, "CommitmentOf: reserved for it, rao."),
            (
                "fields",
                tables.JSON,
                'CommitmentOf: its fields, [{case: content} or "case"]; texts, or {"hex": …} for others.',
            ),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            (
                "revealed",
                tables.JSON,
                'RevealedCommitments: [{data, block}], oldest first; data: SCALE bytes as text or {"hex": …}.',
            ),
            ("last_commitment", tables.INTEGER, "LastCommitment: block of the last one."),
            (
                "last_bonds_reset",
                tables.INTEGER,
                "LastBondsReset: block at which it last asked for its bonds to be reset.",
            ),
            ("used_space_epoch", tables.INTEGER, "UsedSpaceOf: epoch that used_space counts in."),
            ("used_space", tables.INTEGER, "UsedSpaceOf: bytes published in that epoch."),
            ("used_space_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
        ],
    )
    tables.index_removed("commitment_history")
    sql.run("0016_commitments")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0016_commitments")
    tables.forget("commitments")
    tables.drop("commitment_records", "commitment_history")
