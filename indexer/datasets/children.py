"""Child keys: which hotkeys a hotkey lends its stake to, per subnet, and what they take for it.

Owns ``childkeys``, ``childkey_suspensions`` and their histories. Both directions are kept as the chain keeps
them: children under the parent, parents under the child; ``child_keys_at`` and ``parent_keys_at`` unroll them.
"""

from __future__ import annotations

from indexer.datasets._fields import INTEGER, NUMBER, PRESENT, field, of_tables, parts, table
from indexer.datasets._lists import ADDRESS, tuples
from indexer.schema import account, netuid

_CHILDREN = tuples(proportion=NUMBER, child=ADDRESS)
_PARENTS = tuples(proportion=NUMBER, parent=ADDRESS)
_BY_HOTKEY = ("hotkey", "netuid")

DATASET = of_tables(
    "children",
    [
        table(
            "childkeys",
            "childkey_history",
            keys=[netuid(), account("hotkey", "Hotkey, as parent and as child.")],
            fields=[
                field(
                    "SubtensorModule.ChildKeys",
                    _CHILDREN,
                    "children",
                    "ChildKeys: its children, [{proportion, child}]; proportion of its stake, /(2^64-1).",
                    key=_BY_HOTKEY,
                ),
                field(
                    "SubtensorModule.ParentKeys",
                    _PARENTS,
                    "parents",
                    "ParentKeys: its parents, [{proportion, parent}]; proportion of their stake, /(2^64-1).",
                    key=_BY_HOTKEY,
                ),
                parts(
                    "SubtensorModule.PendingChildKeys",
                    {
                        "pending_children": (_CHILDREN, "PendingChildKeys: children that wait to replace the present."),
                        "cooldown_block": (INTEGER, "PendingChildKeys: block up to which they wait."),
                    },
                ),
                field(
                    "SubtensorModule.ChildkeyTake",
                    INTEGER,
                    "take",
                    "ChildkeyTake: what the hotkey takes as a child, /65535; NULL: the default of the runtime.",
                    key=_BY_HOTKEY,
                ),
            ],
            comment="Relations between parent and child hotkeys, as stored.",
            indexes=[("hotkey",)],
        ),
        table(
            "childkey_suspensions",
            "childkey_suspension_history",
            keys=[account("hotkey", "Parent hotkey.")],
            fields=[
                field(
                    "SubtensorModule.ChildkeyThresholdSuspended",
                    PRESENT,
                    "suspended",
                    "ChildkeyThresholdSuspended: always true.",
                )
            ],
            comment="Parents with too little stake: their children count only on subnets they own.",
        ),
    ],
)
