"""The fencing token: who may write, and who committed what a cursor says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table with its one row, and the token to the cursors."""
    tables.create_plain(
        "writer",
        "Who may write: every transaction of an instance checks here that no newer one has taken over.",
        keys=[
            ("singleton", tables.FLAG, "Always true: the table has one row."),
        ],
        values=[
            ("token", tables.INTEGER, "Raised by each instance that becomes the writer."),
            ("holder", tables.TEXT, "application_name and address of the newest writer's session."),
            ("since", tables.TIME, "When it became the writer."),
        ],
        nullable=["holder", "since"],
    )
    op.create_check_constraint("writer_singleton_check", "writer", "singleton")
    op.execute("insert into writer (singleton, token) values (true, 0)")
    op.add_column(
        "cursors",
        sa.Column(
            "writer_token",
            tables.INTEGER,
            nullable=False,
            server_default="0",
            comment="Token of the writer that committed it: never above the one in writer.",
        ),
    )


def downgrade() -> None:
    """Drop the table and the column: who wrote what is forgotten, and nothing keeps two writers apart."""
    op.drop_column("cursors", "writer_token")
    tables.drop("writer")
