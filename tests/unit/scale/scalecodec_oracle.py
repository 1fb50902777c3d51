"""scalecodec as an independent decoder, and one plain form that its values and ours are converted to.

Bytes, text and case names all become hex of their bytes (scalecodec gives byte strings as text where
they are UTF-8, accounts as SS58); ``()`` and None become None; newtypes that scalecodec keeps vanish.
"""

from __future__ import annotations

import re
from typing import Any

from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset
from scalecodec.utils.ss58 import is_valid_ss58_address, ss58_decode

from indexer.scale.registry_reader import RegistryReader

NEWTYPE_FIELDS = {"bits"}
"""Names of the only field of structs whose value we give bare and scalecodec as a dict."""

CASES_SCALECODEC_DROPS = {"Id", "Some"}
"""``MultiAddress::Id``, which it gives as the bare account, and the outer case of an Option in an Option."""


class Oracle:
    """Decodes with scalecodec by the type ids of the metadata it was made from."""

    def __init__(self, v14: bytes) -> None:
        self.configuration = RuntimeConfigurationObject(ss58_format=42)
        self.configuration.update_type_registry(load_type_registry_preset("core"))
        self.metadata = self.configuration.create_scale_object("MetadataVersioned", ScaleBytes(v14))
        self.metadata.decode()
        self.configuration.add_portable_registry(self.metadata)

    def decode(self, type_id: int, raw: bytes) -> Any:
        """All of ``raw`` as a type, in plain form."""
        value = self.configuration.create_scale_object(f"scale_info::{type_id}", data=ScaleBytes(raw))
        value.decode()
        assert value.data.offset == value.data.length
        return plain_of_scalecodec(value.value)

    def extrinsic(self, raw: bytes) -> Any:
        """A whole extrinsic, as scalecodec gives it."""
        value = self.configuration.create_scale_object("Extrinsic", data=ScaleBytes(raw), metadata=self.metadata)
        value.decode()
        return value.value


def as_v14(metadata: bytes) -> bytes:
    """V14 metadata with the type registry of any version and no pallets: all that scalecodec can load of V15."""
    reader = RegistryReader(metadata)
    reader.take(5)
    reader.types()
    no_pallets, extrinsic, runtime = b"\x00", b"\x00\x04\x00", b"\x00"
    return b"meta\x0e" + metadata[5 : reader.offset] + no_pallets + extrinsic + runtime


def plain_of_scalecodec(value: Any) -> Any:
    """The plain form of a value of scalecodec's."""
    if isinstance(value, str):
        if re.fullmatch("0x([0-9a-f]{2})*", value):
            return value
        return "0x" + (ss58_decode(value) if is_valid_ss58_address(value) else value.encode().hex())
    if isinstance(value, dict):
        if "event_id" in value and "phase" in value:
            return plain_of_scalecodec(_scalecodec_record(value))
        if "event_id" in value:
            return plain_of_scalecodec(_case(value["module_id"], value["event_id"], value["attributes"]))
        if "call_function" in value:
            arguments = {argument["name"]: argument["value"] for argument in value["call_args"]}
            return plain_of_scalecodec(_case(value["call_module"], value["call_function"], arguments))
        if value.keys() <= NEWTYPE_FIELDS:
            return plain_of_scalecodec(next(iter(value.values())))
        return {key: plain_of_scalecodec(item) for key, item in value.items()}
    if value == ():
        return None
    if isinstance(value, (list, tuple)):
        return [plain_of_scalecodec(item) for item in value]
    return value


def plain_of_ours(value: Any) -> Any:
    """The plain form of a value of ours."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, str):
        return "0x" + value.encode().hex()
    if value == ():
        return None
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= CASES_SCALECODEC_DROPS:
        return plain_of_ours(next(iter(value.values())))
    if isinstance(value, dict):
        return {key: plain_of_ours(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_of_ours(item) for item in value]
    return value


def mortal_era(value: Any) -> Any:
    """(period, phase) of an era in our form; ``sp_runtime::generic::Era``."""
    if value == "Immortal":
        return "00"
    ((name, second),) = value.items()
    encoded = int(name.removeprefix("Mortal")) | second << 8
    period = 2 << encoded % 16
    return (period, (encoded >> 4) * max(period >> 12, 1))


def _case(module: str, name: str, fields: Any) -> Any:
    return {module: name if fields in (None, {}) else {name: fields}}


def _scalecodec_record(value: Any) -> Any:
    index = value["extrinsic_idx"]
    return {
        "phase": value["phase"] if index is None else {value["phase"]: index},
        "event": value["event"],
        "topics": value["topics"],
    }
