"""What came into stake and went out of it, what a share is worth, and which block a moment is in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from anyio.from_thread import BlockingPortal
from loader import load_tape
from made_blocks import block
from oracle import public_key, stake_info
from tape import answers

from indexer import datasets
from indexer.store import open_store

pytestmark = pytest.mark.anyio

HUGO = "5DvhMMCqcNPVPT9vnifbADvGbZaKeyLSuETFyBVYG7W4v2Kf"
BEGIN = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def tape(_portal: BlockingPortal, shared_database: str, realdata: Path) -> str:
    """A database that holds the recorded chain."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    _portal.call(load_tape, shared_database, realdata / "tape/blocks.jsonl.gz", metadata)
    return shared_database


async def fetch(dsn: str, query: str, *arguments: object) -> list[Any]:
    """The rows of one statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


@pytest.mark.realdata
async def test_what_nominators_gained_beyond_their_flows_is_the_growth_of_a_share(tape: str, realdata: Path) -> None:
    """Against the runtime's own stakes, at every pair of neighbouring oracle blocks."""
    told = {n: stake_info(given["stake_info_for_coldkeys"]) for n, given in answers(realdata / "tape/oracle.jsonl.gz")
            .items()}  # fmt: skip
    at = sorted(told)
    compared = 0
    for first, last in pairwise(at):
        flows: dict[tuple[bytes, bytes, int], int] = {}
        for row in await fetch(tape, "select * from stake_flows($1, $2)", first, last):
            key = (public_key(row["hotkey"]), public_key(row["coldkey"]), row["netuid"])
            flows[key] = flows.get(key, 0) + row["flow_rao"]
        for key in (told[first].keys() & told[last].keys()) - flows.keys():
            hotkey, _, netuid = key
            query = "select alpha_per_share($1, $2, $4) / alpha_per_share($1, $2, $3)"
            ((growth,),) = await fetch(tape, query, netuid, f"0x{hotkey.hex()}", first, last)
            assert abs(told[first][key] * growth - told[last][key]) < 2, (first, last, key)
            compared += 1
        for key in told[first].keys() ^ told[last].keys():
            # Came or went altogether: the flow is all of it, to a rao, as nothing was earned in these blocks.
            assert abs(told[last].get(key, 0) - told[first].get(key, 0) - flows[key]) <= 1, (first, last, key)
            compared += 1
    assert compared > 400


@pytest.mark.realdata
async def test_flows_of_chosen_keys_are_those_among_all(tape: str) -> None:
    every = [tuple(row) for row in await fetch(tape, "select * from stake_flows(10, 60)")]
    assert len(every) > 30
    for column, position in (("hotkey", 1), ("coldkey", 2), ("netuid", 3)):
        kind = "integer" if column == "netuid" else "text"
        for value in {row[position] for row in every}:
            query = f"select * from stake_flows(10, 60, of_{column} => array[$1::{kind}])"
            found = [tuple(row) for row in await fetch(tape, query, value)]
            assert sorted(map(repr, found)) == sorted(repr(row) for row in every if row[position] == value)
    assert await fetch(tape, "select * from stake_flows(10, 60, of_coldkey => array[]::text[])") == []


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("stake_flows(-1, 5)", "block -1 is not indexed"),
        ("stake_flows(5, 89)", "block 89 is not indexed"),
        (f"stake_flows(5, of_coldkey => array['{HUGO[:-1]}g'])", "wrong checksum"),
        (f"alpha_per_share(1, '{HUGO}', 89)", "block 89 is not indexed"),
        ("alpha_per_share(1, 'nobody')", "is not an SS58 address"),
        ("block_at('2025-07-01 00:00:00Z')", "no block of .* or before is indexed: the first one is of"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_that_says_why(tape: str, call: str, message: str) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match=message):
        await fetch(tape, f"select * from {call}")


@pytest.mark.realdata
async def test_where_there_is_no_pool_a_share_is_worth_nothing_told(tape: str) -> None:
    assert [row[0] for row in await fetch(tape, f"select alpha_per_share(1, '{HUGO}')")] in ([], [None])
    assert await fetch(tape, "select block_at(null)") == [(None,)]


async def test_a_moment_is_in_the_last_block_that_is_not_after_it_also_across_a_hole(database: str) -> None:
    times = {5: 0, 6: 12, 7: 24, 20: 180, 21: 192, 22: 204}
    async with open_store(database) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for number in times:
            await store.write([block(number, first=5)], datasets.load(["blocks"]))
    with pytest.raises(asyncpg.InvalidParameterValueError, match="the first one is of no time"):
        await fetch(database, "select block_at(now())")
    for number, seconds in times.items():
        time = BEGIN + timedelta(seconds=seconds)
        await fetch(database, 'update blocks set "timestamp" = $1 where block_number = $2', time, number)
    for second in range(0, 220):
        expected = max(number for number, seconds in times.items() if seconds <= second)
        found = await fetch(database, "select block_at($1)", BEGIN + timedelta(seconds=second))
        assert found == [(expected,)], second
    with pytest.raises(asyncpg.InvalidParameterValueError, match="no block of"):
        await fetch(database, "select block_at($1)", BEGIN - timedelta(seconds=1))
