"""Many questions in one message: endpoints that take no batches or no lists, or answer them in their own way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import anyio
import pytest
from endpoints_at_fault import TRACKED, captured, grown, left

from indexer.capture import NodeCache, capture
from indexer.decode import decode
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode, DropConnection
from indexer.errors import DecodeError
from indexer.lookahead import KEY_BYTES, RUN_BLOCKS, Lookahead
from indexer.metrics import Metrics
from indexer.model import Captured, EventRecord
from indexer.node import Node, open_node
from indexer.prediction import Prediction
from indexer.runtimes import metadata_at
from indexer.scale import Runtime

pytestmark = pytest.mark.anyio

HEIGHT = 40
TOO_BIG_CLOSE = 1009
Answers = Callable[[list[Any]], Any]


class Batching(DevNode):
    """A node that does something of its own with the answers of a batch."""

    answers: Answers = staticmethod(lambda answers: answers)
    batches = messages = 0
    slow_s = 0.0
    """How long a batch takes."""

    async def _answer(self, client: Any, message: str | bytes) -> str | None:
        answer = await super()._answer(client, message)
        self.messages += 1
        if answer is None or not answer.startswith("["):
            return answer
        self.batches += 1
        await anyio.sleep(self.slow_s)
        made = self.answers(json.loads(answer))
        if made == TOO_BIG_CLOSE:
            await client.socket.close(TOO_BIG_CLOSE, "message too big")
            raise DropConnection
        return None if made is None else json.dumps(made)


def refusal(code: int, message: str = "no") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


def up_to(most: int, answers: list[Any]) -> Any:
    """As jsonrpsee over its limit on the answer to a batch."""
    return answers if len(answers) <= most else refusal(-32011, "The batch response was too large")


def busy_after(most: int, answers: list[Any]) -> Any:
    """As a gateway that counts the requests of a message, and not the messages."""
    return [*answers[:most], *({**refusal(-32999, "too many"), "id": answer["id"]} for answer in answers[most:])]


def cut(_answers: list[Any]) -> Any:
    raise DropConnection


WAYS: dict[str, Answers] = {
    "as asked": lambda answers: answers,
    "shuffled": lambda answers: answers[::-1],
    "one left out": lambda answers: answers[1:],
    "all but one left out": lambda answers: answers[:1],
    "with strangers": lambda answers: [{"id": 999_999, "result": 1}, *answers, {"id": 999_998, "error": {"code": 1}}],
    "no batches": lambda _: refusal(-32005, "Batched requests are not supported by this server"),
    "invalid request": lambda _: refusal(-32600, "Invalid request"),
    "error without an id": lambda _: {"error": "batches? no"},
    "at most five": partial(up_to, 5),
    "too large": partial(up_to, 1),
    "connection cut": cut,
    "one and no more at once": partial(busy_after, 1),
    "closed over its size": lambda answers: answers if len(answers) <= 2 else TOO_BIG_CLOSE,
    "nothing in it": lambda _: [],
}


@pytest.fixture(scope="module")
def chain() -> Chain:
    return grown(height=HEIGHT)


async def read(
    node: Node, chain: Chain, numbers: Iterable[int], prediction: Prediction, runtime_of: Any = None
) -> dict[int, Captured]:
    """What the pipeline does with a stretch of final blocks, four of them at once."""
    runtimes: dict[bytes, Runtime] = {}
    cache, found = NodeCache(1 << 26), dict[int, Captured]()
    ahead = Lookahead(node, cache, TRACKED, prediction, runtime_of or runtimes.get, 1)

    async def work(turn: int) -> None:
        for number in list(numbers)[turn::4]:
            known = await ahead.block(number, HEIGHT, group)
            header = known.header if known else await node.header(chain.at(number).hash)
            parent = await node.header(header.parent_hash)
            grandparent = await node.header(parent.parent_hash)
            if known is None:
                await ahead.prepare([header], parent)
            one = await capture(
                node, cache, TRACKED, header, parent, grandparent, bootstrap=False,
                predicted=None, changes=known.changes if known else None, hints=prediction.below,
            )  # fmt: skip
            if one.code_hash not in runtimes:
                runtimes[one.code_hash] = Runtime.from_metadata(await metadata_at(node, parent.ref.hash))
            typed = decode(one, runtimes[one.code_hash], TRACKED.item_of, lambda _: None)
            prediction.saw(header.ref.hash, typed.changes, typed.block.events)
            assert prediction.learn()
            found[number] = one

    async with anyio.create_task_group() as group:
        for turn in range(4):
            group.start_soon(work, turn)
    return found


@pytest.fixture(scope="module")
def truth(chain: Chain) -> dict[int, Any]:
    """Each block walked alone, from an empty cache."""

    async def walk() -> dict[int, Any]:
        async with DevNode(chain) as plain, open_node([plain.url]) as node:
            return {number: await captured(node, chain, number) for number in range(10, HEIGHT + 1)}

    return anyio.run(walk)


@pytest.mark.parametrize("way", WAYS)
async def test_however_batches_are_answered_every_block_is_the_same(
    chain: Chain, truth: dict[int, Any], way: str
) -> None:
    metrics = Metrics()
    numbers = range(10, 19)
    async with Batching(chain) as odd, open_node([odd.url], metrics=metrics, timeout_s=100) as node:
        odd.answers = WAYS[way]  # type: ignore[method-assign]
        with anyio.fail_after(50):  # nobody waits for a time-out
            found = await read(node, chain, numbers, Prediction())
        assert {number: (one.changes, one.reads) for number, one in found.items()} == {n: truth[n] for n in numbers}
        assert odd.batches > 0
        assert left(metrics, odd.url, "lie") == 0
        tried = odd.batches
        await node.headers(range(1, 9))
        asked_in_batches = {"as asked", "shuffled", "with strangers", "at most five"}
        asked_in_batches.add("closed over its size")
        assert (odd.batches > tried) == (way in asked_in_batches), "what it does not take is not tried each time"


async def test_an_endpoint_that_says_nothing_to_batches_is_soon_asked_one_by_one(
    chain: Chain, truth: dict[int, Any]
) -> None:
    async with Batching(chain) as mute, open_node([mute.url], timeout_s=0.5) as node:
        mute.answers = lambda _: None  # type: ignore[method-assign]
        with anyio.fail_after(60):
            found = await read(node, chain, range(10, 14), Prediction())
        assert {number: (one.changes, one.reads) for number, one in found.items()} == {
            number: truth[number] for number in range(10, 14)
        }
        assert mute.batches <= 3


def each_others(member: str, answers: list[Any]) -> Any:
    """Each result that has this member under the id of the next one."""
    own = [at for at, answer in enumerate(answers) if member in (answer.get("result") or ())]
    for at, result in zip(own, [answers[at - 1]["result"] for at in own], strict=True):
        answers[at]["result"] = result
    return answers


@pytest.mark.parametrize("member", ["proof", "stateRoot"])
async def test_answers_of_a_batch_that_are_each_others_cost_the_endpoint_and_no_block(
    chain: Chain, truth: dict[int, Any], member: str
) -> None:
    metrics, numbers = Metrics(), range(10, 19)
    async with Batching(chain) as odd, DevNode(chain) as good:
        odd.answers = partial(each_others, member)  # type: ignore[method-assign]
        async with open_node([odd.url, good.url], metrics=metrics) as node:
            found = await read(node, chain, numbers, Prediction())
    assert {number: (one.changes, one.reads) for number, one in found.items()} == {n: truth[n] for n in numbers}
    assert left(metrics, odd.url, "lie") > 0
    assert left(metrics, good.url, "lie") == 0


async def test_a_batch_out_of_time_is_no_reason_to_give_up_a_connection_on_which_others_are_answered(
    chain: Chain,
) -> None:
    metrics, numbers = Metrics(), range(3, 9)
    grown_meanwhile = grown(height=HEIGHT)
    async with Batching(grown_meanwhile) as slow, open_node([slow.url], timeout_s=1.0, metrics=metrics) as node:
        slow.slow_s = 1.3
        async with anyio.create_task_group() as group:

            async def heads() -> None:
                async for _ in node.subscribe("chain_subscribeNewHeads"):
                    pass

            group.start_soon(heads)
            group.start_soon(node.headers, numbers)
            for _ in range(10):
                await anyio.sleep(0.1)
                grown_meanwhile.grow(1)  # a head is told of
            with anyio.fail_after(20):
                headers = await node.headers(numbers)
            group.cancel_scope.cancel()
        assert [header.ref.hash for header in headers] == [chain.at(number).hash for number in numbers]
        assert left(metrics, slow.url, "silent") == 0


async def test_however_many_runs_are_read_ahead_no_block_is_read_twice(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.lookahead.RUN_BLOCKS", 1)
    async with DevNode(chain) as good, open_node([good.url]) as node, anyio.create_task_group() as group:
        ahead = Lookahead(node, NodeCache(1 << 20), TRACKED, None, lambda _: None, 100)
        for number in range(1, HEIGHT):
            known = await ahead.block(number, HEIGHT, group)
            assert known is not None
            assert known.header.ref.hash == chain.at(number).hash
        assert good.requests["chain_getHeader"] == 2 * HEIGHT, "each with the one before it"


@pytest.mark.parametrize("answer", ["refused", "one hash", "none", "too few", "objects"])
async def test_an_endpoint_without_lists_of_heights_is_asked_for_each_and_not_for_a_list_again(
    chain: Chain, answer: str
) -> None:
    lists = 0

    async def answers(method: str, params: Any, result: Any) -> Any:
        nonlocal lists
        if method != "chain_getBlockHash" or not isinstance(params[0], list):
            return result
        lists += 1
        if answer == "refused":
            raise RpcError(-32602, "invalid type: sequence, expected u32")
        return {"one hash": result[0], "none": None, "too few": result[:2], "objects": {"0": result}}[answer]

    async with DevNode(chain, tamper=answers) as odd, open_node([odd.url]) as node:
        for numbers in (range(3, 9), range(9, 20)):
            headers = await node.headers(numbers)
            assert [header.ref.hash for header in headers] == [chain.at(number).hash for number in numbers]
        assert lists == 1


async def test_headers_end_where_the_chain_does_or_does_not_continue(chain: Chain) -> None:
    async def bend(method: str, params: Any, result: Any) -> Any:
        if method == "chain_getBlockHash" and isinstance(params[0], list):
            return [chain.at(2).hash.hex().join(["0x", ""]) if number == 15 else own
                    for number, own in zip(params[0], result, strict=True)]  # fmt: skip
        return result

    async with DevNode(chain) as good, open_node([good.url]) as node:
        found = await node.headers(range(HEIGHT - 2, HEIGHT + 10))
        assert [header.ref.number for header in found] == [HEIGHT - 2, HEIGHT - 1, HEIGHT]
    async with DevNode(chain, tamper=bend) as odd, DevNode(chain) as good, open_node([odd.url, good.url]) as node:
        found = await node.headers(range(12, 18))
        assert [header.ref.hash for header in found] == [chain.at(number).hash for number in range(12, 18)]


async def test_who_waited_on_a_connection_that_is_closed_over_anothers_size_is_answered(chain: Chain) -> None:
    """Else a proof that is too large for us stops the run, as the heads cannot be read."""
    waiting: list[int] = []

    def close_once(answers: list[Any]) -> Any:
        waiting.append(endpoint.gate._inside)
        return TOO_BIG_CLOSE if len(waiting) == 1 else answers

    async with Batching(chain) as good, open_node([good.url]) as node:
        endpoint = node._pool.endpoints[0]
        good.answers, good.slow_s = close_once, 0.5
        async with anyio.create_task_group() as group:
            group.start_soon(node.headers, range(11, 18))
            with anyio.fail_after(5):
                while not good.batches:  # noqa: ASYNC110 - a node has no event of ours
                    await anyio.sleep(0.01)
            assert (await node.finalized()).hash == chain.finalized.hash
        assert waiting[0] == 2, "nobody waited besides"


async def test_a_refusal_inside_a_batch_is_that_requests_own(chain: Chain) -> None:
    asked = 0

    async def refuse_one(method: str, params: Any, result: Any) -> Any:
        nonlocal asked
        if method == "chain_getHeader" and params == ["0x" + chain.at(14).hash.hex()]:
            asked += 1
            raise RpcError(-32000, "database is busy")
        return result

    async with Batching(chain, tamper=refuse_one) as odd, open_node([odd.url]) as node:
        found = await node.headers(range(11, 18))
        assert [header.ref.number for header in found] == [11, 12, 13]
        assert (asked, odd.batches) == (1, 1)


class Guessing(Prediction):
    """Names keys that no state has, and thousands of them."""

    def often(self) -> list[bytes]:
        return [bytes([at % 256]) * (at % 70) for at in range(500)]

    def named(self, block_hash: bytes, events: Iterable[EventRecord], runtime: Runtime) -> list[bytes]:
        del events, runtime
        return [prefix + block_hash[:at] for prefix in TRACKED.item_of for at in (0, 1, 16)]

    def below(self, path: bytes) -> list[bytes]:
        return [b"", path]


class Undecodable(Runtime):
    def decode_events(self, raw: bytes) -> list[EventRecord]:
        raise DecodeError("the hint is of another runtime", offset=len(raw))


async def test_the_first_states_asked_for_are_no_more_than_their_keys_let_one_message_hold(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before an answer was seen. Else the first message of a large state is refused, the connection lost over it."""
    monkeypatch.setattr("indexer.lookahead.MESSAGE_BYTES", 3 * 700 * KEY_BYTES)
    lengths: list[int] = []

    def told(answers: list[Any]) -> list[Any]:
        lengths.append(len(answers))
        return answers

    async with Batching(chain) as good, open_node([good.url]) as node:
        good.answers = told
        headers = await node.headers(range(10, 19))
        ahead = Lookahead(node, NodeCache(1 << 26), TRACKED, Guessing(), lambda _: None, 1)
        before = len(lengths)
        await ahead.prepare(headers[1:], headers[0])
    assert lengths[before : before + 2] == [8, 2], "one of each goes first, to see whether the node has the state"
    assert sorted(lengths[before + 2 :]) == lengths[before + 2 :], "more go in one once their size is known"


