"""Storage items: their keys built and taken apart, their values and defaults decoded.

A key is 32 bytes of prefix (twox128 of the pallet's storage prefix and of the item's name), then each
part of the map's key under its hasher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale.codec import Codec
from indexer.scale.compiler import MISFIT, BuildKey, SplitKey
from indexer.scale.encode import EncodeError
from indexer.scale.hashers import HASHERS, KeyHash, twox128
from indexer.scale.metadata import Entry, Pallet
from indexer.scale.registry import Tuple

SHORT_KEY_BYTES, KEPT_KEYS = 48, 4_096
"""Keys of subnets, neurons and other small numbers are as short; so many of an item are kept taken apart."""


class RawKey(bytes):
    """All that follows an item's prefix in a key, undecoded: stands, as the only part, for every key part."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StorageItem:
    """A storage item of one runtime. Key parts and values are in decoded form (see ``indexer.scale``)."""

    ref: ItemRef
    prefix: bytes
    """The 32 bytes all its keys begin with; the whole key of a plain value."""
    hashers: tuple[str, ...]
    """One for each key part; none for a plain value."""
    optional: bool
    """True if an absent key means "nothing", False if it means ``default()``."""
    default_raw: bytes
    key_types: tuple[int, ...]
    value_type: int
    codec: Codec = field(repr=False, compare=False)
    _split: dict[bytes, tuple[Any, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Short keys taken apart before: those of subnets come in every block."""
    _short: list[tuple[SplitKey | None, BuildKey | None]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    """The short ways through a key, made when the first one is met."""

    def key(self, *parts: object) -> bytes:
        """The storage key of all key parts, or of a ``RawKey``. Raises ``EncodeError``."""
        if len(parts) == 1 and isinstance(parts[0], RawKey):
            return self.prefix + parts[0]
        if len(parts) != len(self.hashers):
            raise EncodeError(f"{self.ref} has {len(self.hashers)} key parts, {len(parts)} given")
        build = self._ways()[1]
        if build is not None:
            try:
                return build(*parts)
            except MISFIT:
                pass  # another kind of part, or one that does not fit: that is told part by part
        return self.key_prefix(*parts)

    def key_prefix(self, *parts: object) -> bytes:
        """What the keys with these first parts begin with. Raises ``EncodeError``."""
        if len(parts) > len(self.hashers):
            raise EncodeError(f"{self.ref} has {len(self.hashers)} key parts, {len(parts)} given")
        key = self.prefix
        for name, type_id, part in zip(self.hashers, self.key_types, parts, strict=False):
            hasher = HASHERS[name]
            if isinstance(part, KeyHash) and not hasher.clear and len(part) == hasher.size:
                key += part
            else:
                encoded = self.codec.encode(type_id, part)
                key += hasher.hash(encoded) + encoded if hasher.clear else hasher.hash(encoded)
        return key

    def split_key(self, key: bytes) -> tuple[Any, ...]:
        """The key parts of a storage key; a part without clear text is given as its ``KeyHash``.

        Raises ``DecodeError`` if the key is not of this item, is too short or too long, or if a hash is
        not that of its clear part.
        """
        parts = self._split.get(key)
        if parts is None:
            parts = self._taken_apart(key)
            if len(key) <= SHORT_KEY_BYTES:
                if len(self._split) >= KEPT_KEYS:
                    self._split.clear()
                self._split[key] = parts
        return parts

    def _ways(self) -> tuple[SplitKey | None, BuildKey | None]:
        if not self._short:
            self._short.append(self.codec.keys(self.prefix, self.hashers, self.key_types))
        return self._short[0]

    def _taken_apart(self, key: bytes) -> tuple[Any, ...]:
        split = self._ways()[0]
        if split is not None:
            try:
                return split(key)
            except MISFIT:
                pass  # what is wrong with it is found part by part
        return self._parts(key)

    def _parts(self, key: bytes) -> tuple[Any, ...]:
        if not key.startswith(self.prefix):
            raise DecodeError("key has another prefix", path=str(self.ref), offset=0)
        parts: list[Any] = []
        offset = len(self.prefix)
        for name, type_id in zip(self.hashers, self.key_types, strict=True):
            hasher = HASHERS[name]
            clear = offset + hasher.size
            if clear > len(key):
                raise DecodeError(f"key is truncated in its {name} hash", path=str(self.ref), offset=offset)
            if not hasher.clear:
                parts.append(KeyHash(key[offset:clear]))
                offset = clear
                continue
            part, end = self.codec.decode_at(type_id, key, clear)
            if hasher.size and key[offset:clear] != hasher.hash(key[clear:end]):
                raise DecodeError(f"{name} hash is not that of the part behind it", path=str(self.ref), offset=offset)
            parts.append(part)
            offset = end
        if offset != len(key):
            raise DecodeError(f"{len(key) - offset} bytes follow the key", path=str(self.ref), offset=offset)
        return tuple(parts)

    def decode(self, value: bytes) -> Any:
        """The whole of a stored value. Raises ``DecodeError``, also if bytes follow the value."""
        return self.codec.decode(self.value_type, value)

    def shown_key(self, parts: Sequence[object]) -> list[object]:
        """Decoded key parts as JSON (see ``indexer.scale.document``); one without clear text as the hex of its hash."""
        return [
            "0x" + part.hex() if isinstance(part, KeyHash) else self._shown(type_id, part, b"")
            for type_id, part in zip(self.key_types, parts, strict=True)
        ]

    def shown_value(self, value: object, raw: bytes) -> object:
        """A decoded value as JSON; the hex of its bytes ``raw`` where it nests deeper than anybody reads."""
        return self._shown(self.value_type, value, raw)

    def _shown(self, type_id: int, value: object, raw: bytes) -> object:
        try:
            return self.codec.values.value(type_id, value)
        except DecodeError:  # it nests too deep
            return "0x" + (raw or self.codec.encode(type_id, value)).hex()

    def encode(self, value: object) -> bytes:
        """The bytes a value is stored as. Raises ``EncodeError``."""
        return self.codec.encode(self.value_type, value)

    def default(self) -> Any:
        """What an absent key means: the decoded default, or None for an optional item."""
        return None if self.optional else self.decode(self.default_raw)


def storage_item(codec: Codec, pallet: Pallet, entry: Entry) -> StorageItem:
    """A storage item from its metadata. Raises ``DecodeError`` if key type and hashers do not match."""
    ref = ItemRef(pallet.name, entry.name)
    key_types: tuple[int, ...] = () if entry.key_type is None else (entry.key_type,)
    if len(entry.hashers) > 1 and entry.key_type is not None:
        definition = codec.registry.definition(entry.key_type)
        key_types = definition.elements if isinstance(definition, Tuple) else key_types
    if len(key_types) != len(entry.hashers):
        raise DecodeError(f"metadata gives {len(entry.hashers)} hashers for {len(key_types)} key parts", path=str(ref))
    prefix = twox128(pallet.prefix.encode()) + twox128(entry.name.encode())
    return StorageItem(ref, prefix, entry.hashers, entry.optional, entry.default, key_types, entry.value_type, codec)
