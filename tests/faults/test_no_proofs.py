"""Endpoints that refuse read proofs: followed all the same, honest about it, exact after a scan, healed by proofs."""

from __future__ import annotations

from typing import Any

import anyio
import asyncpg
import pytest
from running import index, wait_for
from tables import Tables, all_rows, assert_equal

from indexer import schema
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import UNKNOWN_METHOD, RpcError
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.fallback import Fallback

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(34)
    chain.finalize(34)
    return chain


async def no_proofs(method: str, params: Any, result: Any) -> Any:  # noqa: ARG001
    if method == "state_getReadProof":
        raise RpcError(UNKNOWN_METHOD, "RPC call is unsafe to be called externally")
    return result


def current(tables: Tables) -> Tables:
    """Current rows without the block that gave the values: a scan finds a change later than it happened."""
    return {name: sorted((row[:-1] for row in tables[name]), key=repr) for name in schema.KEYED}


async def ranges(database: str) -> list[tuple[int, int, bool]]:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT DISTINCT first_block, last_block, complete FROM coverage ORDER BY 1")
    await connection.close()
    return [(row["first_block"], row["last_block"], row["complete"]) for row in rows]


async def test_tables_equal_the_chain_after_each_scan_and_coverage_tells_what_lies_between(
    database: str, another_database: str, chain: Chain
) -> None:
    async with DevNode(chain, tamper=no_proofs) as node:
        await index(database, node.url, stop=30, start=2, scan_every_blocks=10)
    async with DevNode(chain) as node:
        await index(another_database, node.url, stop=30, start=2)
    assert_equal(current(await all_rows(database)), current(await all_rows(another_database)))
    assert await ranges(database) == [
        (2, 2, True),
        (3, 9, False),
        (10, 10, True),
        (11, 19, False),
        (20, 20, True),
        (21, 29, False),
        (30, 30, True),
    ]
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM blocks WHERE complete") == 0, "nothing was proven"
    assert await connection.fetchval("SELECT count(*) FROM gaps WHERE reason LIKE '%state_getReadProof%'") > 0
    # What small maps hold and most of what events name is right between the scans too.
    other = await asyncpg.connect(another_database)
    for block in (6, 9, 16):
        asked = f"SELECT * FROM subnets_at({block})"
        assert await connection.fetch(asked) == await other.fetch(asked)
    asked = "SELECT account, free FROM balance_history WHERE block_number BETWEEN 3 AND 9"
    found, wanted = ({tuple(row) for row in rows} for rows in (await connection.fetch(asked), await other.fetch(asked)))
    assert found <= wanted
    assert len(found) > len(wanted) / 2
    for each in (connection, other):
        await each.close()


async def test_a_scan_that_is_ready_before_the_blocks_before_it_still_replaces_all_that_is_stored(
    database: str, another_database: str, chain: Chain
) -> None:
    late = "0x" + chain.at(9).hash.hex()

    async def slow(method: str, params: Any, result: Any) -> Any:
        if method == "state_queryStorageAt" and params[1] == late:
            await anyio.sleep(0.5)
        return await no_proofs(method, params, result)

    async with DevNode(chain, tamper=slow) as node:
        await index(database, node.url, stop=8, scan_every_blocks=10)
        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO delegates (hotkey, take, block_number) VALUES (decode(repeat('ab', 32), 'hex'), 5, 8)"
        )
        await connection.close()
        await index(database, node.url, stop=10, scan_every_blocks=10)
    async with DevNode(chain) as node:
        await index(another_database, node.url, stop=10)
    assert_equal(current(await all_rows(database)), current(await all_rows(another_database)))


async def test_a_node_that_serves_proofs_heals_at_once(database: str, another_database: str, chain: Chain) -> None:
    async with DevNode(chain, tamper=no_proofs) as node:
        await index(database, node.url, stop=17, scan_every_blocks=1000)
        connection = await asyncpg.connect(database)
        before = await connection.fetchval("SELECT count(*) FROM blocks WHERE complete")
        # Whatever was missed, proofs find: as if the fallback had been blind to these.
        await connection.execute("UPDATE balances SET free = free + 1; DELETE FROM stake_shares WHERE netuid = 1")
        await connection.close()
        assert before == 0
        node.tamper = None
        await index(database, node.url, stop=34, scan_every_blocks=1000)
        await index(another_database, node.url, stop=34)
    assert_equal(current(await all_rows(database)), current(await all_rows(another_database)))
    assert (await ranges(database))[-1] == (18, 34, True)


