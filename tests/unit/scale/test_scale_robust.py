"""Whatever the bytes: a value or a ``DecodeError``, the same from both decoders, and never a wrong end."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_bytes import runtime_metadata
from random_values import NoValue, random_value

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import Runtime, trace
from indexer.scale.codec import Codec

REALDATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
SPECS = ["spec143.v14", "spec343.v15", "spec424.v16"]


@cache
def runtime(name: str) -> Runtime:
    path = REALDATA / "metadata" / f"{name}.scale"
    return Runtime.from_metadata(runtime_metadata(16) if name == "sample" else path.read_bytes())


def codec_and_types(name: str) -> tuple[Codec, list[int]]:
    """The codec of a runtime and the types whose values come from outside."""
    loaded = runtime(name)
    types = {type_id for item in loaded.items() for type_id in (*item.key_types, item.value_type)}
    types |= {method.output for method in loaded.apis.values()} | loaded.extrinsics.types
    return loaded.codec, sorted(types)


def same_or_refused(codec: Codec, type_id: int, raw: bytes) -> None:
    """Both decoders read the bytes as one value, which encodes to the same bytes; or both refuse them."""
    try:
        value, end = codec.decode_at(type_id, raw, 0)
    except DecodeError as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert "compiled decoder refused" not in refusal.problem
        assert refusal.path
        assert refusal.offset is not None
        assert 0 <= refusal.offset <= len(raw)
        return
    assert trace.decode(codec.registry, type_id, raw) == (value, end)
    assert codec.encode(type_id, value) == raw[:end]


@settings(max_examples=1000, deadline=2000)
@given(raw=st.binary(max_size=200), place=st.integers(0, 10**6))
def test_random_bytes_as_any_type_of_the_invented_runtime(raw: bytes, place: int) -> None:
    codec, types = codec_and_types("sample")
    same_or_refused(codec, types[place % len(types)], raw)


@pytest.mark.realdata
@pytest.mark.parametrize("name", SPECS)
def test_random_bytes_as_any_type_of_a_real_runtime(realdata: Path, name: str) -> None:  # noqa: ARG001 - skips
    codec, types = codec_and_types(name)

    @settings(max_examples=2000, deadline=2000)
    @given(raw=st.binary(max_size=300), place=st.integers(0, 10**6))
    def holds(raw: bytes, place: int) -> None:
        same_or_refused(codec, types[place % len(types)], raw)

    holds()


@settings(max_examples=500, deadline=2000)
@given(raw=st.binary(max_size=200), head=st.sampled_from([b"", b"\x04", b"\x84\x00", b"\x45\x01", b"\x05\x09"]))
def test_random_bytes_as_events_extrinsics_keys_and_metadata(raw: bytes, head: bytes) -> None:
    sample = runtime("sample")
    size = len(head + raw)
    prefixed = bytes([size << 2]) if size < 64 else (size << 2 | 1).to_bytes(2, "little")
    double = sample.item(ItemRef("System", "Double"))
    assert double is not None
    for decode in (
        lambda: sample.decode_extrinsic(prefixed + head + raw),
        lambda: sample.decode_extrinsic(head + raw),
        lambda: sample.decode_events(head + raw),
        lambda: double.split_key(double.prefix + raw),
        lambda: Runtime.from_metadata(b"meta\x10" + raw),
    ):
        try:
            decode()
        except DecodeError as error:
            assert "compiled decoder refused" not in error.problem  # noqa: PT017 - an error is one of two good ends


@pytest.mark.realdata
@pytest.mark.parametrize("name", SPECS)
def test_random_values_of_every_type_of_a_real_runtime(realdata: Path, name: str) -> None:  # noqa: ARG001 - skips
    codec, types = codec_and_types(name)
    checked = set()
    for type_id in types:
        random = Random(type_id)
        try:
            value = random_value(codec.registry, type_id, random)
        except NoValue:
            continue
        checked.add(type_id)
        raw = codec.encode(type_id, value)
        assert codec.decode(type_id, raw) == value
        assert trace.decode(codec.registry, type_id, raw) == (value, len(raw))
        for size in {0, len(raw) - 1, *(random.randrange(len(raw) + 1) for _ in range(4))} - {len(raw), -1}:
            with pytest.raises(DecodeError):
                codec.decode(type_id, raw[:size])
        with pytest.raises(DecodeError, match="1 bytes follow"):
            codec.decode(type_id, raw + b"\x00")
        flipped = bytearray(raw)
        if flipped:
            flipped[random.randrange(len(raw))] ^= 1 << random.randrange(8)
            same_or_refused(codec, type_id, bytes(flipped))
    assert len(checked) >= len(types) - 1


@pytest.mark.realdata
def test_a_recorded_event_cut_at_any_byte_or_with_one_too_many_is_refused(realdata: Path) -> None:
    events = runtime("spec343.v15").item(ItemRef("System", "Events"))
    assert events is not None
    vectors = json.loads((realdata / "recorded" / "events_fuzz_spec343.json").read_text())
    for vector in vectors[::4]:
        raw = bytes.fromhex(vector)
        for size in range(len(raw)):
            with pytest.raises(DecodeError):
                events.decode(raw[:size])
        with pytest.raises(DecodeError):
            events.decode(raw + b"\x00")
