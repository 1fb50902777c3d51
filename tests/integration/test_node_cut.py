"""A connection that is lost with requests under way: is it over their size, or for no reason of theirs?"""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import anyio
import pytest

from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain
from indexer.link import Silent
from indexer.node import open_node

pytestmark = pytest.mark.anyio


async def test_a_lost_connection_with_many_proofs_under_way_is_held_against_their_size_once() -> None:
    """Else a node that restarts is asked key by key from then on, thousands of times."""
    chain = simulated_chain(3)
    chain.grow(6)
    keys, cuts = [bytes([at]) * 8 for at in range(40)], 0

    async def cut_when_all_wait(method: str, _params: object, result: Any) -> Any:
        nonlocal cuts
        if method == "state_getReadProof" and not cuts:
            with anyio.fail_after(5):
                while endpoint.gate._inside < 6:  # noqa: ASYNC110 - requests have no event of ours
                    await anyio.sleep(0.01)
            cuts += 1
            raise DropConnection
        return result

    async with DevNode(chain, tamper=cut_when_all_wait) as good, open_node([good.url]) as node:
        endpoint = node._pool.endpoints[0]
        async with anyio.create_task_group() as group:
            for height in range(1, 7):
                group.start_soon(node.read_proof, keys, chain.at(height).hash)
        assert (cuts, endpoint.portions.keys_max) == (1, 20)


@pytest.mark.parametrize(("apart_s", "keys_max"), [(0.0, 1000), (5.0, 20)])
async def test_a_size_that_was_answered_before_is_suspected_only_if_losses_follow_each_other(
    monkeypatch: pytest.MonkeyPatch, apart_s: float, keys_max: int
) -> None:
    monkeypatch.setattr("indexer.portions.CUTS_APART_S", apart_s)
    chain = simulated_chain(3)
    chain.grow(6)
    keys, cuts = [bytes([at]) * 8 for at in range(40)], 0

    async def cut_twice(method: str, params: Any, result: Any) -> Any:
        nonlocal cuts
        if method == "state_getReadProof" and params[1] == "0x" + chain.at(2).hash.hex() and cuts < 2:
            cuts += 1
            raise DropConnection
        return result

    async with DevNode(chain, tamper=cut_twice) as good, open_node([good.url]) as node:
        endpoint = node._pool.endpoints[0]
        await node.read_proof(keys, chain.at(1).hash)
        await node.read_proof(keys, chain.at(2).hash)
        assert (cuts, endpoint.portions.keys_max) == (2, keys_max)


async def test_a_connection_that_is_lost_again_and_again_costs_no_size_that_is_answered_between() -> None:
    """Else fewer keys mean more requests, and those more losses: a block would take minutes."""
    chain = simulated_chain(3)
    chain.grow(6)
    many, few, begun = [bytes([at]) * 8 for at in range(40)], [b"few"], 0

    async def often_cut(method: str, _params: object, result: Any) -> Any:
        nonlocal begun
        if method == "state_getReadProof":
            begun += 1
            if begun % 2:
                raise DropConnection
        return result

    async with DevNode(chain, tamper=often_cut) as devnode, open_node([devnode.url]) as node:
        portions = node._pool.endpoints[0].portions
        await node.read_proof(few, chain.at(1).hash)
        assert portions.keys_max == 1000, "a few keys are no reason"
        portions.proof_fits(1000)
        for height in range(1, 7):
            await node.read_proof(many, chain.at(height).hash)
        assert begun == 14
        assert portions.keys_max == 1000


