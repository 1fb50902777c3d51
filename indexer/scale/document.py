"""Decoded values as JSON for people, by their types: accounts as SS58, hashes as hex, structs as objects.

Unlike the decoded form, which knows no types any more, this tells 32 bytes of an account from those of a hash
and a text from bytes. Nothing is rounded or cut, and Postgres takes all of it as jsonb. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from indexer.errors import DecodeError
from indexer.model import EventRecord
from indexer.scale.registry import Array, Composite, Field, Primitive, Registry, Sequence, Tuple, Variant
from indexer.scale.ss58 import ss58_encode

if TYPE_CHECKING:
    from indexer.scale.extrinsic import Extrinsic

DEPTH_MAX = 128
"""Values that nest deeper are refused: neither Python nor readers of JSON follow without end."""

Teller: TypeAlias = Callable[[Any, int], object]
"""(decoded value, how deep it stands) -> JSON."""
Fields: TypeAlias = tuple[Field, ...]


class Values:
    """Decoded values of one runtime's types as JSON.

    Integers stay numbers of any size; ``Vec<u8>`` is its text where that is printable and does not begin with
    ``0x``, else ``0x`` and hex digits, as ``[u8; N]`` always is; an enum's case is its name, or
    ``{name: fields}``; ``()`` is ``[]``, None ``null``.
    """

    def __init__(self, registry: Registry, ss58_prefix: int) -> None:
        self._registry, self.ss58_prefix = registry, ss58_prefix
        self._address = lru_cache(maxsize=4096)(lambda account: ss58_encode(account, ss58_prefix))
        self._tellers: dict[int, Teller] = {}

    def value(self, type_id: int, value: object) -> object:
        """A decoded value of a type. Raises ``DecodeError`` for one that nests too deep."""
        return self._teller(type_id)(value, 0)

    def _teller(self, type_id: int) -> Teller:
        known = self._tellers.get(type_id)
        if known is None:
            known = self._tellers[type_id] = self._made(type_id)
        return known

    def _made(self, type_id: int) -> Teller:
        registry = self._registry
        if registry[type_id].path[-1:] == ("AccountId32",):
            return lambda value, _: self._address(value)
        if registry.is_u256(type_id):
            return _plain
        if (some := registry.some(type_id)) is not None:
            if registry.some_is_ambiguous(some):
                return lambda value, d: None if value is None else {"Some": self._inner(some, value["Some"], d)}
            return lambda value, d: None if value is None else self._inner(some, value, d)
        match registry.definition(type_id):
            case Sequence(element) if registry.is_u8(element):
                return lambda value, _: _text_or_hex(value)
            case Array(_, element) if registry.is_u8(element):
                return lambda value, _: "0x" + value.hex()
            case Sequence(element) | Array(_, element):
                return lambda value, d: [self._inner(element, part, d) for part in value]
            case Tuple(elements):
                return lambda value, d: [
                    self._inner(element, part, d) for element, part in zip(elements, value, strict=True)
                ]
            case Composite((only,)):
                return lambda value, d: self._inner(only.type_id, value, d)
            case Composite(fields):
                return self._fields(fields)
            case Variant(cases):
                return self._enum({case.name: case.fields for case in cases})
            case Primitive("str" | "char"):
                return lambda value, _: _text_or_hex(value.encode())
            case _:
                return _plain

    def _inner(self, type_id: int, value: Any, depth: int) -> object:
        if depth >= DEPTH_MAX:
            raise DecodeError(f"nests deeper than {DEPTH_MAX} levels: too deep to be told as JSON")
        return self._teller(type_id)(value, depth + 1)

    def _fields(self, fields: Fields) -> Teller:
        if fields and fields[0].name is not None:
            named = [(str(field.name), field.type_id) for field in fields]
            return lambda value, d: {name: self._inner(kind, value[name], d) for name, kind in named}
        if len(fields) == 1:
            return lambda value, d: self._inner(fields[0].type_id, value, d)
        return lambda value, d: [self._inner(field.type_id, part, d) for field, part in zip(fields, value, strict=True)]

    def _enum(self, cases: Mapping[str, Fields]) -> Teller:
        tellers = {name: self._fields(fields) for name, fields in cases.items() if fields}

        def tell(value: Any, depth: int) -> object:
            if isinstance(value, str):
                return value
            ((name, inner),) = value.items()
            return {name: tellers[name](inner, depth)}

        return tell


class Documents(Values):
    """Events, calls and dispatch errors of one runtime as JSON, made of values as ``Values`` tells them."""

    def __init__(
        self,
        registry: Registry,
        events: int | None,
        calls: int,
        errors: Mapping[int, tuple[str, int]],
        ss58_prefix: int,
    ) -> None:
        """``events`` and ``calls``: the types of outer enums. ``errors``: (pallet, its error type) by pallet index."""
        super().__init__(registry, ss58_prefix)
        self._events_type, self._calls_type, self._errors = events, calls, errors

    def event(self, record: EventRecord) -> object:
        """The fields of an event: an object where they are named, else an array. Raises ``DecodeError``."""
        return self._top(self._events, record.pallet, record.name, record.fields)

    def call(self, extrinsic: Extrinsic) -> object:
        """The arguments of an extrinsic's call by name. Raises ``DecodeError``."""
        return self._top(self._calls, extrinsic.pallet, extrinsic.call, extrinsic.args) or {}

    def error(self, error: object) -> str:
        """A ``DispatchError`` as ``Pallet.Error`` where a pallet raised it, else as ``Case`` or ``Case.Kind``."""
        if not isinstance(error, dict) or len(error) != 1:
            return str(error)
        ((case, inner),) = error.items()
        if case == "Module" and isinstance(inner, dict):
            code = inner.get("error")
            at = code[0] if isinstance(code, bytes) and code else code
            name, kind = self._errors.get(inner.get("index", -1), (f"Module {inner.get('index')}", None))
            definition = None if kind is None else self._registry.definition(self._registry.unwrapped(kind))
            if isinstance(definition, Variant):
                return next((f"{name}.{one.name}" for one in definition.cases if one.index == at), f"{name}.{at}")
            return f"{name}.{at}"
        return f"{case}.{inner}" if isinstance(inner, str) else str(case)

    @cached_property
    def _events(self) -> dict[tuple[str, str], Fields]:
        return {} if self._events_type is None else dict(self._cases(self._events_type))

    @cached_property
    def _calls(self) -> dict[tuple[str, str], Fields]:
        return dict(self._cases(self._calls_type))

    def _cases(self, outer: int) -> Iterator[tuple[tuple[str, str], Fields]]:
        """(pallet, case) and its fields, of an outer enum."""
        definition = self._registry.definition(self._registry.unwrapped(outer))
        for pallet in definition.cases if isinstance(definition, Variant) else ():
            for field in pallet.fields[:1]:
                inner = self._registry.definition(self._registry.unwrapped(field.type_id))
                for case in inner.cases if isinstance(inner, Variant) else ():
                    yield (pallet.name, case.name), case.fields

    def _top(self, cases: Mapping[tuple[str, str], Fields], pallet: str, name: str, value: Any) -> object:
        fields = cases.get((pallet, name))
        if fields is None:
            raise DecodeError(f"the metadata lists no {pallet}.{name}")
        if not fields:
            return []
        if len(fields) == 1 and fields[0].name is None:
            return [self._teller(fields[0].type_id)(value, 1)]
        return self._fields(fields)(value, 0)


def _plain(value: Any, _: int) -> object:
    """Numbers, booleans and lists of booleans are JSON already."""
    return [] if value == () else value


def _text_or_hex(value: bytes) -> str:
    """Postgres takes no NUL; what a reader could take for hex, or could not see, is told as hex."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    shown = text.replace("\n", "").replace("\r", "").replace("\t", "")
    return text if (not shown or shown.isprintable()) and not text.startswith("0x") else "0x" + value.hex()
