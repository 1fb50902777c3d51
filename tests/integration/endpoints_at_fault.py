"""Endpoints that misbehave, for stories about the node client: each a real node with one fault."""

from __future__ import annotations

from typing import Any

import anyio

from indexer.capture import capture, track
from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DropConnection, Tamper
from indexer.devchain.simulate import simulated_chain
from indexer.metrics import Metrics
from indexer.node import Node
from indexer.trie import NodeCache

TRACKED = track(load(None))
HEIGHT = 12

SILENCE_S = 3.0
"""Longer than any test waits, and short enough for the server to end."""


def refusing(code: int, message: str = "no", *, method: str = "", times: int = 10**9) -> Tamper:
    """Answers ``method`` (all, if empty) with an error, the first ``times`` times."""
    left = times

    async def refuse(called: str, _params: object, result: Any) -> Any:
        nonlocal left
        if left and (not method or called == method):
            left -= 1
            raise RpcError(code, message)
        return result

    return refuse


def silent_on(method: str = "") -> Tamper:
    """Takes ``method`` (or anything) and answers nothing, until it cuts the connection after ``SILENCE_S``."""

    async def silence(called: str, _params: object, result: Any) -> Any:
        if not method or called == method:
            await anyio.sleep(SILENCE_S)
            raise DropConnection
        return result

    return silence


def bent(method: str, **members: Any) -> Tamper:
    """Answers ``method`` with some members of the result replaced."""

    async def bend(called: str, _params: object, result: Any) -> Any:
        return {**result, **members} if called == method and isinstance(result, dict) else result

    return bend


def at_most_keys(most: int, code: int | None) -> Tamper:
    """Refuses read proofs of more keys with ``code``, or cuts the connection over them if that is None."""

    async def limit(called: str, params: Any, result: Any) -> Any:
        if called == "state_getReadProof" and len(params[0]) > most:
            if code is None:
                raise DropConnection
            raise RpcError(code, "Response is too big")
        return result

    return limit


def left(metrics: Metrics, endpoint: str, cause: str) -> float:
    """How often an endpoint was left for a cause."""
    labels = {"endpoint": endpoint, "cause": cause}
    return metrics.registry.get_sample_value("indexer_endpoint_left_total", labels) or 0.0


def usable(metrics: Metrics, endpoint: str) -> bool:
    """Whether the metric says that an endpoint is in use or in reserve."""
    return metrics.registry.get_sample_value("indexer_endpoint_usable", {"endpoint": endpoint}) == 1.0


def grown(seed: int = 3, height: int = HEIGHT, **options: Any) -> Chain:
    chain = simulated_chain(seed, **options)
    chain.grow(height)
    chain.finalize(height)
    return chain


async def until(what: Any, *, within_s: float = 5.0) -> None:
    """Wait until ``what()`` holds."""
    with anyio.fail_after(within_s):
        while not what():  # noqa: ASYNC110 - what others do has no event of ours
            await anyio.sleep(0.01)


async def captured(node: Node, chain: Chain, number: int) -> Any:
    headers = [await node.header(chain.at(at).hash) for at in (number, number - 1, number - 2)]
    result = await capture(node, NodeCache(1 << 24), TRACKED, *headers, bootstrap=False)
    return result.changes, result.reads
