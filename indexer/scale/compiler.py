"""Writes a Python function for each type that is asked for, and compiles it then.

A function reads one value: ``decode_N(b, o) -> (value, next offset)`` for type N. Newtypes vanish,
neighbouring fields of fixed size share one struct call (``layout``), the cases of an enum are compiled
when first met. Generated code raises on any misfit (``MISFIT``), never reads past the end in silence
and never allocates for a length the bytes cannot hold; saying where it failed is the tracer's work.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import groupby
from typing import Any, TypeAlias

from indexer.scale import primitives
from indexer.scale.layout import Layouts, build_each, fields_expression, struct_expression, tuple_expression
from indexer.scale.registry import (
    MAX_EMPTY_ITEMS,
    Array,
    BitSequence,
    Case,
    Compact,
    Composite,
    Definition,
    Primitive,
    Registry,
    Sequence,
    Tuple,
    Variant,
)

Decoder: TypeAlias = Callable[[bytes, int], tuple[Any, int]]

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
            "length": primitives.length,
            "octets": primitives.octets,
            "text": primitives.text,
            "bits": primitives.bits,
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

    def check(self, type_id: int) -> None:
        """Compile a type whole: itself and, if it is an enum, all its cases."""
        self.decoder(type_id)
        definition = self._registry.definition(type_id)
        if isinstance(definition, Variant):
            for case in definition.cases:
                self._case_decoder(type_id, case)

    def source(self, type_id: int) -> FunctionSource:
        """The generated function for a type, as text and what it calls."""
        function = FunctionSource(self._registry, self._layouts, f"decode_{type_id}", type_id)
        function.body(type_id)
        return function

    def _define(self, first: FunctionSource) -> None:
        """Compile a function together with the functions it calls that are not yet there."""
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
        try:
            exec("\n\n".join(function.text() for function in sources.values()), self._namespace)
        except SyntaxError as error:
            raise RecursionError("a type nests deeper than Python's parser can follow") from error

    def _case_table(self, type_id: int) -> list[Decoder]:
        """The decoders of an enum's cases by discriminant; each is compiled when first called."""
        table: list[Decoder] = [primitives.refuse] * 256
        definition = self._registry.definition(type_id)
        assert isinstance(definition, Variant)
        for case in definition.cases:
            table[case.index] = self._first_call(table, type_id, case)
        return table

    def _first_call(self, table: list[Decoder], type_id: int, case: Case) -> Decoder:
        if not case.fields:
            return lambda _b, o: (case.name, o)

        def compile_and_decode(b: bytes, o: int) -> tuple[Any, int]:
            table[case.index] = decode = self._case_decoder(type_id, case)
            return decode(b, o)

        return compile_and_decode

    def _case_decoder(self, type_id: int, case: Case) -> Decoder:
        function = FunctionSource(self._registry, self._layouts, f"decode_{type_id}_case_{case.index}", type_id)
        function.case(case)
        self._define(function)
        decoder: Decoder = self._namespace[function.name]
        return decoder


