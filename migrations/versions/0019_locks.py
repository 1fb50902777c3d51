"""The dataset locks."""

from __future__ import annotations

from migrations import sql, tables

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "lock_records",
        "lock_history",
        "Locks of coldkeys, as stored; not rolled forward from last_update.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("coldkey", tables.ACCOUNT, "Coldkey."),
            ("hotkey", tables.ACCOUNT, "Hotkey it is locked to."),
        ],
        values=[
            ("locked_mass", tables.INTEGER, "Lock: alpha locked as of last_update, rao."),
            ("conviction", tables.NUMBER, "Lock: conviction as of last_update, rao of alpha."),
            ("last_update", tables.INTEGER, "Lock: block the two are told as of."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            ("indexed", tables.FLAG, "LockingColdkeys: true: the chain lists the coldkey under the hotkey."),
        ],
        indexes=[("coldkey",), ("hotkey",)],
    )
    tables.index_removed("lock_history")
    tables.create_keyed(
        "hotkey_locks",
        "hotkey_lock_history",
        "Sums of the locks to a hotkey, perpetual and decaying, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Hotkey."),
        ],
        values=[
            ("locked_mass", tables.INTEGER, "HotkeyLock: alpha locked as of last_update, rao."),
            ("conviction", tables.NUMBER, "HotkeyLock: conviction as of last_update, rao of alpha."),
            ("last_update", tables.INTEGER, "HotkeyLock: block the two are told as of."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            ("decaying_locked_mass", tables.INTEGER, "DecayingHotkeyLock: alpha locked as of last_update, rao."),
            ("decaying_conviction", tables.NUMBER, "DecayingHotkeyLock: conviction as of last_update, rao of alpha."),
            ("decaying_last_update", tables.INTEGER, "DecayingHotkeyLock: block the two are told as of."),
            ("decaying_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
        ],
    )
    tables.index_removed("hotkey_lock_history")
    tables.create_keyed(
        "owner_locks",
        "owner_lock_history",
        "Sums of the locks to the hotkey of a subnet's owner, perpetual and decaying, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            ("locked_mass", tables.INTEGER, "OwnerLock: alpha locked as of last_update, rao."),
            ("conviction", tables.NUMBER, "OwnerLock: conviction as of last_update, rao of alpha."),
            ("last_update", tables.INTEGER, "OwnerLock: block the two are told as of."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            ("decaying_locked_mass", tables.INTEGER, "DecayingOwnerLock: alpha locked as of last_update, rao."),
            ("decaying_conviction", tables.NUMBER, "DecayingOwnerLock: conviction as of last_update, rao of alpha."),
            ("decaying_last_update", tables.INTEGER, "DecayingOwnerLock: block the two are told as of."),
            ("decaying_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
        ],
    )
    tables.index_removed("owner_lock_history")
    tables.create_keyed(
        "lock_modes",
        "lock_mode_history",
        "Whether the locks of a coldkey on a subnet decay; no row: they do.",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey."),
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            ("decaying", tables.FLAG, "DecayingLock: false: its locks are perpetual."),
        ],
    )
    tables.index_removed("lock_mode_history")
    sql.run("0019_locks")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0019_locks")
    tables.forget("locks")
    tables.drop(
        "lock_records",
        "lock_history",
        "hotkey_locks",
        "hotkey_lock_history",
        "owner_locks",
        "owner_lock_history",
        "lock_modes",
        "lock_mode_history",
    )
