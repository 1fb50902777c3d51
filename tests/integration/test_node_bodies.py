"""Extrinsics from endpoints that lie about them, or have none: the next one is asked, and what nobody has is told."""

from __future__ import annotations

from typing import Any

import anyio
import asyncpg
import pytest
from endpoints_at_fault import left, refusing
from running import committed, index, running

from indexer import capture
from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode, Tamper
from indexer.errors import ProofError
from indexer.metrics import Metrics
from indexer.node import METHOD_NOT_FOUND, open_node
from indexer.verify import verify

pytestmark = pytest.mark.anyio

BODY = "chain_getBlock"
DATASETS = ("default", "extrinsics")


def with_body(change: Any) -> Tamper:
    """A node that bends the extrinsics of every block but those that have none."""

    async def bend(method: str, _params: object, result: Any) -> Any:
        if method != BODY or result is None:
            return result
        return {**result, "block": {**result["block"], "extrinsics": change(result["block"]["extrinsics"])}}

    return bend


def without_bodies(*numbers: int) -> Tamper:
    """A node that has dropped the bodies of some blocks (all, if none is named)."""

    async def forget(method: str, _params: object, result: Any) -> Any:
        if method != BODY or result is None:
            return result
        number = int(result["block"]["header"]["number"], 16)
        return None if not numbers or number in numbers else result

    return forget


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "BODY_PAUSES_S", (0.0, 0.01, 0.01))


