"""The function that reads a block's event records straight into ``EventRecord``.

The general function for a list of records gives dicts in dicts; building these and taking them apart again costs more
than the decoding. Here the phase and the two discriminants of the event are one struct call, and each event's
function gives pallet, name and fields. A record of another shape than ``frame_system``'s is left to the general way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from indexer.scale.function_source import FunctionSource
from indexer.scale.layout import Layouts, fields_expression, tuple_expression
from indexer.scale.registry import Case, Composite, Registry, Sequence, Variant

RECORD_BYTES = 4
"""The least a record takes: phase, two discriminants, the number of topics. Measuring all events would cost more than
reading those of the first block."""


@dataclass(frozen=True, slots=True)
class RecordTypes:
    """What a list of event records is made of."""

    records: Sequence
    phases: tuple[Case, ...]
    """Each without fields, or with one of fixed size without a name: the extrinsic's index."""
    event: int
    """An enum of enums."""
    topics: int
    """A sequence."""


def record_types(registry: Registry, layouts: Layouts, type_id: int) -> RecordTypes | None:
    """The parts of ``Vec<frame_system::EventRecord>``, None for a type of another shape."""
    records = registry.definition(registry.unwrapped(type_id))
    record = registry.definition(records.element) if isinstance(records, Sequence) else None
    if not isinstance(records, Sequence) or not isinstance(record, Composite):
        return None
    if [field.name for field in record.fields] != ["phase", "event", "topics"]:
        return None
    phase, event, topics = (registry.unwrapped(field.type_id) for field in record.fields)
    phases = registry.definition(phase)
    if not isinstance(phases, Variant) or not phases.cases or registry.some(phase) is not None:
        return None
    for case in phases.cases:
        if any(field.name is not None or layouts.of(field.type_id) is None for field in case.fields[:1]):
            return None
        if len(case.fields) > 1:
            return None
    if registry.enums_inside(event) is None or not isinstance(registry.definition(topics), Sequence):
        return None
    return RecordTypes(records, phases.cases, event, topics)


class EventSource(FunctionSource):
    """The text of the function for all records, or of that for one event: ``(b, o) -> (pallet, name, fields, o)``."""

    def records(self, types: RecordTypes) -> None:
        """Write the function that gives the list of ``EventRecord``."""
        self.calls.add(types.topics)
        self._count(types.records, RECORD_BYTES)
        self._line("records = []")
        self._line("for _ in range(count):")
        with self._indented():
            self._line("phase = b[o]")
            for at, case in enumerate(types.phases):
                self._line(f"{'elif' if at else 'if'} phase == {case.index}:")
                with self._indented():
                    self._phase(case)
            self._line("else: raise ValueError")
            self._line(f"pallet, name, fields, o = EVENTS_{types.event}[pallet][name](b, o)")
            self._line("if b[o]:")
            with self._indented():
                self._line(f"topics, o = decode_{types.topics}(b, o)")
                self._line("topics = tuple(topics)")
            self._line("else: topics, o = (), o + 1")
            self._line("records.append(EventRecord(phase, index, pallet, name, fields, topics))")
        self._return("records")

    def event(self, pallet: Case, case: Case) -> None:
        """Write the function of one event, from behind its discriminants."""
        values = self._values([field.type_id for field in case.fields])
        self._line(f"return {pallet.name!r}, {case.name!r}, {fields_expression(case.fields, values)}, o")

    def _phase(self, case: Case) -> None:
        """Phase and index, and the event's discriminants behind them."""
        layout = self._layouts.of(case.fields[0].type_id) if case.fields else None
        names = [self._variable() for _ in layout.codes] if layout else []
        codes = "<x" + "".join(layout.codes if layout else ()) + "BB"
        unpacked = tuple_expression([*names, "pallet", "name"])
        self._line(f"{unpacked} = {self._constant('unpack_from', codes)}(b, o)")
        self._line(f"o += {struct.calcsize(codes)}")
        self._line(f"phase = {case.name!r}")
        self._line(f"index = {layout.build(names) if layout else None}")
