"""State that every endpoint has dropped: the indexer goes on, says what is missing and why, and fills it in later."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import anyio
import asyncpg
import pytest
from running import committed, index, running, wait_for
from tables import Tables, all_rows, assert_equal

from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import CLIENT_ERROR, RpcError
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import ConfigError
from indexer.model import BlockRows
from indexer.store import Store

pytestmark = pytest.mark.anyio

SEED, SEEN, HEAD = 7, 10, 34
"""Indexed up to SEEN before the pause, which ends at HEAD; the upgrade at block 20 falls into it."""


def chain(length: int, keep_states: int | None = None) -> Chain:
    """A chain of a test's own."""
    made = simulated_chain(SEED, keep_states=keep_states)
    made.grow(length)
    made.finalize(length)
    return made


@cache
def archived(length: int) -> Chain:
    """The same with every state, which nobody may grow."""
    return chain(length)


async def after_a_long_pause(
    database: str, *, datasets: tuple[str, ...] | None = None, item: tuple[str, ...] = ()
) -> None:
    """Index some blocks; come back when the node has dropped the state of the next ones."""
    pruned = chain(SEEN, keep_states=5)
    async with DevNode(pruned) as node:
        await index(database, node.url, stop=SEEN, start=SEEN - 3, datasets=datasets, item=item)
        pruned.grow(HEAD - SEEN)
        pruned.finalize(HEAD)
        await index(database, node.url, stop=HEAD, datasets=datasets, item=item)


async def gaps(database: str) -> set[tuple[int, int]]:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT DISTINCT first_block, last_block FROM gaps")
    await connection.close()
    return {(row["first_block"], row["last_block"]) for row in rows}


def without_blocks(tables: Tables) -> Tables:
    """Current tables only, without the block that gave the present values: a hole hides which one it was."""
    return {
        name: sorted((row[:-1] for row in rows), key=repr)
        for name, rows in tables.items()
        if f"{name}_history" in tables or name in ("balances", "delegates", "coldkey_stakes")
    }


async def test_a_pause_longer_than_the_nodes_memory_leaves_a_hole_that_is_told_and_current_rows_that_are_right(
    database: str, another_database: str
) -> None:
    await after_a_long_pause(database)
    assert await committed(database) == HEAD
    assert await gaps(database) == {(SEEN + 1, HEAD - 1)}
    async with DevNode(archived(HEAD + 6)) as archive:
        await index(another_database, archive.url, stop=HEAD, start=SEEN - 3)
    found, wanted = without_blocks(await all_rows(database)), without_blocks(await all_rows(another_database))
    assert len(wanted) >= 5
    assert_equal(found, wanted)
    ours, theirs = await asyncpg.connect(database), await asyncpg.connect(another_database)
    for block in (SEEN - 3, SEEN, HEAD):
        for question in (f"delegations_at({block})", f"hyperparameters_at(1, {block})", f"subnets_at({block})"):
            asked = f"SELECT (to_jsonb(x) - 'block_number')::text FROM {question} x ORDER BY 1"
            assert await ours.fetch(asked) == await theirs.fetch(asked), question
    reasons = {row["reason"] for row in await ours.fetch("SELECT reason FROM gaps")}
    assert len(reasons) == 1
    assert "archive" in reasons.pop()
    for block in (SEEN + 1, HEAD - 1):
        with pytest.raises(asyncpg.InvalidParameterValueError, match=f"block {block} lies in a hole"):
            await ours.fetch(f"SELECT * FROM hyperparameters_at(1, {block})")
    for connection in (ours, theirs):
        await connection.close()


