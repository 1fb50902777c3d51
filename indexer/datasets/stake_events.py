"""What people did with stake: a row per event StakeAdded, StakeRemoved, StakeMoved, StakeTransferred, StakeSwapped.

Owns ``stake_event_log``; the view ``stake_events`` and ``stake_events_of()`` tell it with addresses. The chain moves
stake without any event as well (dividends, emission, claims): for amounts ask ``delegations_at``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from indexer.datasets._events import EVENT_INDEX, EXTRINSIC_INDEX, Fee, fees, told, typed
from indexer.datasets.base import Dataset, RuntimeView
from indexer.model import Block, Change, EventRecord, Row
from indexer.schema import AnyColumn, account, integer, json, log, rao, text

PALLET = "SubtensorModule"

_COLUMNS: Mapping[str, AnyColumn] = {
    column.name: column
    for column in (
        account("coldkey", "Coldkey whose stake it was; NULL up to spec 165.", nullable=True),
        account("hotkey", "Hotkey the stake was with, or is with where it was added.", nullable=True),
        integer("netuid", "Subnet it was on, or is on where it was added; NULL before subnets had stake."),
        account("destination_coldkey", "StakeTransferred: who has it now.", nullable=True),
        account("destination_hotkey", "StakeMoved: hotkey it is with now.", nullable=True),
        integer("destination_netuid", "StakeMoved, StakeTransferred, StakeSwapped: subnet it is on now."),
        rao("tao", "TAO paid in or out, or that the moved stake was worth then, rao."),
        rao("alpha", "Alpha got or given for it, rao; NULL where the event does not tell."),
        rao(
            "swap_fee", "Fee of the exchange, rao; of StakeRemoved in alpha since there is a pallet Swap, else in TAO."
        ),
    )
}

_MOVED = ("coldkey", "hotkey", "netuid", "destination_hotkey", "destination_netuid", "tao")
_CHANGED = (
    ("hotkey", "tao"),
    ("coldkey", "hotkey", "tao", "alpha", "netuid"),
    ("coldkey", "hotkey", "tao", "alpha", "netuid", "swap_fee"),
)
SHAPES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "StakeAdded": _CHANGED,
    "StakeRemoved": _CHANGED,
    "StakeMoved": (_MOVED,),
    "StakeTransferred": (("coldkey", "destination_coldkey", "hotkey", "netuid", "destination_netuid", "tao"),),
    "StakeSwapped": (("coldkey", "hotkey", "netuid", "destination_netuid", "tao"),),
}
"""The columns of each event's fields, which have no names: every shape it had (metadata of specs 103 to 424)."""

STAKE_EVENTS = log(
    "stake_event_log",
    keys=[EVENT_INDEX],
    values=[
        EXTRINSIC_INDEX,
        text("name", "Name of the event.", nullable=False),
        *_COLUMNS.values(),
        rao("fee", "TransactionFeePaid of the extrinsic, tip included, rao: the same on each of its events; or NULL."),
        json("fields", "Fields of the event in its order; all there is where a runtime gave it a new shape."),
    ],
    comment="What people did with stake: events StakeAdded, StakeRemoved, StakeMoved, StakeTransferred, StakeSwapped.",
    indexes=[("coldkey",), ("hotkey",), ("destination_coldkey",), ("destination_hotkey",)],
)


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """A row per such event of the block."""
    del changes
    paid = fees(block.events)
    for index, event in enumerate(block.events):
        if event.pallet == PALLET and event.name in SHAPES:
            fee = paid.get(event.extrinsic_index, Fee()).fee if event.extrinsic_index is not None else None
            yield Row(
                STAKE_EVENTS.name,
                (index,),
                {
                    **dict.fromkeys(STAKE_EVENTS.values),
                    **(_typed(event) or {}),
                    "extrinsic_index": event.extrinsic_index,
                    "name": event.name,
                    "fee": fee,
                    "fields": told(runtime, event),
                },
            )


def _typed(event: EventRecord) -> dict[str, object] | None:
    """The event's columns by the one of its shapes that it has; None if it has a new one."""
    if not isinstance(event.fields, tuple):
        return None
    for shape in SHAPES[event.name]:
        if len(shape) == len(event.fields):
            return typed([_COLUMNS[name] for name in shape], event.fields)
    return None


DATASET = Dataset(name="stake_events", tables=(STAKE_EVENTS,), items=(), rows=rows)
