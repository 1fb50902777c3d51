"""A tape straight into a database: decode, row functions and store, without node, proofs or pipeline.

For tests of tables and SQL. The acceptance test of the whole path is ``test_replay``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tape import Recorded, blocks, prefix

from indexer.capture import EVENTS, Tracked
from indexer.datasets import Dataset, load
from indexer.decode import decode
from indexer.model import BlockRef, BlockRows, Captured, Header, ItemRef, RawChange
from indexer.scale import Runtime, StorageItem
from indexer.store import open_store

DATASETS = load(["all"])
LEFT_OUT = b"\x04\x00\x00\x00"
"""An empty ``System.remark``, unsigned: stands for an extrinsic of which the tape has the hash alone."""


def tracked(datasets: Sequence[Dataset] = DATASETS) -> Tracked:
    """What the datasets together need."""
    items = dict.fromkeys(item for dataset in datasets for item in dataset.items)
    reads = dict.fromkeys([EVENTS, *(item for dataset in datasets for item in dataset.reads)])
    parent_reads = dict.fromkeys(item for dataset in datasets for item in dataset.parent_reads)
    return Tracked(tuple(items), tuple(reads), tuple(parent_reads))


def block_rows(file: Path, metadata: dict[int, Path], datasets: Sequence[Dataset] = DATASETS) -> Iterator[BlockRows]:
    """The rows of every block of a tape; ``metadata`` by spec_version."""
    runtimes = {spec: Runtime.from_metadata(path.read_bytes()) for spec, path in metadata.items()}
    wanted = tracked(datasets)
    parent_reads: dict[ItemRef, bytes | None] = {}
    parent_spec, executed_before = None, None
    for recorded in blocks(file):
        spec = parent_spec or recorded.line["spec_version"]
        captured = _captured(recorded, wanted, parent_reads, runtime_changed=spec != executed_before)
        decoded = decode(captured, runtimes[spec], wanted.item_of, lambda item: _any_type(runtimes, item))
        changes = decoded.changes
        yield BlockRows(
            ref=captured.header.ref,
            parent_hash=captured.header.parent_hash,
            timestamp_ms=None,
            finalized=True,
            complete=True,
            bootstrap=captured.bootstrap,
            rows=tuple(
                row
                for dataset in datasets
                for row in dataset.rows(
                    decoded.block,
                    [change for item in dataset.items for change in changes.get(item, ())],
                    runtimes[spec],
                )
            ),
        )
        parent_reads = {item: recorded.state.get(prefix(str(item))) for item in wanted.parent_reads}
        executed_before, parent_spec = spec, recorded.line["spec_version"]


def _any_type(runtimes: dict[int, Runtime], item: ItemRef) -> StorageItem | None:
    return next((found for runtime in runtimes.values() if (found := runtime.item(item))), None)


def _captured(
    recorded: Recorded, wanted: Tracked, parent_reads: dict[ItemRef, bytes | None], *, runtime_changed: bool
) -> Captured:
    line = recorded.line
    header = Header(
        ref=BlockRef(recorded.number, bytes.fromhex(line["hash"][2:])),
        parent_hash=bytes.fromhex(line["parent"][2:]),
        state_root=bytes(32),
        extrinsics_root=bytes.fromhex(line["extrinsics_root"][2:]),
        digest=tuple(bytes.fromhex(item[2:]) for item in line["digest"]),
    )
    changes = sorted((key, value) for key, value in recorded.changes.items() if key[:32] in wanted.item_of)
    return Captured(
        header=header,
        changes=tuple(RawChange(key, value) for key, value in changes),
        reads={item: recorded.state.get(prefix(str(item))) for item in wanted.reads},
        parent_reads=parent_reads,
        code_hash=bytes(32),
        runtime_changed=runtime_changed,
        bootstrap=recorded.number == 0,
        calls=0,
        extrinsics=tuple(bytes.fromhex(one[2:]) if isinstance(one, str) else LEFT_OUT for one in line["extrinsics"]),
    )


async def load_tape(
    dsn: str, file: Path, metadata: dict[int, Path], batch: int = 7, datasets: Sequence[Dataset] = DATASETS
) -> None:
    """Write a whole tape in runs of ``batch`` blocks."""
    every = list(block_rows(file, metadata, datasets))
    async with open_store(dsn) as store:
        await store.lock_writer()
        for start in range(0, len(every), batch):
            await store.write(every[start : start + batch], datasets)
