"""Frozen values that travel along the path. No behaviour beyond what a value can say of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

ITEM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\.[A-Za-z][A-Za-z0-9_]{0,99}")
"""A storage item as text, ``Pallet.Item``: both names are identifiers of Rust."""


class ItemRef(NamedTuple):
    """A storage item by the names the chain's metadata gives it."""

    pallet: str
    item: str

    def __str__(self) -> str:
        return f"{self.pallet}.{self.item}"


class BlockRef(NamedTuple):
    """A block by height and hash (32 bytes)."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number} (0x{self.hash.hex()[:8]}…)"


@dataclass(frozen=True, slots=True)
class Header:
    """A block header whose own hash was checked: blake2b-256 of its SCALE encoding is ``ref.hash``."""

    ref: BlockRef
    parent_hash: bytes
    state_root: bytes
    extrinsics_root: bytes
    digest: tuple[bytes, ...]
    """Digest logs as SCALE encoded ``DigestItem`` bytes."""


@dataclass(frozen=True, slots=True)
class HashedValue:
    """A value known only by its blake2b-256 hash (layout V1, values over 32 bytes), bytes not asked for."""

    hash: bytes


class RawChange(NamedTuple):
    """One storage key that differs from the parent block; ``value`` is None if the key was removed."""

    key: bytes
    value: bytes | HashedValue | None


class EventRecord(msgspec.Struct, frozen=True, gc=False):
    """One event, in the order of the block.

    A struct, as thousands are made a second and this is the cheapest to make; none is part of a cycle, so the garbage
    collector need not look at them.
    """

    phase: str
    """``ApplyExtrinsic``, ``Finalization`` or ``Initialization``."""
    extrinsic_index: int | None
    """The extrinsic that was being applied, else None."""
    pallet: str
    name: str
    fields: Any
    """A dict if the event's fields are named, the bare value of a single field without a name, ``()`` if none."""
    topics: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Captured:
    """One block as captured: its header, the exact changes under the tracked prefixes, plain reads."""

    header: Header
    changes: tuple[RawChange, ...]
    """Exact: proven against the header's state root."""
    reads: Mapping[ItemRef, bytes | None]
    """Plain items read in every block, changed or not."""
    parent_reads: Mapping[ItemRef, bytes | None]
    """The same, of the parent's state."""
    code_hash: bytes
    """blake2b-256 of the runtime that executed the block: ``:code`` in the parent's state."""
    runtime_changed: bool
    """True if another runtime executed the parent, and at a bootstrap."""
    bootstrap: bool
    """True if ``changes`` is the whole state under the prefixes, not a difference to the parent."""
    calls: float
    """Messages to a node that it took: those that other blocks shared, in part."""
    proven: bool = True
    """False if the endpoint's word was taken: ``changes`` may then name keys that did not change, and lack some
    that did (unless ``bootstrap``)."""
    extrinsics: tuple[bytes, ...] | None = None
    """The block's body, proven against the header's extrinsics root; None if nobody asked for it, or no
    endpoint has it any more."""


class Kind(Protocol):
    """The part of ``indexer.scale.StorageItem`` that tells decoded keys and values as JSON."""

    def shown_key(self, parts: Sequence[object]) -> list[object]:
        """Decoded key parts as JSON."""
        ...

    def shown_value(self, value: object, raw: bytes) -> object:
        """A decoded value, whose bytes are ``raw``, as JSON."""
        ...


class Change(NamedTuple):
    """One decoded change of a tracked storage item."""

    item: ItemRef
    key: tuple[object, ...]
    """Decoded key parts, accounts as 32 raw bytes; () for a plain value."""
    value: object | None
    """Decoded value, None if the key was removed. Conventions: see ``indexer.scale``."""
    raw: bytes | None
    """The value's SCALE bytes; None if the key was removed."""
    raw_key: bytes = b""
    """What follows the item's prefix in the storage key."""
    kind: Kind | None = None
    """The type it was decoded by."""


@dataclass(frozen=True, slots=True)
class Block:
    """What a dataset may know of a block besides its changes."""

    number: int
    hash: bytes
    parent_hash: bytes
    state_root: bytes
    extrinsics_root: bytes
    digest: tuple[bytes, ...]
    spec_version: int
    """Of the runtime that executed the block."""
    extrinsic_count: int
    complete: bool
    bootstrap: bool
    """The first indexed block: its changes are the whole state."""
    runtime_changed: bool
    """The first block that a new runtime executed, or the first indexed block."""
    reads: Mapping[ItemRef, object | None]
    """Decoded plain items named in ``Dataset.reads`` (``None`` where absent and without default)."""
    parent_reads: Mapping[ItemRef, object | None]
    """The same of the parent's state, named in ``Dataset.parent_reads``."""
    events: tuple[EventRecord, ...] = ()
    """What the block deposited, in order; none at block 0, which executes nothing."""
    extrinsics: tuple[bytes, ...] | None = None
    """Each with its length prefix; None where the body was not asked for, or is had by no endpoint."""


class Row(NamedTuple):
    """One row for a keyed or log table. In a log table (``schema.Log``) it is appended under
    ``(block_number, *key)``. In a keyed table: at this block the row under ``key`` takes these column values.

    ``values`` may name only some columns: the store completes the others from the row before.
    A column that is None says that the storage key behind it is absent; a row all of whose value
    columns are None no longer exists. ``values = None`` removes the row outright.
    """

    table: str
    key: tuple[object, ...]
    values: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class RuntimeMet:
    """A runtime that a block was the first to be executed by."""

    code_hash: bytes
    spec_version: int
    metadata: bytes


@dataclass(frozen=True, slots=True)
class BlockRows:
    """All rows that one block gives to the datasets of one pipeline, ready to be written in order."""

    ref: BlockRef
    parent_hash: bytes
    timestamp_ms: int | None
    finalized: bool
    """True if the node named this very block, by hash, as a finalized head."""
    complete: bool
    bootstrap: bool
    """True if ``rows`` is all there is as of the block: what is stored and not among them no longer exists."""
    rows: tuple[Row, ...]
    runtime: RuntimeMet | None = None
    """Set if another runtime executed the parent, and at a bootstrap."""
    doubt: str | None = None
    """Why the block is not complete, for people; None if it is."""
    notes: Mapping[str, str | None] = field(default_factory=dict)
    """With a ``runtime``: what people have to know of datasets under it (``Dataset.note``), by name."""
    head: int | None = None
    """Height of the followed head when the block was read, if it was known."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """Why the block is not complete for one dataset alone, by its name."""
    staged: int | None = None
    """The first state (``staging``) whose rows, waiting in the database, are the block's too."""
    staged_rows: int = 0
    """How many those are."""

    def doubt_of(self, dataset: str) -> str | None:
        """Why the block is not complete for a dataset; None if it is."""
        return self.doubt or self.doubts.get(dataset)
