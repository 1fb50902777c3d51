"""Locks of alpha and the conviction that grows from them, as the chain stored them last (since spec 411).

Owns ``lock_records``, ``hotkey_locks``, ``owner_locks``, ``lock_modes`` and their histories. A record holds as
of its ``last_update``: what it is worth at a later block follows from the block number alone and is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexer.datasets._fields import FIXED64, FLAG, INTEGER, PRESENT, RAO, Field, Kind, field, of_tables, struct, table
from indexer.schema import account, netuid


def _lock(item: str, prefix: str = "", key: Sequence[str] = ()) -> Field:
    """A ``LockState``; ``prefix`` is that of its columns."""
    members: Mapping[str, tuple[Kind, str]] = {
        "locked_mass": (RAO, f"{item}: alpha locked as of last_update, rao."),
        "conviction": (FIXED64, f"{item}: conviction as of last_update, rao of alpha."),
        "last_update": (INTEGER, f"{item}: block the two are told as of."),
    }
    return struct(
        f"SubtensorModule.{item}", members, key=key, renamed={name: prefix + name for name in (*members, "other")}
    )


DATASET = of_tables(
    "locks",
    [
        table(
            "lock_records",
            "lock_history",
            keys=[netuid(), account("coldkey", "Coldkey."), account("hotkey", "Hotkey it is locked to.")],
            fields=[
                _lock("Lock", key=("coldkey", "netuid", "hotkey")),
                field(
                    "SubtensorModule.LockingColdkeys",
                    PRESENT,
                    "indexed",
                    "LockingColdkeys: true: the chain lists the coldkey under the hotkey.",
                    key=("netuid", "hotkey", "coldkey"),
                ),
            ],
            comment="Locks of coldkeys, as stored; not rolled forward from last_update.",
            indexes=[("coldkey",), ("hotkey",)],
        ),
        table(
            "hotkey_locks",
            "hotkey_lock_history",
            keys=[netuid(), account("hotkey", "Hotkey.")],
            fields=[_lock("HotkeyLock"), _lock("DecayingHotkeyLock", "decaying_")],
            comment="Sums of the locks to a hotkey, perpetual and decaying, as stored.",
        ),
        table(
            "owner_locks",
            "owner_lock_history",
            keys=[netuid()],
            fields=[_lock("OwnerLock"), _lock("DecayingOwnerLock", "decaying_")],
            comment="Sums of the locks to the hotkey of a subnet's owner, perpetual and decaying, as stored.",
        ),
        table(
            "lock_modes",
            "lock_mode_history",
            keys=[account("coldkey", "Coldkey."), netuid()],
            fields=[
                field("SubtensorModule.DecayingLock", FLAG, "decaying", "DecayingLock: false: its locks are perpetual.")
            ],
            comment="Whether the locks of a coldkey on a subnet decay; no row: they do.",
        ),
    ],
)