async def test_a_proof_that_takes_too_long_is_asked_for_in_parts() -> None:
    """And so for few keys at once from a node that is slow, but not for ever fewer from one that is mute."""
    chain = simulated_chain(3)
    chain.grow(2)
    keys, is_mute = [bytes([at]) * 8 for at in range(64)], False

    async def slow(method: str, params: Any, result: Any) -> Any:
        if method == "state_getReadProof" and (is_mute or len(params[0]) > 16):
            await anyio.sleep(0.9)
        return result

    async with DevNode(chain, tamper=slow) as devnode, open_node([devnode.url], timeout_s=0.6) as node:
        portions = node._pool.endpoints[0].portions
        with pytest.raises(Silent):
            await node.read_proof(keys, chain.at(1).hash)
        nodes, _ = await node.read_proof(keys, chain.at(1).hash)
        assert chain.at(1).header.state_root in nodes
        assert portions.keys_max == 16
        is_mute = True
        for _ in range(3):
            with pytest.raises(Silent):
                await node.read_proof(keys, chain.at(1).hash)
        assert portions.keys_max == 8


async def test_what_was_under_way_when_we_gave_a_connection_up_is_held_against_nothing() -> None:
    """One request that gets no answer costs the others their connection, and must not cost them their size."""
    chain = simulated_chain(3)
    chain.grow(6)
    keys, begun = [bytes([at]) * 8 for at in range(40)], 0

    async def mute_at_first(method: str, _params: object, result: Any) -> Any:
        nonlocal begun
        if method == "state_getReadProof":
            begun += 1
            await anyio.sleep(3.0 if begun == 2 else 0)  # one after the other: those behind it are not answered either
        return result

    async with DevNode(chain, tamper=mute_at_first) as devnode, open_node([devnode.url], timeout_s=1.0) as node:
        endpoint = node._pool.endpoints[0]
        await node.read_proof(keys, chain.at(1).hash)
        async with anyio.create_task_group() as group:
            group.start_soon(node.read_proof, keys, chain.at(1).hash)
            await anyio.sleep(0.4)  # that one runs out of time, the others do not
            group.start_soon(node.read_proof, keys, chain.at(2).hash)
            for height in (3, 5):
                states = [(keys, chain.at(at).hash, lambda _: None) for at in (height, height + 1)]
                group.start_soon(node.read_proofs, states)
        assert begun == 2 + 6, "each of them is asked for once more"
        assert (endpoint.portions.keys_max, endpoint.portions.batch_max) == (1000, 64)


async def test_what_is_still_told_to_a_subscription_that_ends_is_not_kept_for_another_one() -> None:
    """A run that ends leaves its connection to the next one: else each would leave some notifications there."""
    chain = simulated_chain(3)
    async with DevNode(chain) as good, open_node([good.url]) as node:
        for _ in range(5):
            async with aclosing(node.subscribe("chain_subscribeNewHeads")) as heads:
                async for _ in heads:
                    chain.grow(2)
                    break
        with anyio.fail_after(5):
            while good.subscriptions:  # noqa: ASYNC110 - the other side's doing
                await anyio.sleep(0.01)
        await node.block_hash(0)
        link = node._pool.endpoints[0].link
        assert link is not None
        assert link._early == {}


async def test_a_subscription_whose_answer_comes_too_late_is_ended_at_its_first_word() -> None:
    """The connection outlives the run that asked, and with it the node's work for nobody."""
    chain = simulated_chain(3)
    chain.grow(2)
    asked, answer, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def late(method: str, _params: object, result: Any) -> Any:
        if method == "chain_subscribeNewHeads" and not asked.is_set():
            asked.set()
            await answer.wait()
        if method == "chain_unsubscribeNewHeads":
            ended.set()
        return result

    async with DevNode(chain, tamper=late) as good, open_node([good.url]) as node:
        async with anyio.create_task_group() as group:
            group.start_soon(anext, node.subscribe("chain_subscribeNewHeads"))
            await asked.wait()
            group.cancel_scope.cancel()
        answer.set()
        with anyio.fail_after(5):
            await ended.wait()
            while good.subscriptions:  # noqa: ASYNC110 - the other side's doing
                await anyio.sleep(0.01)
        async with aclosing(node.subscribe("chain_subscribeNewHeads")) as heads:
            assert int((await anext(heads))["number"], 16) == chain.best.number
            chain.grow(1)
            assert int((await anext(heads))["number"], 16) == chain.best.number
            assert good.subscriptions == 1
