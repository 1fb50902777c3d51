"""Values to SCALE bytes by type: the inverse of decoding, with the same conventions.

Used for storage keys (the index asks for keys by value) and by the simulated chain. Not a hot path:
plain recursion over the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Items

from indexer.errors import Fatal
from indexer.scale.primitives import pack_bits
from indexer.scale.registry import (
    SIGNED_BYTES,
    UNSIGNED_BYTES,
    Array,
    BitSequence,
    Compact,
    Composite,
    Field,
    Primitive,
    Registry,
    Sequence,
    Tuple,
    Variant,
)


class EncodeError(Fatal):
    """A value does not fit the type it is to be encoded as. A defect of the caller, never of the chain."""


def encode_compact(number: int) -> bytes:
    """A compact integer in its shortest form."""
    if not 0 <= number < 2**536:
        raise EncodeError(f"{number} does not fit a compact")
    if number < 2**6:
        return bytes((number << 2,))
    if number < 2**14:
        return (number << 2 | 1).to_bytes(2, "little")
    if number < 2**30:
        return (number << 2 | 2).to_bytes(4, "little")
    size = (number.bit_length() + 7) // 8
    return bytes(((size - 4) << 2 | 3,)) + number.to_bytes(size, "little")


def encode(registry: Registry, type_id: int, value: object) -> bytes:
    """``value`` (in decoded form) as a type. Raises ``EncodeError`` with the type it does not fit."""
    definition = registry.definition(type_id)
    match definition:
        case Primitive(name):
            return _primitive(name, value)
        case Compact():
            width = registry.compact_bytes(definition)
            return encode_compact(_integer(value, 8 * width)) if width else b""
        case Composite(fields):
            if registry.is_u256(type_id):
                return _integer(value, 256).to_bytes(32, "little")
            return encode(registry, fields[0].type_id, value) if len(fields) == 1 else _fields(registry, fields, value)
        case Tuple(elements):
            values = _items(value, len(elements))
            return b"".join(encode(registry, *pair) for pair in zip(elements, values, strict=True))
        case Sequence(element):
            items = value if registry.is_u8(element) and isinstance(value, bytes) else _items(value)
            return encode_compact(len(items)) + _run(registry, element, items)
        case Array(length, element):
            items = value if registry.is_u8(element) and isinstance(value, bytes) else _items(value)
            if len(items) != length:
                raise EncodeError(f"{len(items)} items for {registry.name(type_id)}")
            return _run(registry, element, items)
        case Variant():
            return _variant(registry, type_id, definition, value)
        case BitSequence():
            bits = [bool(bit) for bit in _items(value)]
            return encode_compact(len(bits)) + pack_bits(bits, *registry.bits(definition))


def _primitive(name: str, value: object) -> bytes:
    if name in UNSIGNED_BYTES:
        return _integer(value, 8 * UNSIGNED_BYTES[name]).to_bytes(UNSIGNED_BYTES[name], "little")
    if name in SIGNED_BYTES and isinstance(value, int):
        try:
            return value.to_bytes(SIGNED_BYTES[name], "little", signed=True)
        except OverflowError:
            raise EncodeError(f"{value} does not fit {name}") from None
    if name == "bool" and isinstance(value, bool):
        return bytes((value,))
    if name == "char" and isinstance(value, str) and len(value) == 1:
        return ord(value).to_bytes(4, "little")
    if name == "str" and isinstance(value, str):
        text = value.encode()
        return encode_compact(len(text)) + text
    raise EncodeError(f"{value!r:.80} is no {name}")


def _integer(value: object, bits: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << bits:
        raise EncodeError(f"{value!r:.80} is no unsigned integer of {bits} bits")
    return value


def _items(value: object, count: int | None = None) -> Items[object]:
    if not isinstance(value, (list, tuple)) or (count is not None and len(value) != count):
        raise EncodeError(f"{value!r:.80} is no sequence" + ("" if count is None else f" of {count}"))
    return value


def _run(registry: Registry, element: int, items: Items[object]) -> bytes:
    return items if isinstance(items, bytes) else b"".join(encode(registry, element, item) for item in items)


def _fields(registry: Registry, fields: tuple[Field, ...], value: object) -> bytes:
    """Several fields of a composite, or any number of a case."""
    if fields and fields[0].name is not None:
        if not isinstance(value, Mapping) or value.keys() != {field.name for field in fields}:
            raise EncodeError(f"{value!r:.80} does not have the fields {', '.join(str(f.name) for f in fields)}")
        return b"".join(encode(registry, field.type_id, value[field.name]) for field in fields)
    values = [value] if len(fields) == 1 else _items(value, len(fields))
    return b"".join(encode(registry, field.type_id, item) for field, item in zip(fields, values, strict=True))


def _variant(registry: Registry, type_id: int, definition: Variant, value: object) -> bytes:
    some = registry.some(type_id)
    if some is not None:
        if value is None:
            return b"\x00"
        if registry.some_is_ambiguous(some):
            if not isinstance(value, Mapping) or value.keys() != {"Some"}:
                raise EncodeError(f"{value!r:.80} is no {registry.name(type_id)}: wants None or {{'Some': …}}")
            value = value["Some"]
        return b"\x01" + encode(registry, some, value)
    name, inner = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else (value, ())
    for case in definition.cases:
        if case.name == name and bool(case.fields) == isinstance(value, Mapping):
            return bytes((case.index,)) + (_fields(registry, case.fields, inner) if case.fields else b"")
    raise EncodeError(f"{value!r:.80} is no case of {registry.name(type_id)}")
