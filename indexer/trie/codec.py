"""The encoding of trie nodes: bytes to a node and back, and the hash that names them.

Pure. A node is named by the blake2b-256 of its encoding, nodes shorter than 32 bytes stand inside their parent,
values longer than 32 bytes are stored under their own hash: layout V1 (Substrate: ``sp-trie``, ``node_header.rs``
and ``node_codec.rs``).
"""

from __future__ import annotations

import hashlib
from binascii import hexlify, unhexlify
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from indexer.errors import Retryable
from indexer.model import HashedValue

HASH_LENGTH = 32
INLINE_VALUE_MAX = 32
"""Layout V1 stores a value longer than this under its hash."""

SLOTS_LOW = [tuple(slot for slot in range(8) if bits >> slot & 1) for bits in range(256)]
"""The slots that are taken, by the first byte of a branch's bitmap."""
SLOTS_HIGH = [tuple(slot + 8 for slot in range(8) if bits >> slot & 1) for bits in range(256)]
"""The same by its second byte."""
_LEAF, _BRANCH, _BRANCH_VALUE = 0b01, 0b10, 0b11


class BadNode(Retryable):
    """Bytes that are no node encoding."""


@dataclass(frozen=True, slots=True)
class Node:
    """A trie node. A leaf has no children; a branch may have a value besides."""

    partial: bytes
    """The nibbles between the parent's slot and this node, one per byte."""
    children: tuple[bytes | None, ...] | None
    """16 slots (None for a leaf): a 32-byte hash, or a shorter encoding that stands inline."""
    value: bytes | HashedValue | None


def blake2_256(data: bytes) -> bytes:
    """blake2b with a 32-byte digest: the hash of nodes, values and headers."""
    return hashlib.blake2b(data, digest_size=32).digest()


EMPTY_ROOT = blake2_256(b"\0")
"""Root of a trie without keys."""


_HEX_DIGITS = b"0123456789abcdef"
_FROM_HEX = bytes.maketrans(_HEX_DIGITS, bytes(range(16)))
_TO_HEX = bytes.maketrans(bytes(range(16)), _HEX_DIGITS)


def nibbles(key: bytes) -> bytes:
    """The nibbles of ``key``, one per byte, high one first."""
    return hexlify(key).translate(_FROM_HEX)  # the fastest way there is: both steps run in C


def pack(path: bytes) -> bytes:
    """Nibbles back to bytes; an odd path is padded with one zero nibble at its end."""
    return unhexlify((path + b"\0" if len(path) % 2 else path).translate(_TO_HEX))


def by_hash(proof: Iterable[bytes]) -> dict[bytes, bytes]:
    """The nodes and values of a read proof, each under the hash of its own bytes."""
    nodes = list(proof)
    return dict(zip([hashlib.blake2b(raw, digest_size=32).digest() for raw in nodes], nodes, strict=True))


def decode_node(raw: bytes) -> Node:
    """Decode one node. Raises ``BadNode`` if the bytes are none."""
    try:
        return _decode_node(raw)
    except IndexError:
        raise BadNode(f"a trie node of {len(raw)} bytes ends too early") from None


