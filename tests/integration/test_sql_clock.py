"""What moves with the block alone, and what a runtime is made with: epochs, constants, single values."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from loader import load_tape
from tape import blocks, prefix
from test_sql_states import Chain, FakeRuntime, change, item

from indexer.scale import Runtime

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def chain(database: str, sql: Any) -> Chain:
    """A chain in an empty, migrated database."""
    return Chain(database, sql)


def stored(state: dict[bytes, bytes], name: str, netuid: int) -> int:
    """A number of a subnet, 0 where it is absent."""
    return int.from_bytes(state.get(prefix(f"SubtensorModule.{name}") + struct.pack("<H", netuid), b""), "little")


@pytest.mark.realdata
async def test_before_spec_423_an_epoch_runs_when_none_is_left_to_wait_for(
    database: str, sql: Any, realdata: Path
) -> None:
    """The recorded chain says itself when its epochs ran."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    ran, waited = 0, 0
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        if not recorded.number:
            continue
        for row in await sql.fetch("select * from epoch_status_at($1)", recorded.number):
            netuid = row["netuid"]
            assert row["tempo"] == stored(recorded.state, "Tempo", netuid)
            assert row["blocks_since_last_step"] == stored(recorded.state, "BlocksSinceLastStep", netuid)
            if prefix("SubtensorModule.LastMechansimStepBlock") + struct.pack("<H", netuid) in recorded.changes:
                assert row["blocks_remaining"] == 0
                assert row["next_epoch_start_block"] == recorded.number
                ran += 1
            elif row["blocks_remaining"] != 0:
                waited += 1
            assert row["seconds_remaining"] == row["blocks_remaining"], "one block a second"
    assert ran > 4
    assert waited > 100
    for netuid in range(3):
        (status,) = await sql.fetch("select * from epoch_status_at(50, $1)", [netuid])
        for function, column in (
            ("next_epoch_start_block", "next_epoch_start_block"), ("blocks_until_next_epoch", "blocks_remaining"),
            ("blocks_since_last_step", "blocks_since_last_step"),
        ):  # fmt: skip
            assert await sql.fetchval(f"select {function}($1, 50)", netuid) == status[column]


EPOCH = {item("Tempo"): 10}


async def test_since_spec_423_an_epoch_is_due_a_tempo_after_the_last_or_when_the_owner_asked(chain: Chain) -> None:
    added = [change("NetworksAdded", n, value=True) for n in (1, 2)]
    await chain.block(FakeRuntime(423, EPOCH), [*added, change("LastEpochBlock", 1, value=4)])
    await chain.block(FakeRuntime(423, EPOCH), [change("PendingEpochAt", 1, value=9), change("Tempo", 2, value=0)])
    await chain.block(FakeRuntime(423, EPOCH), [change("PendingEpochAt", 1, value=30)])
    await chain.block(FakeRuntime(423, EPOCH), [change("PendingEpochAt", 1, value=2)])
    await chain.block(FakeRuntime(423, EPOCH), [change("NetworksAdded", 1, value=None)])
    ask = "select netuid, next_epoch_start_block, blocks_remaining, pending_epoch_at from epoch_status_at($1)"
    for block, due, left, pending in ((0, 14, 14, None), (1, 9, 8, 9), (2, 14, 12, 30), (3, 2, 0, 2)):
        found = [tuple(row) for row in await chain.sql.fetch(ask, block)]
        assert found == [(1, due, left, pending), (2, *((10, 10) if block == 0 else (None, None)), None)]
    assert [row["netuid"] for row in await chain.sql.fetch(ask, 4)] == [2]
    assert await chain.sql.fetchval("select next_epoch_start_block(1, 4)") is None


