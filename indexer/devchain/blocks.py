"""What a block is before anyone runs it: header, body, the hash that names it. Pure.

Header and digest encodings are Substrate's (``sp_runtime::generic``). The hash of a header is the
blake2b-256 of its encoding, so every field below decides the chain that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexer.devchain.scale_encode import blob, compact, listed, u64
from indexer.devchain.trie_build import Value, ordered_root
from indexer.model import BlockRef, Header
from indexer.trie import blake2_256

CODE_KEY = b":code"
GENESIS_PARENT = bytes(32)
RUNTIME_UPDATED = b"\x08"
"""DigestItem::RuntimeEnvironmentUpdated: this block changed ``:code``."""

_OTHER, _PRE_RUNTIME = b"\x00", b"\x06"


@dataclass(frozen=True, slots=True)
class Body:
    """What executing one block did and what it was made of: all a chain needs to append it."""

    changes: Mapping[bytes, Value | None]
    """Storage keys that differ from the parent's state; None removes."""
    extrinsics: tuple[bytes, ...]
    """Each with its length prefix, as in ``chain_getBlock``."""
    digest: tuple[bytes, ...]
    """Encoded ``DigestItem`` each."""


@dataclass(frozen=True, slots=True)
class ChainBlock:
    """A block of the simulated chain."""

    header: Header
    extrinsics: tuple[bytes, ...]

    @property
    def number(self) -> int:
        """Height; the genesis block is 0."""
        return self.header.ref.number

    @property
    def hash(self) -> bytes:
        """blake2b-256 of the encoded header."""
        return self.header.ref.hash


def seal_block(number: int, parent_hash: bytes, state_root: bytes, body: Body) -> ChainBlock:
    """The block with this state after it; computes extrinsics root and hash."""
    extrinsics_root = ordered_root(body.extrinsics)
    encoded = parent_hash + compact(number) + state_root + extrinsics_root + listed(body.digest)
    ref = BlockRef(number, blake2_256(encoded))
    return ChainBlock(Header(ref, parent_hash, state_root, extrinsics_root, body.digest), body.extrinsics)


def aura_slot(slot: int) -> bytes:
    """The pre-runtime digest that names the block's Aura slot."""
    return _PRE_RUNTIME + b"aura" + blob(u64(slot))


def other_digest(data: bytes) -> bytes:
    """A digest item without meaning; it makes two otherwise equal blocks differ."""
    return _OTHER + blob(data)
