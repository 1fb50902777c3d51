"""The node client against real WebSockets: fail-over, silence, lies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from indexer.capture import capture, track
from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain
from indexer.errors import ConfigError, NodeError, ProofError, root_cause
from indexer.heads import Heads
from indexer.link import RpcRefused
from indexer.node import open_node
from indexer.trie import NodeCache

pytestmark = pytest.mark.anyio

TRACKED = track(load(None))


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(3)
    chain.grow(6)
    chain.finalize(5)
    return chain


@pytest.fixture
async def devnode(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as running:
        yield running


async def test_requests_made_at_once_get_each_its_own_answer(devnode: DevNode) -> None:
    answers: dict[int, bytes | None] = {}
    async with open_node([devnode.url]) as node, anyio.create_task_group() as group:

        async def ask(number: int) -> None:
            answers[number] = await node.block_hash(number)

        for number in range(7):
            group.start_soon(ask, number)
    assert answers == {number: devnode.chain.at(number).hash for number in range(7)}


async def test_a_dead_endpoint_is_left_for_the_next_one(devnode: DevNode) -> None:
    async with open_node(["ws://127.0.0.1:9", devnode.url]) as node:
        assert await node.block_hash(0) == devnode.chain.genesis.hash
        assert node.endpoint == devnode.url


async def test_a_connection_cut_in_mid_request_is_made_again(devnode: DevNode) -> None:
    cuts = 1

    async def cut_once(_method: str, _params: object, result: Any) -> Any:
        nonlocal cuts
        if cuts:
            cuts -= 1
            raise DropConnection
        return result

    devnode.tamper = cut_once
    async with open_node([devnode.url]) as node:
        assert await node.block_hash(1) == devnode.chain.at(1).hash
    assert cuts == 0


async def test_an_endpoint_that_says_nothing_costs_one_timeout_and_the_next_one_answers(
    chain: Chain, devnode: DevNode
) -> None:
    async def silence(_method: str, _params: object, _result: Any) -> Any:
        await anyio.sleep(3)  # far longer than the time-out

    async with DevNode(chain, tamper=silence) as silent, open_node([silent.url, devnode.url], timeout_s=0.2) as node:
        with anyio.fail_after(5):
            assert await node.block_hash(2) == chain.at(2).hash


async def test_when_no_endpoint_answers_the_error_names_each() -> None:
    async with open_node(["ws://127.0.0.1:9", "ws://127.0.0.1:10"]) as node:
        with pytest.raises(NodeError, match=r"127\.0\.0\.1:9 .*127\.0\.0\.1:10 "):
            await node.block_hash(0)


@pytest.mark.parametrize("name", ["half a pair: \ud83d", "a\x00b", "\U0001f600"])
async def test_text_that_is_no_unicode_is_no_reason_to_leave_an_endpoint(chain: Chain, name: str) -> None:
    async def named(method: str, _params: object, result: Any) -> Any:
        return name if method == "system_chain" else result

    async with DevNode(chain, tamper=named) as odd, open_node([odd.url]) as node:
        assert await node.call("system_chain") == name


async def test_an_address_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="is no WebSocket address"):
        async with open_node(["http://127.0.0.1"]):
            pass


async def test_what_the_node_refuses_is_told_with_its_reason(devnode: DevNode) -> None:
    async with open_node([devnode.url]) as node:
        with pytest.raises(RpcRefused, match=r"refuses author_rotateKeys.*-32601"):
            await node.call("author_rotateKeys")


async def test_a_header_that_does_not_hash_to_what_was_asked_is_a_lie_with_a_name(devnode: DevNode) -> None:
    async def forge(method: str, _params: object, result: Any) -> Any:
        return {**result, "stateRoot": "0x" + "11" * 32} if method == "chain_getHeader" else result

    devnode.tamper = forge
    async with open_node([devnode.url]) as node:
        with pytest.raises(ProofError, match=devnode.url):
            await node.header(devnode.chain.at(3).hash)


async def test_a_proof_with_one_flipped_bit_never_becomes_a_change(devnode: DevNode) -> None:
    """Whichever node of the proof is bent: either it was not needed, or the endpoint is named as the liar."""
    chain, caught = devnode.chain, 0
    at = 0

    async def bend(method: str, _params: object, result: Any) -> Any:
        if method != "state_getReadProof":
            return result
        proof = list(result["proof"])
        victim = proof[at % len(proof)]
        proof[at % len(proof)] = victim[:-1] + format(int(victim[-1], 16) ^ 1, "x")
        return {**result, "proof": proof}

    async with open_node([devnode.url]) as node:
        headers = [await node.header(chain.at(number).hash) for number in (2, 3, 4)]
        truth = await capture(node, NodeCache(1 << 24), TRACKED, headers[2], headers[1], headers[0], bootstrap=False)
        devnode.tamper = bend
        for at in range(40):  # noqa: B007 - bend reads it
            try:
                seen = await capture(
                    node, NodeCache(1 << 24), TRACKED, headers[2], headers[1], headers[0], bootstrap=False
                )
            except (ProofError, BaseExceptionGroup) as error:
                cause = root_cause(error)
                assert isinstance(cause, ProofError)
                assert devnode.url in str(cause)
                caught += 1
            else:
                assert seen.changes == truth.changes
                assert seen.reads == truth.reads
    assert caught > 20


async def test_without_read_proofs_nothing_is_captured_as_proven(devnode: DevNode) -> None:
    from indexer.devchain.rpc import RpcError

    async def refuse(method: str, _params: object, result: Any) -> Any:
        if method == "state_getReadProof":
            raise RpcError(-32601, "Method not found")
        return result

    devnode.tamper = refuse
    async with open_node([devnode.url]) as node:
        header = await node.header(devnode.chain.genesis.hash)
        with pytest.raises(NodeError, match="does not serve state_getReadProof"):
            await capture(node, NodeCache(1 << 20), TRACKED, header, None, None, bootstrap=False)


async def test_old_state_is_read_from_the_archive_endpoint() -> None:
    pruned = simulated_chain(3, keep_states=2)
    archive = simulated_chain(3)
    for one in (pruned, archive):
        one.grow(10)
        one.finalize(10)
    async with DevNode(pruned) as near, DevNode(archive) as far:
        async with open_node([near.url]) as node:
            with pytest.raises(RpcRefused, match="State already discarded"):
                await node.read_proof([b":code"], pruned.at(3).hash)
        async with open_node([near.url], archive=[far.url]) as node:
            nodes, endpoint = await node.read_proof([b":code"], pruned.at(3).hash)
            assert endpoint == far.url
            assert pruned.at(3).header.state_root in nodes


async def test_a_tiny_cache_costs_calls_and_never_a_change(devnode: DevNode) -> None:
    chain = devnode.chain
    async with open_node([devnode.url]) as node:
        headers = [await node.header(chain.at(number).hash) for number in (2, 3, 4)]
        results = [
            await capture(
                node, NodeCache(limit), TRACKED, headers[2], headers[1], headers[0], bootstrap=False, predicted=guess
            )
            for limit in (0, 1 << 24)
            for guess in ((), (b"nonsense", b"\xff" * 40), tuple(TRACKED.item_of))
        ]
    assert len({result.changes for result in results}) == 1
    assert results[0].changes


async def test_heads_lead_through_every_height_although_finality_skips_some(devnode: DevNode) -> None:
    chain, told = devnode.chain, list[tuple[str, int]]()
    async with open_node([devnode.url]) as node, anyio.create_task_group() as group:
        heads = Heads(node, "finalized", lambda kind, number: told.append((kind, number)))
        await heads.look()
        assert heads.target == 5
        group.start_soon(heads.watch)
        group.start_soon(heads.listen)
        chain.grow(5)
        chain.finalize(10)
        with anyio.fail_after(5):
            await heads.reached(10)
        group.cancel_scope.cancel()
    assert ("finalized", 10) in told


async def test_a_subscription_ends_in_an_error_when_the_connection_does(devnode: DevNode) -> None:
    async with open_node([devnode.url]) as node, aclosing(node.subscribe("chain_subscribeNewHeads")) as heads:
        first = await anext(heads)
        assert int(first["number"], 16) == 6
        devnode.drop_connections()
        with pytest.raises(NodeError):
            await anext(heads)
