"""What of the committed blocks is final: noted in the cursors, and what endpoints are held to from then on.

A block is believed final by its hash only, never because its height is low enough: a block read a
moment ago from another branch has a height too. The finalized heads that the node tells of cover a
chain that is followed; far behind it, in a catch-up, an endpoint is asked now and then.
"""

from __future__ import annotations

import time

from indexer.errors import Reorg
from indexer.heads import Heads
from indexer.model import BlockRef
from indexer.node import Node
from indexer.store import Store

CONFIRM_S = 5.0
"""Seconds between two questions whether a block far below the finalized head is final."""


class Finality:
    """Finality along one run of a pipeline, as its writer commits."""

    def __init__(self, node: Node, store: Store, heads: Heads) -> None:
        self._node, self._store, self._heads = node, store, heads
        self._noted: BlockRef | None = None
        self._asked_s = time.monotonic()

    def of(self, block: BlockRef) -> bool:
        """Whether the node named this block, by its hash, as a finalized one."""
        return self._heads.last_final(block.number) == block

    def committed(self, block: BlockRef) -> None:
        """A block that was known to be final is committed as such."""
        self._noted = block
        self._node.stand_on(block)

    async def settle(self, tip: BlockRef, *, at_end: bool = False) -> None:
        """Note up to where the blocks committed up to ``tip`` are final; nothing rewinds below that any more.

        ``at_end`` of a run the node is asked at once. Raises ``Reorg`` if another chain than ours is final.
        """
        if at_end or time.monotonic() >= self._asked_s + CONFIRM_S:
            await self._heads.confirm(tip)
            self._asked_s = time.monotonic()
        final = self._heads.last_final(tip.number)
        if final is None or final == self._noted:
            return
        if not await self._store.mark_finalized(final):
            raise Reorg(f"{final} is final, and the block indexed at its height is another one")
        self.committed(final)
