"""The datasets transfers and stake_events: logs of what people did, out of the events of every block."""

from __future__ import annotations

from alembic import op

from migrations import sql, tables

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_plain(
        "transfer_log",
        "Transfers of TAO: events Balances.Transfer.",
        keys=[
            ("block_number", tables.INTEGER, "Height of the block."),
            ("event_index", tables.INTEGER, "Place of the event in the block, from 0."),
        ],
        values=[
            (
                "extrinsic_index",
                tables.INTEGER,
                "Extrinsic it happened in, from 0; NULL: in none (a hook of the block).",
            ),
            ("sender", tables.ACCOUNT, "Who sent; NULL where fields tells."),
            ("recipient", tables.ACCOUNT, "Who received; NULL where fields tells."),
            ("amount", tables.INTEGER, "What was sent, rao; NULL where fields tells."),
            (
                "fee",
                tables.INTEGER,
                "TransactionFeePaid of the extrinsic, tip included, rao: the same on each of its transfers; or NULL.",
            ),
            (
                "fields",
                tables.JSON,
                "The event as decoded, where a runtime gave it another shape than from, to, amount; else NULL.",
            ),
        ],
        nullable=["extrinsic_index", "sender", "recipient", "amount", "fee", "fields"],
    )
    op.create_index("transfer_log_recipient_block_number_idx", "transfer_log", ["recipient", "block_number"])
    op.create_index("transfer_log_sender_block_number_idx", "transfer_log", ["sender", "block_number"])
    tables.create_plain(
        "stake_event_log",
        "What people did with stake: events StakeAdded, StakeRemoved, StakeMoved, StakeTransferred, StakeSwapped.",
        keys=[
            ("block_number", tables.INTEGER, "Height of the block."),
            ("event_index", tables.INTEGER, "Place of the event in the block, from 0."),
        ],
        values=[
            (
                "extrinsic_index",
                tables.INTEGER,
                "Extrinsic it happened in, from 0; NULL: in none (a hook of the block).",
            ),
            ("name", tables.TEXT, "Name of the event."),
            ("coldkey", tables.ACCOUNT, "Coldkey whose stake it was; NULL up to spec 165."),
            ("hotkey", tables.ACCOUNT, "Hotkey the stake was with, or is with where it was added."),
            ("netuid", tables.INTEGER, "Subnet it was on, or is on where it was added; NULL before subnets had stake."),
            ("destination_coldkey", tables.ACCOUNT, "StakeTransferred: who has it now."),
            ("destination_hotkey", tables.ACCOUNT, "StakeMoved: hotkey it is with now."),
            ("destination_netuid", tables.INTEGER, "StakeMoved, StakeTransferred, StakeSwapped: subnet it is on now."),
            ("tao", tables.INTEGER, "TAO paid in or out, or that the moved stake was worth then, rao."),
            ("alpha", tables.INTEGER, "Alpha got or given for it, rao; NULL where the event does not tell."),
            (
                "swap_fee",
                tables.INTEGER,
                "Fee of the exchange, rao; of StakeRemoved in alpha since there is a pallet Swap, else in TAO.",
            ),
            (
                "fee",
                tables.INTEGER,
                "TransactionFeePaid of the extrinsic, tip included, rao: the same on each of its events; or NULL.",
            ),
            (
                "fields",
                tables.JSON,
                "Fields of the event in its order; all there is where a runtime gave it a new shape.",
            ),
        ],
        nullable=[
            "extrinsic_index",
            "coldkey",
            "hotkey",
            "netuid",
            "destination_coldkey",
            "destination_hotkey",
            "destination_netuid",
            "tao",
            "alpha",
            "swap_fee",
            "fee",
            "fields",
        ],
    )
    op.create_index("stake_event_log_coldkey_block_number_idx", "stake_event_log", ["coldkey", "block_number"])
    op.create_index(
        "stake_event_log_destination_coldkey_block_number_idx",
        "stake_event_log",
        ["destination_coldkey", "block_number"],
    )
    op.create_index(
        "stake_event_log_destination_hotkey_block_number_idx", "stake_event_log", ["destination_hotkey", "block_number"]
    )
    op.create_index("stake_event_log_hotkey_block_number_idx", "stake_event_log", ["hotkey", "block_number"])
    sql.run("0022_transfers")


def downgrade() -> None:
    """Drop both logs with all that reads them: they are lost, and indexed again after the next upgrade."""
    for function in ("stake_events_of", "transfers_of"):
        op.execute(f"DROP FUNCTION {function}(text[], bigint, bigint)")
        op.execute(f"DROP FUNCTION {function}(text, bigint, bigint)")
    op.execute("DROP FUNCTION indexed_range(text, bigint, bigint)")
    for view, table in (("stake_events", "stake_event_log"), ("transfers", "transfer_log")):
        op.execute(f"DROP VIEW {view}")
        op.drop_table(table)
    for table in ("cursors", "coverage", "holes"):
        op.execute(f"DELETE FROM {table} WHERE dataset IN ('transfers', 'stake_events')")
