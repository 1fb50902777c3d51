"""Types as a runtime declares them in code, each able to write and read its own values.

A declaration knows its path and parts as ``scale_info`` describes them; ``metadata`` turns it into a
registry. Values follow the conventions of ``indexer.scale``: a composite of one field is that field's
value, named fields are a dict, an enum variant is its name or ``{name: fields}``. Types are compared
by identity: declare once, refer often. The code is the simulation's own, see ``scale_encode``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.devchain.scale_encode import compact


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a composite or of an enum's variant."""

    type: Type
    name: str | None = None
    type_name: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One case of an enum."""

    name: str
    index: int
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, eq=False)
class Type:
    """Base of all declarations."""

    path: tuple[str, ...] = field(default=(), kw_only=True)
    params: tuple[tuple[str, Type | None], ...] = field(default=(), kw_only=True)

    def encode(self, value: Any) -> bytes:
        """SCALE bytes of ``value``. Raises ``TypeError``, ``KeyError`` or ``OverflowError`` on a misfit."""
        raise NotImplementedError

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        """The value that begins at byte ``at`` and where it ends."""
        raise NotImplementedError

    def decode(self, raw: bytes) -> Any:
        """The value of which ``raw`` is the whole encoding."""
        value, end = self.read(raw, 0)
        if end != len(raw):
            raise ValueError(f"{len(raw) - end} bytes left over after {'::'.join(self.path) or type(self).__name__}")
        return value


@dataclass(frozen=True, eq=False)
class Integer(Type):
    """Fixed width, little-endian."""

    name: str
    length: int
    signed: bool = False

    def encode(self, value: Any) -> bytes:
        return int(value).to_bytes(self.length, "little", signed=self.signed)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        return int.from_bytes(raw[at : at + self.length], "little", signed=self.signed), at + self.length


@dataclass(frozen=True, eq=False)
class Boolean(Type):
    """One byte."""

    def encode(self, value: Any) -> bytes:
        return b"\x01" if value else b"\x00"

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        return raw[at] == 1, at + 1


@dataclass(frozen=True, eq=False)
class Text(Type):
    """A UTF-8 string."""

    def encode(self, value: Any) -> bytes:
        raw = str(value).encode()
        return compact(len(raw)) + raw

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        length, at = read_compact(raw, at)
        return raw[at : at + length].decode(), at + length


@dataclass(frozen=True, eq=False)
class Compact(Type):
    """An integer in compact form; of the unit type it is nothing at all."""

    inner: Type

    def encode(self, value: Any) -> bytes:
        return b"" if isinstance(self.inner, Tuple) else compact(value)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        return ((), at) if isinstance(self.inner, Tuple) else read_compact(raw, at)


@dataclass(frozen=True, eq=False)
class List(Type):
    """A sequence; of bytes its value is ``bytes``."""

    inner: Type

    def encode(self, value: Any) -> bytes:
        if self.inner is U8:
            return compact(len(value)) + bytes(value)
        return compact(len(value)) + b"".join(self.inner.encode(one) for one in value)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        length, at = read_compact(raw, at)
        if self.inner is U8:
            return raw[at : at + length], at + length
        return _read_many(self.inner, length, raw, at)


@dataclass(frozen=True, eq=False)
class Array(Type):
    """A fixed number of values; of bytes its value is ``bytes``."""

    inner: Type
    length: int

    def encode(self, value: Any) -> bytes:
        if len(value) != self.length:
            raise TypeError(f"{len(value)} values for an array of {self.length}")
        return bytes(value) if self.inner is U8 else b"".join(self.inner.encode(one) for one in value)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        if self.inner is U8:
            return raw[at : at + self.length], at + self.length
        return _read_many(self.inner, self.length, raw, at)


@dataclass(frozen=True, eq=False)
class Tuple(Type):
    """Several values; none at all is the unit type."""

    inner: tuple[Type, ...] = ()

    def encode(self, value: Any) -> bytes:
        return b"".join(kind.encode(one) for kind, one in zip(self.inner, value, strict=True))

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        values = []
        for kind in self.inner:
            value, at = kind.read(raw, at)
            values.append(value)
        return tuple(values), at


@dataclass(frozen=True, eq=False)
class Composite(Type):
    """A struct."""

    fields: tuple[Field, ...] = ()

    def encode(self, value: Any) -> bytes:
        return self.fields[0].type.encode(value) if len(self.fields) == 1 else encode_fields(self.fields, value)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        return self.fields[0].type.read(raw, at) if len(self.fields) == 1 else read_fields(self.fields, raw, at)


@dataclass(frozen=True, eq=False)
class Enum(Type):
    """A choice of variants."""

    variants: tuple[Variant, ...] = ()

    def encode(self, value: Any) -> bytes:
        name, fields = (value, ()) if isinstance(value, str) else next(iter(value.items()))
        variant = next((one for one in self.variants if one.name == name), None)
        if variant is None:
            raise KeyError(f"{'::'.join(self.path)} has no variant {name}")
        if len(variant.fields) == 1 and variant.fields[0].name is None:
            fields = (fields,)
        return bytes([variant.index]) + encode_fields(variant.fields, fields)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        variant = next((one for one in self.variants if one.index == raw[at]), None)
        if variant is None:
            raise ValueError(f"{'::'.join(self.path)} has no variant {raw[at]}")
        fields, at = read_fields(variant.fields, raw, at + 1)
        if len(variant.fields) == 1 and variant.fields[0].name is None:
            fields = fields[0]
        return ({variant.name: fields} if variant.fields else variant.name), at


@dataclass(frozen=True, eq=False)
class Option(Enum):
    """``Option<T>``: None or the value. Its variants are what the registry shows."""

    inner: Type = field(kw_only=True)

    def encode(self, value: Any) -> bytes:
        return b"\x00" if value is None else b"\x01" + self.inner.encode(value)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        return (None, at + 1) if raw[at] == 0 else self.inner.read(raw, at + 1)


@dataclass(frozen=True, eq=False)
class Late(Type):
    """Stands for a type that contains itself (a call that carries a call); ``target`` is set later."""

    target: list[Type] = field(default_factory=list)

    def encode(self, value: Any) -> bytes:
        return self.target[0].encode(value)

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        return self.target[0].read(raw, at)


def encode_fields(fields: Sequence[Field], value: Any) -> bytes:
    """Fields in order, from a dict by name or from a sequence."""
    if isinstance(value, dict):
        return b"".join(one.type.encode(value[one.name]) for one in fields)
    return b"".join(one.type.encode(part) for one, part in zip(fields, value, strict=True))


def read_fields(fields: Sequence[Field], raw: bytes, at: int) -> tuple[Any, int]:
    """A dict if the fields have names, else a tuple."""
    values = []
    for one in fields:
        value, at = one.type.read(raw, at)
        values.append(value)
    if fields and fields[0].name is not None:
        return {one.name: value for one, value in zip(fields, values, strict=True)}, at
    return tuple(values), at


def _read_many(inner: Type, length: int, raw: bytes, at: int) -> tuple[Any, int]:
    values = []
    for _ in range(length):
        value, at = inner.read(raw, at)
        values.append(value)
    return values, at


def read_compact(raw: bytes, at: int) -> tuple[int, int]:
    """A compact integer and where it ends."""
    mode = raw[at] & 3
    if mode == 3:
        length = (raw[at] >> 2) + 4
        return int.from_bytes(raw[at + 1 : at + 1 + length], "little"), at + 1 + length
    length = 1 << mode
    return int.from_bytes(raw[at : at + length], "little") >> 2, at + length


U8, U16, U32, U64, U128 = (Integer(f"u{8 * length}", length) for length in (1, 2, 4, 8, 16))
I16, I32, I64, I128 = (Integer(f"i{8 * length}", length, signed=True) for length in (2, 4, 8, 16))
BOOL, STR, UNIT = Boolean(), Text(), Tuple()
