"""One bad endpoint before a good one, case by case: the answer comes, quickly, and the bad one is named."""

from __future__ import annotations

import http
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from endpoints_at_fault import at_most_keys, bent, left, refusing, silent_on, usable
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from indexer.capture import NodeCache, capture, track
from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain
from indexer.errors import NodeError, ProofError, WrongChain
from indexer.gate import Gate
from indexer.link import RpcRefused
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.node import METHOD_NOT_FOUND, Node, open_node

pytestmark = pytest.mark.anyio

TRACKED = track(load(None))
HEIGHT = 12


def grown(seed: int = 3, height: int = HEIGHT, **options: Any) -> Chain:
    chain = simulated_chain(seed, **options)
    chain.grow(height)
    chain.finalize(height)
    return chain


@pytest.fixture
def chain() -> Chain:
    return grown()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def good(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as node:
        yield node


async def until(what: Any, *, within_s: float = 5.0) -> None:
    """Wait until ``what()`` holds."""
    with anyio.fail_after(within_s):
        while not what():  # noqa: ASYNC110 - what others do has no event of ours
            await anyio.sleep(0.01)


async def captured(node: Node, chain: Chain, number: int) -> Any:
    headers = [await node.header(chain.at(at).hash) for at in (number, number - 1, number - 2)]
    result = await capture(node, NodeCache(1 << 24), TRACKED, *headers, bootstrap=False)
    return result.changes, result.reads


# -- load


@pytest.mark.parametrize("code", [-32999, -32604, -32009, -32005, -32029, 429])
async def test_a_busy_endpoint_is_given_a_pause_and_then_asked_again(
    chain: Chain, good: DevNode, metrics: Metrics, code: int
) -> None:
    """-32999 is what a Substrate node with a rate limit says; the others are jsonrpsee's and gateways'."""
    good.tamper = refusing(code, "try again later", method="chain_getHeader", times=3)
    async with open_node([good.url], metrics=metrics) as node:
        with anyio.fail_after(10):
            assert (await node.header(chain.at(3).hash)).ref.number == 3
    assert left(metrics, good.url, "busy") == 3
    assert left(metrics, good.url, "lost") == 0


async def test_while_an_endpoint_is_busy_the_next_one_works_without_delay(
    chain: Chain, good: DevNode, metrics: Metrics
) -> None:
    async with (
        DevNode(chain, tamper=refusing(-32999, method="chain_getHeader")) as busy,
        open_node([busy.url, good.url], metrics=metrics) as node,
    ):
        with anyio.fail_after(1):
            for number in range(HEIGHT):
                assert (await node.header(chain.at(number).hash)).ref.number == number
    assert busy.requests["chain_getHeader"] < HEIGHT / 2
    assert left(metrics, busy.url, "busy") >= 1


async def test_refusals_lower_what_is_asked_at_once_and_answers_win_it_back() -> None:
    gate = Gate(32)
    under_way, refused = 0, 0

    async def ask() -> None:
        """A server that takes four at once and refuses a fifth."""
        nonlocal under_way, refused
        async with gate.entered() as started_s:
            under_way += 1
            over = under_way > 4
            await anyio.sleep(0.002)
            under_way -= 1
            if over:
                refused += 1
                gate.refused(started_s)
            else:
                gate.answered()

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(ask)
    assert refused == 28, "all began before the first refusal came"
    assert gate.limit == 16, "of one burst only the first refusal counts"
    refused = 0
    for _ in range(30):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask)
    assert refused <= 8
    assert gate.limit < 32
    assert gate.spacing_s > 0
    for _ in range(1200):
        gate.answered()
    assert gate.limit == 32
    assert gate.spacing_s == 0


