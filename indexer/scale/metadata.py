"""Runtime metadata V14, V15 and V16, read into one shape.

Owns the byte layout of the three versions (crate frame-metadata, ``v14.rs``, ``v15.rs``, ``v16.rs``)
and nothing of their meaning; ``registry_reader`` reads the types, which are the same in all.
Documentation and deprecation notes are read over, not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexer.errors import DecodeError
from indexer.scale.registry import Registry
from indexer.scale.registry_reader import RegistryReader

HASHERS = ("Blake2_128", "Blake2_256", "Blake2_128Concat", "Twox128", "Twox256", "Twox64Concat", "Identity")
"""In the order of frame-metadata's ``StorageHasher``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A storage item: ``key_type`` is None for a plain value, a tuple type if there are several hashers."""

    name: str
    optional: bool
    hashers: tuple[str, ...]
    key_type: int | None
    value_type: int
    default: bytes


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of a pallet, still encoded."""

    name: str
    type_id: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Pallet:
    """A pallet. ``prefix`` names its storage and is not always the pallet's name."""

    name: str
    prefix: str
    entries: tuple[Entry, ...]
    constants: tuple[Constant, ...]
    index: int
    """Its place in the outer enums."""
    errors: int | None
    """The enum of its errors."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A transaction (once: signed) extension and the type of what it puts into an extrinsic."""

    name: str
    type_id: int


@dataclass(frozen=True, slots=True)
class ExtrinsicTypes:
    """What an extrinsic is made of. ``extensions`` are those of each extension version, in order."""

    address: int
    call: int
    signature: int
    extensions: Mapping[int, tuple[Extension, ...]]


@dataclass(frozen=True, slots=True)
class Method:
    """A runtime API method: its named inputs and its output type."""

    inputs: tuple[tuple[str, int], ...]
    output: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """One runtime's metadata, whatever its version. ``apis`` maps (API, method); V14 knows none."""

    version: int
    registry: Registry
    pallets: tuple[Pallet, ...]
    extrinsic: ExtrinsicTypes
    apis: Mapping[tuple[str, str], Method]


def parse(raw: bytes) -> Metadata:
    """Read metadata that begins with ``meta``; raises ``DecodeError`` if it is of another version or does not fit."""
    reader = _MetadataReader(raw)
    if reader.take(4) != b"meta":
        raise DecodeError("metadata does not begin with 'meta'", offset=0)
    version = reader.u8()
    if version not in (14, 15, 16):
        raise DecodeError(f"metadata version {version} is not supported (14, 15, 16 are)", offset=4)
    registry = Registry(reader.types())
    reader.deprecations = version >= 16
    pallets = reader.many(reader.pallet_body if version == 14 else reader.pallet)
    if version == 14:
        extrinsic = reader.extrinsic_v14(registry)
    else:
        extrinsic = reader.extrinsic_v15() if version == 15 else reader.extrinsic_v16()
    if version < 16:
        reader.type_id()  # the Runtime itself
    apis = dict(pair for api in reader.many(reader.api) for pair in api) if version > 14 else {}
    if version > 14:
        reader.outer_enums_and_custom()
    if reader.left:
        raise reader.refuse(f"{reader.left} bytes follow the metadata")
    if reader.highest_type_id >= len(registry):
        raise DecodeError(f"type {reader.highest_type_id} is referred to, {len(registry)} types are listed")
    return Metadata(version, registry, pallets, extrinsic, apis)