async def test_a_run_without_proofs_goes_over_to_proofs_when_an_endpoint_serves_them(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.run.PROOFS_POLL_S", 0.2)
    own = simulated_chain(7)
    own.grow(5)
    own.finalize(5)
    async with DevNode(own, tamper=no_proofs) as node, anyio.create_task_group() as group:

        async def follow() -> None:
            await index(database, node.url, stop=9, scan_every_blocks=1000)

        group.start_soon(follow)
        await wait_for(database, 5)
        node.tamper = None
        await anyio.sleep(1)
        own.grow(4)
        own.finalize(9)
    assert (await ranges(database))[-1] == (6, 9, True)


async def test_a_run_whose_endpoint_stops_serving_proofs_goes_on_without(database: str) -> None:
    own = simulated_chain(7)
    own.grow(5)
    own.finalize(5)
    async with DevNode(own) as node, anyio.create_task_group() as group:

        async def follow() -> None:
            await index(database, node.url, stop=9, scan_every_blocks=1000)

        group.start_soon(follow)
        await wait_for(database, 5)
        node.tamper = no_proofs
        own.grow(4)
        own.finalize(9)
    assert await ranges(database) == [(0, 5, True), (6, 9, False)]


async def healed(database: str, wanted: list[tuple[int, int, bool]]) -> None:
    with anyio.fail_after(60):
        while await ranges(database) != wanted:  # noqa: ASYNC110 - the run under way writes it
            await anyio.sleep(0.1)


@pytest.mark.parametrize("is_based", [True, False], ids=["after proven blocks", "from the first block"])
async def test_blocks_read_without_proofs_are_read_again_and_proven_as_if_they_had_always_been(
    database: str, another_database: str, monkeypatch: pytest.MonkeyPatch, is_based: bool
) -> None:
    monkeypatch.setattr("indexer.run.FILL_POLL_S", 0.1)
    own = simulated_chain(7)
    own.grow(26)
    own.finalize(26)
    async with DevNode(own) as node:
        node.tamper = None if is_based else no_proofs
        await index(database, node.url, stop=4, start=2)
        node.tamper = no_proofs
        await index(database, node.url, stop=22, scan_every_blocks=10)
        connection = await asyncpg.connect(database)
        # As if the fallback had been blind to these, and had seen what never was.
        await connection.execute("DELETE FROM balance_history WHERE block_number BETWEEN 12 AND 19")
        await connection.execute(
            "INSERT INTO balance_history (account, free, block_number, exists) "
            "VALUES (decode(repeat('ab', 32), 'hex'), 5, 13, true), (decode(repeat('ab', 32), 'hex'), NULL, 20, false)"
        )
        await connection.execute(
            "WITH still AS (UPDATE delegates SET block_number = 14 WHERE block_number = 2 RETURNING *) "
            "INSERT INTO delegate_history (hotkey, owner, take, block_number, exists) "
            "SELECT hotkey, owner, take, block_number, true FROM still"
        )
        await connection.close()
        node.tamper = None
        async with anyio.create_task_group() as group:

            async def follow() -> None:
                await index(database, node.url, stop=28)

            group.start_soon(follow)
            await healed(database, [(2, 26, True)])
            own.grow(2)
            own.finalize(28)
        await index(another_database, node.url, stop=28, start=2)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_blocks_whose_state_is_gone_stay_unproven_and_those_after_them_are_proven_from_a_whole_state(
    database: str, another_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.run.FILL_POLL_S", 0.1)
    monkeypatch.setattr("indexer.heal.PRUNING_MARGIN", 1)
    own = simulated_chain(7, keep_states=12)
    own.grow(8)
    own.finalize(8)
    async with DevNode(own, tamper=no_proofs) as node:
        await index(database, node.url, stop=8, scan_every_blocks=1000)
        own.grow(10)
        own.finalize(18)
        await index(database, node.url, stop=18, scan_every_blocks=1000)
        node.tamper = None
        own.grow(2)
        own.finalize(20)
        async with anyio.create_task_group() as group:

            async def follow() -> None:
                await index(database, node.url, stop=22)

            group.start_soon(follow)
            with anyio.fail_after(60):
                while True:
                    *_, (first, last, complete) = await ranges(database)
                    if complete and first < 18 and last >= 20:
                        break
                    await anyio.sleep(0.1)
            own.grow(2)
            own.finalize(22)
    assert first > 8
    found = await ranges(database)
    assert found[-2:] == [(found[-2][0], first - 1, False), (first, 22, True)]
    full = simulated_chain(7)
    full.grow(22)
    full.finalize(22)
    async with DevNode(full) as node:
        await index(another_database, node.url, stop=22)
    ours, theirs = await asyncpg.connect(database), await asyncpg.connect(another_database)
    for block in range(first, 23):
        for asked in (f"delegations_at({block})", f"hyperparameters_at(1, {block})", f"subnets_at({block})"):
            query = f"SELECT (to_jsonb(x) - 'block_number')::text FROM {asked} x ORDER BY 1"
            assert await ours.fetch(query) == await theirs.fetch(query), asked
        query = (
            "SELECT account, free, nonce FROM (SELECT DISTINCT ON (account) * FROM balance_history "
            f"WHERE block_number <= {block} ORDER BY account, block_number DESC) x WHERE exists ORDER BY account"
        )
        assert await ours.fetch(query) == await theirs.fetch(query), block
    for connection in (ours, theirs):
        await connection.close()


async def test_no_block_waits_for_a_scan_and_the_scanned_block_is_exact_when_it_is_done(
    database: str, another_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = simulated_chain(7)
    own.grow(9)
    own.finalize(9)
    released, asked = anyio.Event(), anyio.Event()
    all_keys = Fallback._all_keys

    async def slow(self: Fallback, at: bytes, number: int, progress: Any) -> set[bytes]:
        if number == 7:
            asked.set()
            with anyio.fail_after(30):
                await released.wait()
        return await all_keys(self, at, number, progress)

    monkeypatch.setattr(Fallback, "_all_keys", slow)
    async with DevNode(own, tamper=no_proofs) as node, anyio.create_task_group() as group:

        async def follow() -> None:
            await index(database, node.url, stop=13, start=2, scan_every_blocks=7)

        group.start_soon(follow)
        await wait_for(database, 9)
        with anyio.fail_after(30):
            await asked.wait()
        own.grow(3)
        own.finalize(12)
        await wait_for(database, 12)
        assert await ranges(database) == [(2, 2, True), (3, 12, False)]
        connection = await asyncpg.connect(database)
        # As if the fallback had been blind to these: the scan was not.
        await connection.execute(
            "DELETE FROM balance_history WHERE exists AND block_number BETWEEN 3 AND 7;"
            "UPDATE balances SET free = free + 1;"
            "INSERT INTO delegates (hotkey, take, block_number) VALUES (decode(repeat('ab', 32), 'hex'), 5, 6);"
            "INSERT INTO delegate_history (hotkey, take, block_number, exists) "
            "VALUES (decode(repeat('ab', 32), 'hex'), 5, 6, true)"
        )
        released.set()
        await anyio.sleep(0.5)
        own.grow(1)
        own.finalize(13)
    assert await ranges(database) == [(2, 2, True), (3, 6, False), (7, 7, True), (8, 13, False)]
    async with DevNode(own) as node:
        await index(another_database, node.url, stop=13, start=2)
    other = await asyncpg.connect(another_database)
    for table in schema.KEYED.values():
        keys = ", ".join(f'"{name}"' for name in table.keys)
        values = ", ".join(f'"{name}"' for name in (*table.keys, *table.values))
        asked_for = (
            f"SELECT {values} FROM (SELECT DISTINCT ON ({keys}) * FROM {table.history.name} WHERE block_number <= 7 "
            f"ORDER BY {keys}, block_number DESC) x WHERE exists ORDER BY {keys}"
        )
        assert await connection.fetch(asked_for) == await other.fetch(asked_for), table.name
        ended = f"SELECT count(*) FROM {table.name} c WHERE NOT EXISTS (SELECT FROM {table.history.name} h WHERE "
        ended += " AND ".join(f'h."{name}" = c."{name}"' for name in table.keys) + " AND h.exists)"
        assert await connection.fetchval(ended) == 0
    for each in (connection, other):
        await each.close()
