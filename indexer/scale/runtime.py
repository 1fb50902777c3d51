"""A runtime: everything its metadata allows one to decode, by name.

One for each (spec_version, code hash). Owns no I/O and no choice of which runtime applies to which
block: block N is decoded with the runtime found in the state of N-1 (the caller's work).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from indexer.errors import DecodeError
from indexer.model import EventRecord, ItemRef
from indexer.scale.codec import Codec
from indexer.scale.document import Documents
from indexer.scale.encode import EncodeError
from indexer.scale.events import plain_records
from indexer.scale.extrinsic import Extrinsic, ExtrinsicCodec
from indexer.scale.metadata import Metadata, parse
from indexer.scale.registry import Composite, Sequence
from indexer.scale.storage import StorageItem, storage_item

EVENTS = ItemRef("System", "Events")


class Runtime:
    """Storage items, events, extrinsics, constants and runtime APIs of one runtime."""

    def __init__(self, raw: bytes, metadata: Metadata) -> None:
        self.raw = raw
        self.metadata_version = metadata.version
        self.apis = metadata.apis
        """Runtime APIs by (API, method); none in V14 metadata, which does not list them."""
        self.codec = Codec(metadata.registry)
        """For values whose type id is known, such as ``StorageItem.value_type``."""
        self.extrinsics = ExtrinsicCodec(self.codec, metadata.extrinsic)
        self._pallet_errors = {
            pallet.index: (pallet.name, pallet.errors) for pallet in metadata.pallets if pallet.errors is not None
        }
        self._constants = {
            (pallet.name, constant.name): constant for pallet in metadata.pallets for constant in pallet.constants
        }
        self._items = {
            item.ref: item
            for item in (
                storage_item(self.codec, pallet, entry) for pallet in metadata.pallets for entry in pallet.entries
            )
        }
        events = self._items.get(EVENTS)
        self._events_type = None if events is None else events.value_type
        version = self.constant("System", "Version")
        try:
            self.spec_name: str = version["spec_name"]
            self.spec_version: int = version["spec_version"]
        except (KeyError, TypeError):
            raise DecodeError("constant System.Version is no runtime version") from None
        has_prefix = ("System", "SS58Prefix") in self._constants
        self.ss58_prefix: int = self.constant("System", "SS58Prefix") if has_prefix else 42
        self.codec.ss58_prefix = self.ss58_prefix

    @classmethod
    def from_metadata(cls, raw: bytes) -> Runtime:
        """A runtime from metadata that begins with ``meta``, of version 14, 15 or 16. Raises ``DecodeError``."""
        return cls(raw, parse(raw))

    def item(self, ref: ItemRef) -> StorageItem | None:
        """The storage item, None if this runtime does not list it."""
        return self._items.get(ref)

    def items(self) -> Iterator[StorageItem]:
        """All storage items, in the order of the metadata."""
        return iter(self._items.values())

    def names(self) -> Iterator[ItemRef]:
        """The names of all storage items, in the order of the metadata."""
        return iter(self._items)

    def has(self, ref: ItemRef) -> bool:
        """Whether this runtime lists the storage item."""
        return ref in self._items

    def default(self, ref: ItemRef) -> Any:
        """The decoded default of an absent key; None if the item is optional or not listed."""
        item = self._items.get(ref)
        return None if item is None else item.default()

    def constant(self, pallet: str, name: str) -> Any:
        """A constant's value. Raises ``DecodeError`` if the metadata does not list it."""
        constant = self._constants.get((pallet, name))
        if constant is None:
            raise DecodeError(f"metadata lists no constant {pallet}.{name}")
        return self.codec.decode(constant.type_id, constant.value)

    def constants(self) -> Iterator[tuple[str, str, Any]]:
        """(pallet, name, value) of every constant, in the order of the metadata. Raises ``DecodeError``."""
        for (pallet, name), constant in self._constants.items():
            yield pallet, name, self.codec.decode(constant.type_id, constant.value)

    def decode_events(self, raw: bytes) -> list[EventRecord]:
        """The value of ``System.Events``. Raises ``DecodeError``."""
        if self._events_type is None:
            raise DecodeError(f"metadata lists no {EVENTS}")
        return self.codec.event_records(self._events_type, raw)

    def encode_events(self, records: list[EventRecord]) -> bytes:
        """The inverse of ``decode_events``. Raises ``EncodeError``."""
        return self._events_item().encode(plain_records(records))

    def decode_extrinsic(self, raw: bytes) -> Extrinsic:
        """An extrinsic with its length prefix, as ``chain_getBlock`` gives it. Raises ``DecodeError``."""
        return self.extrinsics.decode(raw)

    @cached_property
    def documents(self) -> Documents:
        """Events, calls and errors as JSON for people."""
        return Documents(
            self.codec.registry, self._event_type(), self.extrinsics.call_type, self._pallet_errors, self.ss58_prefix
        )

    def decode_api(self, api: str, method: str, raw: bytes) -> Any:
        """The result of a runtime API call. Raises ``DecodeError``, also if the metadata does not list the method."""
        known = self.apis.get((api, method))
        if known is None:
            raise DecodeError(f"metadata V{self.metadata_version} lists no runtime API {api}.{method}")
        return self.codec.decode(known.output, raw)

    def encode_api_args(self, api: str, method: str, *args: object) -> bytes:
        """The arguments of a runtime API call, side by side. Raises ``EncodeError``."""
        known = self.apis.get((api, method))
        if known is None or len(known.inputs) != len(args):
            raise EncodeError(f"metadata V{self.metadata_version} lists no {api}.{method} of {len(args)} arguments")
        return b"".join(
            self.codec.encode(type_id, value) for (_, type_id), value in zip(known.inputs, args, strict=True)
        )

    def decode_type(self, type_id: int, raw: bytes) -> Any:
        """All of ``raw`` as a value of a type of this runtime's registry. Raises ``DecodeError``."""
        return self.codec.decode(type_id, raw)

    def encode_type(self, type_id: int, value: object) -> bytes:
        """A value in decoded form as SCALE bytes. Raises ``EncodeError``."""
        return self.codec.encode(type_id, value)

    def check_all(self) -> int:
        """Compile every type of storage keys and values, events, calls and API results; gives their number.

        Raises ``DecodeError`` if one of them cannot be compiled.
        """
        types = {type_id for item in self.items() for type_id in (*item.key_types, item.value_type)}
        types |= {constant.type_id for constant in self._constants.values()}
        types |= {output for method in self.apis.values() for output in (method.output, *(t for _, t in method.inputs))}
        return self.codec.check(types | self.extrinsics.types)

    def _event_type(self) -> int | None:
        """The outer enum of events, found in the type of ``System.Events``; None where that is another one."""
        item, registry = self._items.get(EVENTS), self.codec.registry
        kind = None if item is None else registry.definition(registry.unwrapped(item.value_type))
        record = registry.definition(kind.element) if isinstance(kind, Sequence) else None
        fields = record.fields if isinstance(record, Composite) else ()
        return next((field.type_id for field in fields if field.name == "event"), None)

    def _events_item(self) -> StorageItem:
        item = self._items.get(EVENTS)
        if item is None:
            raise DecodeError(f"metadata lists no {EVENTS}")
        return item
