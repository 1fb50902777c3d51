"""A block as a node tells it, held against the hash that names it: its header, and its extrinsics.

Pure. A header is believed if it hashes to what was asked for, a body if the ordered trie of its extrinsics has
the root that the header states. Knows JSON and bytes, never what an extrinsic means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from indexer.errors import ProofError
from indexer.model import BlockRef, Header
from indexer.subtrie import Pairs
from indexer.trie import EMPTY_ROOT, blake2_256

_HEIGHT = re.compile("0x[0-9a-fA-F]{1,8}")  # the chain counts blocks in 32 bits


def height(number: Any) -> int:
    """The height that a header tells as ``number``. Raises ``ValueError`` for what is none."""
    if not isinstance(number, str) or not _HEIGHT.fullmatch(number):
        raise ValueError("no height")
    return int(number, 16)


def parse_header(header: Any, block_hash: bytes | None, endpoint: str) -> Header:
    """A checked header from its JSON form; ``block_hash = None`` takes the hash it has."""
    try:
        parent, state, body = (bytes.fromhex(header[key][2:]) for key in ("parentHash", "stateRoot", "extrinsicsRoot"))
        number = height(header["number"])
        digest = tuple(bytes.fromhex(entry[2:]) for entry in header["digest"]["logs"])
    except (KeyError, TypeError, ValueError):
        raise ProofError(f"{endpoint} sent a header that is none") from None
    own_hash = header_hash(parent, number, state, body, digest)
    if block_hash is not None and own_hash != block_hash:
        raise ProofError(f"{endpoint} sent a header for 0x{block_hash.hex()} that hashes to 0x{own_hash.hex()}")
    return Header(BlockRef(number, own_hash), parent, state, body, digest)


def header_hash(
    parent: bytes, number: int, state_root: bytes, extrinsics_root: bytes, digest: Sequence[bytes]
) -> bytes:
    """blake2b-256 of the SCALE encoded header (``sp_runtime::generic::Header``)."""
    encoded = parent + _compact(number) + state_root + extrinsics_root + _compact(len(digest)) + b"".join(digest)
    return blake2_256(encoded)


def body_of(block: Any, endpoint: str) -> tuple[bytes, ...]:
    """The extrinsics in the JSON form of a block. Raises ``ProofError`` for what is none."""
    try:
        return tuple(bytes.fromhex(extrinsic[2:]) for extrinsic in block["block"]["extrinsics"])
    except (KeyError, TypeError, ValueError):
        raise ProofError(f"{endpoint} sent a block that is none") from None


def is_body_of(header: Header, extrinsics: Sequence[bytes]) -> bool:
    """Whether these are the block's extrinsics, all of them and in this order.

    The root is that of a trie by compact index, in layout V0 (values stand in their nodes); runtimes from
    ``system_version`` 2 on use V1. Either proves the body, as both bind every byte of it.
    """
    return header.extrinsics_root in (ordered_root(extrinsics, layout) for layout in (0, 1))


def ordered_root(values: Sequence[bytes], layout: int) -> bytes:
    """The root of the trie of a list, keyed by compact index, in trie layout 0 or 1."""
    if not values:
        return EMPTY_ROOT
    keyed = sorted((_compact(index), value) for index, value in enumerate(values))
    found = Pairs([key for key, _ in keyed], [value for _, value in keyed], values_inline=layout == 0)
    return blake2_256(found.node())


def _compact(number: int) -> bytes:
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    if number < 1 << 30:
        return (number << 2 | 2).to_bytes(4, "little")
    body = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return bytes([(len(body) - 4) << 2 | 3]) + body
