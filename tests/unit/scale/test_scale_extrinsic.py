"""Extrinsics of every version, and events, of an invented runtime."""

from __future__ import annotations

from typing import Any

import pytest
from metadata_bytes import compact, runtime_metadata

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import EncodeError, EventRecord, Runtime, blake2_256

WHO, SIGNATURE = bytes(range(32)), bytes(64)
CALL = b"\x09\x03" + (5).to_bytes(8, "little")  # Sample.set(now: 5)
EXTENSIONS = {"CheckNonce": 3, "ChargeTip": 64}
ENCODED_EXTENSIONS = b"\x0c" + b"\x01\x01"


@pytest.fixture(params=[14, 15, 16])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return Runtime.from_metadata(runtime_metadata(request.param))


@pytest.fixture
def v16() -> Runtime:
    return Runtime.from_metadata(runtime_metadata(16))


def prefixed(body: bytes) -> bytes:
    return compact(len(body)) + body


SIGNED = prefixed(b"\x84" + b"\x00" + WHO + b"\x01" + SIGNATURE + ENCODED_EXTENSIONS + CALL)


def test_signed_version_4(runtime: Runtime) -> None:
    extrinsic = runtime.decode_extrinsic(SIGNED)
    assert (extrinsic.version, extrinsic.signed) == (4, True)
    assert (extrinsic.address, extrinsic.signer) == ({"Id": WHO}, WHO)
    assert extrinsic.signature == {"Sr25519": SIGNATURE}
    assert extrinsic.extensions == EXTENSIONS
    assert (extrinsic.pallet, extrinsic.call, extrinsic.args) == ("Sample", "set", {"now": 5})
    assert (extrinsic.raw, extrinsic.hash) == (SIGNED, blake2_256(SIGNED))
    call = {"Sample": {"set": {"now": 5}}}
    assert runtime.extrinsics.encode_signed(call, extrinsic.address, extrinsic.signature, EXTENSIONS) == SIGNED


@pytest.mark.parametrize("version", [4, 5])
def test_bare_of_either_version(runtime: Runtime, version: int) -> None:
    raw = prefixed(bytes([version]) + b"\x09\x00")
    extrinsic = runtime.decode_extrinsic(raw)
    assert (extrinsic.version, extrinsic.signed, extrinsic.extensions) == (version, False, {})
    assert (extrinsic.address, extrinsic.signature, extrinsic.signer) == (None, None, None)
    assert (extrinsic.pallet, extrinsic.call, extrinsic.args) == ("Sample", "nop", {})
    assert runtime.extrinsics.encode_bare({"Sample": "nop"}, version=version) == raw


def test_general_version_5_takes_the_extensions_of_its_extension_version(v16: Runtime) -> None:
    first, second = (
        prefixed(b"\x45\x00" + ENCODED_EXTENSIONS + CALL),
        prefixed(b"\x45\x01" + ENCODED_EXTENSIONS[1:] + CALL),
    )
    call = {"Sample": {"set": {"now": 5}}}
    for raw, extensions in ((first, EXTENSIONS), (second, {"ChargeTip": 64})):
        extrinsic = v16.decode_extrinsic(raw)
        assert (extrinsic.version, extrinsic.signed, extrinsic.signer) == (5, False, None)
        assert extrinsic.extensions == extensions
        assert extrinsic.args == {"now": 5}
        version = raw[len(compact(len(raw))) + 1]
        assert v16.extrinsics.encode_general(call, extensions, extension_version=version) == raw
    with pytest.raises(DecodeError, match="unknown extension version 2"):
        v16.decode_extrinsic(prefixed(b"\x45\x02" + CALL))
    with pytest.raises(EncodeError):
        v16.extrinsics.encode_general(call, {}, extension_version=2)


@pytest.mark.parametrize("version", [0x00, 0x03, 0x44, 0x85, 0xC5, 0xFF])
def test_versions_that_do_not_exist(runtime: Runtime, version: int) -> None:
    with pytest.raises(DecodeError, match=f"unknown extrinsic version 0x{version:02x}"):
        runtime.decode_extrinsic(prefixed(bytes([version]) + CALL))


def test_an_extrinsic_cut_anywhere_or_too_long_is_refused(runtime: Runtime) -> None:
    for size in range(len(SIGNED)):
        with pytest.raises(DecodeError):
            runtime.decode_extrinsic(SIGNED[:size])
    for body_size in range(len(SIGNED) - 2):
        with pytest.raises(DecodeError):
            runtime.decode_extrinsic(prefixed(SIGNED[2 : 2 + body_size]))
    with pytest.raises(DecodeError, match="length prefix says"):
        runtime.decode_extrinsic(SIGNED + b"\x00")
    with pytest.raises(DecodeError, match="1 bytes follow the call"):
        runtime.decode_extrinsic(prefixed(SIGNED[2:] + b"\x00"))


def test_the_place_of_a_misfit_is_named(runtime: Runtime) -> None:
    with pytest.raises(DecodeError) as refused:
        runtime.decode_extrinsic(prefixed(SIGNED[2:-8]))
    assert refused.value.path == "SignedExtrinsic.call.Sample.0.set.now: u64"
    assert refused.value.offset == len(SIGNED) - 8


def test_calls_in_calls(runtime: Runtime) -> None:
    def batches(depth: int) -> bytes:
        return prefixed(b"\x04" + b"\x09\x05\x04" * depth + b"\x09\x00")

    value: Any = runtime.decode_extrinsic(batches(256)).args
    for _ in range(255):
        ((value,),) = (value["calls"],)
        value = value["Sample"]["batch"]
    assert value == {"calls": [{"Sample": "nop"}]}
    with pytest.raises(DecodeError, match="nested deeper"):
        runtime.decode_extrinsic(batches(100_000))


def test_events_are_read_as_records_and_written_again(runtime: Runtime) -> None:
    raw = b"\x0c" + b"\x00\x07\x00\x00\x00" + b"\x09\x02" + WHO + b"\x01\x02" + b"\x00"
    raw += b"\x01" + b"\x09\x00" + b"\x00" + b"\x02" + b"\x09\x00" + b"\x04" + WHO
    records = runtime.decode_events(raw)
    assert records == [
        EventRecord("ApplyExtrinsic", 7, "Sample", "Moved", {"who": WHO, "to": 513}, ()),
        EventRecord("Finalization", None, "Sample", "Quiet", (), ()),
        EventRecord("Initialization", None, "Sample", "Quiet", (), (WHO,)),
    ]
    assert runtime.encode_events(records) == raw
    item = runtime.item(ItemRef("System", "Events"))
    assert item is not None
    assert runtime.encode_type(item.value_type, runtime.decode_type(item.value_type, raw)) == raw


def test_an_unknown_event_is_named_with_its_place(runtime: Runtime) -> None:
    raw = b"\x04" + b"\x00\x07\x00\x00\x00" + b"\x09\x01" + b"\x00"
    with pytest.raises(DecodeError) as refused:
        runtime.decode_events(raw)
    assert str(refused.value) == "unknown variant 1 in Vec<EventRecord>[0].event.Sample.0: Event at byte 7"
