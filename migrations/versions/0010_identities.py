"""The dataset identities."""

from __future__ import annotations

from migrations import sql, tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "identities",
        "identity_history",
        "What accounts tell of themselves, as stored.",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey (before spec 233: hotkeys too)."),
        ],
        values=[
            (
                "first_layout",
                tables.JSON,
                'Identities (before spec 233), as an object of texts; bytes that are no text as {"hex": …}.',
            ),
            (
                "identity",
                tables.JSON,
                "IdentitiesV2: name, url, github_repo, image, discord, description, "
                "additional, as an object of texts; bytes that are no text as "
                '{"hex": …}.',
            ),
        ],
    )
    tables.index_removed("identity_history")
    sql.run("0010_identities")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0010_identities")
    tables.forget("identities")
    tables.drop("identities", "identity_history")
