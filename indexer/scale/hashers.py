"""The hashers of storage keys (substrate's ``sp_core::hashing`` and frame's ``StorageHasher``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from xxhash import xxh64_intdigest


def blake2_128(data: bytes) -> bytes:
    """blake2b, 16 bytes."""
    return blake2b(data, digest_size=16).digest()


def blake2_256(data: bytes) -> bytes:
    """blake2b, 32 bytes."""
    return blake2b(data, digest_size=32).digest()


def blake2_128_concat(data: bytes) -> bytes:
    """blake2b of 16 bytes, then the data in clear."""
    return blake2_128(data) + data


def twox64(data: bytes) -> bytes:
    """xxHash64 with seed 0, little-endian."""
    return xxh64_intdigest(data, 0).to_bytes(8, "little")


def twox64_concat(data: bytes) -> bytes:
    """xxHash64, then the data in clear."""
    return twox64(data) + data


def twox128(data: bytes) -> bytes:
    """xxHash64 with seeds 0 and 1."""
    return twox64(data) + xxh64_intdigest(data, 1).to_bytes(8, "little")


def twox256(data: bytes) -> bytes:
    """xxHash64 with seeds 0 to 3."""
    return b"".join(xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in range(4))


def _nothing(_data: bytes) -> bytes:
    return b""


class KeyHash(bytes):
    """The hash of a key part whose hasher keeps no clear text: stands for the part when the key is built again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Hasher:
    """What stands in a key for one part: ``size`` bytes of hash, then the part itself if ``clear``."""

    hash: Callable[[bytes], bytes]
    size: int
    clear: bool


HASHERS: Mapping[str, Hasher] = {
    "Blake2_128": Hasher(blake2_128, 16, clear=False),
    "Blake2_256": Hasher(blake2_256, 32, clear=False),
    "Blake2_128Concat": Hasher(blake2_128, 16, clear=True),
    "Twox128": Hasher(twox128, 16, clear=False),
    "Twox256": Hasher(twox256, 32, clear=False),
    "Twox64Concat": Hasher(twox64, 8, clear=True),
    "Identity": Hasher(_nothing, 0, clear=True),
}
"""By the names metadata gives them."""
