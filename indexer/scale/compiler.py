"""Compiles a Python function for each type that is asked for, when it is asked for.

``function_source`` and ``event_source`` write the functions; here they are compiled together with those they call,
the cases of an enum when first met. Generated code raises on any misfit (``MISFIT``), never reads past the end in
silence and never allocates for a length the bytes cannot hold; saying where it failed is the tracer's work.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from indexer.model import EventRecord
from indexer.scale import primitives
from indexer.scale.event_source import EventSource, record_types
from indexer.scale.function_source import FunctionSource
from indexer.scale.hashers import HASHERS
from indexer.scale.key_source import key_source
from indexer.scale.layout import Layout, Layouts
from indexer.scale.registry import Case, Registry, Variant

Decoder: TypeAlias = Callable[[bytes, int], tuple[Any, int]]

Call: TypeAlias = Callable[[bytes, int], Any]
"""The function of an enum's case, from behind its discriminants: a decoder, or that of one event."""

Source = TypeVar("Source", bound=FunctionSource)

SplitKey: TypeAlias = Callable[[bytes], tuple[Any, ...]]
BuildKey: TypeAlias = Callable[..., bytes]

MISFIT = (struct.error, LookupError, ValueError, OverflowError)
"""What generated code raises when bytes do not fit their type. Deep nesting raises ``RecursionError``."""


