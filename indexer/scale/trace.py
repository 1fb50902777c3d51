"""The tracing decoder: slow, but it knows at every moment where in the type and in the bytes it is.

Runs when a compiled decoder has refused bytes, to say why (type path and offset), and in tests as a
second opinion; it shares the registry with the compiler, not a line of decoding. It keeps its own stack,
so that depth is bounded by ``MAX_DEPTH`` alone and not by how deep the caller already is.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeAlias

from indexer.errors import DecodeError
from indexer.scale.primitives import unpack_bits
from indexer.scale.reader import Reader
from indexer.scale.registry import (
    MAX_EMPTY_ITEMS,
    SIGNED_BYTES,
    UNSIGNED_BYTES,
    Array,
    BitSequence,
    Case,
    Compact,
    Composite,
    Field,
    Primitive,
    Registry,
    Sequence,
    Tuple,
    Variant,
)

MAX_DEPTH = 2048
"""Types inside types. A runtime refuses calls nested deeper than 256, each of which is a few types deep."""


class Step(NamedTuple):
    """A request to decode ``type_id`` next; ``label`` is what it adds to the path."""

    label: str
    type_id: int


Steps: TypeAlias = Generator[Step, object, object]


def decode(registry: Registry, type_id: int, raw: bytes, offset: int = 0) -> tuple[object, int]:
    """The value of a type at ``offset`` and the offset behind it.

    Raises ``DecodeError`` with the type path (``Vec<EventRecord>[3].event.Balances.Withdraw.amount: u64``).
    """
    tracer = _Tracer(registry, raw, offset)
    try:
        return tracer.run(type_id), tracer.reader.offset
    except DecodeError as error:
        raise DecodeError(error.problem, path=tracer.path(), offset=error.offset) from None


class _Tracer:
    """One decoding: where it reads, and the stack of types it is in."""

    def __init__(self, registry: Registry, raw: bytes, offset: int) -> None:
        self.registry = registry
        self.reader = Reader(raw, offset)
        self.stack: list[tuple[Step, Steps]] = []
        self.case_name: dict[int, str] = {}

    def path(self) -> str:
        """Labels from the outermost type inwards, then the innermost type."""
        labels = [step.label + self.case_name.get(depth, "") for depth, (step, _) in enumerate(self.stack)]
        innermost = f": {self.registry.name(self.stack[-1][0].type_id)}" if len(labels) > 1 else ""
        return "".join(labels) + innermost

    def run(self, type_id: int) -> object:
        """Drive the generators: each asks for the values it consists of and is sent them."""
        self._enter(Step(self.registry.name(type_id), type_id))
        value: object = None
        while True:
            try:
                step = self.stack[-1][1].send(value)
            except StopIteration as done:
                value = done.value
                if len(self.stack) == 1:
                    return value
                self.stack.pop()
            else:
                self._enter(step)
                value = None

    def _enter(self, step: Step) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise self.reader.refuse(f"nested deeper than {MAX_DEPTH} types")
        self.case_name.pop(len(self.stack), None)
        self.stack.append((step, self._steps(step.type_id)))

    def _steps(self, type_id: int) -> Steps:
        definition = self.registry.definition(type_id)
        match definition:
            case Primitive(name):
                return self._primitive(name)
            case Compact():
                return self._compact(definition)
            case Composite(fields):
                return self._composite(type_id, fields)
            case Tuple(elements):
                return self._tuple(elements)
            case Sequence(element):
                return self._sequence(element)
            case Array(length, element):
                return self._array(length, element)
            case Variant(cases):
                return self._variant(type_id, cases)
            case BitSequence():
                return self._bits(definition)

    def _primitive(self, name: str) -> Steps:
        reader, start = self.reader, self.reader.offset
        if name in UNSIGNED_BYTES:
            return reader.integer(UNSIGNED_BYTES[name])
        if name in SIGNED_BYTES:
            return reader.integer(SIGNED_BYTES[name], signed=True)
        if name == "str":
            return reader.text()
        if name == "bool":
            if (byte := reader.u8()) > 1:
                raise reader.refuse(f"bool is {byte}", start)
            return byte == 1
        code = reader.integer(4)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise reader.refuse(f"{code} is no Unicode character", start)
        return chr(code)
        yield  # never reached: makes this a generator like its neighbours

    def _compact(self, definition: Compact) -> Steps:
        width = self.registry.compact_bytes(definition)
        return self.reader.compact(2 ** (8 * width) - 1) if width else ()
        yield

    def _bits(self, definition: BitSequence) -> Steps:
        word_bytes, highest_first = self.registry.bits(definition)
        start, count = self.reader.offset, self.reader.compact()
        size = -(-count // (8 * word_bytes)) * word_bytes
        if size > self.reader.left:
            raise self.reader.refuse(f"truncated: {count} bits need {size} bytes, {self.reader.left} left", start)
        return unpack_bits(self.reader.take(size), count, word_bytes, highest_first)
        yield

    def _composite(self, type_id: int, fields: tuple[Field, ...]) -> Steps:
        if self.registry.is_u256(type_id):
            return self.reader.integer(32)
        if len(fields) == 1:
            return (yield _step(0, fields[0]))
        return (yield from self._fields(fields))

    def _fields(self, fields: tuple[Field, ...]) -> Steps:
        """Several fields of a composite, or any number of a case."""
        values = []
        for place, field in enumerate(fields):
            values.append((yield _step(place, field)))
        if fields and fields[0].name is not None:
            return {field.name: value for field, value in zip(fields, values, strict=True)}
        return values[0] if len(fields) == 1 else tuple(values)

    def _tuple(self, elements: tuple[int, ...]) -> Steps:
        values = []
        for place, element in enumerate(elements):
            values.append((yield Step(f".{place}", element)))
        return tuple(values)

    def _sequence(self, element: int) -> Steps:
        count = self.reader.length(self.registry.min_size(element))
        return (yield from self._items(count, element))

    def _array(self, length: int, element: int) -> Steps:
        if length * self.registry.min_size(element) > self.reader.left:
            raise self.reader.refuse(f"truncated: {length} items do not fit the {self.reader.left} bytes left")
        return (yield from self._items(length, element))

    def _items(self, count: int, element: int) -> Steps:
        if self.registry.is_u8(element):
            return self.reader.take(count)
        if count > MAX_EMPTY_ITEMS and self.registry.min_size(element) == 0:
            raise self.reader.refuse(f"{count} items that take no bytes")
        values = []
        for place in range(count):
            values.append((yield Step(f"[{place}]", element)))  # noqa: PERF401 - a comprehension cannot yield
        return values

    def _variant(self, type_id: int, cases: tuple[Case, ...]) -> Steps:
        start, tag = self.reader.offset, self.reader.u8()
        case = next((case for case in cases if case.index == tag), None)
        if case is None:
            raise self.reader.refuse(f"unknown variant {tag}", start)
        if self.registry.some(type_id) is not None:
            if not case.fields:
                return None
            inner = case.fields[0].type_id
            value = yield Step("", inner)
            return {"Some": value} if self.registry.some_is_ambiguous(inner) else value
        self.case_name[len(self.stack) - 1] = f".{case.name}"
        if not case.fields:
            return case.name
        return {case.name: (yield from self._fields(case.fields))}


def _step(place: int, field: Field) -> Step:
    return Step(f".{place if field.name is None else field.name}", field.type_id)
