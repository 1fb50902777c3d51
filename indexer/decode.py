"""Raw changes to typed ones, with the runtime that executed the block, and on to rows.

Pure. Block N is decoded with the runtime found in the state of N-1, for that one executed it. An
item that this runtime no longer lists keeps the last type it had: the chain has let items leave
the metadata while their rows still decided stakes (spec 473).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from indexer.capture import EVENTS, TIMESTAMP
from indexer.coverage import NO_BODY, NOT_PROVEN, SCANNED
from indexer.datasets import is_item
from indexer.datasets.base import Dataset, no_note
from indexer.errors import DecodeError
from indexer.model import Block, BlockRows, Captured, Change, EventRecord, HashedValue, ItemRef, Row, RuntimeMet
from indexer.scale import Runtime, StorageItem

CHANGES_PER_STRETCH = 5_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """One block, typed."""

    block: Block
    changes: Mapping[ItemRef, list[Change]]
    """Changes by item, each list in key order."""
    untyped: frozenset[ItemRef]
    """Items with stored rows whose type no runtime known so far tells: their rows are left out, and
    the block is not complete."""


def decode(
    captured: Captured,
    runtime: Runtime,
    item_of: Mapping[bytes, ItemRef],
    last_type: Callable[[ItemRef], StorageItem | None],
    progressed: Callable[[], None] = lambda: None,
) -> Decoded:
    """Decode a block. ``last_type`` gives the type of an item that ``runtime`` does not list.

    ``progressed`` is called for each stretch of many changes; what it raises ends the work.
    Raises ``DecodeError`` naming block, pallet, item and key.
    """
    number = captured.header.ref.number
    events = _events(captured, runtime)
    changes: dict[ItemRef, list[Change]] = {}
    met: dict[bytes, tuple[ItemRef, StorageItem | None, list[Change]]] = {}
    untyped: set[ItemRef] = set()
    for at, (key, raw) in enumerate(captured.changes, 1):
        if at % CHANGES_PER_STRETCH == 0:
            progressed()
        prefix = key[:32]
        if prefix not in met:
            item = item_of[prefix]
            kind = runtime.item(item) or last_type(item)
            met[prefix] = item, kind, [] if kind is None else changes.setdefault(item, [])
        item, kind, own = met[prefix]
        if kind is None:
            untyped.add(item)
            continue
        assert not isinstance(raw, HashedValue), "only the code is captured by hash"
        try:
            value = None if raw is None else kind.decode(raw)
            own.append(Change(item, kind.split_key(key), value, raw, key[32:], kind))
        except DecodeError as error:
            error.where = f"block {number}: {item} under key 0x{key.hex()} (runtime {runtime.spec_version}):"
            error.item, error.raw = str(item), raw or b""
            raise
    block = Block(
        number=number,
        hash=captured.header.ref.hash,
        parent_hash=captured.header.parent_hash,
        state_root=captured.header.state_root,
        extrinsics_root=captured.header.extrinsics_root,
        digest=captured.header.digest,
        spec_version=runtime.spec_version,
        extrinsic_count=_extrinsic_count(events),
        complete=captured.proven and not untyped,
        bootstrap=captured.bootstrap,
        runtime_changed=captured.runtime_changed,
        reads=_values(captured, captured.reads, runtime),
        parent_reads=_values(captured, captured.parent_reads, runtime),
        events=events,
        extrinsics=captured.extrinsics,
    )
    return Decoded(block, changes, frozenset(untyped))


def _values(
    captured: Captured, reads: Mapping[ItemRef, bytes | None], runtime: Runtime
) -> dict[ItemRef, object | None]:
    values: dict[ItemRef, object | None] = {}
    for item, raw in reads.items():
        kind = runtime.item(item)
        if item == EVENTS or kind is None:
            continue
        try:
            values[item] = runtime.default(item) if raw is None else kind.decode(raw)
        except DecodeError as error:
            error.where = f"block {captured.header.ref.number}: {item} (runtime {runtime.spec_version}):"
            error.item, error.raw = str(item), raw or b""
            raise
    return values


def _events(captured: Captured, runtime: Runtime) -> tuple[EventRecord, ...]:
    raw = captured.reads.get(EVENTS)
    if not raw or captured.header.ref.number == 0:  # block 0 executes nothing; its state may be a copied one
        return ()
    try:
        return tuple(runtime.decode_events(raw))
    except DecodeError as error:
        error.where = f"block {captured.header.ref.number}: {EVENTS} (runtime {runtime.spec_version}):"
        error.item, error.raw = str(EVENTS), raw
        raise


def _extrinsic_count(events: Sequence[EventRecord]) -> int:
    """Extrinsics of the block, from its proven events: each applied one ends in ExtrinsicSuccess or ExtrinsicFailed."""
    return 1 + max((event.extrinsic_index for event in events if event.extrinsic_index is not None), default=-1)


def rows_of(dataset: Dataset, block: Block, changes: Mapping[ItemRef, Sequence[Change]], runtime: Runtime) -> list[Row]:
    """What a block gives to a dataset. Raises ``DecodeError`` naming block, item, key and bytes."""
    own = [change for item in dataset.items for change in changes.get(item, ())]
    try:
        return list(dataset.rows(block, own, runtime))
    except DecodeError as error:
        error.where = f"block {block.number}: {error.where}"
        for change in own:
            try:
                list(dataset.rows(block, [change], runtime))
            except DecodeError:
                error.item, error.raw = str(change.item), change.raw or b""
                break
        error.datasets = (dataset.name,)
        raise


def stopped_by(error: DecodeError, datasets: Sequence[Dataset]) -> tuple[str, ...]:
    """Those of ``datasets`` that cannot go on without what was not decoded; all of them for what every one needs."""
    if error.datasets:
        return error.datasets
    names = tuple(dataset.name for dataset in datasets)
    if error.item == str(EVENTS) and "blocks" in names:
        return ("blocks",)
    concerned = (
        dataset.name
        for dataset in datasets
        if error.item in map(str, (*dataset.items, *dataset.reads, *dataset.parent_reads))
    )
    return tuple(concerned) or names


def doubt(captured: Captured, decoded: Decoded) -> str | None:
    """What speaks against a block, for people."""
    if decoded.untyped:
        return f"no known runtime tells the type of {', '.join(sorted(map(str, decoded.untyped)))}"
    if captured.proven:
        return None
    return SCANNED if captured.bootstrap else NOT_PROVEN


def block_rows(
    captured: Captured,
    decoded: Decoded,
    runtime: Runtime,
    datasets: Sequence[Dataset],
    *,
    finalized: bool,
    head: int | None,
    progressed: Callable[[], None] = lambda: None,
) -> BlockRows:
    """All that a block gives to ``datasets``, ready to be written; ``progressed`` is called after each of them.

    Raises ``DecodeError`` as ``rows_of`` does.
    """
    for one in datasets:
        if is_item(one.name) and not decoded.untyped.isdisjoint(one.items):
            raise _untyped(captured.header.ref.number, one)
    rows: list[Row] = []
    for one in datasets:
        rows += rows_of(one, decoded.block, decoded.changes, runtime)
        progressed()
    now_ms = decoded.block.reads.get(TIMESTAMP)
    met = RuntimeMet(captured.code_hash, runtime.spec_version, runtime.raw) if captured.runtime_changed else None
    return BlockRows(
        ref=captured.header.ref,
        parent_hash=captured.header.parent_hash,
        timestamp_ms=now_ms if isinstance(now_ms, int) else None,
        finalized=finalized,
        complete=not decoded.untyped and (captured.proven or captured.bootstrap),
        bootstrap=captured.bootstrap,
        rows=tuple(rows),
        runtime=met,
        doubt=doubt(captured, decoded),
        doubts={one.name: NO_BODY for one in datasets if one.bodies and captured.extrinsics is None},
        notes={one.name: one.note(runtime) for one in datasets if one.note is not no_note} if met else {},
        head=head,
    )


def _untyped(number: int, dataset: Dataset) -> DecodeError:
    """Keys are stored of an item that no runtime met so far lists: others need not be incomplete for it."""
    problem = "keys are stored, and no runtime met so far tells their type: begin at a block whose runtime lists it"
    error = DecodeError(problem, where=f"block {number}: {dataset.name}:")
    error.item, error.datasets = dataset.name, (dataset.name,)
    return error
