"""A first state in many small parts, under the eyes of a story: what it asks for, and what happens to it on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import asyncpg
import pytest
from running import index

from indexer import first_state, staging, survey
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import NodeError

HEAD, START = 32, 25
STRETCH_KEYS, WANTED_AT_ONCE = 60, 20
PROOFS = "state_getReadProof"


class Gate:
    """A node's answers, the keys of proofs counted; and what happens once so many parts of a state are kept."""

    def __init__(self) -> None:
        self.keys = self.calls = self.parts = 0
        self.asked: set[str] = set()
        """Paths of nodes, in hex; an odd one has a zero at its end."""
        self.gone: set[str] = set()
        """Blocks (hex hashes) whose state is dropped."""
        self.unknown: dict[int, int] = {}
        """How often a height is said to be unknown."""
        self.at_part: dict[int, Callable[[], None]] = {}
        """What happens once so many parts are kept."""
        self.slow_s = 0.0
        self.last_part = 0
        """The part after which nothing is answered any more, and the run fails; 0: there is none."""
        self.lies_after = 10**9
        """The part after which proofs are altered."""
        self.ended = anyio.Event()

    async def __call__(self, method: str, params: Any, result: Any) -> Any:
        if self.ended.is_set():
            await anyio.sleep(60)
        if len(params) > 1 and params[-1] in self.gone and method.startswith("state_"):
            raise RpcError(4003, "Client error: UnknownBlock: State already discarded")
        if method == "chain_getBlockHash" and params and self.unknown.get(params[0]):
            self.unknown[params[0]] -= 1
            return None
        if method != PROOFS:
            return result
        await anyio.sleep(self.slow_s)
        self.keys, self.calls = self.keys + len(params[0]), self.calls + 1
        self.asked.update(key.removeprefix("0x") for key in params[0])
        if self.parts >= self.lies_after:
            proof = [f"{node[:-2]}{int(node[-2:], 16) ^ 1:02x}" for node in result["proof"]]
            return {**result, "proof": proof}
        return result

    def kept(self) -> None:
        """A part is committed."""
        self.parts += 1
        self.at_part.pop(self.parts, lambda: None)()
        if self.parts == self.last_part:
            self.ended.set()
            raise NodeError("this is where it dies")


def finalized() -> Chain:
    """A chain of ``HEAD`` blocks, all final."""
    chain = simulated_chain(7)
    chain.grow(HEAD)
    chain.finalize(HEAD)
    return chain


def gated(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate that is told of each part; and parts as small as the state is."""
    monkeypatch.setattr(first_state, "STRETCH_KEYS", STRETCH_KEYS)
    monkeypatch.setattr(first_state, "WANTED_AT_ONCE", WANTED_AT_ONCE)
    monkeypatch.setattr(survey, "PROBES", 1)  # a survey of so small a state would read most of it
    gate, add = Gate(), staging.add

    async def add_and_tell(*given: Any) -> staging.Staged:
        done = await add(*given)
        gate.kept()
        return done

    monkeypatch.setattr(staging, "add", add_and_tell)
    return gate


async def broken_off(dsn: str, devnode: DevNode, gate: Gate, *, after: int, **options: Any) -> None:
    """Run until so many parts are kept, then die."""
    gate.last_part, gate.ended = gate.parts + after, anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(index, dsn, devnode.url, **options))
        with anyio.fail_after(60):
            await gate.ended.wait()
        group.cancel_scope.cancel()
    devnode.drop_connections()
    gate.last_part, gate.ended = 0, anyio.Event()


async def waiting(dsn: str) -> list[Any]:
    """The first states under way."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch("SELECT * FROM first_states")
    finally:
        await connection.close()


async def tables_besides(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch("SELECT relname FROM pg_class WHERE starts_with(relname::text, 'first_state_')")
        return [row[0] for row in found]
    finally:
        await connection.close()


def assert_nothing_seen(found: dict[str, list[tuple[object, ...]]]) -> None:
    assert not [name for name, rows in found.items() if rows and name not in ("chain", "writer", "first_states")]
