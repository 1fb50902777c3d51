"""Metadata of every version: real files load and compile, an invented runtime reads the same in all three."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_bytes import runtime_metadata

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import Runtime

REAL = {
    "spec103.v14": 103,
    "spec143.v14": 143,
    "spec165.v15": 165,
    "spec233.v14": 233,
    "spec240.v15": 240,
    "spec293.v14": 293,
    "spec293.v15": 293,
    "spec300.v14": 300,
    "spec300.v15": 300,
    "spec343.v14": 343,
    "spec343.v15": 343,
    "spec393.v16": 393,
    "spec424.v16": 424,
}


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "spec_version"), REAL.items())
def test_real_metadata_loads_and_every_type_compiles(realdata: Path, name: str, spec_version: int) -> None:
    raw = (realdata / "metadata" / f"{name}.scale").read_bytes()
    runtime = Runtime.from_metadata(raw)
    assert runtime.raw == raw
    assert (runtime.spec_name, runtime.spec_version) == ("node-subtensor", spec_version)
    assert runtime.metadata_version == int(name[-2:])
    assert runtime.ss58_prefix == 42
    assert runtime.check_all() > 100
    assert len(runtime.apis) > 40 or runtime.metadata_version == 14
    for item in runtime.items():
        assert item.default() is None or item.encode(item.default()) == item.default_raw


@pytest.mark.realdata
def test_every_file_of_real_metadata_is_in_the_list_above(realdata: Path) -> None:
    assert {path.name.removesuffix(".scale") for path in (realdata / "metadata").glob("*.scale")} == set(REAL)


@pytest.mark.realdata
@pytest.mark.parametrize("spec_version", [293, 300, 343])
def test_v14_and_v15_of_one_runtime_list_the_same_items(realdata: Path, spec_version: int) -> None:
    v14, v15 = (
        Runtime.from_metadata((realdata / "metadata" / f"spec{spec_version}.v{v}.scale").read_bytes()) for v in (14, 15)
    )
    one = {i.ref: (i.prefix, i.hashers, i.optional, i.default_raw, i.default()) for i in v14.items()}
    other = {i.ref: (i.prefix, i.hashers, i.optional, i.default_raw, i.default()) for i in v15.items()}
    assert one == other
    assert len(one) > 200


@pytest.fixture(params=[14, 15, 16])
def sample(request: pytest.FixtureRequest) -> Runtime:
    return Runtime.from_metadata(runtime_metadata(request.param))


def test_an_invented_runtime_reads_the_same_in_every_version(sample: Runtime) -> None:
    assert (sample.spec_name, sample.spec_version, sample.ss58_prefix) == ("sample", 7, 13)
    assert [str(item.ref) for item in sample.items()][:2] == ["System.Events", "System.Maybe"]
    assert sample.has(ItemRef("System", "Hasher6"))
    assert not sample.has(ItemRef("Frame", "Hasher6"))
    assert sample.item(ItemRef("System", "Gone")) is None
    assert sample.check_all() > 20
    if sample.metadata_version > 14:
        assert list(sample.apis) == [("SampleApi", "balance_of")]
        assert sample.decode_api("SampleApi", "balance_of", b"\x05" + bytes(7)) == 5
        assert sample.encode_api_args("SampleApi", "balance_of", bytes(32)) == bytes(32)


def test_defaults_of_absent_keys(sample: Runtime) -> None:
    assert sample.default(ItemRef("System", "Hasher0")) == 7
    assert sample.default(ItemRef("System", "Events")) == []
    assert sample.default(ItemRef("System", "Maybe")) is None
    assert sample.default(ItemRef("System", "Gone")) is None


def test_v14_lists_no_runtime_apis() -> None:
    runtime = Runtime.from_metadata(runtime_metadata(14))
    with pytest.raises(DecodeError, match=r"V14 lists no runtime API SampleApi\.balance_of"):
        runtime.decode_api("SampleApi", "balance_of", bytes(8))


def test_an_unlisted_constant_is_named(sample: Runtime) -> None:
    with pytest.raises(DecodeError, match=r"System\.Gone"):
        sample.constant("System", "Gone")


@pytest.mark.parametrize("raw", [b"", b"meta", b"atem\x0e", b"meta\x0d" + bytes(40), b"meta\x11" + bytes(40)])
def test_what_is_no_metadata_of_a_known_version_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        Runtime.from_metadata(raw)


@pytest.mark.parametrize("version", [14, 15, 16])
def test_metadata_cut_anywhere_or_with_a_byte_too_many_is_refused(version: int) -> None:
    raw = runtime_metadata(version)
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            Runtime.from_metadata(raw[:size])
    with pytest.raises(DecodeError, match="1 bytes follow"):
        Runtime.from_metadata(raw + b"\x00")


@settings(max_examples=500, deadline=None)
@given(version=st.sampled_from([14, 15, 16]), place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_metadata_with_a_wrong_byte_loads_or_is_refused(version: int, place: float, byte: int) -> None:
    raw = bytearray(runtime_metadata(version))
    raw[int(place * len(raw))] = byte
    try:
        runtime = Runtime.from_metadata(bytes(raw))
        runtime.check_all()
    except DecodeError:
        pass