async def test_the_rule_is_that_of_the_spec_of_the_block(chain: Chain) -> None:
    await chain.block(FakeRuntime(422, EPOCH), [change("NetworksAdded", 3, value=True)])
    for _ in range(6):
        await chain.block(FakeRuntime(422, EPOCH))
    await chain.block(FakeRuntime(423, EPOCH), [change("LastEpochBlock", 3, value=5)])
    waits = [await chain.sql.fetchval("select blocks_until_next_epoch(3, $1)", block) for block in range(8)]
    assert waits == [6, 5, 4, 3, 2, 1, 0, 8]


@pytest.mark.realdata
@pytest.mark.parametrize("metadata", ["spec103.v14", "spec233.v14", "spec240.v15", "spec300.v15", "spec424.v16"])
async def test_every_constant_of_a_runtime_is_told(chain: Chain, realdata: Path, metadata: str) -> None:
    runtime = Runtime.from_metadata((realdata / f"metadata/{metadata}.scale").read_bytes())
    constants = {(pallet, name): value for pallet, name, value in runtime.constants()}
    await chain.block(FakeRuntime(runtime.spec_version, constant=constants))
    rows = await chain.sql.fetch("select * from runtime_constants")
    assert {(row["pallet"], row["name"]) for row in rows} == set(constants)
    assert rows == await chain.sql.fetch("select * from runtime_constants_at()")
    numbers = {key: value for key, value in constants.items() if type(value) is int}
    assert {(row["pallet"], row["name"]): row["value"] for row in rows if row["value"] is not None} == numbers
    assert len(numbers) > 30
    seconds = {103: 12, 240: Decimal("0.25"), 300: 1}.get(runtime.spec_version, 12)
    assert await chain.sql.fetchval("select block_time()") == seconds
    assert await chain.sql.fetchval("select is_fast_blocks()") is (runtime.spec_version == 240)
    assert await chain.sql.fetchval("select existential_deposit()") == 500


async def test_constants_are_those_of_the_runtime_that_executed_the_block(chain: Chain) -> None:
    old = FakeRuntime(1, constant={("Balances", "ExistentialDeposit"): 500, ("Gone", "Flag"): True})
    new = FakeRuntime(2, constant={("Balances", "ExistentialDeposit"): 900, ("Aura", "SlotDuration"): 250})
    for runtime in (old, old, new):
        await chain.block(runtime)
    found = [await chain.sql.fetchval("select existential_deposit($1)", block) for block in range(3)]
    assert found == [500, 500, 900]
    ask = "select pallet || '.' || name from runtime_constants_at($1, $2, $3) order by 1"
    for given, expected in (
        ((1, None, None), ["Balances.ExistentialDeposit", "Gone.Flag"]),
        ((2, None, None), ["Aura.SlotDuration", "Balances.ExistentialDeposit"]),
        ((2, ["Aura"], None), ["Aura.SlotDuration"]),
        ((1, None, ["Flag"]), ["Gone.Flag"]),
        ((2, ["Gone"], ["Flag"]), []),
    ):
        assert [row[0] for row in await chain.sql.fetch(ask, *given)] == expected
    assert await chain.sql.fetchval("select block_time(1)") is None
    assert await chain.sql.fetchval("select is_fast_blocks(2)")


async def test_single_values_hold_until_they_are_written_again(chain: Chain) -> None:
    key, other = b"\xff\x01" * 592, b"\xfe" * 1184
    await chain.block(
        FakeRuntime(475), [change("MevShield.NextKey", value=key), change("Sudo.Key", value=b"\x07" * 32)]
    )
    await chain.block(FakeRuntime(475), [change("MevShield.NextKey", value=other)])
    await chain.block(FakeRuntime(475), [change("MevShield.NextKey", value=None)])
    ask = "select value ->> 'hex' from chain_values_at($1, array['MevShield.NextKey'])"
    assert [await chain.sql.fetchval(ask, block) for block in range(3)] == [key.hex(), other.hex(), None]
    assert [row["name"] for row in await chain.sql.fetch("select * from chain_values_at(2)")] == ["Sudo.Key"]