LIES = {
    "one is missing": lambda body: body[:-1],
    "one is there twice": lambda body: [*body, body[-1]],
    "a bit is bent": lambda body: [body[0][:-1] + format(int(body[0][-1], 16) ^ 1, "x"), *body[1:]],
    "none are there": lambda _: [],
    "it is no list": lambda _: 7,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_extrinsics_that_are_a_lie_are_taken_from_the_next_endpoint(
    chain: Chain, good: DevNode, metrics: Metrics, lie: Any
) -> None:
    async with DevNode(chain, tamper=with_body(lie)) as liar:
        async with open_node([liar.url, good.url], metrics=metrics) as node:
            header = await node.header(chain.at(5).hash)
            assert await node.body(header) == chain.at(5).extrinsics
            assert liar.requests[BODY] == 1
            assert left(metrics, liar.url, "lie") == 1
        async with open_node([liar.url]) as node:
            with pytest.raises(ProofError, match=liar.url):
                await node.body(await node.header(chain.at(5).hash))


async def test_a_body_that_an_endpoint_has_dropped_is_taken_from_the_next_one(chain: Chain, good: DevNode) -> None:
    async with DevNode(chain, tamper=without_bodies()) as poor, open_node([poor.url, good.url]) as node:
        header = await node.header(chain.at(5).hash)
        assert await node.body(header) == chain.at(5).extrinsics
        assert poor.requests[BODY] == 1
        good.tamper = without_bodies()
        assert await node.body(header) is None


async def test_a_body_that_is_lacking_for_a_moment_is_waited_for(chain: Chain) -> None:
    asked = 0

    async def late(method: str, _params: object, result: Any) -> Any:
        nonlocal asked
        asked += method == BODY
        return None if method == BODY and asked < 3 else result

    async with DevNode(chain, tamper=late) as node_behind, open_node([node_behind.url]) as node:
        header = await node.header(chain.at(5).hash)
        assert await capture.read_body(node, header) == chain.at(5).extrinsics
        assert asked == 3


async def test_no_body_is_asked_for_unless_a_dataset_needs_it(database: str, good: DevNode) -> None:
    await index(database, good.url, stop=6, datasets=("default", "events"))
    assert BODY not in good.requests
    await index(database, good.url, stop=8, datasets=("default", "events", "extrinsics"))
    assert good.requests[BODY] >= 9


async def told(database: str, query: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


EXTRINSICS = "select block_number, extrinsic_index, hash, call from extrinsics order by 1, 2"
GAPS = "select dataset, first_block, last_block, left(reason, 35) from gaps order by 1, 2"
REASON = "no endpoint had the extrinsics of these blocks any more"[:35]


async def test_blocks_whose_extrinsics_nobody_has_are_told_and_hold_up_nothing_and_are_read_once_somebody_has(
    database: str, another_database: str, chain: Chain, good: DevNode
) -> None:
    await index(another_database, good.url, stop=12, datasets=DATASETS)
    every = await told(another_database, EXTRINSICS)
    assert {row[0] for row in every} == {*range(1, 13)}
    async with DevNode(chain, tamper=without_bodies(3, 4, 5, 9)) as poor:
        await index(database, poor.url, stop=10, datasets=DATASETS)
        assert await told(database, GAPS) == [("extrinsics", 3, 5, REASON), ("extrinsics", 9, 9, REASON)]
        assert await told(database, EXTRINSICS) == [row for row in every if row[0] <= 10 and row[0] not in (3, 4, 5, 9)]
        assert await told(database, "select count(*) from blocks where complete") == [(11,)]
        chain.grow(4)
        chain.finalize(16)
        poor.tamper = None
        async with running(database, poor.url, "--datasets", "default,extrinsics"):
            with anyio.fail_after(30):
                while await told(database, GAPS) or await committed(database) < 12:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
    assert [row for row in await told(database, EXTRINSICS) if row[0] <= 12] == every


async def test_a_node_that_refuses_to_give_blocks_holds_up_no_other_dataset(database: str, chain: Chain) -> None:
    async with DevNode(chain, tamper=refusing(METHOD_NOT_FOUND, method=BODY)) as poor:
        await index(database, poor.url, stop=5, datasets=DATASETS)
    assert await told(database, GAPS) == [("extrinsics", 0, 5, REASON)]
    assert await told(database, "select count(*) from blocks where complete") == [(6,)]
    assert await told(database, "select count(*) > 0 from stake_shares") == [(True,)]


async def test_blocks_whose_extrinsics_still_nobody_has_stay_told(database: str, chain: Chain) -> None:
    async with DevNode(chain, tamper=without_bodies(3, 4, 5, 9)) as poor:
        await index(database, poor.url, stop=10, datasets=DATASETS)
        before = await told(database, GAPS)
        await index(database, poor.url, stop=12, datasets=DATASETS)
        assert await told(database, GAPS) == before
        assert len(before) == 2


async def test_extrinsics_are_proven_also_where_no_endpoint_proves_state(
    database: str, another_database: str, chain: Chain, good: DevNode
) -> None:
    await index(another_database, good.url, stop=8, datasets=DATASETS)
    async with DevNode(chain, tamper=refusing(METHOD_NOT_FOUND, method="state_getReadProof")) as blind:
        await index(database, blind.url, stop=8, datasets=DATASETS)
    assert await told(database, EXTRINSICS) == await told(another_database, EXTRINSICS) != []
    transfers = "select * from transfers order by 1, 3"
    assert await told(database, transfers) == await told(another_database, transfers)


async def test_rows_of_extrinsics_and_transfers_are_verified_unless_nobody_has_the_extrinsics(
    database: str, good: DevNode
) -> None:
    await index(database, good.url, stop=12, datasets=("default", "events", "extrinsics"))
    (number,) = (await told(database, "select max(block_number) from transfers"))[0]
    every = load(["all"])
    async with open_node([good.url]) as node:
        report = await verify(node, database, every, block=number)
        assert (report.differences, report.skipped) == ((), ())
        connection = await asyncpg.connect(database)
        for statement in (
            f"update extrinsic_log set call = 'other' where (block_number, extrinsic_index) = ({number}, 0)",
            f"update transfer_log set amount = amount + 1 where block_number = {number}",
            f"delete from events where (block_number, event_index) = ({number}, 0)",
        ):
            await connection.execute(statement)
        await connection.close()
        report = await verify(node, database, every, block=number)
        assert {one.dataset for one in report.differences} == {"extrinsics", "transfers", "events"}
        good.tamper = without_bodies()
        report = await verify(node, database, every, block=number)
        assert {one.dataset for one in report.differences} == {"transfers", "events"}
        assert any("no endpoint has the extrinsics" in one for one in report.skipped)
