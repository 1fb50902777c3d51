"""The text of one generated function: how each kind of type is read, and what the function calls.

A function reads one value: ``decode_N(b, o) -> (value, next offset)`` for type N. Newtypes vanish, neighbouring
fields of fixed size share one struct call (``layout``), structs, Options and small enums are read where they stand.
Compiles nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

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

INLINE_DEPTH = 3
"""Structs, sequences and Options inside each other that one function reads; what is deeper is a call."""

INLINE_LINES = 300
"""A function that has grown so long reads nothing more where it stands, lest nested types multiply."""

INLINE_CASES = 3
"""Most cases of an enum that is read where it stands, if all of them are of fixed size."""


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
        self._depth = 0

    def text(self) -> str:
        """The function as Python source."""
        return "\n".join(self._lines)

    def body(self, type_id: int) -> None:
        """Write the function of a type; it must be unwrapped."""
        definition = self._registry.definition(type_id)
        if self._layouts.of(type_id) is None and isinstance(definition, Sequence | Array):
            self._depth += 1
            if call := self._shared_function(definition):
                self._line(f"return {call}")
            else:
                self._count(definition)
                self._items(definition.element)
        elif self._layouts.of(type_id) is None and self._is_table(type_id, definition):
            self._line(f"return {self._by_table(type_id)}")
        else:
            self._return(self._value(type_id))

    def case(self, case: Case, outer: Case | None = None) -> None:
        """Write the function of an enum's case, from behind its discriminant; ``outer``: the case around it."""
        expression = self._case(case)
        self._return(expression if outer is None else f"{{{outer.name!r}: {expression}}}")

    def _case(self, case: Case) -> str:
        values = self._values([field.type_id for field in case.fields])
        return f"{{{case.name!r}: {fields_expression(case.fields, values)}}}" if values else repr(case.name)

    def _count(self, definition: Sequence | Array, item_size: int | None = None) -> None:
        """How many items follow, and that so many of ``item_size`` fit, by default of ``_item_size``."""
        if item_size is None:
            item_size = self._item_size(definition.element)
        if isinstance(definition, Sequence):
            self._line("count = b[o]")
            self._line(f"if count & 3: count, o = compact(b, o, {primitives.COMPACT_MAX})")
            self._line("else: count, o = count >> 2, o + 1")
        else:
            self._line(f"count = {definition.length}")
        self._line(f"if count * {item_size} > len(b) - o: raise ValueError")

    def _items(self, element: int) -> None:
        """``count`` items of one type, as a list; that so many of ``_item_size`` fit has been checked."""
        if self._registry.min_size(element) == 0:
            self._line(f"if count > {MAX_EMPTY_ITEMS}: raise ValueError")
        layout = self._layouts.of(element)
        if layout is None or layout.size == 0:
            self._line("items = []")
            self._line("for _ in range(count):")
            with self._indented():
                self._line(f"items.append({self._value(element)})")
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
        if self._depth < INLINE_DEPTH and len(self._lines) < INLINE_LINES:
            self._depth += 1
            try:
                if (inlined := self._inline(type_id, definition)) is not None:
                    return inlined
            finally:
                self._depth -= 1
        name = self._variable()
        if call := self._shared_function(definition):
            self._line(f"{name}, o = {call}")
        elif self._is_table(type_id, definition):
            self._line(f"{name}, o = {self._by_table(type_id)}")
        else:
            self.calls.add(type_id)
            if isinstance(definition, Sequence):
                self._line(f"if b[o]: {name}, o = decode_{type_id}(b, o)")
                self._line(f"else: {name}, o = [], o + 1")
            else:
                self._line(f"{name}, o = decode_{type_id}(b, o)")
        return name

    def _inline(self, type_id: int, definition: Definition) -> str | None:
        """A struct, an Option or a small enum, read where it stands; None for any other type."""
        if isinstance(definition, Composite):
            return struct_expression(definition.fields, self._values([f.type_id for f in definition.fields]))
        if isinstance(definition, Tuple):
            return tuple_expression(self._values(list(definition.elements)))
        if (some := self._registry.some(type_id)) is not None:
            return self._option(some)
        if isinstance(definition, Variant) and self._is_small(definition):
            return self._small_enum(definition)
        return None

    def _option(self, some: int) -> str:
        name = self._tag()
        self._line(f"if {name} == 0: {name} = None")
        self._line(f"elif {name} == 1:")
        with self._indented():
            value = self._value(some)
            self._line(f"{name} = " + (f"{{'Some': {value}}}" if self._registry.some_is_ambiguous(some) else value))
        self._line("else: raise ValueError")
        return name

    def _is_small(self, definition: Variant) -> bool:
        return 0 < len(definition.cases) <= INLINE_CASES and all(
            self._layouts.of(field.type_id) is not None for case in definition.cases for field in case.fields
        )

    def _small_enum(self, definition: Variant) -> str:
        name = self._tag()
        for at, case in enumerate(definition.cases):
            self._line(f"{'elif' if at else 'if'} {name} == {case.index}:")
            with self._indented():
                self._line(f"{name} = {self._case(case)}")
        self._line("else: raise ValueError")
        return name

    def _tag(self) -> str:
        name = self._variable()
        self._line(f"{name} = b[o]")
        self._line("o += 1")
        return name

    def _is_table(self, type_id: int, definition: Definition) -> bool:
        """Whether it is an enum whose cases are called by a table."""
        return (
            isinstance(definition, Variant)
            and self._registry.some(type_id) is None
            and (not self._is_small(definition))
        )

    def _by_table(self, type_id: int) -> str:
        self.enums.add(type_id)
        if self._registry.enums_inside(type_id) is None:
            return f"CASES_{type_id}[b[o]](b, o + 1)"
        return f"CASES_{type_id}[b[o]][b[o + 1]](b, o + 2)"

    def _shared_function(self, definition: Definition) -> str | None:
        """The call of a function of ``primitives`` that reads the whole type, if there is one."""
        registry = self._registry
        match definition:
            case Primitive("str"):
                return "text(b, o)"
            case Sequence(element) if registry.is_u8(element):
                return "octets(b, o)"
            case Sequence(element) if isinstance(of := registry.definition(registry.unwrapped(element)), Compact) and (
                width := registry.compact_bytes(of)
            ):
                return f"compacts(b, o, {2 ** (8 * width) - 1})"
            case BitSequence():
                word_bytes, highest_first = registry.bits(definition)
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

    @contextmanager
    def _indented(self) -> Iterator[None]:
        self._indent += " " * 4
        yield
        self._indent = self._indent[4:]

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
