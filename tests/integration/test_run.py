"""The whole line on the simulated chain: stop and go, new datasets, reorgs, signals, sudden death."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from running import committed, index, running, wait_for
from tables import all_rows, assert_equal

from indexer import config
from indexer.devchain.chain import Chain
from indexer.devchain.heartbeat import fill
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.devchain.tape import load_tape
from indexer.errors import ConfigError, DeepReorg, WriterLocked, WrongChain
from indexer.networks import Network
from indexer.store import open_store

pytestmark = pytest.mark.anyio

LENGTH = 32
"""Blocks of the chain of most tests: past the upgrade at 20 and its migrations."""


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    return chain


@pytest.fixture
async def devnode(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as node:
        yield node


async def test_every_block_from_genesis_is_committed_complete(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=LENGTH)
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT block_number, hash, state_root, complete, spec_version FROM blocks ORDER BY 1"
    )
    assert [row["block_number"] for row in rows] == list(range(LENGTH + 1))
    for row in rows:
        block = devnode.chain.at(row["block_number"])
        assert row["complete"]
        assert (row["hash"], row["state_root"]) == (block.hash, block.header.state_root)
    assert [row["spec_version"] for row in rows] == [293] * 21 + [475] * (LENGTH - 20)
    coverage = await connection.fetch("SELECT DISTINCT first_block, last_block, complete FROM coverage")
    assert [tuple(row) for row in coverage] == [(0, LENGTH, True)]
    await connection.close()


async def test_stopping_anywhere_and_going_on_gives_the_same_tables(
    database: str, another_database: str, devnode: DevNode
) -> None:
    await index(database, devnode.url, stop=LENGTH, workers=1, batch=1)
    for stop in (0, 1, 13, 20, 21, LENGTH):
        await index(another_database, devnode.url, stop=stop, workers=8, batch=7)
        assert await committed(another_database) == stop
    assert_equal(await all_rows(another_database), await all_rows(database))


async def test_starting_in_the_middle_takes_the_whole_state_of_that_block(
    database: str, another_database: str, devnode: DevNode
) -> None:
    await index(database, devnode.url, stop=LENGTH)
    await index(another_database, devnode.url, stop=LENGTH, start=11)
    whole, late = await asyncpg.connect(database), await asyncpg.connect(another_database)
    for block in (11, 19, 21, LENGTH):
        for question in (
            f"SELECT * FROM delegations_at({block})",
            f"SELECT * FROM hyperparameters_at(1, {block})",
            f"SELECT * FROM hyperparameters_at(NULL, {block})",
        ):
            asked = f"SELECT x::text FROM ({question}) x ORDER BY 1"
            assert await late.fetch(asked) == await whole.fetch(asked), question
    for connection in (whole, late):
        await connection.close()


async def test_a_dataset_added_later_catches_up_and_joins(
    database: str, another_database: str, devnode: DevNode
) -> None:
    await index(database, devnode.url, stop=LENGTH)
    await index(another_database, devnode.url, stop=14, datasets=("blocks", "stake"))
    await index(another_database, devnode.url, stop=LENGTH)
    assert_equal(await all_rows(another_database), await all_rows(database))


async def test_a_dataset_added_with_start_latest_begins_where_the_others_are(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=10, datasets=("stake",))
    await index(database, devnode.url, stop=LENGTH, start="latest")
    connection = await asyncpg.connect(database)
    starts = {row["dataset"]: row["start_block"] for row in await connection.fetch("SELECT * FROM cursors")}
    assert starts["stake"] == starts["blocks"] == 0
    assert starts["balances"] == 10
    assert await committed(database) == LENGTH
    await connection.close()


@pytest.mark.parametrize("depth", [1, 3, 8])
async def test_a_reorg_on_best_leaves_the_tables_of_the_final_chain(
    database: str, another_database: str, depth: int
) -> None:
    chain = simulated_chain(7)
    chain.grow(16)
    chain.finalize(8)
    async with DevNode(chain) as devnode:
        async with running(database, devnode.url, "--follow", "best") as process:
            await wait_for(database, 16)
            chain.fork(16 - depth, depth + 2)
            assert chain.best.number == 18
            await wait_for(database, 18)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        chain.finalize(18)
        await index(another_database, devnode.url, stop=18)
    found, wanted = await all_rows(database), await all_rows(another_database)
    # Finality differs, as the first one was stopped before; and addresses seen on the fork stay known.
    for tables in (found, wanted):
        tables["cursors"] = [row[:4] for row in tables["cursors"]]
    assert set(found["accounts"]) >= set(wanted["accounts"])
    found["accounts"] = wanted["accounts"]
    assert_equal(found, wanted)


async def test_a_chain_that_parts_below_a_finalized_block_is_never_followed(database: str) -> None:
    first, second = simulated_chain(7), simulated_chain(7)
    first.grow(12)
    first.finalize(12)
    second.grow(6)
    second.fork(6, 8)
    second.finalize(14)
    async with DevNode(first) as devnode:
        await index(database, devnode.url, stop=12)
    before = await all_rows(database)
    async with DevNode(second) as devnode:
        with pytest.raises(DeepReorg, match="which is final"):
            await index(database, devnode.url, stop=14)
    assert_equal(await all_rows(database), before)


async def test_a_node_of_another_chain_is_refused_and_nothing_is_lost(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=3)
    before = await all_rows(database)
    other = simulated_chain(8)
    other.grow(5)
    other.finalize(5)
    async with DevNode(other) as stranger:
        with pytest.raises(WrongChain, match="genesis"):
            await index(database, stranger.url, stop=5)
    assert_equal(await all_rows(database), before)


async def test_a_named_network_refuses_an_endpoint_of_another_chain(
    database: str, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Network((devnode.url,), genesis_hash=b"\x2f" * 32)
    monkeypatch.setattr(config, "NETWORKS", {**config.NETWORKS, "here": here})
    with pytest.raises(WrongChain, match="check --network"):
        await index(database, "here", stop=3)
    assert await committed(database) == -1


async def test_a_node_that_lags_behind_the_database_is_waited_for(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=10)
    late = simulated_chain(7)
    late.grow(6)
    late.finalize(6)
    async with DevNode(late) as lagging, anyio.create_task_group() as group:

        async def catch_up() -> None:
            await anyio.sleep(1)
            late.grow(LENGTH - 6)
            late.finalize(LENGTH)

        group.start_soon(catch_up)
        with anyio.fail_after(20):
            await index(database, lagging.url, stop=LENGTH)
    assert await committed(database) == LENGTH


async def test_a_second_instance_is_refused_and_a_standby_takes_over(database: str, devnode: DevNode) -> None:
    async with open_store(database) as leader:
        await leader.lock_writer()
        with pytest.raises(WriterLocked, match="--standby"):
            await index(database, devnode.url, stop=3)
        async with anyio.create_task_group() as group:

            async def stand_by() -> None:
                await index(database, devnode.url, stop=3, standby=True)

            group.start_soon(stand_by)
            await anyio.sleep(1)
            assert await committed(database) == -1
            leader.give_up()
    assert await committed(database) == 3


async def test_an_unreachable_node_is_told_at_once_and_names_the_demo(database: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be reached.*make demo"):
        await index(database, "ws://127.0.0.1:9", stop=3)


async def test_sigterm_finishes_the_blocks_in_hand_and_exits_0(
    database: str, another_database: str, devnode: DevNode
) -> None:
    devnode.tamper = _slow(0.02)
    devnode.chain.grow(64)  # more than is read ahead when the first are committed
    devnode.chain.finalize(LENGTH + 64)
    async with running(database, devnode.url, "--workers", "2") as process:
        await wait_for(database, 4)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0
    reached = await committed(database)
    assert 4 <= reached < LENGTH + 64
    devnode.tamper = None
    await index(another_database, devnode.url, stop=reached)
    found, wanted = await all_rows(database), await all_rows(another_database)
    for tables in (found, wanted):
        tables["cursors"] = [row[:4] for row in tables["cursors"]]  # who is stopped does not ask what is final
    assert_equal(found, wanted)


@pytest.mark.realdata
def _heights(asked: int | list[int]) -> list[int]:
    return asked if isinstance(asked, list) else [asked]


async def test_kill_9_ten_times_during_a_replay_leaves_no_trace(
    database: str, another_database: str, realdata: Path
) -> None:
    tape = load_tape(realdata / "tape" / "blocks.jsonl.gz", realdata / "metadata")
    fill(tape)
    chance = random.Random(20260101)
    highest = 88

    async def held_back(method: str, params: Any, result: Any) -> Any:
        """Blocks above ``highest`` come later: no life of the process is long enough to reach the end.

        Nor are they final, so that no run of blocks read ahead waits for them.
        """
        if method == "chain_getFinalizedHead":
            return "0x" + tape.at(highest).hash.hex()
        while method == "chain_getBlockHash" and max(_heights(params[0])) > highest:  # noqa: ASYNC110 - the test moves it
            await anyio.sleep(0.02)
        return result

    async with DevNode(tape) as devnode:
        await index(another_database, devnode.url, stop=88)
        devnode.tamper = held_back
        for death in range(10):
            highest = 8 * (death + 1)
            async with running(database, devnode.url, "--stop", "88", "--batch", "3") as process:
                await wait_for(database, await committed(database) + 1)
                await anyio.sleep(chance.random() * 0.25)
                assert process.returncode is None
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
        highest = 88
        assert await committed(database) < 88
        await index(database, devnode.url, stop=88)
    assert_equal(await all_rows(database), await all_rows(another_database))


def _slow(delay_s: float) -> Any:
    async def slow(_method: str, _params: object, result: Any) -> Any:
        await anyio.sleep(delay_s)
        return result

    return slow
