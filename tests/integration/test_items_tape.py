"""Any storage item on the recorded chain: those that no dataset tracks, lossless and exact at every block."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest
from running import index
from tape import State, blocks, prefix
from verifying import the_cause

from indexer.datasets import load
from indexer.devchain.server import DevNode
from indexer.devchain.tape import load_tape
from indexer.node import open_node
from indexer.scale import Runtime
from indexer.verify import verify

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

TRACKED = {str(item) for dataset in load() for item in dataset.items}


def untracked(tape: Path, metadata: Path) -> tuple[str, ...]:
    """Items that are stored in the tape, and that no dataset tracks."""
    seen = {key[:32] for recorded in blocks(tape) for key in recorded.changes}
    names = {str(name) for spec in (293, 300) for name in _runtime(metadata, spec).names()}
    return tuple(sorted(name for name in names - TRACKED if prefix(name) in seen))


def _runtime(metadata: Path, spec: int) -> Runtime:
    return Runtime.from_metadata((metadata / f"spec{spec}.v15.scale").read_bytes())


async def test_items_that_no_dataset_tracks_are_indexed_exactly(database: str, realdata: Path) -> None:
    tape, metadata = realdata / "tape/blocks.jsonl.gz", realdata / "metadata"
    items = untracked(tape, metadata)
    assert len(items) > 20
    chain = load_tape(tape, metadata)
    chain.grow(10_000)
    last = chain.best.number
    chain.finalize(last)
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=last, item=items, datasets=("blocks",), batch=10)
        with the_cause():
            async with open_node([devnode.url]) as node:
                report = await verify(node, database, load(["blocks", *items]))
        assert (report.differences, report.skipped, report.maps) == ((), (), len(items))
    connection = await asyncpg.connect(database)
    compared = 0
    for recorded in blocks(tape):
        expected = _of(items, recorded.state)
        rows = await connection.fetch(
            "SELECT item.name, told.key_raw, told.value_raw "
            "FROM unnest($1::text[]) AS item(name), storage_at($2, item.name) AS told",
            items,
            recorded.number,
        )
        assert {(row["name"], row["key_raw"]): row["value_raw"] for row in rows} == expected, recorded.number
        compared += len(expected)
    runtime = _runtime(metadata, 300)
    for row in await connection.fetch("SELECT * FROM storage_values"):
        kind = next(item for item in runtime.items() if item.ref == (row["pallet"], row["item"]))
        assert kind.encode(kind.decode(row["value_raw"])) == row["value_raw"]
        assert json.loads(row["key"]) == kind.shown_key(kind.split_key(kind.prefix + row["key_raw"]))
    await connection.close()
    assert compared > 1_000


def _of(items: tuple[str, ...], state: State) -> dict[tuple[str, bytes], bytes]:
    names = {prefix(item): item for item in items}
    return {(names[key[:32]], key[32:]): value for key, value in state.items() if key[:32] in names}
