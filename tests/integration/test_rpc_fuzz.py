"""Whatever a node answers: a value of the promised type, or an error of ours; never a foreign one, never a hang."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from indexer.errors import IndexerError, Retryable
from indexer.metrics import Metrics
from indexer.node import Node, open_node

HASH = "0x" + "11" * 32
HEADER = {"parentHash": HASH, "number": "0x5", "stateRoot": HASH, "extrinsicsRoot": HASH, "digest": {"logs": []}}

CALLS: list[Callable[[Node], Awaitable[object]]] = [
    lambda node: node.chain(),
    lambda node: node.block_hash(5),
    lambda node: node.finalized(),
    lambda node: node.best(),
    lambda node: node.header(b"\x11" * 32),
    lambda node: node.read_proof([b"a", b"b"], b"\x11" * 32),
    lambda node: node.storage([b"a"], b"\x11" * 32),
    lambda node: node.code_hash(b"\x11" * 32),
    lambda node: node.keys(b"a", 10, None, b"\x11" * 32),
    lambda node: node.state_call("Core_version", b"", b"\x11" * 32),
    lambda node: node.runtime_apis(b"\x11" * 32),
    lambda node: node.legacy_metadata(b"\x11" * 32),
    lambda node: first_head(node),
]

number = st.sampled_from(["0x5", "0x", "5", "-0x5", "0x-5", "0x" + "f" * 300, "0x" + "f" * 16, "0x_5", " 0x5", "zz"])
hexes = st.sampled_from([HASH, "0x", "0x1", "0xzz", "0x11", "", "11", "0x 11", "\ud800", "\x00", "0x" + "00" * 70])
deep = st.sampled_from([100, 500, 900, 950, 980]).map(lambda depth: json.loads("[" * depth + "]" * depth))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 2**64, -(2**70), 10**400]),
    st.floats(),
    st.text(max_size=5),
    hexes,
    number,
)
names = st.sampled_from(["number", "parentHash", "proof", "changes", "apis", "ss58Format", "at", "block", "x"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
results = st.one_of(
    values,
    deep,
    st.builds(lambda n, d: {**HEADER, "number": n, "digest": d}, number | values, values | st.just({"logs": []})),
    st.builds(lambda field, value: {**HEADER, field: value}, st.sampled_from(sorted(HEADER)), values),
    st.builds(lambda value: {"proof": value, "at": HASH}, st.lists(hexes | values, max_size=3) | values),
    st.builds(lambda value: [{"block": HASH, "changes": value}], st.lists(st.lists(hexes, max_size=3), max_size=3)),
    st.builds(lambda value: {"apis": value}, st.lists(st.tuples(hexes | values, values), max_size=3)),
    st.lists(hexes, max_size=4),
)
errors = st.one_of(
    values, deep, st.builds(lambda code, message, data: {"code": code, "message": message, "data": data},
                            values, values | deep, values)
)  # fmt: skip
raw = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40),
    st.sampled_from([b"\x00", b"\xff\xfe{\x00", "", "[]", "[[]]", "null", "NaN", '"method"', "[" * 10**5, "9" * 5000]),
)
"""Instead of a message of JSON-RPC at all; the bytes go out as a binary frame."""


@st.composite
def replies(draw: st.DrawFn) -> Callable[[Any], list[str | bytes]]:
    """What the server sends to a request, given its id."""
    kind = draw(st.sampled_from(["result"] * 4 + ["error", "raw", "wrong id", "no result", "early", "stray", "batch"]))
    result, error, other = draw(results), draw(errors), draw(values)
    message = draw(raw)

    def reply(request_id: Any) -> list[str | bytes]:
        good = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result})
        told = {"jsonrpc": "2.0", "method": "chain_head", "params": {"subscription": other, "result": result}}
        return {
            "result": lambda: [good],
            "error": lambda: [json.dumps({"id": request_id, "error": error})],
            "raw": lambda: [message],
            "wrong id": lambda: [json.dumps({"id": other, "result": result}), good],
            "no result": lambda: [json.dumps({"id": request_id})],
            "early": lambda: [json.dumps(told), good, json.dumps(told)],
            "stray": lambda: [json.dumps({"params": other}), good],
            "batch": lambda: [json.dumps([{"id": request_id, "result": result}, other])],
        }[kind]()

    return reply


async def first_head(node: Node) -> object:
    async for head in node.subscribe("chain_subscribeNewHeads"):
        return head
    return None


async def story(
    call: Callable[[Node], Awaitable[object]], reply: Callable[[Any], list[str | bytes]], *, patience: float = 1.0
) -> object:
    async def answer(socket: ServerConnection) -> None:
        try:
            async for message in socket:
                request = json.loads(message)
                # The first thing asked on a connection is whether the chain is ours; then what is to be fuzzed.
                is_genesis = request["method"] == "chain_getBlockHash" and request["params"] == [0]
                plain = json.dumps({"id": request["id"], "result": HASH})
                for part in [plain] if is_genesis else reply(request["id"]):
                    await socket.send(part)
        except ConnectionClosed:
            pass

    metrics = Metrics()
    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_node([f"ws://127.0.0.1:{port}"], timeout_s=0.03 * patience, metrics=metrics) as node:
            with anyio.move_on_after(
                0.3 * patience
            ):  # what is busy is waited for: the pool's own patience is tested elsewhere
                return await call(node)
    return None


@pytest.mark.parametrize("place", range(len(CALLS)))
def test_any_answer_is_a_value_or_an_error_of_ours(place: int) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(reply=replies())
    def holds(reply: Callable[[Any], list[str | bytes]]) -> None:
        try:
            anyio.run(story, CALLS[place], reply)
        except BaseExceptionGroup as bundle:
            own, foreign = bundle.split(IndexerError)
            assert foreign is None, foreign
            assert own is not None
            assert own.split(Retryable)[1] is None, "a node's answer never ends the process"
        except IndexerError as error:
            assert isinstance(error, Retryable)  # noqa: PT017 - an error is one of two good ends

    holds()


@pytest.mark.parametrize("told", ["0x" + "f" * 300, "-0x5", "0x_5", 5, None, "0x100000000"])
async def test_a_head_that_is_no_height_is_refused(told: object) -> None:
    """Once it broke the gauge of heads, and with it the process."""
    with pytest.raises(BaseExceptionGroup) as caught:
        await story(lambda node: node.best(), lambda i: [json.dumps({"id": i, "result": {**HEADER, "number": told}})])
    assert caught.group_contains(Retryable)


async def test_keys_that_do_not_go_on_are_refused() -> None:
    def same_page(request_id: Any) -> list[str | bytes]:
        return [json.dumps({"id": request_id, "result": ["0x6101", "0x6102"]})]

    async def second_page(node: Node) -> object:
        return await node.keys(b"a", 2, b"a\x02", b"\x11" * 32)

    assert await story(lambda node: node.keys(b"a", 2, None, b"\x11" * 32), same_page) == [b"a\x01", b"a\x02"]
    with pytest.raises(BaseExceptionGroup) as caught:
        await story(second_page, same_page)
    assert caught.group_contains(Retryable, match="do not follow")


async def test_an_answer_nested_as_deep_as_can_be_read_can_also_be_told_of() -> None:
    """What the parser takes with its few frames of stack may be too deep for whoever quotes it with more of them."""
    for depth in range(900, 1000, 2):
        nested = "[" * depth + "]" * depth
        for member in ("result", "error"):

            def answer(request_id: Any, member: str = member, nested: str = nested) -> list[str | bytes]:
                return [f'{{"id": {request_id}, "{member}": {nested}}}']

            with pytest.raises(BaseExceptionGroup) as caught:
                await story(lambda node: node.block_hash(5), answer, patience=100)
            assert caught.value.split(Retryable)[1] is None
