"""Old blocks are forgotten: answers as of the blocks that are kept stay what they were, and nothing else is told."""

from __future__ import annotations

from functools import cache
from typing import Any

import anyio
import asyncpg
import pytest
from running import index, running
from tables import all_rows, assert_equal
from verifying import connected, verified

from indexer import datasets, statements
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.model import BlockRef
from indexer.retention import forget
from indexer.schema import Keyed, Log
from indexer.store import open_store

pytestmark = pytest.mark.anyio

SEED, HEAD, RETAIN = 7, 48, 20
FIRST = HEAD - RETAIN + 1
"""The upgrade at block 20 is forgotten, too."""


@cache
def chain() -> Chain:
    made = simulated_chain(SEED)
    made.grow(HEAD)
    made.finalize(HEAD)
    return made


async def forgotten(dsn: str, retain: int = RETAIN) -> list[int]:
    """Forget until nothing is due; the first block that is kept after each step."""
    steps = []
    async with open_store(dsn) as store:
        await store.lock_writer()
        while True:
            async with store.transaction("forget") as connection:
                first = await forget(connection, datasets.load(), retain)
            if first is None:
                return steps
            steps.append(first)


async def states(dsn: str, blocks: range) -> dict[tuple[str, int], Any]:
    """Every row of every history as of each block, and every log row in it."""
    found = {}
    async with connected(dsn) as connection:
        for dataset in datasets.load():
            for table in dataset.tables:
                for block in blocks:
                    query = (
                        f"SELECT * FROM {table.name} WHERE block_number = $1"
                        if isinstance(table, Log)
                        else statements.read_as_of(table)
                    )
                    found[table.name, block] = sorted(map(repr, await connection.fetch(query, block)))
    return found


async def answers(dsn: str, block: int) -> list[Any]:
    async with connected(dsn) as connection:
        return [
            sorted(map(repr, await connection.fetch(f"SELECT * FROM {question}")))
            for question in (
                f"delegations_at({block})", f"hyperparameters_at(1, {block})", f"subnets_at({block})",
                f"neurons_at({block})", f"registrations_at({block})", f"child_keys_at({block})",
            )
        ]  # fmt: skip


async def history_rows(dsn: str) -> int:
    async with connected(dsn) as connection:
        return sum(
            [
                await connection.fetchval(f"SELECT count(*) FROM {table.history.name}")
                for dataset in datasets.load()
                for table in dataset.tables
                if isinstance(table, Keyed)
            ]
        )


async def test_what_is_kept_answers_as_before_and_what_is_not_says_so(database: str, another_database: str) -> None:
    async with DevNode(chain()) as node:
        for dsn in (database, another_database):
            await index(dsn, node.url, stop=HEAD)
        assert (await forgotten(database))[-1] == FIRST
        kept = range(FIRST, HEAD + 1)
        assert await states(database, kept) == await states(another_database, kept)
        for block in (FIRST, FIRST + 1, HEAD):
            assert await answers(database, block) == await answers(another_database, block)
        assert await history_rows(database) < await history_rows(another_database)
        async with connected(database) as connection:
            for function in ("delegations_at", "subnets_at", "neurons_at", "registrations_at"):
                with pytest.raises(asyncpg.InvalidParameterValueError, match=rf"blocks {FIRST} to {HEAD} are"):
                    await connection.fetch(f"SELECT * FROM {function}({FIRST - 1})")
            ranges = await connection.fetch("SELECT DISTINCT first_block, last_block FROM coverage")
            assert [tuple(one) for one in ranges] == [(FIRST, HEAD)]
            assert not await connection.fetch("SELECT FROM gaps")
        assert (await verified(database, node)).differences == ()
        assert (await verified(database, node, block=FIRST)).differences == ()


async def test_a_row_that_is_left_over_below_the_first_block_is_found_by_verify(database: str) -> None:
    async with DevNode(chain()) as node:
        await index(database, node.url, stop=HEAD)
        await forgotten(database)
        async with connected(database) as connection:
            await connection.execute(
                "INSERT INTO balance_history (account, block_number, nonce, exists) "
                "SELECT account, block_number - 1, 99, true FROM balance_history ORDER BY block_number LIMIT 1"
            )
        found = (await verified(database, node)).differences
        assert [(one.table, one.what) for one in found] == [("balance_history", "block_number")]


async def test_steps_are_small_and_one_more_block_is_no_reason_for_a_step(database: str) -> None:
    async with DevNode(chain()) as node:
        await index(database, node.url, stop=HEAD - 1)
        assert await forgotten(database) == [FIRST - 1]
        await index(database, node.url, stop=HEAD)
        assert await forgotten(database) == []
        assert await forgotten(database, RETAIN - 3) == [FIRST + 3]


async def test_blocks_that_are_kept_can_be_taken_back(database: str, another_database: str) -> None:
    async with DevNode(chain()) as node:
        await index(database, node.url, stop=HEAD)
        await forgotten(database)
        for to in (FIRST + 3, FIRST):
            async with open_store(database) as store:
                await store.lock_writer()
                await store.rewind(BlockRef(to, chain().at(to).hash), datasets.load())
            assert (await verified(database, node, block=to)).differences == ()
        await index(database, node.url, stop=HEAD)
        await index(another_database, node.url, stop=HEAD)
        kept = range(FIRST, HEAD + 1)
        assert await states(database, kept) == await states(another_database, kept)


async def test_an_end_goes_with_what_it_ended(database: str) -> None:
    """Else rows of keys that are long gone would stay for ever."""
    async with DevNode(chain()) as node:
        await index(database, node.url, stop=HEAD)
        await forgotten(database, 1)
        async with connected(database) as connection:
            for dataset in datasets.load():
                for table in dataset.tables:
                    if isinstance(table, Keyed):
                        histories = await connection.fetchval(f"SELECT count(*) FROM {table.history.name}")
                        assert histories == await connection.fetchval(f"SELECT count(*) FROM {table.name}"), table.name


async def test_what_is_not_final_or_lies_in_a_hole_is_not_forgotten_before_its_time(database: str) -> None:
    async with DevNode(chain()) as node:
        await index(database, node.url, stop=HEAD)
    async with connected(database) as connection:
        await connection.execute("UPDATE cursors SET finalized_block = 20")
        assert (await forgotten(database))[-1] == 20
        await connection.execute("UPDATE cursors SET finalized_block = block_number")
        # Blocks 25 to 31 are missing, as after a long pause: the first block to keep, 29, is one of them.
        await connection.execute("UPDATE coverage SET last_block = 24")
        await connection.execute(
            "INSERT INTO coverage (dataset, first_block, last_block, complete) "
            "SELECT dataset, 32, $1, true FROM cursors",
            HEAD,
        )
        assert (await forgotten(database))[-1] == 24
        assert await forgotten(database, HEAD - 29) == []
        assert (await forgotten(database, HEAD - 33))[-1] == 34
        assert not await connection.fetch("SELECT FROM gaps")


async def test_a_running_indexer_forgets_beside_its_work(database: str, another_database: str) -> None:
    async with DevNode(chain()) as node:
        await index(database, node.url, stop=HEAD)
        async with running(database, node.url, "--retain", str(RETAIN)), connected(database) as connection:
            with anyio.fail_after(40):
                while await connection.fetchval("SELECT min(start_block) FROM cursors") < FIRST:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
        await index(another_database, node.url, stop=HEAD)
        await forgotten(another_database)
        assert_equal(await all_rows(database), await all_rows(another_database))
