"""Nodes that serve a chain badly: now and then, by the roll of a seed, or always in one way.

A fault is decided by hash(seed, request, attempt), never by the order of tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from plan import Beside, Rates

from indexer.devchain.blocks import ChainBlock
from indexer.devchain.chain import Chain, StateDiscarded, UnknownBlock
from indexer.devchain.rpc import RpcError
from indexer.devchain.runtime_file import ServedRuntime
from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain
from indexer.devchain.state import State

FAILED_ATTEMPTS_MAX = 2
"""A request fails at most so often: a story has to end."""
SILENCE_S = 0.8


@dataclass
class Moody:
    """A ``Tamper``: a node that fails now and then."""

    seed: int
    rates: Rates
    attempts: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    over: bool = False

    async def __call__(self, method: str, params: Any, result: Any) -> Any:
        """Answer, or fail as the seed says."""
        request = json.dumps([method, params])
        attempt = self.attempts[request]
        self.attempts[request] += 1
        if self.over or attempt >= FAILED_ATTEMPTS_MAX:
            return result
        kind = self._choose(request, attempt)
        if kind is not None:
            self.met[kind] += 1
        return result if kind is None else await FAULTS[kind](method, result)

    def _choose(self, request: str, attempt: int) -> str | None:
        digest = hashlib.blake2b(f"{self.seed}|{request}|{attempt}".encode(), digest_size=8).digest()
        roll = int.from_bytes(digest, "big") / 2**64
        for kind in FAULTS:
            rate = getattr(self.rates, kind)
            if roll < rate:
                return kind
            roll -= rate
        return None


async def _drop(_method: str, _result: Any) -> Any:
    raise DropConnection


async def _delay(_method: str, result: Any) -> Any:
    await anyio.sleep(0.05)
    return result


async def _refuse(_method: str, _result: Any) -> Any:
    raise RpcError(-32000, "Server is busy, try again later")


async def _silence(_method: str, result: Any) -> Any:
    await anyio.sleep(SILENCE_S)
    return result


async def lie(method: str, result: Any) -> Any:
    """Change one bit of a proof or of a header's state root; other answers carry no truth to bend."""
    if method == "state_getReadProof" and result["proof"]:
        first = result["proof"][0]
        bent = first[:-1] + format(int(first[-1], 16) ^ 1, "x")
        return {**result, "proof": [bent, *result["proof"][1:]]}
    if method == "chain_getHeader" and result is not None:
        return {**result, "stateRoot": "0x" + "5a" * 32}
    return result


async def _forget(method: str, result: Any) -> Any:
    return None if method == "chain_getBlockHash" else result


FAULTS: dict[str, Callable[[str, Any], Any]] = {
    "drop": _drop,
    "delay": _delay,
    "refuse": _refuse,
    "silence": _silence,
    "lie": lie,
    "forget": _forget,
}


class View:
    """A chain as another node sees it, that announces nothing by itself."""

    def __init__(self, chain: Chain, blocks: int) -> None:
        self._chain, self._blocks = chain, blocks
        self.listeners: list[object] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def runtime(self, block_hash: bytes) -> ServedRuntime:
        """As ``Chain``, of the states there are here."""
        return Chain.runtime(cast(Chain, self), block_hash)


class Behind(View):
    """Knows nothing of the newest blocks."""

    @property
    def best(self) -> ChainBlock:
        return self._chain.at(max(0, self._chain.best.number - self._blocks))

    @property
    def finalized(self) -> ChainBlock:
        return self._chain.at(min(self.best.number, self._chain.finalized.number))

    def hash_at(self, number: int) -> bytes | None:
        return self._chain.hash_at(number) if number <= self.best.number else None

    def block(self, block_hash: bytes) -> ChainBlock:
        found = self._chain.block(block_hash)
        if found.number > self.best.number:
            raise UnknownBlock(f"0x{block_hash.hex()}")
        return found

    def state(self, block_hash: bytes) -> State:
        return self._chain.state(self.block(block_hash).hash)


class Pruned(View):
    """Keeps the newest states only."""

    def state(self, block_hash: bytes) -> State:
        if self._chain.block(block_hash).number <= self._chain.finalized.number - self._blocks:
            raise StateDiscarded(f"0x{block_hash.hex()}")
        return self._chain.state(block_hash)


def beside(seed: int, bad: Beside, chain: Chain, begun: anyio.Event, over: anyio.Event) -> DevNode:
    """The further endpoint of a plan. It is there once the indexer has ``begun``; ``over`` ends its silences."""

    async def answer(method: str, _params: object, result: Any) -> Any:
        if bad.kind == "mute":
            await over.wait()
            raise DropConnection
        if (
            not begun.is_set() and bad.kind == "other_chain"
        ):  # the first endpoint says which chain a new database is for
            raise DropConnection
        return await lie(method, result) if bad.kind == "liar" else result

    if bad.kind == "other_chain":
        other = simulated_chain(seed + 1_000_003, upgrade_at=None)
        other.grow(bad.blocks)
        other.finalize(bad.blocks)
        return DevNode(other, tamper=answer)
    views: dict[str, Any] = {"lagging": Behind, "pruned": Pruned}
    seen = views[bad.kind](chain, bad.blocks) if bad.kind in views else chain
    return DevNode(seen, tamper=answer)