class FunctionSource:
    """The text of one generated function while it is written: statements, and the constants and calls in them."""

    def __init__(self, registry: Registry, layouts: Layouts, name: str, type_id: int) -> None:
        self.name = name
        self.calls: set[int] = set()
        self.enums: set[int] = set()
        self.constants: dict[str, object] = {}
        self._registry = registry
        self._layouts = layouts
        self._lines = [f"def {name}(b, o):  # {registry.name(type_id)!r}"]
        self._variables = 0
        self._indent = " " * 4

    def text(self) -> str:
        """The function as Python source."""
        return "\n".join(self._lines)

    def body(self, type_id: int) -> None:
        """Write the function of a type; it must be unwrapped."""
        registry = self._registry
        definition = registry.definition(type_id)
        if self._layouts.of(type_id) is not None:
            self._return(self._value(type_id))
        elif isinstance(definition, Composite):
            self._return(struct_expression(definition.fields, self._values([f.type_id for f in definition.fields])))
        elif isinstance(definition, Tuple):
            self._return(tuple_expression(self._values(list(definition.elements))))
        elif call := self._shared_function(definition):
            self._line(f"return {call}")
        elif isinstance(definition, Compact):
            self._return(self._compact(definition))
        elif isinstance(definition, Sequence):
            self._line(f"count, o = length(b, o, {self._item_size(definition.element)})")
            self._items(definition.element)
        elif isinstance(definition, Array):
            self._line(f"count = {definition.length}")
            self._line(f"if count * {self._item_size(definition.element)} > len(b) - o: raise ValueError")
            self._items(definition.element)
        elif (some := registry.some(type_id)) is not None:
            self._option(some)
        else:
            self.enums.add(type_id)
            self._line(f"return CASES_{type_id}[b[o]](b, o + 1)")

    def case(self, case: Case) -> None:
        """Write the function of an enum's case, from behind its discriminant."""
        values = self._values([field.type_id for field in case.fields])
        self._return(f"{{{case.name!r}: {fields_expression(case.fields, values)}}}" if values else repr(case.name))

    def _option(self, some: int) -> None:
        self._line("present = b[o]")
        self._line("o += 1")
        self._line("if present == 0: return None, o")
        self._line("if present != 1: raise ValueError")
        value = self._value(some)
        self._return(f"{{'Some': {value}}}" if self._registry.some_is_ambiguous(some) else value)

    def _items(self, element: int) -> None:
        """``count`` items of one type, as a list; that so many of ``_item_size`` fit has been checked."""
        if self._registry.min_size(element) == 0:
            self._line(f"if count > {MAX_EMPTY_ITEMS}: raise ValueError")
        layout = self._layouts.of(element)
        if layout is None or layout.size == 0:
            self._line("items = []")
            self._line("for _ in range(count):")
            self._indent += " " * 4
            self._line(f"items.append({self._value(element)})")
            self._indent = self._indent[4:]
            self._return("items")
            return
        names = [self._variable() for _ in layout.codes]
        expression = layout.build(names)
        self._line(f"end = o + count * {layout.size}")
        packed = f"{self._constant('iter_unpack', layout.format)}(b[o:end])"
        if expression == tuple_expression(names):
            self._line(f"return list({packed}), end")
        else:
            self._line(f"return [{expression} for {', '.join(names)}, in {packed}], end")

    def _item_size(self, element: int) -> int:
        """The size of items of fixed size, else the smallest they can have."""
        layout = self._layouts.of(element)
        return self._registry.min_size(element) if layout is None else layout.size

    def _values(self, type_ids: list[int]) -> list[str]:
        """Statements that read values side by side; gives an expression for each."""
        expressions: list[str] = []
        for fixed, neighbours in groupby(type_ids, key=lambda type_id: self._layouts.of(type_id) is not None):
            group = list(neighbours)
            expressions += self._fixed(group) if fixed else [self._value(type_id) for type_id in group]
        return expressions

    def _fixed(self, type_ids: list[int]) -> list[str]:
        """One struct call for neighbours of fixed size."""
        layouts = [layout for layout in map(self._layouts.of, type_ids) if layout is not None]
        codes = [code for layout in layouts for code in layout.codes]
        names = [self._variable() for _ in codes]
        if codes == ["B"]:
            self._line(f"{names[0]} = b[o]")
            self._line("o += 1")
        elif codes:
            layout_format = "<" + "".join(codes)
            self._line(f"{tuple_expression(names)} = {self._constant('unpack_from', layout_format)}(b, o)")
            self._line(f"o += {struct.calcsize(layout_format)}")
        return build_each(layouts, names)

    def _value(self, type_id: int) -> str:
        """Statements that read one value; gives an expression for it."""
        if self._layouts.of(type_id) is not None:
            return self._fixed([type_id])[0]
        type_id = self._registry.unwrapped(type_id)
        definition = self._registry.definition(type_id)
        if isinstance(definition, Compact):
            return self._compact(definition)
        name = self._variable()
        if call := self._shared_function(definition):
            self._line(f"{name}, o = {call}")
        elif isinstance(definition, Variant) and self._registry.some(type_id) is None:
            self.enums.add(type_id)
            self._line(f"{name}, o = CASES_{type_id}[b[o]](b, o + 1)")
        else:
            self.calls.add(type_id)
            self._line(f"{name}, o = decode_{type_id}(b, o)")
        return name

    def _shared_function(self, definition: Definition) -> str | None:
        """The call of a function of ``primitives`` that reads the whole type, if there is one."""
        match definition:
            case Primitive("str"):
                return "text(b, o)"
            case Sequence(element) if self._registry.is_u8(element):
                return "octets(b, o)"
            case BitSequence():
                word_bytes, highest_first = self._registry.bits(definition)
                return f"bits(b, o, {word_bytes}, {highest_first})"
            case _:
                return None

    def _compact(self, definition: Compact) -> str:
        width = self._registry.compact_bytes(definition)
        if width == 0:
            return "()"
        name = self._variable()
        self._line(f"{name} = b[o]")
        self._line(f"if {name} & 3: {name}, o = compact(b, o, {2 ** (8 * width) - 1})")
        self._line(f"else: {name}, o = {name} >> 2, o + 1")
        return name

    def _return(self, expression: str) -> None:
        self._line(f"return {expression}, o")

    def _line(self, statement: str) -> None:
        self._lines.append(self._indent + statement)

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"

    def _constant(self, method: str, layout_format: str) -> str:
        """A name for a method of a prepared struct, such as ``unpack_from_32sQ``."""
        name = f"{method}_{layout_format[1:]}"
        self.constants[name] = getattr(struct.Struct(layout_format), method)
        return name
