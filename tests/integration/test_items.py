"""Any storage item, with no code: exact at every block, told as its own runtime reads it, and alone in its troubles."""

from __future__ import annotations

import json

import asyncpg
import pytest
from items import (
    DOUBLE_MAP,
    ITEMS,
    LENGTH,
    MAP,
    NEW,
    OLD,
    PLAIN,
    RETIRED,
    TOTAL,
    UPGRADE,
    compared,
    grown,
    items_equal_the_chain,
    retyped,
    stored,
    told,
)
from running import index
from verifying import connected

from indexer import config, inspection
from indexer.devchain.chain import Chain
from indexer.devchain.declare import U8
from indexer.devchain.forms import array
from indexer.devchain.server import DevNode
from indexer.errors import DecodeError
from indexer.scale import ss58_encode

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def chain() -> Chain:
    return grown()


async def test_items_are_as_the_chain_has_them_at_every_block_through_an_upgrade(database: str, chain: Chain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=ITEMS, datasets=("blocks",))
        await items_equal_the_chain(database, chain, ITEMS)
        assert not stored(chain, NEW, UPGRADE)
        assert stored(chain, NEW, LENGTH)
        assert stored(chain, OLD, UPGRADE)
        assert not stored(chain, OLD, LENGTH)
        assert stored(chain, RETIRED, LENGTH)
        for block in (UPGRADE, UPGRADE + 1, LENGTH):
            report = await compared(database, devnode, ITEMS, block=block)
            assert (report.differences, report.skipped) == ((), ())
            assert report.maps == len(ITEMS)
            assert (await compared(database, devnode, ITEMS, block=block, sample=20)).differences == ()
    async with connected(database) as connection:
        covered = await connection.fetch("SELECT first_block, last_block, complete FROM coverage")
    assert {tuple(row) for row in covered} == {(0, LENGTH, True)}


async def test_keys_and_values_are_json_that_people_type(database: str, chain: Chain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=ITEMS, datasets=("blocks",))
    async with connected(database) as connection:
        hotkey = await connection.fetchval("SELECT value FROM storage_at(5, $1, '[1, 2]')", DOUBLE_MAP)
        assert hotkey == json.dumps(ss58_encode(stored(chain, DOUBLE_MAP, 5)[b"\1\0\2\0"]))
        assert await connection.fetch("SELECT * FROM storage_at(5, $1, '[1, 200]')", DOUBLE_MAP) == []
        now = await connection.fetchrow("SELECT key, value, since_block FROM storage_at(5, $1)", PLAIN)
        assert tuple(now) == ("[]", str(1_760_000_000_000 + 5 * 12_000), 5)
        one = await connection.fetchrow("SELECT key, value FROM storage_at(NULL, $1) LIMIT 1", MAP)
        again = await connection.fetchrow("SELECT key, value FROM storage_at(NULL, $1, $2)", MAP, one["key"])
        assert tuple(one) == tuple(again)
        assert json.loads(one["key"])[0].startswith("5")
        assert set(json.loads(one["value"])) == {"nonce", "consumers", "providers", "sufficients", "data"}
        removed = await connection.fetch(
            "SELECT key, value, value_raw FROM storage_changes WHERE item = 'AlphaSqrtPrice' AND NOT exists"
        )
        assert {(row["key"], row["value"], row["value_raw"]) for row in removed} >= {("[1]", None, None)}
        gone = await connection.fetch("SELECT * FROM storage_at($1, $2, '[1]')", LENGTH, OLD)
        there = await connection.fetch("SELECT * FROM storage_at($1, $2, '[1]')", UPGRADE, OLD)
        assert (len(gone), len(there)) == (0, 1)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("storage_at(5)", r"storage item NULL is not indexed.*those that are: Timestamp\.Now"),
        ("storage_at(5, 'Timestamp.Then')", r'"Timestamp\.Then" is not indexed in this database; those that are: Time'),
        ("storage_at(5, 'blocks')", r'"blocks" is not indexed'),
        ("storage_at(2, 'Timestamp.Now')", "blocks 4 to 6 are"),
        ("storage_at(7, 'Timestamp.Now')", "blocks 4 to 6 are"),
        ("storage_at(5, 'Timestamp.Now', '1')", r"of_key is an array of the key's parts, such as \[1\]"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_that_says_why(
    database: str, chain: Chain, call: str, problem: str
) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, start=4, stop=6, item=(PLAIN,), datasets=("blocks",))
    async with connected(database) as connection:
        with pytest.raises(asyncpg.InvalidParameterValueError, match=problem):
            await connection.fetch(f"SELECT * FROM {call}")


