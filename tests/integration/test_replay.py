"""Acceptance: the recorded chain, served by a node, through the whole path, against what is known of it.

A replayed tape has true state roots of its own, so these runs prove every block; the tables must then
equal the recorded state at every block, and the runtime's own answers where there are any.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import oracle
import pytest
from storage_of_rows import Hyperparameters, storage_at, storage_now
from tape import State, answers, blocks, prefix

from indexer import daemon
from indexer.config import Settings
from indexer.datasets import load
from indexer.devchain.server import DevNode
from indexer.devchain.tape import load_tape

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

TRACKED = {prefix(str(item)) for dataset in load(["all"]) for item in dataset.items}


def tracked(state: State) -> State:
    """The part of a state that datasets track."""
    return {key: value for key, value in state.items() if key[:32] in TRACKED}


def parameters(realdata: Path) -> Hyperparameters:
    """The list of parameters beside the data."""
    return Hyperparameters(realdata.parent / "HYPERPARAMS_2026-10.tsv")


@asynccontextmanager
async def indexed(database: str, tape: Path, metadata: Path) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Index the whole tape into the database; yields a connection to it."""
    chain = load_tape(tape, metadata)
    chain.grow(10_000)
    chain.finalize(chain.best.number)
    async with DevNode(chain) as node:
        settings = Settings(
            network=(node.url,), database_url=database, start="genesis", stop=chain.best.number, metrics_address=None,
            datasets=("all",), workers=3, batch=10,
        )  # fmt: skip
        await daemon.serve(settings)
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


async def tables_equal_the_tape(connection: asyncpg.Connection[Any], tape: Path, names: Hyperparameters) -> int:
    """At every block, the tables as of that block are the state in the tape, for every tracked map."""
    compared = 0
    expected: State = {}
    for recorded in blocks(tape):
        expected = tracked(recorded.state)
        found = await storage_at(connection, recorded.number, names)
        differing = {key.hex() for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
        assert not differing, f"block {recorded.number}: {sorted(differing)[:5]}"
        compared += len(expected)
    assert await storage_now(connection, names) == expected
    return compared


async def every_block_is_complete(connection: asyncpg.Connection[Any], last: int) -> None:
    """Coverage says: from genesis to the last block, complete, for every dataset."""
    ranges = await connection.fetch("select dataset, first_block, last_block, complete from coverage order by 1")
    assert [tuple(record) for record in ranges] == [(dataset.name, 0, last, True) for dataset in load(["all"])]
    assert await connection.fetchval("select count(*) from blocks where complete") == last + 1


async def test_the_tape_of_specs_293_and_300_is_indexed_exactly(database: str, realdata: Path) -> None:
    tape = realdata / "tape/blocks.jsonl.gz"
    keys = [bytes.fromhex(key) for key in json.loads((realdata / "tape/accounts.json").read_text()).values()]
    async with indexed(database, tape, realdata / "metadata") as connection:
        await every_block_is_complete(connection, 88)
        assert await tables_equal_the_tape(connection, tape, parameters(realdata)) > 10_000
        stakes = fields = prices = 0
        for block, given in answers(realdata / "tape/oracle.jsonl.gz").items():
            stakes += await oracle.stakes_agree(connection, block, given["stake_info_for_coldkeys"])
            for netuid in (0, 1, 2):
                fields += await oracle.hyperparameters_agree(connection, block, netuid, given[f"hyper_{netuid}"])
                prices += await oracle.price_agrees(connection, block, netuid, given[f"price_{netuid}"])
        assert (stakes, fields, prices) == (631, 2739, 83)
        for recorded in blocks(tape):
            await oracle.balances_agree(connection, recorded.number, recorded.state, keys)


async def test_the_tape_of_spec_143_is_indexed_exactly(database: str, realdata: Path) -> None:
    tape = realdata / "tape/blocks_spec143.jsonl.gz"
    names = json.loads((realdata / "tape/accounts_spec143.json").read_text())
    keys = [bytes.fromhex(key) for key in names.values()]
    async with indexed(database, tape, realdata / "metadata") as connection:
        await every_block_is_complete(connection, 41)
        assert await tables_equal_the_tape(connection, tape, parameters(realdata)) > 1_000
        authorities = None
        for recorded in blocks(tape):
            await oracle.balances_agree(connection, recorded.number, recorded.state, keys)
            await oracle.plain_stakes_agree(connection, recorded.number, recorded.state)
            if authorities is not None:
                await oracle.author_agrees(connection, recorded.number, recorded.line, authorities)
            authorities = recorded.state[prefix("Aura.Authorities")]
