"""Checked reads over SCALE bytes, for the code that may be slow but must say where it failed.

The metadata parser and the tracing decoder read through this; the compiled decoders never do.
Every refusal is a ``DecodeError`` with the byte offset of the read that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from indexer.errors import DecodeError
from indexer.scale.primitives import COMPACT_MAX

T = TypeVar("T")


class Reader:
    """A position in ``raw`` that only moves forward. All reads raise ``DecodeError`` at the end of the bytes."""

    __slots__ = ("offset", "raw")

    def __init__(self, raw: bytes, offset: int = 0) -> None:
        self.raw = raw
        self.offset = offset

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.raw) - self.offset

    def refuse(self, problem: str, offset: int | None = None) -> DecodeError:
        """A ``DecodeError`` at ``offset`` (default: here), for the caller to raise."""
        return DecodeError(problem, offset=self.offset if offset is None else offset)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start = self.offset
        self.skip(size)
        return self.raw[start : self.offset]

    def skip(self, size: int) -> None:
        """Read over ``size`` bytes."""
        if size > len(self.raw) - self.offset:
            raise self.refuse(f"truncated: {size} bytes wanted, {self.left} left")
        self.offset += size

    def integer(self, size: int, *, signed: bool = False) -> int:
        """A little-endian integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def u8(self) -> int:
        """One byte."""
        try:
            byte = self.raw[self.offset]
        except IndexError:
            raise self._ended() from None
        self.offset += 1
        return byte

    def _ended(self) -> DecodeError:
        return self.refuse("truncated: 1 bytes wanted, 0 left")

    def compact(self, limit: int = COMPACT_MAX) -> int:
        """A compact integer in its shortest form, at most ``limit``."""
        start = self.offset
        try:
            first = self.raw[start]
        except IndexError:
            raise self._ended() from None
        self.offset = start + 1
        mode = first & 3
        if mode == 0 and first >> 2 <= limit:  # nearly all there are
            return first >> 2
        if mode == 0:
            number = shortest = first >> 2
        elif mode == 3:
            size = (first >> 2) + 4
            number = self.integer(size)
            shortest = max(2**30, 2 ** (8 * (size - 1)))
        else:
            size = 2 * mode
            self.offset = start
            number = self.integer(size) >> 2
            shortest = 64 if mode == 1 else 2**14
        if number < shortest:
            raise self.refuse(f"compact {number} is not in its shortest form", start)
        if number > limit:
            raise self.refuse(f"compact {number} is above {limit}", start)
        return number

    def length(self, item_size: int) -> int:
        """The length prefix of items of at least ``item_size`` bytes: refused before anything is allocated for it."""
        start = self.offset
        try:
            first = self.raw[start]
        except IndexError:
            raise self._ended() from None
        if first & 3:
            count = self.compact()
        else:  # nearly all there are
            count, self.offset = first >> 2, start + 1
        if count * item_size > len(self.raw) - self.offset:
            raise self.refuse(f"truncated: length {count} needs {count * item_size} bytes, {self.left} left", start)
        return count

    def text(self) -> str:
        """A length-prefixed UTF-8 string."""
        size = self.length(1)
        start = self.offset
        self.offset = start + size
        try:
            return self.raw[start : self.offset].decode()
        except UnicodeDecodeError as error:
            raise self.refuse("string is not UTF-8", start + error.start) from None

    def octets(self) -> bytes:
        """A length-prefixed byte string."""
        return self.take(self.length(1))

    def tag(self, count: int) -> int:
        """The discriminant of an enum whose variants are numbered ``0 .. count - 1``."""
        tag = self.u8()
        if tag >= count:
            raise self.refuse(f"unknown variant {tag}", self.offset - 1)
        return tag

    def option(self, read: Callable[[], T]) -> T | None:
        """None, or what ``read`` reads."""
        return read() if self.tag(2) else None

    def many(self, read: Callable[[], T]) -> tuple[T, ...]:
        """A length-prefixed sequence of what ``read`` reads; every item takes at least one byte."""
        return tuple([read() for _ in range(self.length(1))])
