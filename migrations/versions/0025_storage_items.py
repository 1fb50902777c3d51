"""Any storage item, chosen by name: its values, their history, and both as readers see them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import sql, tables

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the index by decoded key, then run the SQL file of the same name."""
    tables.create_keyed(
        "storage_values",
        "storage_value_history",
        "Storage items that were chosen with --item: the current value per key.",
        keys=[
            ("pallet", tables.TEXT, "Pallet, as the metadata names it."),
            ("item", tables.TEXT, "Storage item of the pallet."),
            ("key_raw", tables.RAW,
             "The storage key behind its first 32 bytes, which are the item's; empty for a plain value."),
        ],
        values=[
            ("key", tables.JSON,
             "The parts of the key as an array, decoded through the metadata of the block; a part whose hasher "
             "keeps no clear text is the hex of its hash."),
            ("value", tables.JSON,
             "The value, decoded through the metadata of the block: accounts are SS58 text, bytes are text "
             "where they are text, else 0x and hex."),
            ("value_raw", tables.RAW, "Its SCALE bytes, as the chain stores them."),
        ],
    )  # fmt: skip
    tables.index_removed("storage_value_history")
    key = sa.text('jsonb_hash("key")')
    op.create_index("storage_value_history_key_idx", "storage_value_history", ["pallet", "item", key])
    sql.run("0025_storage_items")


def downgrade() -> None:
    """Drop what was created: all that was indexed of such items is lost, and begins anew after the next upgrade."""
    op.execute("drop function storage_at(bigint, text, jsonb)")
    op.execute("drop view storage_changes")
    op.drop_table("storage_values")
    op.drop_table("storage_value_history")
    op.execute("delete from coverage where dataset like '%.%'")
    op.execute("delete from holes where dataset like '%.%'")
    op.execute("delete from cursors where dataset like '%.%'")
