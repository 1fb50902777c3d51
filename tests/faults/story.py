"""Seeded stories: a chain that grows, forks and upgrades while its node fails in every way.

A seed decides the whole story: what the chain does, and how each request fails. A fault is decided by
hash(seed, request, attempt), never by the order of tasks, so a seed means the same on any machine.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import asyncpg

from indexer import config, daemon
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain

FAILED_ATTEMPTS_MAX = 2
"""A request fails at most so often in a row: a story has to end."""
SILENCE_S = 1.0
TIMEOUT_S = 0.4


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a request meets each fault, from 0 to 1."""

    drop: float
    delay: float
    refuse: float
    silence: float
    lie: float
    forget: float
    """Block hashes the node says it does not have (another server behind the same address lags)."""


@dataclass
class Faults:
    """A ``Tamper`` for ``DevNode``: one misbehaving node."""

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


async def _lie(method: str, result: Any) -> Any:
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
    "lie": _lie,
    "forget": _forget,
}


@dataclass(frozen=True, slots=True)
class Told:
    """How a story ended."""

    chain: Chain
    last: int
    """Height of the final chain, all of it finalized."""
    met: Counter[str]
    deepest_fork: int


def rates_of(seed: int) -> Rates:
    """Most seeds mix all faults thinly; every fifth has much of a single one."""
    chance = random.Random(f"rates {seed}")
    if seed % 5 == 0:
        heavy = chance.choice(list(FAULTS))
        return Rates(**{kind: 0.1 if kind == heavy else 0.0 for kind in FAULTS})
    return Rates(
        drop=chance.random() * 0.02,
        delay=chance.random() * 0.05,
        refuse=chance.random() * 0.02,
        silence=chance.random() * 0.005,
        lie=chance.random() * 0.02,
        forget=chance.random() * 0.02,
    )


async def tell(seed: int, dsn: str) -> Told:
    """Live through the story of ``seed`` while the daemon indexes into ``dsn``; at its end both are level."""
    chance = random.Random(f"chain {seed}")
    follow = chance.choice(["best", "finalized"])
    chain = simulated_chain(seed, upgrade_at=chance.choice([None, 3, 8, 12]))
    chain.grow(chance.randint(2, 8))
    chain.finalize(chance.randint(0, chain.best.number))
    faults = Faults(seed, rates_of(seed))
    deepest = 0
    settings = {
        "database_url": dsn,
        "start": "genesis",
        "follow": follow,
        "workers": chance.choice([1, 2, 6]),
        "batch": chance.choice([1, 3, 50]),
        "rpc_timeout_s": TIMEOUT_S,
        "metrics_address": "off",
    }
    async with DevNode(chain, tamper=faults) as node, anyio.create_task_group() as group:
        group.start_soon(daemon.serve, config.load({**settings, "network": (node.url,)}), name="daemon")
        for _ in range(chance.randint(2, 5)):
            await anyio.sleep(chance.random() * 0.3)
            if chance.random() < 0.5:
                chain.grow(chance.randint(1, 5))
            else:
                deepest = max(deepest, _fork(chain, chance))
            if chance.random() < 0.5:
                chain.finalize(chance.randint(chain.finalized.number, chain.best.number))
            if chance.random() < 0.2:
                node.drop_connections()
        faults.over = True
        chain.grow(1)
        chain.finalize(chain.best.number)
        await _level(dsn, chain.best.hash)
        group.cancel_scope.cancel()
    return Told(chain, chain.best.number, faults.met, deepest)


def _fork(chain: Chain, chance: random.Random) -> int:
    """A longer branch from somewhere above finality; its depth, 0 if there is no room."""
    at = chance.randint(chain.finalized.number, chain.best.number)
    depth = chain.best.number - at
    chain.fork(at, depth + chance.randint(1, 3), salt=chance.randint(1, 1 << 30))
    return depth


async def _level(dsn: str, block_hash: bytes) -> None:
    """Wait until every dataset is committed up to this very block."""
    connection = await asyncpg.connect(dsn)
    try:
        with anyio.fail_after(60):
            while True:
                tips = await connection.fetch("SELECT DISTINCT block_hash FROM cursors")
                if [row["block_hash"] for row in tips] == [block_hash]:
                    return
                await anyio.sleep(0.03)
    finally:
        await connection.close()