def _decode_node(raw: bytes) -> Node:
    head = raw[0]
    if head == 0:
        if len(raw) > 1:
            raise BadNode(f"the empty trie's node is one byte, this one has {len(raw)}")
        return Node(b"", None, None)
    kind = head >> 6
    if kind:
        size, hashed, branch, valued, largest = head & 0x3F, False, kind != _LEAF, kind != _BRANCH, 0x3F
    elif head & 0x20:
        size, hashed, branch, valued, largest = head & 0x1F, True, False, True, 0x1F
    elif head & 0x10:
        size, hashed, branch, valued, largest = head & 0x0F, True, True, True, 0x0F
    else:
        raise BadNode(f"0x{head:02x} begins no trie node")
    at = 1
    if size == largest:
        while True:
            more = raw[at]
            at += 1
            size += more
            if more != 255:
                break
    packed = raw[at : at + (size + 1) // 2]
    at += (size + 1) // 2
    partial = nibbles(packed)[size % 2 :]
    slots: tuple[int, ...] = ()
    if branch:
        slots = SLOTS_LOW[raw[at]] + SLOTS_HIGH[raw[at + 1]]
        at += 2
    value: bytes | HashedValue | None = None
    if valued and hashed:
        value, at = HashedValue(_slice(raw, at, HASH_LENGTH)), at + HASH_LENGTH
    elif valued:
        length, at = _compact(raw, at)
        value, at = _slice(raw, at, length), at + length
    children: tuple[bytes | None, ...] | None = None
    if branch:
        children, at = _children(raw, at, slots)
    if at != len(raw):
        raise BadNode(f"a trie node of {len(raw)} bytes ends at byte {at}")
    return Node(partial, children, value)


def _children(raw: bytes, at: int, slots: tuple[int, ...]) -> tuple[tuple[bytes | None, ...], int]:
    children: list[bytes | None] = [None] * 16
    if slots and len(raw) > at and not raw[at] & 3:
        stride, marks, fields = run_of_fields(len(slots), raw[at])
        if len(raw) == at + fields.size and raw[at::stride] == marks:
            for slot, child in zip(slots, fields.unpack_from(raw, at), strict=True):
                children[slot] = child
            return tuple(children), len(raw)
    for slot in slots:
        length, at = _compact(raw, at)
        children[slot] = _slice(raw, at, length)
        at += length
    return tuple(children), at


@lru_cache(maxsize=1024)  # 16 counts of 64 lengths
def run_of_fields(count: int, mark: int) -> tuple[int, bytes, Struct]:
    """So many fields one behind the other, each behind ``mark``, the compact length that all have (one byte).

    Gives the bytes from one field to the next, what stands at the first one of each, and how to read the run.
    """
    stride = (mark >> 2) + 1
    return stride, bytes([mark]) * count, Struct(f"x{stride - 1}s" * count)


def _slice(raw: bytes, at: int, length: int) -> bytes:
    if at + length > len(raw):
        raise BadNode(f"a trie node of {len(raw)} bytes ends within a field of {length}")
    return raw[at : at + length]


def _compact(raw: bytes, at: int) -> tuple[int, int]:
    mode = raw[at] & 3
    if mode == 0:
        return raw[at] >> 2, at + 1
    if mode == 1:
        return (raw[at] | raw[at + 1] << 8) >> 2, at + 2
    if mode == 2:
        return int.from_bytes(_slice(raw, at, 4), "little") >> 2, at + 4
    raise BadNode("a length in a trie node is over 2^30")


def encode_node(node: Node) -> bytes:
    """The canonical encoding of ``node``; ``decode_node`` gives the same node back."""
    size, hashed = len(node.partial), isinstance(node.value, HashedValue)
    if node.children is None and node.value is None:
        return b"\0"
    if node.children is None:
        out = _header(0b001, 5, size) if hashed else _header(_LEAF, 6, size)
    elif node.value is None:
        out = _header(_BRANCH, 6, size)
    else:
        out = _header(0b0001, 4, size) if hashed else _header(_BRANCH_VALUE, 6, size)
    odd = b"\0" if size % 2 else b""
    out += pack(odd + node.partial)
    if node.children is not None:
        out += sum(1 << slot for slot, child in enumerate(node.children) if child is not None).to_bytes(2, "little")
    if isinstance(node.value, HashedValue):
        out += node.value.hash
    elif node.value is not None:
        out += _compact_bytes(node.value)
    for child in node.children or ():
        if child is not None:
            out += _compact_bytes(child)
    return bytes(out)


def _header(prefix: int, bits: int, size: int) -> bytearray:
    largest = (1 << bits) - 1
    if size < largest:
        return bytearray([prefix << bits | size])
    out, rest = bytearray([prefix << bits | largest]), size - largest
    while rest >= 255:
        out.append(255)
        rest -= 255
    out.append(rest)
    return out


def _compact_bytes(data: bytes) -> bytes:
    length = len(data)
    if length < 1 << 6:
        return bytes([length << 2]) + data
    if length < 1 << 14:
        return (length << 2 | 1).to_bytes(2, "little") + data
    return (length << 2 | 2).to_bytes(4, "little") + data
