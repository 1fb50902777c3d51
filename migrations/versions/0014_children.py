"""The dataset children."""

from __future__ import annotations

from migrations import sql, tables

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "childkeys",
        "childkey_history",
        "Relations between parent and child hotkeys, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Hotkey, as parent and as child."),
        ],
        values=[
            (
                "children",
                tables.JSON,
                "ChildKeys: its children, [{proportion, child}]; proportion of its stake, /(2^64-1).",
            ),
            (
                "parents",
                tables.JSON,
                "ParentKeys: its parents, [{proportion, parent}]; proportion of their stake, /(2^64-1).",
            ),
            ("pending_children", tables.JSON, "PendingChildKeys: children that wait to replace the present."),
            ("cooldown_block", tables.INTEGER, "PendingChildKeys: block up to which they wait."),
            (
                "take",
                tables.INTEGER,
                "ChildkeyTake: what the hotkey takes as a child, /65535; NULL: the default of the runtime.",
            ),
        ],
        indexes=[("hotkey",)],
    )
    tables.index_removed("childkey_history")
    tables.create_keyed(
        "childkey_suspensions",
        "childkey_suspension_history",
        "Parents with too little stake: their children count only on subnets they own.",
        keys=[
            ("hotkey", tables.ACCOUNT, "Parent hotkey."),
        ],
        values=[
            ("suspended", tables.FLAG, "ChildkeyThresholdSuspended: always true."),
        ],
    )
    tables.index_removed("childkey_suspension_history")
    sql.run("0014_children")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0014_children")
    tables.forget("children")
    tables.drop("childkeys", "childkey_history", "childkey_suspensions", "childkey_suspension_history")
