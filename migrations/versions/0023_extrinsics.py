"""The datasets events and extrinsics, both off by default."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_plain(
        "events",
        "Events of blocks, in order. Off by default.",
        keys=[
            ("block_number", tables.INTEGER, "Height of the block."),
            ("event_index", tables.INTEGER, "Place of the event in the block, from 0."),
        ],
        values=[
            ("phase", tables.TEXT, "ApplyExtrinsic, Initialization or Finalization."),
            (
                "extrinsic_index",
                tables.INTEGER,
                "Extrinsic it happened in, from 0; NULL: in none (a hook of the block).",
            ),
            ("pallet", tables.TEXT, "Pallet that deposited it."),
            ("name", tables.TEXT, "Its name there."),
            (
                "fields",
                tables.JSON,
                "Its fields: an object, or an array where they have no names; accounts as addresses.",
            ),
            ("topics", tables.JSON, "Hashes it is indexed under, as hex; NULL where none."),
        ],
        nullable=["extrinsic_index", "fields", "topics"],
    )
    op.create_index("events_pallet_name_block_number_idx", "events", ["pallet", "name", "block_number"])
    tables.create_plain(
        "extrinsic_log",
        "Extrinsics of blocks, in order. Off by default: a request per block.",
        keys=[
            ("block_number", tables.INTEGER, "Height of the block."),
            ("extrinsic_index", tables.INTEGER, "Place of the extrinsic in the block, from 0."),
        ],
        values=[
            (
                "hash",
                tables.RAW,
                "blake2b-256 of the extrinsic: not unique, an account may be reaped and send it again.",
            ),
            ("signer", tables.ACCOUNT, "Account that signed; NULL for inherents and others without signature."),
            ("nonce", tables.INTEGER, "Nonce of the signer (CheckNonce); NULL where not signed."),
            ("pallet", tables.TEXT, "Pallet of the call; NULL where raw tells."),
            ("call", tables.TEXT, "Name of the call there; NULL where raw tells."),
            (
                "args",
                tables.JSON,
                "Its arguments by name, accounts as addresses, calls as {pallet: {call: arguments}}.",
            ),
            (
                "success",
                tables.FLAG,
                "Whether it was applied; a call inside may have failed all the same. NULL: not told.",
            ),
            ("error", tables.TEXT, "Why it failed, as Pallet.Error; NULL where it did not."),
            ("fee", tables.INTEGER, "What it cost the payer, tip included, rao; NULL where nothing was paid in TAO."),
            ("tip", tables.INTEGER, "Part of fee that was offered on top, rao."),
            ("raw", tables.RAW, "Its bytes, where the runtime's metadata cannot tell them; else NULL."),
            ("problem", tables.TEXT, "Why it cannot be told; else NULL."),
        ],
        nullable=["signer", "nonce", "pallet", "call", "args", "success", "error", "fee", "tip", "raw", "problem"],
    )
    op.create_index("extrinsic_log_hash_block_number_idx", "extrinsic_log", ["hash", "block_number"])
    op.create_index("extrinsic_log_pallet_call_block_number_idx", "extrinsic_log", ["pallet", "call", "block_number"])
    op.create_index("extrinsic_log_signer_block_number_idx", "extrinsic_log", ["signer", "block_number"])
    sql.run("0023_extrinsics")


def downgrade() -> None:
    """Drop both logs with all that reads them: they are lost, and indexed again after the next upgrade."""
    op.execute("DROP FUNCTION extrinsic(text)")
    op.execute("DROP FUNCTION extrinsics_of(text, bigint, bigint)")
    op.execute("DROP FUNCTION extrinsics_of(text[], bigint, bigint)")
    op.execute("DROP VIEW extrinsics")
    op.drop_table("extrinsic_log")
    op.drop_table("events")
    for table in ("cursors", "coverage", "holes"):
        op.execute(f"DELETE FROM {table} WHERE dataset IN ('events', 'extrinsics')")
