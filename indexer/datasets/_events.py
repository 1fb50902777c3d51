"""What datasets made of events share: the fee of an extrinsic, and columns read with care.

A runtime may reshape an event any week. What does not have the expected shape is told as JSON, its typed columns
being NULL: no row is lost, no dataset stops, and no column holds something else than it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from indexer.datasets.base import RuntimeView
from indexer.errors import DecodeError
from indexer.model import EventRecord
from indexer.schema import AnyColumn, integer

BIGINT_MAX = 2**63 - 1

EVENT_INDEX = integer("event_index", "Place of the event in the block, from 0.", nullable=False)
EXTRINSIC_INDEX = integer("extrinsic_index", "Extrinsic it happened in, from 0; NULL: in none (a hook of the block).")


class Fee(NamedTuple):
    """What an extrinsic cost its payer, in rao; None where it is not told in TAO."""

    fee: int | None = None
    tip: int | None = None


def told(runtime: RuntimeView, event: EventRecord) -> object:
    """The fields of an event as JSON; a text that says why where they cannot be told so."""
    try:
        return runtime.documents.event(event)
    except DecodeError as error:
        return f"not told: {error}"


def fees(events: Iterable[EventRecord]) -> Mapping[int, Fee]:
    """The fee by extrinsic: ``TransactionPayment.TransactionFeePaid`` (who, actual_fee, tip)."""
    found = {}
    for event in events:
        if (event.pallet, event.name) == (
            "TransactionPayment",
            "TransactionFeePaid",
        ) and event.extrinsic_index is not None:
            fields = event.fields if isinstance(event.fields, dict) else {}
            found[event.extrinsic_index] = Fee(amount(fields.get("actual_fee")), amount(fields.get("tip")))
    return found


def account_id(value: object) -> bytes | None:
    """An account, None for anything else."""
    return value if isinstance(value, bytes) and len(value) == 32 else None


def amount(value: object) -> int | None:
    """A whole number that a bigint holds, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= BIGINT_MAX else None


def subnet(value: object) -> int | None:
    """A subnet id, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 16 else None


def typed(columns: Sequence[AnyColumn], values: Sequence[object]) -> dict[str, object] | None:
    """``values`` by column, None unless each is what its column holds."""
    found: dict[str, object] = {}
    for column, value in zip(columns, values, strict=True):
        read = account_id if column.info.get("account") else subnet if column.name.endswith("netuid") else amount
        found[column.name] = read(value)
    return None if any(value is None for value in found.values()) else found