async def test_each_row_is_told_in_the_type_of_its_own_block(database: str) -> None:
    chain = retyped(TOTAL, array(U8, 8))
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=(TOTAL, DOUBLE_MAP), datasets=("blocks",))
        await items_equal_the_chain(database, chain, (TOTAL,))
        async with connected(database) as connection:
            rows = await connection.fetch(
                "SELECT block_number, value FROM storage_changes WHERE item = 'TotalIssuance' ORDER BY block_number"
            )
            kinds = {row["block_number"] <= UPGRADE: type(json.loads(row["value"])) for row in rows}
            assert kinds == {True: int, False: str}
            assert len(rows) > UPGRADE
        for block in (UPGRADE, UPGRADE + 1, LENGTH):
            assert (await compared(database, devnode, (TOTAL,), block=block)).differences == ()
        async with connected(database) as connection:
            for name in ("storage_values", "storage_value_history"):
                await connection.execute(f"UPDATE {name} SET value = '7' WHERE item = 'TotalIssuance'")
            await connection.execute(
                "UPDATE storage_values SET value_raw = '\\x00' WHERE item = 'Keys' AND key = '[1, 1]'"
            )
        report = await compared(database, devnode, (TOTAL, DOUBLE_MAP))
        assert {(one.dataset, one.key and one.key[1:]) for one in report.differences} == {
            (TOTAL, ("TotalIssuance", b"")), (DOUBLE_MAP, ("Keys", b"\1\0\1\0")),
        }  # fmt: skip
        settings = config.load({"database_url": database, "network": (devnode.url,)})
        _, repaired = await inspection.verified(settings, block=None, sample=None, mend=True)
        assert repaired == 2
        assert (await compared(database, devnode, (TOTAL, DOUBLE_MAP))).differences == ()


async def test_a_row_that_is_older_than_the_type_of_its_item_is_no_difference(database: str) -> None:
    tempo = "SubtensorModule.Tempo"
    async with DevNode(retyped(tempo, array(U8, 2))) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=(tempo,), datasets=("blocks",))
        async with connected(database) as connection:
            values = await connection.fetch("SELECT value FROM storage_at($1, $2)", LENGTH, tempo)
            assert {type(json.loads(row["value"])) for row in values} == {int}
        for options in ({}, {"sample": 20}):
            assert (await compared(database, devnode, (tempo,), **options)).differences == ()
        async with connected(database) as connection:
            for name in ("storage_values", "storage_value_history"):
                await connection.execute(f"UPDATE {name} SET value = '\"0x0500\"' WHERE key = '[1]'")
        for options in ({}, {"sample": 20}):
            report = await compared(database, devnode, (tempo,), **options)
            assert [(one.key, one.what) for one in report.differences] == [
                (("SubtensorModule", "Tempo", b"\1\0"), "value")
            ]


async def test_a_value_that_cannot_be_decoded_stops_that_item_alone(database: str) -> None:
    chain = retyped(TOTAL, array(U8, 3))
    async with DevNode(chain) as devnode:
        with pytest.raises(DecodeError, match=rf"block {UPGRADE + 1}: {TOTAL}"):
            await index(database, devnode.url, stop=LENGTH, item=(TOTAL, MAP), datasets=("blocks",))
        settings = config.load({"database_url": database, "network": (devnode.url,)})
        status = {row.dataset: row for row in (await inspection.status(settings)).datasets}
        reached = {name: (row.state, row.committed_block) for name, row in status.items()}
        assert reached == {"blocks": ("followed", LENGTH), MAP: ("followed", LENGTH), TOTAL: ("stopped", UPGRADE)}
        async with connected(database) as connection:
            stop = await connection.fetchrow("SELECT stopped_at, stop_reason FROM status WHERE dataset = $1", TOTAL)
            assert stop["stopped_at"] == UPGRADE + 1
            assert TOTAL in stop["stop_reason"]
            assert await told(connection, TOTAL, UPGRADE) == stored(chain, TOTAL, UPGRADE)
    await items_equal_the_chain(database, chain, (MAP,))


async def test_keys_of_an_item_whose_type_nobody_knows_stop_it_and_leave_the_others_complete(
    database: str, chain: Chain
) -> None:
    """Begun after the upgrade that no longer lists it, while the chain still keeps rows."""
    async with DevNode(chain) as devnode:
        with pytest.raises(DecodeError, match="no runtime met so far tells their type"):
            await index(
                database, devnode.url, start=UPGRADE + 2, stop=LENGTH, item=(RETIRED, MAP), datasets=("blocks",)
            )
    async with connected(database) as connection:
        covered = await connection.fetch("SELECT dataset, first_block, last_block, complete FROM coverage ORDER BY 1")
        assert [tuple(row) for row in covered] == [
            (MAP, UPGRADE + 2, LENGTH, True), ("blocks", UPGRADE + 2, LENGTH, True),
        ]  # fmt: skip
        stop = await connection.fetchrow("SELECT state, committed_block FROM status WHERE dataset = $1", RETIRED)
        assert tuple(stop) == ("stopped", None)
