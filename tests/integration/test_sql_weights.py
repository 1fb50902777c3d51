"""Weights, bonds and sealed weights in SQL: against the recorded states, and what the tapes do not have."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from loader import load_tape
from made_blocks import block as made
from tape import State, blocks, compact, prefix

from indexer import datasets
from indexer.model import Block, Change, ItemRef
from indexer.scale import ss58_encode
from indexer.store import open_store

pytestmark = pytest.mark.anyio

WEIGHTS, BONDS = prefix("SubtensorModule.Weights"), prefix("SubtensorModule.Bonds")
ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32


@pytest.fixture
async def tape(database: str, realdata: Path) -> AsyncIterator[Any]:
    """A connection to a database that holds the tape of specs 293 and 300, all datasets."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def stored(state: State, item: bytes) -> list[tuple[int, int, int, int, int]]:
    """(netuid, mechanism, uid, target, value) of every pair that a state holds, in order."""
    found = []
    for key, raw in state.items():
        if key[:32] == item:
            index, uid = struct.unpack("<HH", key[32:])
            count, at = compact(raw, 0)
            assert len(raw) == at + 4 * count
            pairs = [struct.unpack_from("<HH", raw, at + 4 * n) for n in range(count)]
            found += [(index % 4096, index // 4096, uid, target, value) for target, value in pairs]
    return sorted(found)


@pytest.mark.realdata
async def test_weights_and_bonds_are_as_stored_at_every_block_and_their_fractions_as_the_sdk_has_them(
    tape: Any, realdata: Path
) -> None:
    seen = {WEIGHTS: 0, BONDS: 0}
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        for item, function, value in ((WEIGHTS, "weights_at", "weight"), (BONDS, "bonds_at", "bond")):
            right = stored(recorded.state, item)
            found = await tape.fetch(f"select * from {function}($1) order by 1, 2, 3, 4", recorded.number)
            assert [(*tuple(row)[:4], row[value]) for row in found] == right, recorded.number
            for row in found:
                of_row = [pair[4] for pair in right if pair[:3] == (row["netuid"], row["mechanism"], row["uid"])]
                whole = sum(of_row) if item == WEIGHTS else 65_535
                wanted = Fraction(row[value], whole) if whole else None
                assert (row["fraction"] is None) == (wanted is None)
                if wanted is not None:
                    assert abs(Fraction(row["fraction"]) - wanted) < Fraction(1, 10**15)
            seen[item] += len(right)
    assert min(seen.values()) > 100, seen


@pytest.mark.realdata
async def test_views_are_the_functions_at_the_last_block_and_filters_are_a_where(tape: Any) -> None:
    for name in ("weights", "bonds"):
        value = name[:-1]
        columns = f"netuid, mechanism, uid, target, {value}, fraction"
        every = await tape.fetch(f"select {columns}, since_block from {name}_at() order by 1, 2, 3, 4")
        assert every == await tape.fetch(f"select {columns}, block_number from {name} order by 1, 2, 3, 4")
        assert len(every) > 3
        for column in ("netuid", "mechanism", "uid", "target"):
            for wanted in ([0], [1], [1, 2], [], [77]):
                asked = f"select {columns}, since_block from {name}_at(null, of_{column} => $1) order by 1, 2, 3, 4"
                found = await tape.fetch(asked, wanted)
                assert found == [row for row in every if row[column] in wanted], (column, wanted)
        with pytest.raises(asyncpg.InvalidParameterValueError, match=f'dataset "{name}": blocks 0 to 88 are'):
            await tape.fetch(f"select * from {name}_at(89)")


async def written(database: str, dataset: str, *changes: tuple[int, str, tuple[object, ...], object]) -> Any:
    """A connection to a database in which blocks have made these changes: (block, item, key, value)."""
    (chosen,) = datasets.load([dataset])
    async with open_store(database) as store:
        await store.lock_writer()
        for number in range(1, 1 + max(change[0] for change in changes)):
            block = Block(number, b"", b"", b"", b"", (), 0, 0, True, number == 1, False, {}, {})
            mine = [
                Change(ItemRef("SubtensorModule", item), key, value, b"")
                for at, item, key, value in changes
                if at == number
            ]
            rows = chosen.rows(block, mine, None)  # type: ignore[arg-type] - storage maps ask the runtime nothing
            await store.write([made(number, *rows)], datasets.load(["blocks", dataset]))
    return await asyncpg.connect(database)


async def test_weights_of_another_mechanism_stand_under_their_subnet_and_end_when_they_are_removed(
    database: str,
) -> None:
    connection = await written(
        database,
        "weights",
        (1, "Weights", (7, 3), [(0, 1), (5, 3)]),
        (1, "Weights", (7 + 4096, 3), [(2, 65_535)]),
        (2, "Weights", (7 + 4096, 3), [(2, 1), (9, 0)]),
        (3, "Weights", (7, 3), None),
        (3, "Weights", (7, 4), []),
        (4, "Weights", (7, 4), [(1, 0)]),
    )
    asked = "select mechanism, uid, target, weight, fraction, since_block from weights_at($1) order by 1, 2, 3"
    assert [tuple(row) for row in await connection.fetch(asked, 1)] == [
        (0, 3, 0, 1, 0.25, 1), (0, 3, 5, 3, 0.75, 1), (1, 3, 2, 65_535, 1, 1),
    ]  # fmt: skip
    assert [tuple(row) for row in await connection.fetch(asked, 3)] == [(1, 3, 2, 1, 1, 2), (1, 3, 9, 0, 0, 2)]
    assert next(tuple(row) for row in await connection.fetch(asked, 4)) == (0, 4, 1, 0, None, 4)
    assert await connection.fetchval("select count(*) from weights_at(4, array[7], array[1::bigint])") == 2
    await connection.close()


async def test_sealed_weights_tell_who_when_and_when_they_open(database: str) -> None:
    connection = await written(
        database,
        "weight_commits",
        (1, "TimelockedWeightCommits", (7, 20), [(ALICE, 11, b"\x00secret", 1000)]),
        (2, "TimelockedWeightCommits", (7, 20), [(ALICE, 11, b"\x00secret", 1000), (BOB, 12, b"", 2**64 - 1)]),
        (2, "CRV3WeightCommitsV2", (7 + 4096, 21), [(BOB, 13, b"\x01", 0)]),
        (2, "CRV3WeightCommits", (8, 22), [(BOB, b"\x02", 2)]),
        (3, "TimelockedWeightCommits", (7, 20), None),
    )
    asked = "select * from timelocked_weight_commits_at($1) order by netuid, mechanism, epoch, n"
    alice, bob = ss58_encode(ALICE), ss58_encode(BOB)
    opens = datetime.fromtimestamp(1_692_803_367 + 999 * 3, UTC)
    first = (7, 0, 20, 1, alice, 11, 1000, opens, "0x00736563726574")
    assert [tuple(row)[:-1] for row in await connection.fetch(asked, 1)] == [first]
    others = [
        (7, 1, 21, 1, bob, 13, 0, None, "0x01"),
        (8, 0, 22, 1, bob, None, 2, datetime.fromtimestamp(1_692_803_370, UTC), "0x02"),
    ]
    assert [tuple(row)[:-1] for row in await connection.fetch(asked, 2)] == [
        first, (7, 0, 20, 2, bob, 12, 2**64 - 1, None, "0x"), *others,
    ]  # fmt: skip
    assert [tuple(row)[:-1] for row in await connection.fetch(asked, 3)] == others
    found = await connection.fetch("select n from timelocked_weight_commits_at(2, array[7], array[0::bigint])")
    assert len(found) == 2
    await connection.close()