class _MetadataReader(RegistryReader):
    """The parts of metadata, each a method that reads one of them."""

    __slots__ = ("deprecations",)

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.deprecations = False
        """Whether items carry deprecation notes (V16)."""

    def deprecation(self) -> None:
        """``ItemDeprecationInfo`` or ``VariantDeprecationInfo``: none, without a note, with note and since."""
        if self.deprecations and self.tag(3) == 2:
            self.octets()
            self.option(self.octets)

    def deprecated_cases(self) -> None:
        """``EnumDeprecationInfo``: notes by case index."""
        if self.deprecations:
            for _ in range(self.length(2)):
                self.u8()
                self.deprecation()

    # Pallets.

    def pallet_body(self) -> Pallet:
        name = self.text()
        prefix, entries = self.option(self.storage) or (name, ())
        for _ in ("calls", "event"):
            self.option(self.enum)
        constants = self.many(self.constant)
        errors = self.option(self.enum)
        if self.deprecations:
            self.many(self.associated_type)
            self.many(self.view_function)
        return Pallet(name, prefix, entries, constants, self.u8(), errors)

    def pallet(self) -> Pallet:
        pallet = self.pallet_body()
        self.docs()
        self.deprecation()
        return pallet

    def storage(self) -> tuple[str, tuple[Entry, ...]]:
        return self.text(), self.many(self.entry)

    def entry(self) -> Entry:
        name, optional = self.text(), self.tag(2) == 0
        hashers: tuple[str, ...] = ()
        key_type = None
        if self.tag(2):
            hashers, key_type = self.many(lambda: HASHERS[self.tag(len(HASHERS))]), self.type_id()
        entry = Entry(name, optional, hashers, key_type, self.type_id(), self.octets())
        self.docs()
        self.deprecation()
        return entry

    def enum(self) -> int:
        type_id = self.type_id()
        self.deprecated_cases()
        return type_id

    def constant(self) -> Constant:
        constant = Constant(self.text(), self.type_id(), self.octets())
        self.docs()
        self.deprecation()
        return constant

    def associated_type(self) -> None:
        self.octets()
        self.type_id()
        self.docs()

    def view_function(self) -> None:
        self.take(32)
        self.method()

    # Extrinsics.

    def extension(self) -> Extension:
        extension = Extension(self.text(), self.type_id())
        self.type_id()  # what is signed but not sent
        return extension

    def extrinsic_v14(self, registry: Registry) -> ExtrinsicTypes:
        start = self.offset
        type_id = self.type_id()
        self.u8()
        given = registry.param if type_id < len(registry) else lambda _type, _name: None
        address, call, signature = (given(type_id, name) for name in ("Address", "Call", "Signature"))
        if address is None or call is None or signature is None:
            raise self.refuse("the extrinsic type does not name its Address, Call and Signature", start)
        return ExtrinsicTypes(address, call, signature, {0: self.many(self.extension)})

    def extrinsic_v15(self) -> ExtrinsicTypes:
        self.u8()
        address, call, signature = self.type_id(), self.type_id(), self.type_id()
        self.type_id()  # all extensions as one tuple type
        return ExtrinsicTypes(address, call, signature, {0: self.many(self.extension)})

    def extrinsic_v16(self) -> ExtrinsicTypes:
        self.octets()  # extrinsic versions: each extrinsic names its own
        address, call, signature = self.type_id(), self.type_id(), self.type_id()
        start = self.offset
        places = self.many(lambda: (self.u8(), self.many(self.compact)))
        every = self.many(self.extension)
        if any(place >= len(every) for _, listed in places for place in listed):
            raise self.refuse("an extension version names an extension that is not listed", start)
        versions = {version: tuple(every[place] for place in listed) for version, listed in places}
        return ExtrinsicTypes(address, call, signature, versions)

    # Runtime APIs and what follows them (V15 and later).

    def api(self) -> list[tuple[tuple[str, str], Method]]:
        name = self.text()
        methods = self.many(self.method)
        self.docs()
        if self.deprecations:
            self.compact()  # version of the API
            self.deprecation()
        return [((name, method), types) for method, types in methods]

    def method(self) -> tuple[str, Method]:
        name = self.text()
        method = Method(self.many(lambda: (self.text(), self.type_id())), self.type_id())
        self.docs()
        self.deprecation()
        return name, method

    def outer_enums_and_custom(self) -> None:
        for _ in ("calls", "events", "errors"):
            self.type_id()
        self.many(lambda: (self.octets(), self.type_id(), self.octets()))
