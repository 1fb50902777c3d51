"""The core tables: accounts, runtimes, chain, cursors, coverage."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_plain(
        "accounts",
        "SS58 text of every account that occurs in a table.",
        keys=[
            ("account", tables.HASH, "Account id: 32 raw bytes."),
        ],
        values=[
            ("address", tables.TEXT, "The same in SS58 (prefix 42)."),
        ],
    )
    tables.create_plain(
        "runtimes",
        "Runtimes met while indexing: block N is decoded with the runtime found in the state of N-1.",
        keys=[
            ("code_hash", tables.HASH, "blake2b-256 of the runtime's code."),
        ],
        values=[
            ("spec_version", tables.SPEC, "The runtime's spec_version."),
            ("first_block", tables.INTEGER, "First indexed block that this runtime executed."),
            ("metadata", tables.RAW, "Its metadata, SCALE encoded, beginning with 'meta'."),
        ],
    )
    tables.create_plain(
        "chain",
        "The one chain this database belongs to.",
        keys=[
            ("genesis_hash", tables.HASH, "Hash of block 0: tells chains apart."),
        ],
        values=[
            ("name", tables.TEXT, "The node's system_chain."),
            ("ss58_prefix", tables.SPEC, "SS58 prefix of addresses on this chain."),
            ("started_at", tables.TIME, "When this database was first used."),
        ],
    )
    tables.create_plain(
        "cursors",
        "How far each dataset is committed; written in the transaction that writes the rows.",
        keys=[
            ("dataset", tables.TEXT, "Dataset."),
        ],
        values=[
            ("start_block", tables.INTEGER, "First block indexed for the dataset."),
            ("block_number", tables.INTEGER, "Last committed block."),
            ("block_hash", tables.HASH, "Its hash."),
            ("finalized_block", tables.INTEGER, "Last committed block known to be finalized."),
            ("committed_at", tables.TIME, "When it was committed."),
        ],
        nullable=["finalized_block"],
    )
    tables.create_plain(
        "coverage",
        "Which ranges of blocks are indexed, and whether they are complete, per dataset.",
        keys=[
            ("dataset", tables.TEXT, "Dataset."),
            ("first_block", tables.INTEGER, "First block of the range."),
        ],
        values=[
            ("last_block", tables.INTEGER, "Last block of the range."),
            ("complete", tables.FLAG, "True: proven exact against the state root of each block."),
        ],
    )
    op.create_unique_constraint("accounts_address_key", "accounts", ["address"])
    sql.run("0001_core")


def downgrade() -> None:
    """Drop everything that is left: the accounts, runtimes, cursors and the chain's name are lost."""
    sql.undo("0001_core")
    tables.drop("accounts", "runtimes", "chain", "cursors", "coverage")
