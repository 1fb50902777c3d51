"""What compiled decoders call at run time: the few steps that are no struct unpack.

All take (bytes, offset) and give (value, next offset). On misfit they raise ``ValueError`` or
``IndexError`` without saying where: the codec then asks the tracing decoder for path and offset.
"""

from __future__ import annotations

from struct import Struct
from typing import NoReturn

COMPACT_MAX = 2**536 - 1
"""Largest number a compact can hold: 67 bytes (parity-scale-codec)."""


_SHORTEST = tuple(max(2**30, 2 ** (8 * (size - 1))) for size in range(4, 68))
"""The least number that takes so many bytes in a compact's longest form, from 4 bytes on."""

_u32 = Struct("<I").unpack_from


def compact(b: bytes, o: int, limit: int) -> tuple[int, int]:
    """A compact integer in its shortest form, at most ``limit``."""
    first = b[o]
    mode = first & 3
    if mode == 2:
        number, end, shortest = _u32(b, o)[0] >> 2, o + 4, 2**14
    elif mode == 1:
        number, end, shortest = (first | b[o + 1] << 8) >> 2, o + 2, 64
    elif mode == 0:
        number, end, shortest = first >> 2, o + 1, 0
    else:
        end = o + 5 + (first >> 2)
        if end > len(b):
            raise ValueError("truncated compact")
        number, shortest = int.from_bytes(b[o + 1 : end], "little"), _SHORTEST[first >> 2]
    if not shortest <= number <= limit:
        raise ValueError("compact out of range")
    return number, end


def compacts(b: bytes, o: int, limit: int) -> tuple[list[int], int]:
    """A length-prefixed sequence of compact integers, none above ``limit``."""
    count, o = length(b, o, 1)
    numbers = []
    for _ in range(count):
        number = b[o]
        if number & 3:
            number, o = compact(b, o, limit)
        else:
            number >>= 2
            o += 1
        numbers.append(number)
    return numbers, o


def length(b: bytes, o: int, item_size: int) -> tuple[int, int]:
    """The length prefix of items of at least ``item_size`` bytes each."""
    first = b[o]
    if first & 3:
        count, o = compact(b, o, COMPACT_MAX)
    else:
        count, o = first >> 2, o + 1
    if count * item_size > len(b) - o:
        raise ValueError("length beyond the end")
    return count, o


def octets(b: bytes, o: int) -> tuple[bytes, int]:
    """A length-prefixed byte string."""
    size, o = length(b, o, 1)
    return b[o : o + size], o + size


def text(b: bytes, o: int) -> tuple[str, int]:
    """A length-prefixed UTF-8 string."""
    size, o = length(b, o, 1)
    return b[o : o + size].decode(), o + size


def bits(b: bytes, o: int, word_bytes: int, highest_first: bool) -> tuple[list[bool], int]:
    """A bit sequence: its length in bits, then whole words."""
    count, o = compact(b, o, 8 * len(b))
    words = -(-count // (8 * word_bytes))
    end = o + words * word_bytes
    if end > len(b):
        raise ValueError("bit sequence beyond the end")
    return unpack_bits(b[o:end], count, word_bytes, highest_first), end


def unpack_bits(words: bytes, count: int, word_bytes: int, highest_first: bool) -> list[bool]:
    """The first ``count`` bits of little-endian words, each word read from its lowest or highest bit."""
    width = 8 * word_bytes
    last = width - 1 if highest_first else 0
    number = int.from_bytes(words, "little")
    return [bool(number >> (place - place % width + abs(last - place % width)) & 1) for place in range(count)]


def pack_bits(values: list[bool], word_bytes: int, highest_first: bool) -> bytes:
    """The inverse of ``unpack_bits``; unused bits are zero."""
    width = 8 * word_bytes
    last = width - 1 if highest_first else 0
    number = 0
    for place, value in enumerate(values):
        number |= bool(value) << (place - place % width + abs(last - place % width))
    return number.to_bytes(-(-len(values) // width) * word_bytes, "little")


def char(code: int) -> str:
    """A Unicode scalar value; surrogates are refused as Rust refuses them."""
    if 0xD800 <= code < 0xE000:
        raise ValueError("surrogate")
    return chr(code)


def refuse(_b: bytes, _o: int) -> NoReturn:
    """Stands in every empty place of an enum's table."""
    raise ValueError("unknown variant")
