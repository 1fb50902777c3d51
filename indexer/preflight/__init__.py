"""A dry run before the first start: what `run` would meet, do and take, with nothing changed anywhere.

``check`` looks at every endpoint by itself and at the database, side by side; then it says where `run` would begin,
and measures a little of it. Facts (``findings``) are kept apart from what they mean (``judgement``, ``outlook``) and
from how they are shown (``rendering``). It always ends: each look has its share of the time that is given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio

from indexer import __version__, daemon
from indexer.config import Settings
from indexer.datasets import is_item
from indexer.datasets.base import Dataset
from indexer.errors import DecodeError, IndexerError, root_cause
from indexer.metrics import Metrics
from indexer.node import Node, open_node
from indexer.preflight import beginning, database, endpoint, judgement, outlook, sampling
from indexer.preflight.findings import (
    BackfillFacts,
    BootstrapFacts,
    DatabaseFacts,
    EndpointFacts,
    Finding,
    Level,
    Report,
    StartFacts,
    Topic,
)
from indexer.preflight.rendering import as_json, as_lines, as_page
from indexer.preflight.words import count
from indexer.redaction import redact, shown_names
from indexer.runtimes import metadata_at
from indexer.scale import Runtime

__all__ = ["SAMPLE_BLOCKS", "TIMEOUT_S", "Report", "as_json", "as_lines", "as_page", "check"]

SAMPLE_BLOCKS = 5
TIMEOUT_S = 60.0
LOOKING = 0.5
"""Share of the time for the look at the endpoints; what that leaves is for the measurements."""
BOOTSTRAP = 0.5
"""Share of what is left by then for the first block."""
TRIAL, TRIAL_MAX_S = 0.25, 5.0
"""Share of what is left for the trial read of a first block, and seconds at most."""

T = TypeVar("T")
Tell = Callable[[str], None]


async def check(
    settings: Settings,
    *,
    sample_blocks: int = SAMPLE_BLOCKS,
    timeout_s: float = TIMEOUT_S,
    tell: Tell = lambda _: None,
) -> Report:
    """Look at everything that `run` would need, for at most about ``timeout_s``; ``tell`` is given what goes on.

    ``sample_blocks`` 0 measures nothing. Raises ``ConfigError`` for a dataset that there is none of.
    """
    began_s = anyio.current_time()
    wanted = daemon.chosen(settings)
    endpoints, facts = await _look(settings, timeout_s * LOOKING, tell)
    genesis = _genesis(settings, facts, endpoints)
    findings = [
        Finding(Level.GOOD, Topic.CONFIGURATION, _configured(settings, wanted)),
        *judgement.of_endpoints(endpoints, genesis),
        *judgement.of_database(facts, genesis, standby=settings.standby),
    ]
    good = tuple(one for one in endpoints if beginning.usable(one, genesis))
    start = bootstrap = backfill = None
    if any(not one.is_archive for one in good):
        metrics = Metrics()
        async with _opened(settings, endpoints, good, metrics) as node:
            work = _Work(settings, wanted, good, facts, node, metrics, began_s + timeout_s, tell)
            await work.items()
            if facts.problem is None:
                start = await work.plan()
                if sample_blocks and any(one.proofs for one in good):
                    bootstrap = await work.bootstrap(start)
                    backfill = await work.backfill(start, sample_blocks)
                    work.findings += outlook.room(facts, bootstrap, backfill)
            findings += work.findings
    return Report(
        version=__version__,
        network=tuple(map(redact, settings.network)),
        took_s=round(anyio.current_time() - began_s, 2),
        endpoints=endpoints,
        database=facts,
        start=start,
        bootstrap=bootstrap,
        backfill=backfill,
        findings=tuple(findings),
    )


def _configured(settings: Settings, wanted: Sequence[Dataset]) -> str:
    items = sum(is_item(one.name) for one in wanted)
    kept = count(len(wanted) - items, "dataset") + (f" and {count(items, 'storage item')}" if items else "")
    return f"network {', '.join(map(redact, settings.network))}; {kept}; follow {settings.follow}"


async def _look(settings: Settings, within_s: float, tell: Tell) -> tuple[tuple[EndpointFacts, ...], DatabaseFacts]:
    """Every endpoint and the database, side by side; what one does not tell hides nothing of the others."""
    urls = list(dict.fromkeys((*settings.endpoints, *settings.archive_endpoints)))
    names = shown_names(urls)
    found: dict[str, EndpointFacts] = {}
    stored: list[DatabaseFacts] = []
    waiting = {*urls, ""}

    def told() -> None:
        parts = [count(len(waiting - {""}), "endpoint")] if waiting - {""} else []
        tell(f"asking {' and '.join([*parts, *(['the database'] if '' in waiting else [])])}")

    async def ask(url: str) -> None:
        is_archive = url not in settings.endpoints
        found[url] = await endpoint.look(
            url, names[url], is_archive=is_archive, timeout_s=settings.rpc_timeout_s, within_s=within_s
        )
        waiting.discard(url)
        if waiting:
            told()

    async def ask_database() -> None:
        stored.append(await database.look(settings))
        waiting.discard("")

    told()
    async with anyio.create_task_group() as group:
        group.start_soon(ask_database, name="check database")
        for url in urls:
            group.start_soon(ask, url, name=f"check {names[url]}")
    return _compared([found[url] for url in urls]), stored[0]


def _compared(endpoints: Sequence[EndpointFacts]) -> tuple[EndpointFacts, ...]:
    """Each with its distance to the head that the others of its chain tell."""
    compared = []
    for one in endpoints:
        others = [
            other.best_block
            for other in endpoints
            if other is not one and other.best_block is not None and other.genesis_hash == one.genesis_hash
        ]
        if one.best_block is not None and others:
            compared.append(replace(one, lag_blocks=max(0, max(others) - one.best_block)))
        else:
            compared.append(one)
    return tuple(compared)


def _genesis(settings: Settings, facts: DatabaseFacts, endpoints: Iterable[EndpointFacts]) -> str | None:
    """Hash of the block 0 that `run` would hold endpoints to: the network's, the database's, or the first one's."""
    if settings.genesis_hash is not None:
        return "0x" + settings.genesis_hash.hex()
    told = (one.genesis_hash for one in endpoints if one.genesis_hash is not None and not one.is_archive)
    return facts.genesis_hash or next(told, None)


