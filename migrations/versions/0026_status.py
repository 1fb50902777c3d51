"""How far each dataset is, how complete and how late, in SQL alone: the view status."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import sql, tables

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what only the running indexer knows to the cursors, then run the SQL file of the same name."""
    head = "Height of the followed head when it was committed."
    op.add_column("cursors", sa.Column("head_block", tables.INTEGER, comment=head))
    followed = "Whether the newest run keeps the dataset up; false: it is no longer in the configuration."
    op.add_column(
        "cursors", sa.Column("is_followed", tables.FLAG, nullable=False, server_default="true", comment=followed)
    )
    note = "What is to be known of it, such as that the runtime lacks the item."
    op.add_column("cursors", sa.Column("note", tables.TEXT, comment=note))
    sql.run("0026_status")


def downgrade() -> None:
    """Drop the view and the columns."""
    op.execute("drop view status")
    for name in ("head_block", "is_followed", "note"):
        op.drop_column("cursors", name)
