"""Decoded values as JSON that people can read, by their types: for tables that keep the bytes beside.

Pure, and for showing only: nothing is read back from it. An account is its SS58 text; bytes of any length
(``Vec<u8>``) are text if they are text, other bytes ``0x`` and hex; ``()`` is ``[]``, a tuple an array, a struct an
object, an enum's case its name or an object of one member. Numbers are whole and exact.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from functools import lru_cache

from indexer.scale.registry import Array, Case, Composite, Field, Registry, Sequence, Tuple, Variant
from indexer.scale.ss58 import ss58_encode

ACCOUNT_PATH = ("sp_core", "crypto", "AccountId32")
DEPTH_MAX = 150
"""Levels of types inside each other; far more than any call, and less than Python's stack holds."""

_address = lru_cache(maxsize=200_000)(ss58_encode)


class TooDeep(Exception):
    """A value nests deeper than ``DEPTH_MAX``: a sender may make it so."""


def document(registry: Registry, type_id: int, value: object, ss58_prefix: int, depth: int = 0) -> object:
    """A value in decoded form as JSON. Raises ``TooDeep``."""
    if depth > DEPTH_MAX:
        raise TooDeep
    while True:
        if registry[type_id].path == ACCOUNT_PATH and isinstance(value, bytes):
            return _address(value, ss58_prefix)
        definition = registry.definition(type_id)
        if not isinstance(definition, Composite) or len(definition.fields) != 1 or registry.is_u256(type_id):
            break
        type_id = definition.fields[0].type_id

    def inner(part_type: int, part: object) -> object:
        return document(registry, part_type, part, ss58_prefix, depth + 1)

    def members(fields: Items[Field], parts: object) -> object:
        if fields and fields[0].name is not None:
            assert isinstance(parts, dict)
            return {str(field.name): inner(field.type_id, parts[field.name]) for field in fields}
        told = [parts] if len(fields) == 1 else _items(parts)
        shown = [inner(field.type_id, part) for field, part in zip(fields, told, strict=True)]
        return shown[0] if len(fields) == 1 else shown

    if isinstance(value, bytes):
        return text_or_hex(value) if isinstance(definition, Sequence) else "0x" + value.hex()
    match definition:
        case Composite(fields) if not registry.is_u256(type_id):
            return members(fields, value)
        case Tuple(elements):
            return [inner(element, part) for element, part in zip(elements, _items(value), strict=True)]
        case Sequence(element) | Array(_, element):
            return [inner(element, part) for part in _items(value)]
        case Variant(cases):
            some = registry.some(type_id)
            if some is not None and registry.some_is_ambiguous(some) and isinstance(value, dict):
                return {"Some": inner(some, value["Some"])}
            if some is not None:
                return None if value is None else inner(some, value)
            return _case(cases, value, members)
    return text_or_hex(value.encode()) if isinstance(value, str) else value


def text_or_hex(value: bytes) -> str:
    """Bytes as the text they are, if they are UTF-8 without control characters but tab and line ends; else as hex."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    plain = all((sign >= " " and not "\x7f" <= sign <= "\x9f") or sign in "\t\n\r" for sign in text)
    return text if plain else "0x" + value.hex()


def _items(value: object) -> Items[object]:
    assert isinstance(value, list | tuple), "decoded sequences and tuples are lists and tuples"
    return value


def _case(cases: Items[Case], value: object, members: Callable[[Items[Field], object], object]) -> object:
    if not isinstance(value, dict):
        return value
    ((name, parts),) = value.items()
    (fields,) = [case.fields for case in cases if case.name == name and case.fields]
    return {name: members(fields, parts)}
