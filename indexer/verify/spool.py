"""The pairs of one map, in the order of their keys, in bounded memory.

Rows come from the database in an order of their own, and storage keys are hashed: the order is ours to make.
What exceeds a part is sorted in parts, merged in a temporary file, and read back where the trie is built.
"""

from __future__ import annotations

import heapq
import mmap
import struct
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, overload

from indexer.subtrie import Pairs, pairs

PAIRS_IN_MEMORY = 20_000
_HEAD = struct.Struct("<HI")
"""Lengths of key and value, before both."""


class Spool:
    """Takes pairs in any order, gives them sorted. For one map of one comparison; files go with it."""

    def __init__(self) -> None:
        self._held: list[tuple[bytes, bytes]] = []
        self._parts: list[IO[bytes]] = []

    def add(self, key: bytes, value: bytes) -> None:
        """Take a pair; each key may come once. Raises ``OSError`` if there is no room for temporary files."""
        self._held.append((key, value))
        if len(self._held) >= PAIRS_IN_MEMORY:
            self._parts.append(_written(sorted(self._held))[0])
            self._held = []

    def pairs(self) -> Pairs:
        """All of them; the spool is empty after it. Raises ``ValueError`` if a key came twice."""
        held, parts, self._held, self._parts = self._held, self._parts, [], []
        if not parts:
            return pairs(held)
        try:
            file, offsets = _written(_once(heapq.merge(sorted(held), *map(_read, parts))))
        finally:
            _close(parts)
        with file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Pairs(_Column(mapped, offsets, is_key=True), _Column(mapped, offsets, is_key=False))

    def close(self) -> None:
        """Give up what was taken."""
        held, self._held, self._parts = self._parts, [], []
        _close(held)


class _Column(Sequence[bytes]):
    """Keys or values of a mapped file, as a list would have them."""

    def __init__(self, mapped: mmap.mmap, offsets: array[int], *, is_key: bool) -> None:
        self._mapped, self._offsets, self._is_key = mapped, offsets, is_key

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        head = self._offsets[at]
        key_length, value_length = _HEAD.unpack_from(self._mapped, head)
        key = head + _HEAD.size
        value = key + key_length
        return self._mapped[key:value] if self._is_key else self._mapped[value : value + value_length]


def _written(found: Iterable[tuple[bytes, bytes]]) -> tuple[IO[bytes], array[int]]:
    """Pairs in a new temporary file, and where each begins."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call, and has no name
    offsets, at = array("Q"), 0
    try:
        for key, value in found:
            offsets.append(at)
            at += file.write(_HEAD.pack(len(key), len(value)) + key + value)
        file.flush()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, offsets


def _close(files: Iterable[IO[bytes]]) -> None:
    for file in files:
        file.close()


def _read(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    while head := file.read(_HEAD.size):
        key_length, value_length = _HEAD.unpack(head)
        yield file.read(key_length), file.read(value_length)


def _once(found: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    before: bytes | None = None
    for key, value in found:
        if key == before:
            raise ValueError(f"key 0x{key.hex()} is there twice")
        before = key
        yield key, value