async def test_what_changes_often_is_asked_for_beside_the_events_of_a_block_somebody_waits_for_and_in_parts(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is given all keys at once is at work for so long, and nobody reads what it has found meanwhile."""
    monkeypatch.setattr("indexer.lookahead.KEYS_AT_ONCE", 100)
    asked: list[int] = []
    at_once: list[int] = []

    async def told(method: str, params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            asked.append(len(params[0]))
            await anyio.sleep(0.05)
            at_once.append(endpoint.gate._inside)
        return result

    async with Batching(chain, tamper=told) as good, open_node([good.url]) as node:
        endpoint = node._pool.endpoints[0]
        parent, header = await node.headers([14, 15])
        cache = NodeCache(1 << 26)
        ahead = Lookahead(node, cache, TRACKED, Guessing(), lambda _: None, 1)
        messages = await ahead.prepare([header], parent)
        parts = -(-len({*Guessing().often(), *TRACKED.item_of}) // 100)
        assert at_once[0] == 1 + 2 * parts > 10, "what the events are read from, and the parts of both states"
        assert max(asked) == 100
        assert messages == at_once[0]
        assert cache.get(header.state_root) is not None
        assert cache.get(parent.state_root) is not None


@pytest.mark.parametrize("guess", ["wrong", "undecodable", "no runtime"])
async def test_a_guess_that_is_of_no_use_changes_no_block(chain: Chain, truth: dict[int, Any], guess: str) -> None:
    numbers = range(10, 19)
    async with DevNode(chain) as good, open_node([good.url]) as node:
        raw = await metadata_at(node, chain.at(15).hash)
        runtime = Undecodable.from_metadata(raw) if guess == "undecodable" else None
        found = await read(
            node, chain, numbers, Guessing() if guess == "wrong" else Prediction(),
            None if guess == "wrong" else lambda _: runtime,
        )  # fmt: skip
    assert {number: (one.changes, one.reads) for number, one in found.items()} == {n: truth[n] for n in numbers}


async def test_a_block_of_a_catch_up_costs_at_most_three_messages(chain: Chain) -> None:
    """Those for its run among them, which are shared; one by one it would be eight."""
    prediction = Prediction()
    async with Batching(chain) as good, open_node([good.url]) as node:
        await read(node, chain, range(10, 24), prediction)
        before = good.messages
        await read(node, chain, range(24, HEIGHT), prediction)
        assert (good.messages - before) / (HEIGHT - 24) <= 3.0
        assert RUN_BLOCKS >= 8