@asynccontextmanager
async def _opened(
    settings: Settings, endpoints: Sequence[EndpointFacts], good: Sequence[EndpointFacts], metrics: Metrics
) -> AsyncIterator[Node]:
    """The endpoints that can be asked, as one node."""
    urls = dict.fromkeys((*settings.endpoints, *settings.archive_endpoints))
    usable = [url for url, facts in zip(urls, endpoints, strict=True) if facts in good]
    network = [url for url in usable if url in settings.endpoints]
    archive = [url for url in usable if url in settings.archive_endpoints]
    async with open_node(network, archive=archive, timeout_s=settings.rpc_timeout_s, metrics=metrics) as node:
        yield node


@dataclass(slots=True)
class _Work:
    """What is asked and measured once the endpoints are known; ``findings`` grows."""

    settings: Settings
    wanted: Sequence[Dataset]
    good: Sequence[EndpointFacts]
    facts: DatabaseFacts
    node: Node
    metrics: Metrics
    deadline_s: float
    tell: Tell
    findings: list[Finding] = field(default_factory=list)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.deadline_s - anyio.current_time())

    async def items(self) -> None:
        """Whether the runtime has the storage items that are named."""
        if not self.settings.item:
            return
        final = bytes.fromhex((self.good[0].finalized_hash or "").removeprefix("0x"))
        raw = await self._tried(Topic.ITEM, "the runtime's metadata", metadata_at(self.node, final), self.left_s)
        if raw is None:
            return
        runtime = Runtime.from_metadata(raw)
        for one in self.wanted:
            if is_item(one.name):
                note = one.note(runtime)
                level, there = Level.GOOD if note is None else Level.BAD, f"runtime {runtime.spec_version} has it"
                self.findings.append(Finding(level, Topic.ITEM, f"{one.name}: {note or there}"))

    async def plan(self) -> StartFacts:
        """Where `run` would begin."""
        start = beginning.plan(self.settings, [one.name for one in self.wanted], self.facts, self.good)
        self.findings += judgement.of_start(self.settings, start, self.facts)
        tip = max(self.facts.cursors, key=lambda one: one.block, default=None)
        if tip is not None:
            asked = self.node.block_hash(tip.block)
            found = await self._tried(Topic.START, "the hash of the last committed block", asked, self.left_s)
            self.findings += judgement.of_tip(tip, found)
        return start

    async def bootstrap(self, start: StartFacts) -> BootstrapFacts | None:
        """What the first block takes; None if there is none to come, or it cannot be told."""
        begins = beginning.bootstrapped(start)
        if begins is None or begins.endpoint is None or begins.first_block > start.finalized_block:
            return None
        self.tell(f"estimating the state of block {begins.first_block}")
        left_s = self.left_s * BOOTSTRAP
        asked = sampling.bootstrap(
            self.node,
            [one for one in self.wanted if one.name in begins.datasets],
            begins.first_block,
            bytes_per_row=self.facts.bytes_per_row,
            trial_s=min(TRIAL_MAX_S, left_s * TRIAL),
        )
        found = await self._tried(Topic.BOOTSTRAP, "the first block", asked, left_s)
        self.findings += [] if found is None else outlook.of_bootstrap(found)
        return found

    async def backfill(self, start: StartFacts, blocks: int) -> BackfillFacts | None:
        """What the blocks up to the head take; None if it cannot be told."""
        first = start.beginnings[0].first_block + (start.beginnings[0].after_block is None)
        oldest = min((one.oldest_state_block for one in self.good if one.oldest_state_block is not None), default=None)
        if oldest is None:
            return None
        self.tell(f"capturing {count(blocks, 'block')} as a sample, of which nothing is written")
        asked = sampling.backfill(
            self.node,
            self.metrics,
            [one for one in self.wanted if one.name in start.beginnings[0].datasets],
            first=first,
            last=start.finalized_block,
            oldest=oldest,
            count=blocks,
            workers=self.settings.workers,
            bytes_per_row=self.facts.bytes_per_row,
        )
        found = await self._tried(Topic.BACKFILL, "the backfill", asked, self.left_s)
        self.findings += [] if found is None else outlook.of_backfill(found)
        return found

    async def _tried(self, topic: Topic, what: str, work: Awaitable[T], within_s: float) -> T | None:
        """The result of ``work``; None, and a finding, if it fails or takes longer."""
        problem = f"the time was over after {within_s:.0f} s; give it more --timeout"
        level = Level.NOTE
        with anyio.move_on_after(within_s):
            try:
                return await work
            except (IndexerError, BaseExceptionGroup) as error:
                cause = root_cause(error)
                if not isinstance(cause, IndexerError):
                    raise
                problem = str(cause)
                level = Level.WARNING if isinstance(cause, DecodeError) else Level.NOTE
        self.findings.append(Finding(level, topic, f"{what} was not looked into: {problem}"))
        return None
