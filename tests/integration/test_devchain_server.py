"""The devchain's node over a real WebSocket: order of messages, subscriptions, batches, faults, heartbeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from indexer.devchain.chain import Chain
from indexer.devchain.heartbeat import serve
from indexer.devchain.rpc import Params, RpcError, hexed
from indexer.devchain.runtimes import SPEC_293
from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

NUMBER_KEY = hexed(SPEC_293.item("System", "Number").key("System"))


@asynccontextmanager
async def session(chain: Chain, **options: Any) -> AsyncIterator[tuple[DevNode, ClientConnection]]:
    async with DevNode(chain, **options) as node, connect(node.url, max_size=None) as client:
        yield node, client


async def send(client: ClientConnection, method: str, *params: Any, request_id: int = 1) -> None:
    await client.send(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}))


async def receive(client: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(client.recv(), 5))


async def ask(client: ClientConnection, method: str, *params: Any) -> Any:
    await send(client, method, *params)
    return (await receive(client))["result"]


def number_of(notification: dict[str, Any]) -> int:
    return int(notification["params"]["result"]["number"], 16)


async def test_a_subscription_answers_first_and_then_tells_the_present_head():
    chain = simulated_chain(1)
    chain.grow(2)
    async with session(chain) as (_, client):
        await send(client, "chain_subscribeNewHeads", request_id=7)
        answer, first = await receive(client), await receive(client)
        assert answer["id"] == 7
        assert first["method"] == "chain_newHead"
        assert first["params"]["subscription"] == answer["result"]
        chain.grow(2)
        assert [number_of(await receive(client)) for _ in range(2)] == [3, 4]
        assert number_of(first) == 2


@pytest.mark.parametrize("method", ["chain_subscribeNewHead", "chain_subscribeNewHeads"])
async def test_both_names_of_the_new_heads_subscription_work(method: str):
    chain = simulated_chain(1)
    async with session(chain) as (_, client):
        await ask(client, method)
        assert number_of(await receive(client)) == 0


async def test_finalized_heads_skip_heights_as_on_a_real_node():
    chain = simulated_chain(1)
    chain.grow(5)
    async with session(chain) as (_, client):
        await ask(client, "chain_subscribeFinalizedHeads")
        assert number_of(await receive(client)) == 0
        chain.finalize(2)
        chain.finalize(5)
        assert [number_of(await receive(client)) for _ in range(2)] == [2, 5]


async def test_all_heads_tells_of_side_blocks_and_new_heads_only_of_the_best():
    chain = simulated_chain(1)
    chain.grow(3)
    async with session(chain) as (_, client):
        every = await ask(client, "chain_subscribeAllHeads")
        await receive(client)
        best = await ask(client, "chain_subscribeNewHeads")
        await receive(client)
        chain.fork(at=1, length=3)
        told = [await receive(client) for _ in range(4)]
        assert [number_of(one) for one in told if one["params"]["subscription"] == every] == [2, 3, 4]
        assert [number_of(one) for one in told if one["params"]["subscription"] == best] == [4]


async def test_nothing_is_told_after_unsubscribing():
    chain = simulated_chain(1)
    async with session(chain) as (_, client):
        subscription = await ask(client, "chain_subscribeNewHeads")
        await receive(client)
        assert await ask(client, "chain_unsubscribeNewHeads", subscription) is True
        assert await ask(client, "chain_unsubscribeNewHeads", subscription) is False
        chain.grow(1)
        assert await ask(client, "system_chain") == "Devchain"


async def test_a_runtime_version_subscription_speaks_at_the_upgrade_only():
    chain = simulated_chain(1, upgrade_at=3)
    async with session(chain) as (_, client):
        await ask(client, "state_subscribeRuntimeVersion")
        assert (await receive(client))["params"]["result"]["specVersion"] == 293
        chain.grow(6)
        assert (await receive(client))["params"]["result"]["specVersion"] == 475
        assert await ask(client, "system_chain") == "Devchain"


async def test_a_storage_subscription_tells_changed_keys_of_the_best_chain():
    chain = simulated_chain(1)
    async with session(chain) as (_, client):
        await ask(client, "state_subscribeStorage", [NUMBER_KEY, "0xabcd"])
        first = (await receive(client))["params"]["result"]
        assert first["changes"] == [[NUMBER_KEY, "0x00000000"], ["0xabcd", None]]
        chain.grow(1)
        second = (await receive(client))["params"]["result"]
        assert second == {"block": hexed(chain.best.hash), "changes": [[NUMBER_KEY, "0x01000000"]]}


async def test_a_batch_is_answered_as_one_with_errors_in_place():
    chain = simulated_chain(1)
    async with session(chain) as (node, client):
        calls = [("chain_getBlockHash", [0]), ("no_such_method", []), ("chain_getBlockHash", ["x"])]
        batch = [{"jsonrpc": "2.0", "id": at, "method": m, "params": p} for at, (m, p) in enumerate(calls)]
        await client.send(json.dumps(batch))
        answers = await receive(client)
        assert [one["id"] for one in answers] == [0, 1, 2]
        assert answers[0]["result"] == hexed(chain.genesis.hash)
        assert [one["error"]["code"] for one in answers[1:]] == [-32601, -32602]
        assert node.requests == {"chain_getBlockHash": 2, "no_such_method": 1}


@pytest.mark.parametrize(("message", "code"), [("{", -32700), ("[]", -32600), ("3", -32600), ('{"id": 1}', -32600)])
async def test_what_is_no_request_is_answered_with_a_nodes_code(message: str, code: int):
    async with session(simulated_chain(1)) as (_, client):
        await client.send(message)
        assert (await receive(client))["error"]["code"] == code


async def test_thousands_of_keys_are_proven_in_one_call_within_a_second():
    chain = simulated_chain(1)
    chain.grow(40)
    state = chain.state(chain.best.hash)
    keys = list(map(hexed, state.keys()))
    many = (keys * (5000 // len(keys) + 1))[:5000]
    async with session(chain) as (_, client):
        started = asyncio.get_running_loop().time()
        proof = await ask(client, "state_getReadProof", many)
        assert asyncio.get_running_loop().time() - started < 1
        assert len(proof["proof"]) > 100


async def test_a_tamper_can_lie_refuse_and_cut_the_connection():
    async def tamper(method: str, _params: Params, result: Any) -> Any:
        if method == "system_name":
            raise RpcError(-32000, "out of order")
        if method == "system_version":
            raise DropConnection
        return "a lie" if method == "system_chain" else result

    async with session(simulated_chain(1), tamper=tamper) as (_, client):
        assert await ask(client, "system_chain") == "a lie"
        await send(client, "system_name")
        assert (await receive(client))["error"] == {"code": -32000, "message": "out of order"}
        await send(client, "system_version")
        with pytest.raises(ConnectionClosed):
            await receive(client)


async def test_dropped_clients_may_connect_again():
    chain = simulated_chain(1)
    async with session(chain) as (node, client):
        assert await ask(client, "system_chain")
        node.drop_connections()
        with pytest.raises(ConnectionClosed):
            await receive(client)
        async with connect(node.url) as again:
            assert await ask(again, "chain_getBlockHash", 0) == hexed(chain.genesis.hash)


@asynccontextmanager
async def running(chain: Chain, **options: Any) -> AsyncIterator[str]:
    """``serve`` as the command line runs it, ended with the block."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(chain, "127.0.0.1", 0, ready=port.set_result, **options), name="serve")
    try:
        yield f"ws://127.0.0.1:{await asyncio.wait_for(port, 5)}"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_with_block_time_zero_all_blocks_exist_finalized_when_it_listens():
    chain = simulated_chain(1)
    async with running(chain, block_time_s=0, blocks=12) as url, connect(url) as client:
        assert await ask(client, "chain_getFinalizedHead") == await ask(client, "chain_getBlockHash", 12)
        assert await ask(client, "chain_getBlockHash", 13) is None


async def test_a_live_chain_grows_lags_in_finality_and_ends_finalized():
    chain, lags = simulated_chain(1), set[int]()
    async with running(chain, block_time_s=0.01, blocks=9) as url, connect(url) as client:
        await ask(client, "chain_subscribeFinalizedHeads")
        heights = list[int]()
        while not heights or heights[-1] < 9:
            heights.append(number_of(await receive(client)))
            if chain.best.number < 9:
                lags.add(chain.best.number - heights[-1])
        assert heights == sorted(set(heights))
        assert len(heights) < 10, "finality skipped a height"
        assert chain.best.number == 9
    assert min(lags - {0}) >= 2


async def test_a_taken_port_is_an_error_to_the_caller():
    async with DevNode(simulated_chain(1)) as node:
        with pytest.raises(OSError, match="address already in use"):
            await serve(simulated_chain(1), "127.0.0.1", node.port, block_time_s=0, blocks=1)
