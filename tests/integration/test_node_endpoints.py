"""One bad endpoint before a good one, case by case: the answer comes, quickly, and the bad one is named."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import anyio
import pytest
from endpoints_at_fault import (
    HEIGHT,
    bent,
    grown,
    left,
    refusing,
    silent_on,
    until,
    usable,
)

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode, DropConnection
from indexer.errors import NodeError, WrongChain
from indexer.link import RpcRefused
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.node import METHOD_NOT_FOUND, open_node

pytestmark = pytest.mark.anyio


# -- silence and loss


async def test_an_endpoint_that_falls_silent_costs_a_moment_and_not_the_request_timeout(
    chain: Chain, good: DevNode, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pool.PROBE_TIMEOUT_S", 0.2)
    async with (
        DevNode(chain) as first,
        open_node([first.url, good.url], metrics=metrics, timeout_s=30, probe_s=0.1) as node,
    ):
        assert await node.block_hash(1) == chain.at(1).hash
        assert node.endpoint == first.url
        first.tamper = silent_on()
        with anyio.fail_after(1.5):
            assert await node.block_hash(2) == chain.at(2).hash
        assert node.endpoint == good.url
    assert left(metrics, first.url, "silent") == 1


async def test_an_endpoint_that_came_back_is_used_again_and_work_never_waits_for_the_try(
    chain: Chain, good: DevNode, metrics: Metrics
) -> None:
    async with (
        DevNode(chain) as first,
        open_node([first.url, good.url], metrics=metrics, probe_s=0.05) as node,
    ):
        assert await node.block_hash(1) == chain.at(1).hash
        cut = True

        async def drop(_method: str, _params: object, result: Any) -> Any:
            if cut:
                raise DropConnection
            return result

        first.tamper = drop
        with anyio.fail_after(1):
            assert await node.block_hash(2) == chain.at(2).hash
        assert node.endpoint == good.url
        assert not usable(metrics, first.url)
        cut = False
        await until(lambda: usable(metrics, first.url))
        assert node.endpoint == first.url


# -- height, fork, chain


async def test_an_endpoint_that_lags_is_asked_last_until_it_has_caught_up(good: DevNode, metrics: Metrics) -> None:
    late = grown(height=4)
    async with (
        DevNode(late) as lagging,
        open_node([lagging.url, good.url], metrics=metrics, probe_s=0.05) as node,
    ):
        await until(lambda: node.endpoint == good.url)
        assert left(metrics, lagging.url, "lagging") == 1
        assert (await node.finalized()).number == HEIGHT
        assert (await node.best()).number == HEIGHT
        late.grow(HEIGHT - 4)
        late.finalize(HEIGHT)
        await until(lambda: node.endpoint == lagging.url)
        assert usable(metrics, lagging.url)


async def test_a_subscription_leaves_an_endpoint_that_lags(good: DevNode) -> None:
    late = grown(height=10)
    async with DevNode(late) as lagging, open_node([lagging.url, good.url], probe_s=0.05) as node:
        async with aclosing(node.subscribe("chain_subscribeNewHeads")) as heads:
            assert int((await anext(heads))["number"], 16) == 10
            good.chain.grow(6)
            with anyio.fail_after(5), pytest.raises(NodeError, match="another endpoint"):
                await anext(heads)
        async with aclosing(node.subscribe("chain_subscribeNewHeads")) as heads:
            assert int((await anext(heads))["number"], 16) == HEIGHT + 6


async def test_a_block_that_one_endpoint_does_not_know_is_asked_of_the_next(chain: Chain, good: DevNode) -> None:
    late = grown(height=4)
    async with DevNode(late) as behind, open_node([behind.url, good.url]) as node:
        assert await node.block_hash(HEIGHT) == chain.at(HEIGHT).hash
        assert (await node.header(chain.at(HEIGHT).hash)).ref.number == HEIGHT
        nodes, endpoint = await node.read_proof([b":code"], chain.at(HEIGHT).hash)
        assert endpoint == good.url
        assert chain.at(HEIGHT).header.state_root in nodes
        assert await node.block_hash(HEIGHT + 1) is None
        with pytest.raises(NodeError, match="does not know block"):
            await node.header(b"\7" * 32)


async def test_an_endpoint_on_a_fork_below_a_final_block_is_not_asked_for_heights(
    chain: Chain, good: DevNode, metrics: Metrics
) -> None:
    other = grown(height=5)
    other.fork(5, HEIGHT)
    final = BlockRef(10, chain.at(10).hash)
    async with DevNode(other) as forked, open_node([forked.url, good.url], metrics=metrics) as node:
        node.expect(chain.genesis.hash, final)
        assert await node.block_hash(10) == final.hash
        assert (await node.best()).hash == chain.best.hash
        assert node.endpoint == good.url
    assert left(metrics, forked.url, "fork") == 1
    async with DevNode(other) as forked, open_node([forked.url], metrics=metrics) as node:
        node.expect(chain.genesis.hash, final)  # if all are, it is for ``recover`` to see it
        assert await node.block_hash(10) == other.at(10).hash


async def test_a_fork_is_not_followed_because_the_good_endpoint_is_away(chain: Chain) -> None:
    other = grown(height=5)
    other.fork(5, HEIGHT)
    async with DevNode(other) as forked, open_node([forked.url, "ws://127.0.0.1:9"]) as node:
        node.expect(chain.genesis.hash, BlockRef(10, chain.at(10).hash))
        with pytest.raises(NodeError, match=r"127\.0\.0\.1:9 cannot be reached"):
            await node.block_hash(10)


async def test_an_endpoint_of_another_chain_is_left_alone_and_fatal_only_if_all_are(
    chain: Chain, good: DevNode, metrics: Metrics
) -> None:
    async with DevNode(grown(4)) as stranger:
        async with open_node([stranger.url, good.url], metrics=metrics) as node:
            node.expect(chain.genesis.hash, None)
            assert await node.block_hash(5) == chain.at(5).hash
            assert left(metrics, stranger.url, "other_chain") == 1
            asked = sum(stranger.requests.values())
            assert (await node.best()).number == HEIGHT
            assert sum(stranger.requests.values()) == asked
        async with open_node([stranger.url, "ws://127.0.0.1:9"]) as node:
            node.expect(chain.genesis.hash, None)
            with pytest.raises(NodeError, match=r"127\.0\.0\.1:9 cannot be reached"):
                await node.block_hash(5)
        async with open_node([stranger.url]) as node:
            node.expect(chain.genesis.hash, None)
            with pytest.raises(WrongChain, match=rf"{stranger.url} with genesis 0x{grown(4, 0).genesis.hash.hex()}"):
                await node.block_hash(5)


async def test_an_endpoint_that_tells_of_a_head_it_does_not_have_is_left_alone(
    good: DevNode, metrics: Metrics, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pool.HEAD_PATIENCE_S", 0.2)
    async with (
        DevNode(chain, tamper=bent("chain_getHeader", number=hex(10**6))) as boaster,
        open_node([boaster.url, good.url], metrics=metrics, probe_s=0.05) as node,
    ):
        assert (await node.best()).number == 10**6
        await until(lambda: node._pool.endpoints[1].lagging)
        with anyio.fail_after(5):
            while (await node.best()).number != HEIGHT:
                assert await node.block_hash(10**6) is None
                await anyio.sleep(0.05)
        assert left(metrics, boaster.url, "false_head") == 1
        await until(lambda: usable(metrics, good.url))


# -- what an endpoint lacks


async def test_old_state_comes_from_the_archive_and_the_pruned_endpoint_is_not_asked_in_vain_again(
    chain: Chain, good: DevNode
) -> None:
    pruned = grown(keep_states=2)
    async with DevNode(pruned) as near, open_node([near.url], archive=[good.url]) as node:
        assert (await node.best()).number == HEIGHT
        for number in (5, 4, 3, 2):
            await node.header(chain.at(number).hash)
            _, endpoint = await node.read_proof([b":code"], chain.at(number).hash)
            assert endpoint == good.url
        assert near.requests["state_getReadProof"] == 1
        await node.header(chain.at(HEIGHT).hash)
        _, endpoint = await node.read_proof([b":code"], chain.at(HEIGHT).hash)
        assert endpoint == near.url
        good.chain.grow(1)
        assert await node.block_hash(HEIGHT + 1) is None, "the archive was asked for a head"


async def test_an_endpoint_without_read_proofs_is_passed_over_for_them_alone(chain: Chain, good: DevNode) -> None:
    refuse = refusing(METHOD_NOT_FOUND, "Method not found", method="state_getReadProof")
    async with DevNode(chain, tamper=refuse) as without:
        async with open_node([without.url, good.url]) as node:
            for number in range(5):
                _, endpoint = await node.read_proof([b":code"], chain.at(number).hash)
                assert endpoint == good.url
            assert without.requests["state_getReadProof"] == 1
            assert node.endpoint == without.url
        async with open_node([without.url]) as node:
            with pytest.raises(RpcRefused, match=str(METHOD_NOT_FOUND)) as refused:
                await node.read_proof([b":code"], chain.at(3).hash)
            assert refused.value.code == METHOD_NOT_FOUND
        async with open_node([without.url, "ws://127.0.0.1:9"]) as node:  # the other one may serve them
            with pytest.raises(NodeError) as failure:
                await node.read_proof([b":code"], chain.at(3).hash)
            assert not isinstance(failure.value, RpcRefused)


# -- secrets


async def test_no_error_shows_the_key_in_an_endpoints_url(good: DevNode) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    async with open_node([f"ws://user:hunter2@127.0.0.1:9/{secret}?key={secret}"]) as node:
        with pytest.raises(NodeError) as failure:
            await node.block_hash(0)
        assert "hunter2" not in node.endpoint
    async with open_node([f"{good.url}/{secret}?key={secret}"]) as node:
        with pytest.raises(RpcRefused) as refusal:
            await node.call("author_rotateKeys")
    assert "127.0.0.1:9" in str(failure.value)
    for hidden in (secret, "hunter2"):
        assert hidden not in str(failure.value) + str(refusal.value)