class Compiler:
    """The compiled functions of one registry. Grows as types are asked for."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._namespace: dict[str, Any] = {
            "from_bytes": int.from_bytes,
            "char": primitives.char,
            "compact": primitives.compact,
            "compacts": primitives.compacts,
            "octets": primitives.octets,
            "text": primitives.text,
            "bits": primitives.bits,
            "EventRecord": EventRecord,
        }
        self._layouts = Layouts(registry, self._namespace)

    def decoder(self, type_id: int) -> Decoder:
        """The function for a type, compiled with all it needs except the cases of enums."""
        type_id = self._registry.unwrapped(type_id)
        name = f"decode_{type_id}"
        if name not in self._namespace:
            self._define(self.source(type_id))
        decoder: Decoder = self._namespace[name]
        return decoder

    def records(self, type_id: int) -> Decoder | None:
        """The function that gives a list of event records as ``EventRecord``; None for a type of another shape."""
        types = record_types(self._registry, self._layouts, type_id)
        if types is None:
            return None
        function = self._function(EventSource, f"records_{type_id}", type_id)
        function.records(types)
        self._namespace[f"EVENTS_{types.event}"] = self._tables(types.event, self._event)
        return self._define(function)

    def keys(
        self, prefix: bytes, hashers: Sequence[str], type_ids: Sequence[int]
    ) -> tuple[SplitKey | None, BuildKey | None]:
        """What takes apart and puts together the keys of an item, as far as they are of fixed size."""
        layouts: list[Layout | None] = []
        for name, type_id in zip(hashers, type_ids, strict=True):
            layouts.append(self._layouts.of(type_id) if HASHERS[name].clear else None)
            if HASHERS[name].clear and layouts[-1] is None:
                return None, None
        source = key_source(prefix, hashers, layouts)
        namespace = {**self._namespace, **source.constants}
        _execute([source.split, *([source.build] if source.build else [])], namespace)
        return namespace["split"], namespace.get("build")

    def check(self, type_id: int) -> None:
        """Compile a type whole: itself, if it is an enum all its cases, if it is event records all events."""
        self.decoder(type_id)
        definition = self._registry.definition(type_id)
        if self._registry.enums_inside(type_id) is not None:
            for outer, cases in self._outer_cases(type_id):
                for case in cases:
                    self._inner_case(type_id, outer, case)
        elif isinstance(definition, Variant):
            for case in definition.cases:
                self._case(type_id, case)
        if (types := record_types(self._registry, self._layouts, type_id)) is not None:
            self.records(type_id)
            for pallet, cases in self._outer_cases(types.event):
                for case in cases:
                    self._event(types.event, pallet, case)

    def source(self, type_id: int) -> FunctionSource:
        """The generated function for a type, as text and what it calls."""
        function = self._function(FunctionSource, f"decode_{type_id}", type_id)
        function.body(type_id)
        return function

    def _define(self, first: FunctionSource) -> Call:
        """Compile a function together with the functions it calls that are not yet there, and give it."""
        sources, waiting = {first.name: first}, [first]
        while waiting:
            function = waiting.pop()
            for type_id in function.enums:
                if (table := f"CASES_{type_id}") not in self._namespace:
                    self._namespace[table] = self._case_table(type_id)
            for type_id in function.calls:
                name = f"decode_{type_id}"
                if name not in self._namespace and name not in sources:
                    sources[name] = self.source(type_id)
                    waiting.append(sources[name])
        for function in sources.values():
            self._namespace.update(function.constants)
        _execute([function.text() for function in sources.values()], self._namespace)
        compiled: Call = self._namespace[first.name]
        return compiled

    def _case_table(self, type_id: int) -> list[Any]:
        """The decoders of an enum's cases by discriminant; each is compiled when first called.

        For an enum of enums alone, such as RuntimeEvent, a table of such tables: both discriminants are read at once.
        """
        if self._registry.enums_inside(type_id) is not None:
            return self._tables(type_id, self._inner_case)
        definition = self._registry.definition(type_id)
        assert isinstance(definition, Variant)
        return _table(definition.cases, partial(self._case, type_id))

    def _tables(self, type_id: int, compiled: Callable[[int, Case, Case], Call]) -> list[Any]:
        """Of an enum of enums: the functions ``compiled`` gives for (type, outer case, case), by both discriminants."""
        tables: list[Any] = [[primitives.refuse] * 256] * 256
        for outer, cases in self._outer_cases(type_id):
            tables[outer.index] = _table(cases, partial(compiled, type_id, outer))
        return tables

    def _outer_cases(self, type_id: int) -> Iterator[tuple[Case, tuple[Case, ...]]]:
        """Of an enum of enums: each outer case with the inner ones."""
        definition, inner = self._registry.definition(type_id), self._registry.enums_inside(type_id)
        assert isinstance(definition, Variant)
        assert inner is not None
        return ((outer, inner[outer.index]) for outer in definition.cases)

    def _case(self, type_id: int, case: Case) -> Decoder:
        if not case.fields:
            return lambda _b, o: (case.name, o)
        function = self._function(FunctionSource, f"decode_{type_id}_case_{case.index}", type_id)
        function.case(case)
        return self._define(function)

    def _inner_case(self, type_id: int, outer: Case, case: Case) -> Decoder:
        """A case of an enum within an enum: ``{outer name: {name: fields}}``."""
        if not case.fields:
            return lambda _b, o: ({outer.name: case.name}, o)
        function = self._function(FunctionSource, f"decode_{type_id}_case_{outer.index}_{case.index}", type_id)
        function.case(case, outer)
        return self._define(function)

    def _event(self, type_id: int, pallet: Case, case: Case) -> Call:
        """The same without the dicts around its fields."""
        if not case.fields:
            return lambda _b, o: (pallet.name, case.name, (), o)
        function = self._function(EventSource, f"event_{type_id}_{pallet.index}_{case.index}", type_id)
        function.event(pallet, case)
        return self._define(function)

    def _function(self, source: type[Source], name: str, type_id: int) -> Source:
        return source(self._registry, self._layouts, name, type_id)


def _table(cases: tuple[Case, ...], compiled: Callable[[Case], Call]) -> list[Call]:
    """Functions by discriminant, each of which is compiled when first called."""
    table: list[Call] = [primitives.refuse] * 256

    def first_call(case: Case) -> Call:
        def compile_and_call(b: bytes, o: int) -> Any:
            table[case.index] = function = compiled(case)
            return function(b, o)

        return compile_and_call

    for case in cases:
        table[case.index] = first_call(case)
    return table


def _execute(functions: Sequence[str], namespace: dict[str, Any]) -> None:
    """Define functions. Raises ``RecursionError`` for one that reads a type too deep."""
    try:
        exec("\n\n".join(functions), namespace)
    except SyntaxError as error:
        raise RecursionError("a type nests deeper than Python's parser can follow") from error
