"""Types of fixed size: which struct codes read them, and the Python expression that builds the value.

Neighbouring fields of fixed size are unpacked by one struct call, which also checks the end of the
bytes. Owns no functions and no state but the tables that expressions refer to.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from collections.abc import Sequence as Names
from dataclasses import dataclass

from indexer.scale.registry import SIGNED_BYTES, Array, Composite, Field, Primitive, Registry, Tuple, Variant

MAX_CODES = 128
"""A type of more struct codes than this gets a function of its own, lest nested types multiply."""

CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Struct codes, and a function from the names of the variables they are unpacked to into an expression."""

    codes: tuple[str, ...]
    build: Callable[[Names[str]], str]

    @property
    def format(self) -> str:
        """Little-endian struct format, without padding."""
        return "<" + "".join(self.codes)

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return struct.calcsize(self.format)


class Layouts:
    """Layouts by type id. ``tables`` collects the constants that expressions name."""

    def __init__(self, registry: Registry, tables: dict[str, object]) -> None:
        self._registry = registry
        self._tables = tables
        self._known: dict[int, Layout | None] = {}

    def of(self, type_id: int) -> Layout | None:
        """The layout of a type of fixed size, None for any other (or one too large to unfold)."""
        if type_id not in self._known:
            self._known[type_id] = None  # a type that contains itself has no layout
            layout = self._build(type_id)
            self._known[type_id] = layout if layout and len(layout.codes) <= MAX_CODES else None
        return self._known[type_id]

    def _build(self, type_id: int) -> Layout | None:
        registry = self._registry
        type_id = registry.unwrapped(type_id)
        if registry.is_u256(type_id):
            return Layout(("32s",), lambda v: f"from_bytes({v[0]}, 'little')")
        match registry.definition(type_id):
            case Primitive(name):
                return _primitive(name)
            case Composite(fields):
                return self._joined([field.type_id for field in fields], lambda parts: struct_expression(fields, parts))
            case Tuple(elements):
                return self._joined(list(elements), tuple_expression)
            case Array(length, element) if registry.is_u8(element):
                return Layout((f"{length}s",), lambda v: v[0])
            case Array(length, element) if length <= MAX_CODES:
                return self._joined([element] * length, list_expression)
            case Variant(cases) if cases and not any(case.fields for case in cases):
                table = f"CASES_{type_id}"
                self._tables[table] = {case.index: case.name for case in cases}
                return Layout(("B",), lambda v: f"{table}[{v[0]}]")
            case _:
                return None

    def _joined(self, type_ids: list[int], join: Callable[[list[str]], str]) -> Layout | None:
        parts: list[Layout] = []
        for type_id in type_ids:
            part = self.of(type_id)
            if part is None:
                return None
            parts.append(part)
        return Layout(
            tuple(code for part in parts for code in part.codes),
            lambda names: join(build_each(parts, names)),
        )


def _primitive(name: str) -> Layout | None:
    if name in CODES:
        return Layout((CODES[name],), lambda v: v[0])
    match name:
        case "bool":
            return Layout(("B",), lambda v: f"(False, True)[{v[0]}]")
        case "char":
            return Layout(("I",), lambda v: f"char({v[0]})")
        case "u128":
            return Layout(("Q", "Q"), lambda v: f"({v[0]} | {v[1]} << 64)")
        case "u256":
            return Layout(("32s",), lambda v: f"from_bytes({v[0]}, 'little')")
        case "i128" | "i256":
            return Layout((f"{SIGNED_BYTES[name]}s",), lambda v: f"from_bytes({v[0]}, 'little', signed=True)")
        case _:
            return None


def build_each(layouts: Names[Layout], names: Names[str]) -> list[str]:
    """One expression for each layout, from the variables of all of them in a row."""
    expressions, start = [], 0
    for layout in layouts:
        end = start + len(layout.codes)
        expressions.append(layout.build(names[start:end]))
        start = end
    return expressions


def struct_expression(fields: tuple[Field, ...], values: Names[str]) -> str:
    """A composite: the bare value of a single field, else a dict, or a tuple if the fields have no names."""
    return values[0] if len(fields) == 1 else fields_expression(fields, values)


def fields_expression(fields: tuple[Field, ...], values: Names[str]) -> str:
    """Fields of an enum's case: a dict if they are named, a single one without a name bare, else a tuple."""
    if fields and fields[0].name is not None:
        return "{" + ", ".join(f"{field.name!r}: {value}" for field, value in zip(fields, values, strict=True)) + "}"
    return values[0] if len(fields) == 1 else tuple_expression(values)


def tuple_expression(values: Names[str]) -> str:
    """A tuple display, right for one element too."""
    return f"({', '.join(values)}{',' if len(values) == 1 else ''})"


def list_expression(values: Names[str]) -> str:
    """A list display."""
    return f"[{', '.join(values)}]"
