"""Pallets as a runtime declares them: storage items, calls, events, errors, constants.

An item builds its own storage keys (hashers from the Substrate docs: *Concat and Identity keep the key
in clear). Nothing here runs; what calls do is in ``execution``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import xxhash

from indexer.devchain.declare import Type, Variant
from indexer.devchain.forms import tuple_of


@cache
def twox128(name: str) -> bytes:
    """Two xxhash64 with seeds 0 and 1, little-endian."""
    raw = name.encode()
    return b"".join(xxhash.xxh64(raw, seed=seed).digest()[::-1] for seed in (0, 1))


def blake2_128_concat(raw: bytes) -> bytes:
    """blake2b of 16 bytes, then the key itself."""
    return hashlib.blake2b(raw, digest_size=16).digest() + raw


def twox64_concat(raw: bytes) -> bytes:
    """xxhash64 little-endian, then the key itself."""
    return xxhash.xxh64(raw, seed=0).digest()[::-1] + raw


@dataclass(frozen=True, slots=True)
class Hasher:
    """How one part of a storage key enters the trie."""

    name: str
    index: int
    """In the metadata's ``StorageHasher``."""
    hash: Callable[[bytes], bytes]
    prefix_length: int
    """How many bytes it puts before the clear key."""


BLAKE2 = Hasher("Blake2_128Concat", 2, blake2_128_concat, 16)
TWOX64 = Hasher("Twox64Concat", 5, twox64_concat, 8)
IDENTITY = Hasher("Identity", 6, lambda raw: raw, 0)

OPTIONAL = object()
"""As a default: the item has none, an absent key means no value."""


@dataclass(frozen=True, slots=True)
class Item:
    """A storage item. Its pallet's name enters the key only through ``prefix``."""

    name: str
    value: Type
    keys: tuple[tuple[Hasher, Type], ...] = ()
    default: Any = OPTIONAL

    def prefix(self, pallet: str) -> bytes:
        """The 32 bytes every key of the item begins with."""
        return twox128(pallet) + twox128(self.name)

    def key(self, pallet: str, *parts: Any) -> bytes:
        """The storage key for these key parts."""
        hashed = (hasher.hash(kind.encode(part)) for (hasher, kind), part in zip(self.keys, parts, strict=True))
        return self.prefix(pallet) + b"".join(hashed)

    def split(self, key: bytes) -> tuple[Any, ...]:
        """The key parts of a storage key of this item."""
        at, parts = 32, list[Any]()
        for hasher, kind in self.keys:
            part, at = kind.read(key, at + hasher.prefix_length)
            parts.append(part)
        return tuple(parts)

    def key_type(self) -> Type:
        """The key's type as the registry lists it: a tuple where there are several parts."""
        kinds = [kind for _, kind in self.keys]
        return kinds[0] if len(kinds) == 1 else tuple_of(*kinds)

    def default_raw(self) -> bytes:
        """The default as the metadata lists it; an optional item's is the byte 0."""
        return b"\0" if self.default is OPTIONAL else self.value.encode(self.default)


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant with its value."""

    name: str
    type: Type
    value: Any


@dataclass(frozen=True, slots=True)
class Pallet:
    """One pallet of one runtime."""

    name: str
    index: int
    crate: str
    """The Rust path its call, event and error enums live in, as ``pallet_balances::pallet``."""
    items: tuple[Item, ...] = ()
    calls: tuple[Variant, ...] = ()
    events: tuple[Variant, ...] = ()
    errors: tuple[Variant, ...] = ()
    constants: tuple[Constant, ...] = ()
    unlisted: tuple[Item, ...] = ()
    """Items the metadata does not list although rows of them may be stored and read."""
    by_name: dict[str, Item] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {item.name: item for item in (*self.items, *self.unlisted)})
