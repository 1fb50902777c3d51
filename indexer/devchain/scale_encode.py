"""SCALE writing of plain values, by hand: integers, compacts, lists, text.

The simulated chain encodes everything it stores and sends with this and with ``types``, never with
``indexer.scale``: a fault in the product's codec must not be cancelled by the same fault here.
"""

from __future__ import annotations

from collections.abc import Iterable


def uint(value: int, length: int) -> bytes:
    """``value`` as an unsigned little-endian integer of ``length`` bytes. Raises ``OverflowError``."""
    return value.to_bytes(length, "little")


def u16(value: int) -> bytes:
    """Two bytes."""
    return uint(value, 2)


def u32(value: int) -> bytes:
    """Four bytes."""
    return uint(value, 4)


def u64(value: int) -> bytes:
    """Eight bytes."""
    return uint(value, 8)


def u128(value: int) -> bytes:
    """Sixteen bytes."""
    return uint(value, 16)


def compact(value: int) -> bytes:
    """SCALE's compact integer: 1, 2, 4 bytes, or a length byte and up to 67 bytes."""
    if value < 1 << 6:
        return uint(value << 2, 1)
    if value < 1 << 14:
        return uint(value << 2 | 1, 2)
    if value < 1 << 30:
        return uint(value << 2 | 2, 4)
    length = max(4, (value.bit_length() + 7) // 8)
    return bytes([(length - 4) << 2 | 3]) + uint(value, length)


def blob(data: bytes) -> bytes:
    """``Vec<u8>``: the length as a compact, then the bytes."""
    return compact(len(data)) + data


def text(value: str) -> bytes:
    """A string as UTF-8 with its length in bytes before it."""
    return blob(value.encode())


def listed(items: Iterable[bytes]) -> bytes:
    """A vector of values that are already encoded."""
    encoded = list(items)
    return compact(len(encoded)) + b"".join(encoded)
