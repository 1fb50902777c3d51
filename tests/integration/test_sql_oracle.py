"""The functions that answer what the SDK reads, against the real runtime's own answers at 28 blocks."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import oracle_reads
import pytest
from loader import load_tape
from tape import answers

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

NETUIDS = (0, 1, 2)


@pytest.fixture
async def tape(database: str, realdata: Path) -> AsyncIterator[Any]:
    """A connection to a database that holds the tape of specs 293 and 300."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def given(realdata: Path) -> dict[int, dict[str, bytes]]:
    found = answers(realdata / "tape/oracle.jsonl.gz")
    assert len(found) == 28
    return found


async def test_delegates_are_what_the_runtime_itself_answered_field_by_field(
    tape: Any, given: dict[int, dict[str, bytes]]
) -> None:
    compared = 0
    for block, answer in given.items():
        compared += await oracle_reads.delegates_agree(tape, block, answer["delegates"])
    assert compared == 596


async def test_subnets_are_what_the_runtime_itself_answered_field_by_field(
    tape: Any, given: dict[int, dict[str, bytes]]
) -> None:
    compared = 0
    for block, answer in given.items():
        compared += await oracle_reads.dynamic_agrees(tape, block, answer["dynamic"])
    assert compared == 1660


async def test_stake_of_many_coldkeys_is_what_the_runtime_itself_answered(
    tape: Any, given: dict[int, dict[str, bytes]]
) -> None:
    compared = 0
    for block, answer in given.items():
        compared += await oracle_reads.stakes_for_coldkeys_agree(tape, block, answer["stake_info_for_coldkeys"])
    assert compared == 2524


async def test_hyperparameters_of_all_subnets_are_both_of_the_runtimes_answers(
    tape: Any, given: dict[int, dict[str, bytes]]
) -> None:
    compared = 0
    for block, answer in given.items():
        each = {n: {"v1": answer[f"hyper1_{n}"], "v2": answer[f"hyper_{n}"]} for n in NETUIDS}
        compared += await oracle_reads.subnet_hyperparameters_agree(tape, block, each)
    assert compared == 4980


async def test_prices_are_the_runtimes_to_the_rao(tape: Any, given: dict[int, dict[str, bytes]]) -> None:
    compared = 0
    for block, answer in given.items():
        for row in await tape.fetch("select netuid, price_rao from alpha_prices_at($1)", block):
            assert row["price_rao"] == struct.unpack("<Q", answer[f"price_{row['netuid']}"])[0], (block, row)
            compared += 1
    assert compared == 83
