"""The type registry of a runtime: what scale-info's ``PortableRegistry`` says, as frozen values.

Owns the questions that decoder, tracer and encoder ask alike (is it an Option, how small can it be,
what is it called). Decodes nothing. Source of the layout: crate scale-info, form ``PortableForm``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from indexer.errors import DecodeError

MAX_EMPTY_ITEMS = 256
"""Most items of a sequence or array whose items take no bytes: their number costs the sender nothing."""

MAX_ROUNDS = 64
"""Bound on the rounds that find the smallest sizes; real metadata needs fewer than ten."""

UNSIGNED_BYTES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "u128": 16, "u256": 32}
SIGNED_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "i128": 16, "i256": 32}
FIXED_BYTES = {"bool": 1, "char": 4, **UNSIGNED_BYTES, **SIGNED_BYTES}
PRIMITIVES = ("bool", "char", "str", *UNSIGNED_BYTES, *SIGNED_BYTES)
"""In the order of scale-info's ``TypeDefPrimitive``."""


class Field(NamedTuple):
    """A field of a composite or of a variant's case; tuple-like fields have no name."""

    name: str | None
    type_id: int


@dataclass(frozen=True, slots=True)
class Composite:
    """A struct."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One case of an enum; ``index`` is its discriminant byte."""

    name: str
    index: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """An enum."""

    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A length-prefixed run of one type."""

    element: int


@dataclass(frozen=True, slots=True)
class Array:
    """A run of one type whose length the type fixes."""

    length: int
    element: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """Values side by side."""

    elements: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Primitive:
    """One of ``PRIMITIVES``."""

    name: str


@dataclass(frozen=True, slots=True)
class Compact:
    """An unsigned integer (or a newtype of one) in compact form."""

    inner: int


@dataclass(frozen=True, slots=True)
class BitSequence:
    """A bit vector kept in words of type ``store``."""

    store: int
    order: int


NOTHING = (Tuple(()), Composite(()))
"""What takes no bytes, in compact form either."""

Definition: TypeAlias = Composite | Variant | Sequence | Array | Tuple | Primitive | Compact | BitSequence


class Type(NamedTuple):
    """A registered type. ``path`` is empty for built-in shapes."""

    path: tuple[str, ...]
    params: tuple[tuple[str, int | None], ...]
    definition: Definition


class Registry:
    """Types by id. Grows only by ``add``, for shapes the metadata implies but does not list."""

    def __init__(self, types: tuple[Type, ...]) -> None:
        self._types = list(types)
        self._smallest: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._types)

    def __getitem__(self, type_id: int) -> Type:
        return self._types[type_id]

    def add(self, name: str, definition: Definition) -> int:
        """Register a type of our own and return its id."""
        self._types.append(Type((name,), (), definition))
        return len(self._types) - 1

    def definition(self, type_id: int) -> Definition:
        """What the type is made of."""
        return self._types[type_id].definition

    def param(self, type_id: int, name: str) -> int | None:
        """The type given for the generic parameter ``name``, if it has one."""
        return next((given for param, given in self._types[type_id].params if param == name), None)

    def unwrapped(self, type_id: int) -> int:
        """The type inside all newtypes (composites of exactly one field) around it.

        A newtype that contains nothing but itself is given as it is: nothing decodes it.
        """
        for _ in range(len(self._types)):
            definition = self.definition(type_id)
            if not isinstance(definition, Composite) or len(definition.fields) != 1 or self.is_u256(type_id):
                return type_id
            type_id = definition.fields[0].type_id
        return type_id

    def is_u8(self, type_id: int) -> bool:
        """Whether sequences and arrays of it are byte strings."""
        return self.definition(type_id) == Primitive("u8")

    def is_u256(self, type_id: int) -> bool:
        """``primitive_types::U256``: four u64 words on paper, one number in meaning."""
        return self._types[type_id].path == ("primitive_types", "U256")

    def some(self, type_id: int) -> int | None:
        """T of an ``Option<T>``, None for any other type."""
        kind = self._types[type_id]
        if kind.path != ("Option",) or not isinstance(kind.definition, Variant):
            return None
        shape = [(case.index, case.name, len(case.fields)) for case in kind.definition.cases]
        return kind.definition.cases[1].fields[0].type_id if shape == [(0, "None", 0), (1, "Some", 1)] else None

    def some_is_ambiguous(self, inner: int) -> bool:
        """Whether ``Some(inner)`` could itself be None, as in ``Option<Option<T>>``."""
        return self.some(self.unwrapped(inner)) is not None

    def enums_inside(self, type_id: int) -> Mapping[int, tuple[Case, ...]] | None:
        """Of an enum each of whose cases holds an enum and nothing else, such as RuntimeEvent: the inner cases by the
        outer discriminant. None for any other type."""
        definition = self.definition(type_id)
        found: dict[int, tuple[Case, ...]] = {}
        for case in definition.cases if isinstance(definition, Variant) else ():
            if len(case.fields) != 1 or case.fields[0].name is not None:
                return None
            inner = self.unwrapped(case.fields[0].type_id)
            within = self.definition(inner)
            if not isinstance(within, Variant) or self.some(inner) is not None:
                return None
            found[case.index] = within.cases
        return found or None

    def compact_bytes(self, compact: Compact) -> int:
        """Width in bytes of the integer in a compact; 0 for ``Compact<()>``, which takes no bytes.

        Raises ``DecodeError`` if the inner type is no unsigned integer.
        """
        definition = self.definition(self.unwrapped(compact.inner))
        if definition in NOTHING:
            return 0
        if isinstance(definition, Primitive) and definition.name in UNSIGNED_BYTES:
            return UNSIGNED_BYTES[definition.name]
        raise DecodeError("compact of something that is no unsigned integer", path=self.name(compact.inner))

    def bits(self, bit_sequence: BitSequence) -> tuple[int, bool]:
        """Bytes per word of a bit sequence, and whether a word's highest bit comes first."""
        store = self.definition(self.unwrapped(bit_sequence.store))
        order = self._types[bit_sequence.order].path[-1:]
        if not isinstance(store, Primitive) or store.name not in UNSIGNED_BYTES or order not in (("Lsb0",), ("Msb0",)):
            raise DecodeError("bit sequence of unknown words or order", path=self.name(bit_sequence.store))
        return UNSIGNED_BYTES[store.name], order == ("Msb0",)

    def references(self, type_id: int) -> Iterator[int]:
        """Ids of the types directly inside it."""
        match self.definition(type_id):
            case Composite(fields):
                yield from (field.type_id for field in fields)
            case Variant(cases):
                yield from (field.type_id for case in cases for field in case.fields)
            case Sequence(element) | Array(_, element):
                yield element
            case Tuple(elements):
                yield from elements
            case Compact(inner):
                yield inner
            case _:
                pass

    def min_size(self, type_id: int) -> int:
        """The smallest encoded size in bytes, to refuse lengths that cannot be before allocating."""
        if type_id not in self._smallest:
            self._measure(type_id)
        return self._smallest[type_id]

    def _measure(self, type_id: int) -> None:
        """Least fixed point: sizes start at 0 and grow until none changes, so that types may contain themselves.

        A struct that holds itself outright has no end; its size stops growing after ``MAX_ROUNDS``. Types inside come
        first, so that one round is enough where none contains itself.
        """
        inside = self._inside(type_id)
        self._smallest.update(dict.fromkeys(inside, 0))
        for _ in range(MAX_ROUNDS):
            changed = False
            for each in inside:
                size = self._min_size(self._types[each].definition)
                if size != self._smallest[each]:
                    self._smallest[each], changed = size, True
            if not changed:
                break

    def _inside(self, type_id: int) -> list[int]:
        """The type and all inside it that are not measured, innermost first."""
        found: dict[int, None] = {}
        entered, waiting = {type_id}, [(type_id, self.references(type_id))]
        while waiting:
            outer, references = waiting[-1]
            new = next((one for one in references if one not in entered and one not in self._smallest), None)
            if new is None:
                found[outer] = None
                waiting.pop()
            else:
                entered.add(new)
                waiting.append((new, self.references(new)))
        return list(found)

    def _min_size(self, definition: Definition) -> int:
        known = self._smallest
        match definition:
            case Composite(fields):
                return sum(known[field.type_id] for field in fields)
            case Variant(cases):
                return 1 + min((sum(known[field.type_id] for field in case.fields) for case in cases), default=0)
            case Tuple(elements):
                return sum(known[element] for element in elements)
            case Array(length, element):
                return length * known[element]
            case Primitive(name):
                return FIXED_BYTES.get(name, 1)
            case Compact(inner):
                return 0 if self.definition(self.unwrapped(inner)) in NOTHING else 1
            case _:
                return 1

    def name(self, type_id: int, depth: int = 4) -> str:
        """A short readable name, such as ``Vec<(NetUid, u64)>``."""
        kind = self._types[type_id]
        if depth == 0:
            return "…"
        if kind.path and self.some(type_id) is None:
            return kind.path[-1]
        match kind.definition:
            case Primitive(name):
                return name
            case Sequence(element):
                return f"Vec<{self.name(element, depth - 1)}>"
            case Array(length, element):
                return f"[{self.name(element, depth - 1)}; {length}]"
            case Tuple(elements):
                return f"({', '.join(self.name(element, depth - 1) for element in elements)})"
            case Compact(inner):
                return f"Compact<{self.name(inner, depth - 1)}>"
            case Variant() if (inner_id := self.some(type_id)) is not None:
                return f"Option<{self.name(inner_id, depth - 1)}>"
            case other:
                return type(other).__name__
