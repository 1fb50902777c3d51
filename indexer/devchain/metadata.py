"""Metadata from a declaration: the type registry and its V14 and V15 encodings (``frame-metadata``).

Owns numbering: every type reached from the runtime gets the next id, its parts after it, so a type
may contain itself. What runtimes there are is said in ``runtimes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from indexer.devchain.declare import (
    Array,
    Boolean,
    Compact,
    Composite,
    Enum,
    Field,
    Integer,
    Late,
    List,
    Option,
    Text,
    Tuple,
    Type,
    Variant,
)
from indexer.devchain.pallet import OPTIONAL, Item, Pallet
from indexer.devchain.scale_encode import blob, compact, listed, text, u32

if TYPE_CHECKING:
    from indexer.devchain.runtimes import RuntimeDeclaration

_T = TypeVar("_T")

MAGIC = b"meta"
EXTRINSIC_VERSION = 4
_NO_DOCS = b"\0"
_PRIMITIVES = ("bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64", "i128")


@dataclass(slots=True)
class Registry:
    """Types in the order they were first referred to."""

    _ids: dict[Type, int] = field(default_factory=dict)
    _definitions: list[bytes] = field(default_factory=list)

    def ref(self, kind: Type) -> bytes:
        """The type's id as metadata refers to it; a type seen for the first time is registered."""
        if isinstance(kind, Late):
            return self.ref(kind.target[0])
        if kind not in self._ids:
            number = self._ids[kind] = len(self._definitions)
            self._definitions.append(b"")
            self._definitions[number] = self._define(kind)
        return compact(self._ids[kind])

    def encoded(self) -> bytes:
        """``PortableRegistry``."""
        return listed(compact(number) + definition for number, definition in enumerate(self._definitions))

    def _define(self, kind: Type) -> bytes:
        params = listed(text(name) + _optional(one, self.ref) for name, one in kind.params)
        return listed(map(text, kind.path)) + params + self._shape(kind) + _NO_DOCS

    def _shape(self, kind: Type) -> bytes:
        match kind:
            case Composite():
                return b"\0" + listed(map(self._field, kind.fields))
            case Enum():
                return b"\1" + listed(map(self._variant, kind.variants))
            case List():
                return b"\2" + self.ref(kind.inner)
            case Array():
                return b"\3" + u32(kind.length) + self.ref(kind.inner)
            case Tuple():
                return b"\4" + listed(map(self.ref, kind.inner))
            case Compact():
                return b"\6" + self.ref(kind.inner)
            case Boolean():
                return b"\5" + bytes([_PRIMITIVES.index("bool")])
            case Text():
                return b"\5" + bytes([_PRIMITIVES.index("str")])
            case Integer():
                return b"\5" + bytes([_PRIMITIVES.index(kind.name)])
        raise TypeError(f"{type(kind).__name__} has no place in a registry")

    def _field(self, one: Field) -> bytes:
        name = one.type_name or type_name(one.type)
        return _optional(one.name, text) + self.ref(one.type) + _optional(name, text) + _NO_DOCS

    def _variant(self, one: Variant) -> bytes:
        return text(one.name) + listed(map(self._field, one.fields)) + bytes([one.index]) + _NO_DOCS


def type_name(kind: Type) -> str:
    """What a field's type is called in the source; some clients go by these names, so every field has one."""
    match kind:
        case Late():
            return type_name(kind.target[0])
        case List():
            return f"Vec<{type_name(kind.inner)}>"
        case Array():
            return f"[{type_name(kind.inner)}; {kind.length}]"
        case Tuple():
            return f"({', '.join(map(type_name, kind.inner))})"
        case Compact():
            return f"Compact<{type_name(kind.inner)}>"
        case Option():
            return f"Option<{type_name(kind.inner)}>"
        case Boolean():
            return "bool"
        case Text():
            return "str"
        case Integer():
            return kind.name
    return kind.path[-1]


def encode_metadata(runtime: RuntimeDeclaration, version: int) -> bytes:
    """Metadata bytes from ``b"meta"`` on. ``version`` is 14 or 15."""
    registry = Registry()
    pallets = listed(_pallet(registry, runtime, one, version) for one in runtime.pallets)
    if version == 14:
        tail = registry.ref(runtime.extrinsic) + bytes([EXTRINSIC_VERSION]) + _extensions(registry, runtime)
        tail += registry.ref(runtime.runtime_type)
    elif version == 15:
        # Nothing in V15 refers to the extrinsic's own type, but clients look for it in the registry.
        registry.ref(runtime.extrinsic)
        parts = (runtime.address, runtime.call, runtime.signature, runtime.extra)
        tail = bytes([EXTRINSIC_VERSION]) + b"".join(map(registry.ref, parts)) + _extensions(registry, runtime)
        tail += registry.ref(runtime.runtime_type) + _apis(registry, runtime)
        tail += registry.ref(runtime.call) + registry.ref(runtime.event) + registry.ref(runtime.error)
        tail += listed(())
    else:
        raise ValueError(f"no metadata V{version} here")
    return MAGIC + bytes([version]) + registry.encoded() + pallets + tail


def _extensions(registry: Registry, runtime: RuntimeDeclaration) -> bytes:
    return listed(
        text(name) + registry.ref(carried) + registry.ref(signed) for name, carried, signed in runtime.extensions
    )


def _apis(registry: Registry, runtime: RuntimeDeclaration) -> bytes:
    def method(name: str, inputs: Iterable[tuple[str, Type]], output: Type) -> bytes:
        encoded = listed(text(label) + registry.ref(kind) for label, kind in inputs)
        return text(name) + encoded + registry.ref(output) + _NO_DOCS

    return listed(text(api.name) + listed(method(*one) for one in api.methods) + _NO_DOCS for api in runtime.apis)


def _pallet(registry: Registry, runtime: RuntimeDeclaration, pallet: Pallet, version: int) -> bytes:
    storage = text(pallet.name) + listed(_item(registry, item) for item in pallet.items)
    enums = runtime.enums[pallet.name]
    constants = listed(
        text(one.name) + registry.ref(one.type) + blob(one.type.encode(one.value)) + _NO_DOCS
        for one in pallet.constants
    )
    return (
        text(pallet.name)
        + (b"\1" + storage if pallet.items else b"\0")
        + _optional(enums.call, registry.ref)
        + _optional(enums.event, registry.ref)
        + constants
        + _optional(enums.error, registry.ref)
        + bytes([pallet.index])
        + (_NO_DOCS if version >= 15 else b"")
    )


def _item(registry: Registry, item: Item) -> bytes:
    modifier = b"\0" if item.default is OPTIONAL else b"\1"
    if not item.keys:
        shape = b"\0" + registry.ref(item.value)
    else:
        hashers = listed(bytes([hasher.index]) for hasher, _ in item.keys)
        shape = b"\1" + hashers + registry.ref(item.key_type()) + registry.ref(item.value)
    return text(item.name) + modifier + shape + blob(item.default_raw()) + _NO_DOCS


def _optional(value: _T | None, encode: Callable[[_T], bytes]) -> bytes:
    return b"\0" if value is None else b"\1" + encode(value)
