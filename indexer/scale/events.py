"""Event records of a block: the value of ``System.Events``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from indexer.errors import DecodeError
from indexer.model import EventRecord


def outer_case(value: Any) -> tuple[str, str, Any]:
    """(pallet, name, fields) of a decoded outer enum, such as RuntimeEvent or RuntimeCall."""
    ((pallet, inner),) = value.items()
    if isinstance(inner, str):
        return pallet, inner, ()
    ((name, fields),) = inner.items()
    return pallet, name, fields


def event_records(decoded: Any) -> list[EventRecord]:
    """Records of a decoded ``Vec<EventRecord>``; raises ``DecodeError`` if it is something else."""
    records = []
    try:
        for record in decoded:
            phase, index = record["phase"], None
            if not isinstance(phase, str):
                ((phase, index),) = phase.items()
            pallet, name, fields = outer_case(record["event"])
            records.append(EventRecord(phase, index, pallet, name, fields, tuple(record["topics"])))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"System.Events is no list of event records: {error!r}") from error
    return records


def plain_records(records: Iterable[EventRecord]) -> list[dict[str, object]]:
    """The inverse of ``event_records``: the decoded form that ``System.Events`` is encoded from."""
    return [
        {
            "phase": record.phase if record.extrinsic_index is None else {record.phase: record.extrinsic_index},
            "event": {record.pallet: record.name if record.fields == () else {record.name: record.fields}},
            "topics": list(record.topics),
        }
        for record in records
    ]
