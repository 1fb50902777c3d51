"""The view status: what a dashboard needs, in SQL alone, and the command that draws from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from running import index, indexer_async
from verifying import connected

from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

SLOT_S = 12


async def rows(dsn: str) -> dict[str, dict[str, Any]]:
    async with connected(dsn) as connection:
        return {row["dataset"]: dict(row) for row in await connection.fetch("SELECT * FROM status")}


async def test_an_empty_database_has_an_empty_status(database: str) -> None:
    assert await rows(database) == {}


async def test_how_far_how_complete_and_how_late_each_dataset_is(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(12)
    chain.finalize(12)
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=4, datasets=("blocks", "stake", "balances"))
        await index(database, devnode.url, stop=8, datasets=("blocks", "stake"))
    found = await rows(database)
    lead, left = found["stake"], found["balances"]
    assert found.keys() == {"blocks", "stake", "balances"}
    assert (lead["state"], left["state"]) == ("followed", "left")
    assert (lead["start_block"], lead["committed_block"], lead["finalized_block"]) == (0, 8, 8)
    assert lead["committed_hash"] == "0x" + chain.at(8).hash.hex()
    assert (lead["head_block"], lead["lag_blocks"], lead["chain_lag_seconds"]) == (12, 4, 4 * SLOT_S)
    assert (left["head_block"], left["lag_blocks"], left["chain_lag_seconds"]) == (12, 8, 8 * SLOT_S)
    assert left["lag_seconds"] - lead["lag_seconds"] == 4 * SLOT_S
    assert (lead["complete_blocks"], lead["complete_ranges"], lead["incomplete_ranges"]) == (9, "[[0, 8]]", "[]")
    assert "no longer in the configuration" in left["note"]
    assert lead["note"] is None
    again = await rows(database)
    assert again["stake"]["lag_seconds"] > lead["lag_seconds"], "it stood still while nothing was committed"


async def test_what_is_behind_not_complete_missing_or_stopped_is_told_with_its_reason(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(8)
    chain.finalize(8)
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=4, datasets=("blocks", "stake", "balances"))
        await index(database, devnode.url, stop=8, datasets=("blocks", "stake"))
    async with connected(database) as connection:
        await connection.execute("UPDATE cursors SET is_followed = true")
        await connection.execute("DELETE FROM coverage WHERE dataset = 'stake'")
        await connection.execute(
            "INSERT INTO coverage VALUES ('stake', 0, 2, true, NULL), ('stake', 5, 6, false, 'no proofs'), "
            "('stake', 7, 8, true, NULL)"
        )
        await connection.execute("INSERT INTO holes VALUES ('stake', 3, 4, 'dropped', now())")
        await connection.execute("INSERT INTO holes VALUES ('System.Events', 3, NULL, 'cannot be read', now())")
    found = await rows(database)
    assert found["balances"]["state"] == "behind"
    assert found["stake"]["complete_ranges"] == "[[0, 2], [7, 8]]"
    assert found["stake"]["incomplete_ranges"] == "[[5, 6]]"
    assert (found["stake"]["complete_blocks"], found["stake"]["incomplete_blocks"]) == (5, 2)
    assert json.loads(found["stake"]["gaps"]) == [
        {"first_block": 3, "last_block": 4, "reason": "dropped"},
        {"first_block": 5, "last_block": 6, "reason": "no proofs"},
    ]
    stopped = found["System.Events"]
    assert (stopped["state"], stopped["stopped_at"], stopped["stop_reason"]) == ("stopped", 3, "cannot be read")
    assert (stopped["committed_block"], stopped["note"]) == (None, None)
    machine = json.loads((await indexer_async("status", "--json", "--database-url", database)).out)
    told = {one["dataset"]: one for one in machine["datasets"]}
    assert told["stake"]["ranges"] == [[0, 2, True], [5, 6, False], [7, 8, True]]
    assert told["System.Events"]["committed_block"] is None
    for name, row in found.items():
        for field in ("state", "lag_blocks", "finalized_block", "complete_blocks", "note"):
            assert told[name][field] == row[field]
    people = " ".join((await indexer_async("status", "--database-url", database)).out.split())
    assert "gap 5-6: no proofs (stake)" in people
    assert "cannot be read" in people
