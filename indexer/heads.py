"""From "there is a head" to gap-free heights.

A notification is only a hint to look: subscriptions to finalized heads skip heights, and a block
taken from one is a block lost. What counts is the number of the head; every height up to it is
then walked, one by one. If the hints stop, the head is asked for all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Literal, TypeAlias, TypeVar

import anyio
import structlog

from indexer.errors import NodeError, Reorg, backoff
from indexer.model import BlockRef, Header
from indexer.node import Node

log = structlog.get_logger()

T = TypeVar("T")

Follow: TypeAlias = Literal["finalized", "best"]

HEADS_REMEMBERED = 256
MISSING_BLOCK_PATIENCE_S = 60.0
POLL_S = 6.0
"""Half of the chain's slot time: how long a silent subscription goes unnoticed at most."""


class Heads:
    """The node's heads as last seen. ``watch`` and ``listen`` keep them up to date in tasks of their owner."""

    def __init__(self, node: Node, follow: Follow, report: Callable[[Literal["finalized", "best"], int], None]) -> None:
        self._node = node
        self._follow = follow
        self._report = report
        self._hint = anyio.Event()
        self._moved = anyio.Event()
        self.best: BlockRef | None = None
        self.finalized: BlockRef | None = None
        self._finalized_hashes: dict[int, bytes] = {}
        self.seen_s: dict[int, float] = {}
        """Monotonic time at which each followed head was first seen, until it is committed."""

    @property
    def target(self) -> int:
        """The height to index up to; -1 before the first look."""
        head = self.finalized if self._follow == "finalized" else self.best
        return -1 if head is None else head.number

    async def look(self) -> None:
        """Ask for the heads now. A finalized head never moves backwards, whatever a node says."""
        finalized = await self._node.finalized()
        best = await self._node.best()
        before = self.target
        if self.finalized is None or finalized.number > self.finalized.number:
            self.finalized = finalized
            _remember(self._finalized_hashes, finalized.number, finalized.hash)
        if best.number < self.finalized.number:
            best = self.finalized  # another server behind the same address, which is behind
        self.best = best
        self._report("finalized", self.finalized.number)
        self._report("best", best.number)
        if self.target > before:
            _remember(self.seen_s, self.target, time.monotonic())
            self._moved.set()
            self._moved = anyio.Event()

    def last_final(self, number: int) -> BlockRef | None:
        """The highest block at or below a height that the node named, with its hash, as a finalized head.

        A height alone proves nothing: a block read from another branch a moment ago has one too.
        """
        known = max((height for height in self._finalized_hashes if height <= number), default=None)
        return None if known is None else BlockRef(known, self._finalized_hashes[known])

    async def confirm(self, block: BlockRef) -> None:
        """Ask whether a block far below the finalized head is final: a catch-up meets no head for hours.

        Raises ``Reorg`` if another block is final at its height.
        """
        if self.finalized is None or self.finalized.number < block.number or self.last_final(block.number) == block:
            return
        is_final = await self._node.is_final(block)
        if is_final is False:
            raise Reorg(f"{self._node.endpoint} has another block than {block} at its height, and that one is final")
        if is_final:
            _remember(self._finalized_hashes, block.number, block.hash)

    async def watch(self, looked: Callable[[], None] = lambda: None) -> None:
        """Look at each hint, and at the latest every ``POLL_S``; ``looked`` is called after each look.

        Ends only by an error or its owner.
        """
        while True:
            await self.look()
            looked()
            with anyio.move_on_after(POLL_S):
                await self._hint.wait()
            self._hint = anyio.Event()

    async def listen(self) -> None:
        """Turn notifications into hints; a lost subscription is made again, ``watch`` goes on meanwhile."""
        method = "chain_subscribeFinalizedHeads" if self._follow == "finalized" else "chain_subscribeNewHeads"
        delays = backoff(0.5, 30.0)
        while True:
            try:
                async with aclosing(self._node.subscribe(method)) as notifications:
                    async for _ in notifications:
                        delays = backoff(0.5, 30.0)
                        self._hint.set()
            except NodeError as error:
                log.debug("subscription_lost", reason=str(error))
            await anyio.sleep(next(delays))

    async def reached(self, number: int) -> None:
        """Wait until the head to follow is at ``number`` or above."""
        while self.target < number:
            await self._moved.wait()


async def header_at(node: Node, number: int) -> Header:
    """The header at a height of the node's chain; an endpoint that lags behind its own head is waited for.

    Raises ``NodeError`` if there is none after ``MISSING_BLOCK_PATIENCE_S``.
    """
    delays = backoff(0.1, 3.0)
    with anyio.move_on_after(MISSING_BLOCK_PATIENCE_S):
        while True:
            block_hash = await node.block_hash(number)
            if block_hash is not None:
                return await node.header(block_hash)
            await anyio.sleep(next(delays))
    raise NodeError(f"{node.endpoint} has no block {number}, although its head was said to be above")


def _remember(seen: dict[int, T], number: int, what: T) -> None:
    """Note something of a height; the oldest notes give way."""
    seen[number] = what
    while len(seen) > HEADS_REMEMBERED:
        seen.pop(next(iter(seen)))
