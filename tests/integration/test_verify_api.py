"""The cross-check by itself: SQL beside the answers of a live runtime, with no root to lean on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from by_hand import kept
from running import index
from verifying import connected

from indexer.datasets import load
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.link import RpcRefused
from indexer.node import open_node
from indexer.verify.crosscheck import Checked, crosscheck
from indexer.verify.snapshot import open_snapshot
from indexer.verify.verification import truth_of

pytestmark = pytest.mark.anyio

LENGTH, UPGRADE = 26, 20


@pytest.fixture
async def devnode() -> AsyncIterator[DevNode]:
    chain = simulated_chain(7, upgrade_at=UPGRADE)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    async with DevNode(chain) as node:
        yield node


async def crosschecked(dsn: str, devnode: DevNode, block: int) -> Checked:
    """The cross-check alone, of every coldkey."""
    async with open_node([devnode.url]) as node, open_snapshot(dsn) as snapshot:
        header = await node.header(devnode.chain.at(block).hash)
        return await crosscheck(await truth_of(node, snapshot, load(), header.ref), snapshot, 10_000)


async def test_the_runtimes_of_a_live_node_agree_with_sql_at_every_block(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=LENGTH)
    for block in range(1, LENGTH + 1):
        checked = await crosschecked(database, devnode, block)
        assert checked.differences == [], block
        if block == UPGRADE:
            assert "upgraded the runtime" in checked.skipped[0]
        else:
            assert (checked.skipped, checked.values > 100) == ([], True), block


WRONG_ROWS = (
    ("delegations_at", "UPDATE hotkey_pools_history SET alpha = alpha + 1000000 WHERE alpha > 0 AND netuid = 1"),
    ("delegations_at", "DELETE FROM stake_shares WHERE netuid = 1; DELETE FROM stake_shares_history WHERE netuid = 1"),
    ("hyperparameters_at", "UPDATE stored_hyperparameter_history SET value = value + 1 WHERE name = 'tempo'"),
    ("hyperparameters_at", "UPDATE hyperparameter_default_history SET value = value + 1 WHERE name = 'rho'"),
    (
        "subnets_at",
        "UPDATE subnet_pool_history SET subnet_tao = 2 * subnet_tao, alpha_sqrt_price = 2 * alpha_sqrt_price "
        "WHERE netuid = 1",
    ),
)


@pytest.mark.parametrize("block", [UPGRADE - 1, LENGTH])
async def test_a_wrong_row_is_caught_with_no_root_compared(database: str, devnode: DevNode, block: int) -> None:
    await index(database, devnode.url, stop=LENGTH)
    async with connected(database) as connection:
        for function, statement in WRONG_ROWS:
            async with kept(connection):
                await connection.execute(statement)
                wrong = await crosschecked(database, devnode, block)
                assert {one.table for one in wrong.differences} == {function}, statement
                assert not any(one.is_repairable for one in wrong.differences)
    assert (await crosschecked(database, devnode, block)).differences == []


@pytest.mark.parametrize(
    ("block", "table", "assignment"),
    [
        (UPGRADE - 1, "subnet_pool_history", "alpha_sqrt_price = 'NaN'"),
        (LENGTH, "stake_shares", "share_exponent = 200000"),
    ],
)
async def test_what_sql_cannot_compute_is_told_and_the_rest_is_compared(
    database: str, devnode: DevNode, block: int, table: str, assignment: str
) -> None:
    await index(database, devnode.url, stop=LENGTH)
    async with connected(database) as connection:
        await connection.execute(f"UPDATE {table} SET {assignment}")
    checked = await crosschecked(database, devnode, block)
    told = [word for word in checked.skipped if "Postgres refuses" in word]
    assert told or {one.table for one in checked.differences} >= {"subnets_at"}
    assert checked.values > 50


async def test_an_answer_to_nonsense_is_an_error_of_the_node_not_of_the_server(devnode: DevNode) -> None:
    async with open_node([devnode.url]) as node:
        for function in ("StakeInfoRuntimeApi_get_stake_info_for_coldkeys", "SwapRuntimeApi_current_alpha_price"):
            with pytest.raises(RpcRefused, match=f"Bad input data provided to {function}"):
                await node.state_call(function, b"\xff\xff\xff", devnode.chain.best.hash)
