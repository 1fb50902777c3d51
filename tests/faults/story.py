"""Lives through a plan: a chain that grows, forks and upgrades, an indexer that follows it, and all that befalls both.

Nothing is chosen here: see ``plan``. A story ends when every fault is over and the database is level with
the final chain; what its tables must be then is for the test to say.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import asyncpg
from outages import outage
from plan import PROXIED, Fork, Plan, Step
from poor_nodes import Moody, beside
from proxy import Proxy
from writer import Writer, writing

from indexer.devchain.blocks import Body
from indexer.devchain.chain import Chain
from indexer.devchain.pallets_substrate import SLOT_MS
from indexer.devchain.runtimes import SPEC_475
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import START_MS, SimulatedProducer
from indexer.devchain.state import State
from indexer.model import Header
from indexer.trie import blake2_256

TIMEOUT_S = 0.4
PATIENCE_S = 5.0
"""How long a step waits for the database to be level before it happens all the same."""
END_S = 150.0
"""A few seconds do on an idle machine; on one that others use as well, time-outs of tenths fire on their own."""
UPGRADED = blake2_256(SPEC_475.code)


@dataclass(frozen=True, slots=True)
class Told:
    """How a story ended."""

    chain: Chain
    """All of it final."""
    met: Counter[str]
    """How often requests met which fault."""


class Branching(SimulatedProducer):
    """Branches that upgrade at heights of their own, or not at all before they are given up."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.seed, None, START_MS, SLOT_MS)
        self._planned = plan.upgrade_at

    def produce(self, parent: Header, state: State, salt: int) -> Body | None:
        """The next block; the salt of a fork moves the upgrade by up to two blocks."""
        due = self._planned is not None and state.code_hash() != UPGRADED
        self._upgrade_at = (self._planned or 0) + salt % 3 if due else None
        return super().produce(parent, state, salt)


@dataclass(slots=True)
class _Stage:
    """What the steps of a story act on."""

    plan: Plan
    chain: Chain
    node: DevNode
    dsn: str
    proxy: Proxy | None
    clock: Callable[[float], None]
    begun: anyio.Event
    replaced: bool = False
    """Whether a standby has to take over before the story goes on: the one it replaces wakes later."""

    async def take(self, at: int, step: Step, writer: Writer) -> None:
        """One step."""
        if step.pause_s is not None:
            await anyio.sleep(step.pause_s)
        elif self.replaced or (step.shock == "sigstop" and not self.begun.is_set()):
            # Who is suspended must have begun, as nobody takes over before anything is committed; and who stands
            # by must have taken over before the other one wakes.
            with anyio.fail_after(END_S):
                await self.level()
            self.begun.set()
            self.replaced = False
        else:
            with anyio.move_on_after(PATIENCE_S):
                await self.level()
                self.begun.set()
        self.clock(step.clock_s)
        if step.shock == "links_dropped":
            self.node.drop_connections()
        elif step.shock not in (None, "clock_jump"):
            await writer.shock(step.shock)
            self.replaced = step.shock == "sigstop"
        async with self._outage(at, step):
            await self._move(step.move)
        if step.finalize is not None:
            self.chain.finalize(step.finalize)

    def _outage(self, at: int, step: Step) -> Any:
        if step.outage is None:
            return nullcontext()
        chance = random.Random(f"outage {self.plan.seed} {at}")
        proxy = self.proxy if step.outage in PROXIED else None
        return outage(step.outage, self.dsn, proxy, chance, step.lasts_s)

    async def _move(self, move: Fork | int) -> None:
        """Block by block, as making many holds the loop for longer than a request may take."""
        count, salt = (move.length, move.salt) if isinstance(move, Fork) else (move, 0)
        parent = self.chain.at(move.at) if isinstance(move, Fork) else self.chain.best
        for _ in range(count):
            made = self.chain.import_block(parent, salt)
            assert made is not None
            parent = made
            await anyio.lowlevel.checkpoint()

    async def level(self) -> None:
        """Wait until every dataset is committed up to the followed head."""
        while True:
            try:
                connection = await asyncpg.connect(self.dsn)
                try:
                    while not await self._is_level(connection):  # noqa: ASYNC110 - the indexer writes it
                        await anyio.sleep(0.03)
                    return
                finally:
                    connection.terminate()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await anyio.sleep(0.1)

    async def _is_level(self, connection: asyncpg.Connection[asyncpg.Record]) -> bool:
        tips = await connection.fetch("SELECT DISTINCT block_hash FROM cursors")
        head = self.chain.best if self.plan.follow == "best" else self.chain.finalized
        return [row["block_hash"] for row in tips] == [head.hash]


async def tell(plan: Plan, dsn: str, clock: Callable[[float], None]) -> Told:
    """Live through a plan while the indexer fills ``dsn``; ``clock`` moves the wall clock by so many seconds."""
    chain = Chain(Branching(plan))
    chain.grow(plan.begun)
    chain.finalize(plan.begun_final)
    moods = Moody(plan.seed, plan.rates)
    begun, over = anyio.Event(), anyio.Event()
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(DevNode(chain, tamper=moods))
        urls = await stack.enter_async_context(_urls(plan, node, begun, over))
        proxy = None
        if any(step.outage in PROXIED for step in plan.steps):
            proxy = await stack.enter_async_context(Proxy(dsn))
        settings = _settings(plan, urls) | {"database_url": proxy.dsn if proxy else dsn}
        stage = _Stage(plan, chain, node, dsn, proxy, clock, begun)
        writer = await stack.enter_async_context(writing(settings, own_process=plan.writer == "process"))
        for at, step in enumerate(plan.steps):
            await stage.take(at, step, writer)
        moods.over = True
        chain.grow(1)
        chain.finalize(chain.best.number)
        await _end(stage, writer)
    return Told(chain, moods.met)


async def _end(stage: _Stage, writer: Writer) -> None:
    try:
        with anyio.fail_after(END_S):
            await stage.level()
    except TimeoutError:
        code = writer.exit_code()
        ended = "" if code is None else f"; the indexer's process ended with exit code {code}"
        raise AssertionError(f"not level with the final chain after {END_S:g} s{ended}") from None


@asynccontextmanager
async def _urls(plan: Plan, node: DevNode, begun: anyio.Event, over: anyio.Event) -> AsyncIterator[tuple[str, ...]]:
    """Where the indexer is to connect, in order."""
    if plan.beside is None:
        yield (node.url,)
        return
    async with beside(plan.seed, plan.beside, node.chain, begun, over) as other:
        try:
            yield (other.url, node.url) if plan.beside.first or plan.archive else (node.url, other.url)
        finally:
            over.set()


def _settings(plan: Plan, urls: tuple[str, ...]) -> dict[str, Any]:
    endpoints: dict[str, Any] = {"network": urls[:1], "archive": urls[1]} if plan.archive else {"network": urls}
    return {
        **endpoints,
        "start": "genesis",
        "follow": plan.follow,
        "workers": plan.workers,
        "batch": plan.batch,
        "window": plan.window,
        "rpc_timeout_s": TIMEOUT_S,
        "commit_timeout_s": 3.0,
        "metrics_address": "off",
    }
