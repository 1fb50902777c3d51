"""The recorded chains' events and extrinsics as scalecodec reads them: what tables made of them are held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset
from tape import blocks, prefix

TAPES = {
    "blocks.jsonl.gz": {293: "spec293.v15", 300: "spec300.v15"},
    "blocks_spec143.jsonl.gz": {143: "spec143.v14"},
}
"""Metadata by spec_version of each tape; scalecodec reads the V14 of the same runtimes."""


class AnotherDecoder:
    """scalecodec on the V14 metadata of a runtime: the events of a block as it tells them."""

    def __init__(self, metadata: Path) -> None:
        self._types = RuntimeConfigurationObject(ss58_format=42)
        self._types.update_type_registry(load_type_registry_preset("core"))
        self._metadata = self._types.create_scale_object("MetadataVersioned", ScaleBytes(metadata.read_bytes()))
        self._metadata.decode()
        self._types.add_portable_registry(self._metadata)
        (system,) = [pallet for pallet in self._metadata.pallets if pallet.value["name"] == "System"]
        (events,) = [entry for entry in system.storage if entry.value["name"] == "Events"]
        self._events = events.get_value_type_string()

    def events(self, raw: bytes) -> list[dict[str, Any]]:
        told = self._types.create_scale_object(self._events, ScaleBytes(raw), metadata=self._metadata)
        return list(told.decode())

    def extrinsic(self, raw: bytes) -> dict[str, Any]:
        told = self._types.create_scale_object("Extrinsic", data=ScaleBytes(raw), metadata=self._metadata)
        told.decode()
        return dict(told.value)

    def error(self, module: dict[str, Any]) -> str:
        """``Pallet.Error`` of a dispatch error of a module."""
        (pallet,) = [one for one in self._metadata.pallets if one.value["index"] == module["index"]]
        return f"{pallet.value['name']}.{pallet.errors[int(module['error'][2:4], 16)].name}"


def expected(realdata: Path, name: str) -> Iterator[tuple[int, int, dict[str, Any], int | None]]:
    """(block, place in it, event, fee of its extrinsic) of every event of a tape, as the other decoder tells them."""
    decoders = {spec: AnotherDecoder(realdata / f"metadata/spec{spec}.v14.scale") for spec in TAPES[name]}
    spec = None
    for recorded in blocks(realdata / "tape" / name):
        executed, spec = spec or recorded.line["spec_version"], recorded.line["spec_version"]
        raw = recorded.state.get(prefix("System.Events"))
        if not raw or recorded.number == 0:
            continue
        events = decoders[executed].events(raw)
        paid = {
            event["extrinsic_idx"]: event["attributes"]["actual_fee"]
            for event in events
            if event["event_id"] == "TransactionFeePaid"
        }
        for at, event in enumerate(events):
            yield recorded.number, at, event, paid.get(event["extrinsic_idx"])


def extrinsics(realdata: Path, name: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(block, place in it, extrinsic) of every extrinsic whose bytes a tape has, as the other decoder tells them."""
    decoders = {spec: AnotherDecoder(realdata / f"metadata/spec{spec}.v14.scale") for spec in TAPES[name]}
    spec = None
    for recorded in blocks(realdata / "tape" / name):
        executed, spec = spec or recorded.line["spec_version"], recorded.line["spec_version"]
        for at, given in enumerate(recorded.line["extrinsics"]):
            if isinstance(given, str):
                yield recorded.number, at, decoders[executed].extrinsic(bytes.fromhex(given[2:]))
