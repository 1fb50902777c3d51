"""Random values of a type in decoded form, for any type of a registry; knows nothing of bytes."""

from __future__ import annotations

from random import Random
from typing import Any

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


class NoValue(Exception):
    """The type has no value: an enum without cases stands inside it."""


def random_value(registry: Registry, type_id: int, random: Random, depth: int = 0) -> Any:
    """A value of the type; sequences grow shorter and cases simpler with depth, so that it ends. Or ``NoValue``."""

    def inner(type_id: int) -> Any:
        return random_value(registry, type_id, random, depth + 1)

    definition = registry.definition(type_id)
    match definition:
        case Primitive("bool"):
            return random.random() < 0.5
        case Primitive("char"):
            return random.choice("aß€𝄞")
        case Primitive("str"):
            return "".join(random.choices("aß€𝄞", k=random.choice([0, 1, 5, 40])))
        case Primitive(name) if name in UNSIGNED_BYTES:
            return random_unsigned(8 * UNSIGNED_BYTES[name], random)
        case Primitive(name):
            bits = 8 * SIGNED_BYTES[name]
            return random_unsigned(bits, random) - 2 ** (bits - 1)
        case Compact():
            width = registry.compact_bytes(definition)
            return random_unsigned(8 * width, random) if width else ()
        case Composite(fields):
            if registry.is_u256(type_id):
                return random_unsigned(256, random)
            return inner(fields[0].type_id) if len(fields) == 1 else fields_value(fields, inner)
        case Tuple(elements):
            return tuple(map(inner, elements))
        case Sequence(element) | Array(_, element):
            count = definition.length if isinstance(definition, Array) else random.choice([0, 1, 2, 3, 70])
            if isinstance(definition, Sequence) and depth > 3:
                count = min(count, 2 if depth < 8 else 0)
            if registry.is_u8(element):
                return random.randbytes(count)
            try:
                return [inner(element) for _ in range(count)]
            except NoValue:
                if isinstance(definition, Array):
                    raise
                return []
        case BitSequence():
            return [random.random() < 0.5 for _ in range(random.choice([0, 7, 8, 9, 100]))]
        case Variant(cases):
            return variant_value(registry, type_id, cases, random, depth, inner)


def random_unsigned(bits: int, random: Random) -> int:
    """Small, large and anything between, so that every length of a compact is met."""
    return random.choice([0, 1, 2**bits - 1, random.getrandbits(random.randint(1, bits))])


def fields_value(fields: tuple[Field, ...], inner: Any) -> Any:
    values = [inner(field.type_id) for field in fields]
    if fields and fields[0].name is not None:
        return {field.name: value for field, value in zip(fields, values, strict=True)}
    return values[0] if len(values) == 1 else tuple(values)


def variant_value(registry: Registry, type_id: int, cases: Any, random: Random, depth: int, inner: Any) -> Any:
    some = registry.some(type_id)
    simple = [case for case in cases if not case.fields]
    if simple and depth > 8:
        cases = simple
    for case in random.sample(cases, len(cases)):
        try:
            value = fields_value(case.fields, inner) if case.fields else None
        except NoValue:
            continue
        if some is not None:
            return {"Some": value} if case.fields and registry.some_is_ambiguous(some) else value
        return {case.name: value} if case.fields else case.name
    raise NoValue
