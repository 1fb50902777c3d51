"""Metadata with bits turned, ends cut off and absurd lengths: a runtime or a ``DecodeError``, in bounded memory."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_bytes import runtime_metadata

from indexer.errors import DecodeError
from indexer.scale import Runtime

MEMORY_MAX_BYTES = 64 << 20
"""Real metadata takes about a tenth; a length of 2^30 taken at its word would take gigabytes."""
MOST = 2**30 - 1


def spoilt(raw: bytes, random: Random) -> bytes:
    out = bytearray(raw)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        place = random.randrange(len(out))
        out[place] = random.choice([0, 1, 2, 3, 4, 8, 0x80, 0xFE, 0xFF, out[place] ^ (1 << random.randrange(8))])
    if random.random() < 0.3:
        place = random.randrange(len(out))
        out[place : place + 4] = (random.choice([MOST, MOST - 2**20, 2**24]) << 2 | 2).to_bytes(4, "little")
    return bytes(out[: random.randrange(len(out))] if random.random() < 0.1 else out)


def use(raw: bytes, random: Random) -> None:
    """Read the metadata, then random bytes as everything that it declares."""
    try:
        runtime = Runtime.from_metadata(raw)
    except DecodeError:
        return
    decoders = [runtime.decode_events, runtime.decode_extrinsic]
    for item in list(runtime.items())[:40]:
        decoders += [item.decode, lambda data, item=item: item.split_key(item.prefix + data)]  # type: ignore[misc]
    for type_id in range(0, len(runtime.codec.registry), 1 + len(runtime.codec.registry) // 200):
        decoders.append(lambda data, type_id=type_id: runtime.codec.decode_at(type_id, data, 0))  # type: ignore[misc]
    for decode in decoders:
        with contextlib.suppress(DecodeError):
            decode(random.randbytes(random.randrange(60)))


def holds_for(raw: bytes, seed: int) -> None:
    tracemalloc.start()
    try:
        use(spoilt(raw, Random(seed)), Random(seed))
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", [14, 15, 16])
def test_the_invented_metadata_spoilt_anywhere(version: int) -> None:
    raw = runtime_metadata(version)

    @settings(max_examples=300, deadline=None)
    @given(seed=st.integers(0, 2**32))
    def holds(seed: int) -> None:
        holds_for(raw, seed)

    holds()


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["spec143.v14", "spec424.v16"])
def test_real_metadata_spoilt_anywhere(realdata: Path, name: str) -> None:
    raw = (realdata / "metadata" / f"{name}.scale").read_bytes()
    for seed in range(12):
        holds_for(raw, seed)


@pytest.mark.parametrize("version", [14, 15, 16])
def test_the_invented_metadata_cut_at_any_byte_is_refused(version: int) -> None:
    raw = runtime_metadata(version)
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            Runtime.from_metadata(raw[:size])