async def test_http_429_at_the_handshake_is_waited_out_as_long_as_it_says(chain: Chain, metrics: Metrics) -> None:
    tries = 0

    def refuse_once(_socket: ServerConnection, _request: Request) -> Response | None:
        nonlocal tries
        tries += 1
        if tries > 1:
            return None
        return Response(http.HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests", Headers({"Retry-After": "1"}), b"")

    async with DevNode(chain) as behind:
        server = behind._serve
        async with serve(server, "127.0.0.1", 0, process_request=refuse_once) as front:
            url = f"ws://127.0.0.1:{front.sockets[0].getsockname()[1]}"
            async with open_node([url], metrics=metrics) as node:
                began = anyio.current_time()
                with anyio.fail_after(5):
                    assert await node.block_hash(2) == chain.at(2).hash
                assert anyio.current_time() - began >= 1
    assert tries == 2
    assert left(metrics, url, "busy") == 1
    assert left(metrics, url, "unreachable") == 0


@pytest.mark.parametrize(
    "code", [-32702, -32008, -32701, -32007, None], ids=lambda code: "cut" if code is None else str(code)
)
async def test_a_reply_over_the_limit_is_asked_for_in_parts_and_the_size_remembered(
    chain: Chain, good: DevNode, metrics: Metrics, code: int | None
) -> None:
    async with open_node([good.url]) as node:
        truth = await captured(node, chain, 6)
    good.tamper = at_most_keys(5, code)
    async with open_node([good.url], metrics=metrics) as node:
        with anyio.fail_after(30):
            assert await captured(node, chain, 6) == truth
        endpoint = node._pool.endpoints[0]
        assert 1 <= endpoint.keys_max <= 5
        cuts = left(metrics, good.url, "lost")
        assert cuts == 0 if code is not None else cuts > 0
        before = good.requests["state_getReadProof"]
        nodes, _ = await node.read_proof([bytes([at]) * 8 for at in range(10)], chain.at(6).hash)
        assert chain.at(6).header.state_root in nodes
        assert good.requests["state_getReadProof"] - before == -(-10 // endpoint.keys_max), "asked in vain again"


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


# -- lies


async def test_a_header_that_is_a_lie_is_taken_from_the_next_endpoint(
    chain: Chain, good: DevNode, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        DevNode(chain, tamper=bent("chain_getHeader", stateRoot="0x" + "11" * 32)) as liar,
        open_node([liar.url, good.url], metrics=metrics) as node,
    ):
        assert (await node.header(chain.at(3).hash)).state_root == chain.at(3).header.state_root
        asked = liar.requests["chain_getHeader"]
        assert (await node.header(chain.at(4).hash)).state_root == chain.at(4).header.state_root
        assert liar.requests["chain_getHeader"] == asked, "a liar was asked again"
    assert left(metrics, liar.url, "lie") == 1
    assert metrics.registry.get_sample_value("indexer_endpoint_lies_total", {"endpoint": liar.url}) == 1
    assert f"endpoint={liar.url}" in capsys.readouterr().out.replace("\x1b[0m", "").replace("\x1b[35m", "")


async def test_a_proof_that_is_a_lie_costs_the_endpoint_and_not_the_block(chain: Chain, good: DevNode) -> None:
    async with open_node([good.url]) as node:
        truth = await captured(node, chain, 6)

    async def of_another_block(method: str, params: Any, result: Any) -> Any:
        if method == "state_getReadProof" and params[1] == "0x" + chain.at(6).hash.hex():
            proof = chain.state(chain.at(5).hash).prove([bytes.fromhex(key[2:]) for key in params[0]])
            return {**result, "proof": ["0x" + raw.hex() for raw in proof]}
        return result

    async def without_the_last(method: str, _params: object, result: Any) -> Any:
        return {**result, "proof": result["proof"][:-1]} if method == "state_getReadProof" else result

    for lie in (of_another_block, without_the_last, bent("state_getReadProof", proof="none")):
        seen = Metrics()
        async with DevNode(chain, tamper=lie) as liar, open_node([liar.url, good.url], metrics=seen) as node:
            assert await captured(node, chain, 6) == truth
            assert node.endpoint == good.url
            assert lie is without_the_last or liar.requests["state_getReadProof"] == 1, "it was asked again"
        assert left(seen, liar.url, "lie") == 1


async def test_a_liar_is_not_believed_about_heads_because_the_others_are_away(chain: Chain) -> None:
    lie = bent("state_getReadProof", proof=[])
    async with DevNode(chain, tamper=lie) as liar, DevNode(chain) as other:
        async with open_node([liar.url, other.url]) as node:
            node.report_lie(liar.url, "found out")
            assert await node.block_hash(1) == chain.at(1).hash
            other.tamper = silent_on()
            node._pool.endpoints[1]._timeout_s = 0.1
            with pytest.raises(NodeError, match=other.url):
                await node.block_hash(2)
        async with open_node([liar.url]) as node:  # the only one: each answer is checked, and it may mend
            with pytest.raises(ProofError, match=liar.url):
                await node.read_proof([b":code"], chain.at(3).hash, lambda nodes: None if nodes else "sent nothing")
            liar.tamper = None
            assert (await node.read_proof([b":code"], chain.at(3).hash))[0]


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
