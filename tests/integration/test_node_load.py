"""Endpoints at their limits: busy ones get a pause, and large answers are asked for in parts."""

from __future__ import annotations

import http

import anyio
import pytest
from endpoints_at_fault import (
    HEIGHT,
    at_most_keys,
    captured,
    left,
    refusing,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from indexer import link
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.gate import Gate
from indexer.metrics import Metrics
from indexer.node import open_node
from indexer.trie import blake2_256

pytestmark = pytest.mark.anyio


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


async def test_a_message_of_several_requests_takes_the_time_of_as_many() -> None:
    gate = Gate(8)
    gate.refused(0.0)
    async with gate.entered(5) as started_s:
        pass
    async with gate.entered() as next_s:
        assert next_s - started_s > 4 * gate.spacing_s


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
        assert 1 <= endpoint.portions.keys_max <= 5
        cuts = left(metrics, good.url, "lost")
        assert cuts == 0 if code is not None else cuts > 0
        before = good.requests["state_getReadProof"]
        nodes, _ = await node.read_proof([bytes([at]) * 8 for at in range(10)], chain.at(6).hash)
        assert chain.at(6).header.state_root in nodes
        assert good.requests["state_getReadProof"] - before == -(-10 // endpoint.portions.keys_max), (
            "asked in vain again"
        )


async def test_a_reply_over_our_own_limit_is_never_taken_in_and_asked_for_in_parts(
    chain: Chain, good: DevNode, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MAX_REPLY_BYTES", 3_000)
    async with open_node([good.url], metrics=metrics) as node:
        with anyio.fail_after(30):
            nodes, _ = await node.read_proof([blake2_256(bytes([at])) for at in range(256)], chain.at(6).hash)
        assert chain.at(6).header.state_root in nodes
        assert node._pool.endpoints[0].portions.keys_max < 256