async def test_a_hole_is_filled_in_by_itself_once_an_archive_has_its_state(
    database: str, another_database: str
) -> None:
    await after_a_long_pause(database)
    grown = chain(HEAD + 6, keep_states=12)
    async with DevNode(archived(HEAD + 6)) as archive:
        await index(another_database, archive.url, stop=HEAD + 6, start=SEEN - 3)
        async with DevNode(grown) as node, running(database, node.url, "--archive", archive.url, "--batch", "5"):
            with anyio.fail_after(30):
                while await gaps(database) or await committed(database) < HEAD + 6:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_storage_items_are_filled_in_each_for_itself(database: str, another_database: str) -> None:
    """They share their tables; the upgrade that brings the last of them lies in the hole."""
    items = ("System.Account", "SubtensorModule.Keys", "Swap.SwapBalancer")
    await after_a_long_pause(database, datasets=("blocks",), item=items)
    options = ["--datasets", "blocks", "--item", ",".join(items), "--batch", "5"]
    async with DevNode(archived(HEAD + 6)) as archive:
        await index(another_database, archive.url, stop=HEAD + 6, start=SEEN - 3, datasets=("blocks",), item=items)
        async with (
            DevNode(chain(HEAD + 6, keep_states=12)) as node,
            running(database, node.url, "--archive", archive.url, *options),
        ):
            with anyio.fail_after(60):
                while await gaps(database) or await committed(database) < HEAD + 6:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_an_archive_that_fails_midway_leaves_a_smaller_hole_and_the_head_is_followed_all_the_same(
    database: str, another_database: str
) -> None:
    await after_a_long_pause(database)
    lost = {"0x" + archived(HEAD + 6).at(number).hash.hex() for number in range(22, HEAD)}

    async def forget(method: str, params: Any, result: Any) -> Any:
        if method == "state_getReadProof" and params[1] in lost:
            raise RpcError(CLIENT_ERROR, "Client error: State already discarded")
        return result

    node_chain = chain(HEAD, keep_states=5)
    async with DevNode(archived(HEAD + 6), tamper=forget) as archive, DevNode(node_chain) as node:
        async with running(database, node.url, "--archive", archive.url, "--batch", "2"):
            with anyio.fail_after(20):
                while await gaps(database) != {(22, HEAD - 1)}:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            node_chain.grow(2)
            node_chain.finalize(HEAD + 2)
            await wait_for(database, HEAD + 2)
        assert node.requests["system_chain"] == 1, "a hole that stays must not end the run that follows the head"
        archive.tamper = None
        async with running(database, node.url, "--archive", archive.url):
            with anyio.fail_after(20):
                while await gaps(database):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
    async with DevNode(archived(HEAD + 2)) as archive:
        await index(another_database, archive.url, stop=HEAD + 2, start=SEEN - 3)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_the_last_block_of_a_hole_is_written_with_the_one_after_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death between the two would leave no hole, and a block of which only a whole state was ever read."""
    chosen = ("balances", "blocks")
    await after_a_long_pause(database, datasets=chosen)
    ends, fill = list[int](), Store.fill

    async def noted(self: Store, blocks: Sequence[BlockRows], *given: Any) -> dict[str, int]:
        ends.append(blocks[-1].ref.number)
        return await fill(self, blocks, *given)

    monkeypatch.setattr(Store, "fill", noted)
    async with DevNode(archived(HEAD + 6)) as archive, DevNode(chain(HEAD, keep_states=5)) as node:
        options = {"archive": archive.url, "datasets": chosen, "batch": 1, "workers": 1}
        async with anyio.create_task_group() as group:
            group.start_soon(partial(index, database, node.url, stop=HEAD + 1, **options))
            with anyio.fail_after(30):
                while await gaps(database):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            group.cancel_scope.cancel()
    assert (ends[-2], ends[-1]) == (HEAD - 2, HEAD)


async def test_a_dataset_whose_state_is_gone_joins_the_others_where_they_are(database: str) -> None:
    """One dataset was left out for a while: it goes on at the block of the others, with a hole of its own."""
    pruned = chain(SEEN, keep_states=5)
    async with DevNode(pruned) as node:
        await index(database, node.url, stop=SEEN, start=SEEN - 3)
        for height in range(SEEN + 3, HEAD + 1, 3):
            pruned.grow(3)
            pruned.finalize(height)
            await index(database, node.url, stop=height, datasets=("balances",))
        await index(database, node.url, stop=HEAD)
    connection = await asyncpg.connect(database)
    holes = await connection.fetch("SELECT dataset, first_block, last_block FROM gaps")
    assert {row["dataset"] for row in holes} == {dataset.name for dataset in load()} - {"balances", "blocks"}
    assert {tuple(row)[1:] for row in holes} == {(SEEN + 1, HEAD - 1)}
    assert {row["block_number"] for row in await connection.fetch("SELECT block_number FROM cursors")} == {HEAD}
    await connection.close()


async def test_a_first_block_whose_state_is_gone_is_refused_with_a_word_on_archives(database: str) -> None:
    async with DevNode(chain(HEAD, keep_states=5)) as node:
        with pytest.raises(ConfigError, match=r"state of block 3 any more.*--archive"):
            await index(database, node.url, stop=HEAD, start=3)


async def test_a_busy_node_is_no_reason_to_skip_blocks(database: str) -> None:
    """Refusals of old state that come with refusals of the head's are of the moment."""
    full = chain(SEEN)
    refused = 0

    async def busy(method: str, params: Any, result: Any) -> Any:  # noqa: ARG001
        nonlocal refused
        if method in ("state_queryStorageAt", "state_getReadProof") and refused < 3:
            refused += 1
            raise RpcError(CLIENT_ERROR, "busy")
        return result

    async with DevNode(full) as node:
        await index(database, node.url, stop=4)
        node.tamper = busy
        await index(database, node.url, stop=SEEN)
    assert refused == 3
    assert await gaps(database) == set()
