"""Tables and as-of functions against the recorded chain, block by block, without the pipeline."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import oracle
import pytest
from loader import load_tape
from storage_of_rows import Hyperparameters, storage_at, storage_now
from tape import State, answers, blocks, prefix

from indexer.datasets import load

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

TRACKED = {prefix(str(item)) for dataset in load() for item in dataset.items}


def tracked(state: State) -> State:
    """The part of a state that datasets track."""
    return {key: value for key, value in state.items() if key[:32] in TRACKED}


@pytest.fixture
async def finney(database: str, realdata: Path) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A database holding the tape of specs 293 and 300."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def before_dtao(database: str, realdata: Path) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A database holding the tape of spec 143."""
    await load_tape(database, realdata / "tape/blocks_spec143.jsonl.gz", {143: realdata / "metadata/spec143.v14.scale"})
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def parameters(realdata: Path) -> Hyperparameters:
    return Hyperparameters(realdata.parent / "HYPERPARAMS_2026-10.tsv")


async def tables_equal_the_state_at_every_block(
    connection: asyncpg.Connection[Any], file: Path, names: Hyperparameters
) -> int:
    """Rebuilds storage from the tables as of each block; returns how many keys were compared."""
    compared, last = 0, {}
    for recorded in blocks(file):
        expected = tracked(recorded.state)
        found = await storage_at(connection, recorded.number, names)
        differing = {k.hex() for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)}
        assert not differing, f"block {recorded.number}: {sorted(differing)[:5]}"
        compared, last = compared + len(expected), expected
    assert await storage_now(connection, names) == last
    return compared


async def test_tables_give_back_every_tracked_key_at_every_block(
    finney: asyncpg.Connection[Any], realdata: Path
) -> None:
    compared = await tables_equal_the_state_at_every_block(
        finney, realdata / "tape/blocks.jsonl.gz", parameters(realdata)
    )
    assert compared > 10_000


async def test_tables_give_back_every_tracked_key_of_the_old_layout(
    before_dtao: asyncpg.Connection[Any], realdata: Path
) -> None:
    compared = await tables_equal_the_state_at_every_block(
        before_dtao, realdata / "tape/blocks_spec143.jsonl.gz", parameters(realdata)
    )
    assert compared > 1_000


async def test_stakes_hyperparameters_and_prices_are_what_the_runtime_answers(
    finney: asyncpg.Connection[Any], realdata: Path
) -> None:
    stakes = fields = prices = 0
    for block, given in answers(realdata / "tape/oracle.jsonl.gz").items():
        stakes += await oracle.stakes_agree(finney, block, given["stake_info_for_coldkeys"])
        for netuid in (0, 1, 2):
            fields += await oracle.hyperparameters_agree(finney, block, netuid, given[f"hyper_{netuid}"])
            prices += await oracle.price_agrees(finney, block, netuid, given[f"price_{netuid}"])
    print(stakes, fields, prices)
    assert stakes > 300
    assert fields > 2_407
    assert prices > 75


async def test_balances_as_of_any_block_are_those_of_the_state(finney: asyncpg.Connection[Any], realdata: Path) -> None:
    accounts = [bytes.fromhex(key) for key in json.loads((realdata / "tape/accounts.json").read_text()).values()]
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        await oracle.balances_agree(finney, recorded.number, recorded.state, accounts)


async def test_balances_of_the_old_layout_are_those_of_the_state(
    before_dtao: asyncpg.Connection[Any], realdata: Path
) -> None:
    names = json.loads((realdata / "tape/accounts_spec143.json").read_text())
    accounts = [bytes.fromhex(key) for key in names.values()]
    for recorded in blocks(realdata / "tape/blocks_spec143.jsonl.gz"):
        await oracle.balances_agree(before_dtao, recorded.number, recorded.state, accounts)
