"""What the database says of itself, altered by hand: cursors, coverage, runtimes, links, and rows that ended."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from by_hand import kept
from running import index
from tables import all_rows, assert_equal
from verifying import connected, repaired, verified

from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

LENGTH = 24


@pytest.fixture
async def devnode() -> AsyncIterator[DevNode]:
    chain = simulated_chain(7)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    async with DevNode(chain) as node:
        yield node


ALTERED = (
    ("UPDATE cursors SET start_block = 3 WHERE dataset = 'stake'", "coverage", "first_block"),
    ("UPDATE cursors SET finalized_block = 90 WHERE dataset = 'stake'", "cursors", "finalized_block"),
    ("UPDATE cursors SET block_hash = sha256('x') WHERE dataset = 'blocks'", "cursors", "block_hash"),
    ("DELETE FROM coverage WHERE dataset = 'balances'", "coverage", "range"),
    ("UPDATE coverage SET last_block = 20 WHERE dataset = 'subnets'", "coverage", "last_block"),
    ("UPDATE coverage SET first_block = 2 WHERE dataset = 'subnets'", "coverage", "first_block"),
    ("INSERT INTO coverage VALUES ('stake', 5, 24, true, NULL)", "coverage", "overlap"),
    ("UPDATE coverage SET complete = false, reason = 'x' WHERE dataset = 'blocks'", "coverage", "complete"),
    ("UPDATE blocks SET complete = false WHERE block_number = 9", "coverage", "complete"),
    ("DELETE FROM blocks WHERE block_number = 9", "coverage", "block"),
    ("UPDATE blocks SET parent_hash = sha256('x') WHERE block_number = 9", "blocks", "parent_hash"),
    ("UPDATE blocks SET hash = sha256('x') WHERE block_number = 9", "blocks", "parent_hash"),
    ("UPDATE runtimes SET spec_version = 9 WHERE spec_version = 293", "runtimes", "spec_version"),
    (
        "UPDATE runtimes SET first_block = 4 WHERE spec_version = 475",
        "runtimes",
        "first_block: block 4 was executed by",
    ),
    ("UPDATE runtimes SET metadata = '\\x6d65746107' WHERE spec_version = 293", "runtimes", "metadata"),
)


async def test_whatever_the_database_says_of_itself_is_compared(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=LENGTH)
    assert (await verified(database, devnode)).differences == ()
    async with connected(database) as connection:
        for statement, table, what in ALTERED:
            names = ("cursors", "coverage", "blocks", "runtimes")
            for name in names:
                await connection.execute(f"CREATE TEMP TABLE kept_{name} AS TABLE {name}")
            await connection.execute(statement)
            report = await verified(database, devnode)
            for name in names:
                await connection.execute(
                    f"TRUNCATE {name}; INSERT INTO {name} TABLE kept_{name}; DROP TABLE kept_{name}"
                )
            found = {(one.table, one.what) for one in report.differences}
            assert any(one[0] == table and one[1].startswith(what) for one in found), (statement, found)
    assert (await verified(database, devnode)).differences == ()


async def test_ends_of_rows_that_never_began_are_named_and_repaired(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=LENGTH)
    before = await all_rows(database)
    nobody = "decode(repeat('ab', 32), 'hex')"
    ended = "SELECT account, block_number FROM balance_history WHERE NOT exists"
    async with connected(database) as connection:
        assert await connection.fetch(ended), "accounts end on this chain"
        for statement in (
            f"INSERT INTO balance_history (account, block_number, exists) VALUES ({nobody}, 9, false)",
            f"INSERT INTO balance_history (account, free, block_number, exists) VALUES ({nobody}, 7, 9, false)",
            f"INSERT INTO balance_history (account, block_number, exists) "
            f"SELECT account, block_number + 1, false FROM ({ended}) x WHERE block_number < {LENGTH} LIMIT 1",
            "UPDATE balance_history SET free = 5 WHERE NOT exists",
        ):
            async with kept(connection):
                await connection.execute(statement)
                report = await verified(database, devnode)
                assert {(one.table, one.what) for one in report.differences} == {
                    ("balances", "end of a row that was none")
                }, statement
                await repaired(database, devnode, report)
                assert (await verified(database, devnode)).differences == ()
                assert_equal(await all_rows(database), before)
        await connection.execute(
            "UPDATE coverage SET last_block = 10; INSERT INTO coverage SELECT dataset, 14, 24, true FROM cursors"
        )
    uncovered = {
        one.table for one in (await verified(database, devnode)).differences if one.stored in ("11", "12", "13")
    }
    assert {"balance_history", "subnet_pool_history"} <= uncovered
