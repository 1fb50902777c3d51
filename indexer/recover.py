"""The common ancestor of the database and the chain; the only road back.

Every run begins here, whatever ended the one before. A node that lacks our height proves nothing
but its own lag, so it is waited for; only a different hash at a height both have is a divergence.
Nothing is ever rewound below a finalized block.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from indexer.coverage import Cursor
from indexer.datasets import load
from indexer.datasets.base import Dataset
from indexer.errors import DeepReorg, backoff
from indexer.metrics import Metrics
from indexer.model import BlockRef
from indexer.node import Node
from indexer.store import Store

log = structlog.get_logger()


async def align(node: Node, store: Store, datasets: Sequence[Dataset], metrics: Metrics) -> dict[str, Cursor]:
    """Bring the database onto the node's chain; returns the cursors it then has.

    Waits for a node that lags. Raises ``DeepReorg`` if the chains part below a finalized block.
    """
    cursors = await store.cursors()
    if not cursors:
        return {}
    tip = max((cursor.block for cursor in cursors.values()), key=lambda block: block.number)
    if await _hash_on_node(node, tip.number, metrics) == tip.hash:
        return cursors
    floor = max(
        cursor.start_block - 1 if cursor.finalized_block is None else cursor.finalized_block
        for cursor in cursors.values()
    )
    ancestor = await _ancestor(node, store, tip, floor, metrics)
    depth = tip.number - ancestor.number
    log.warning("rewind", to=str(ancestor), from_block=str(tip), depth=depth)
    known = {dataset.name for dataset in datasets}
    left = [
        name for name in cursors if name not in known
    ]  # no longer kept up, and on the chain that is left all the same
    await store.rewind(ancestor, (*datasets, *(load(left) if left else ())))
    metrics.reorgs.inc()
    metrics.reorg_depth.observe(depth)
    return await store.cursors()


async def _ancestor(node: Node, store: Store, tip: BlockRef, floor: int, metrics: Metrics) -> BlockRef:
    """The highest indexed block that the node has too: back in doubling steps, then by bisection."""
    apart, step = tip.number, 1
    while True:
        shared = max(apart - step, floor)
        ours = await store.block_hash(shared)
        if ours is None or (shared == floor and await _hash_on_node(node, shared, metrics) != ours):
            raise DeepReorg(
                f"the node's chain parts from this database at or below block {shared}, which is final: the node "
                "follows another chain, or this database was filled from one; check --network"
            )
        if await _hash_on_node(node, shared, metrics) == ours:
            break
        apart, step = shared, step * 2
    while apart - shared > 1:
        middle = (apart + shared) // 2
        if await _hash_on_node(node, middle, metrics) == await store.block_hash(middle):
            shared = middle
        else:
            apart = middle
    ancestor = await store.block_hash(shared)
    assert ancestor is not None
    return BlockRef(shared, ancestor)


async def _hash_on_node(node: Node, number: int, metrics: Metrics) -> bytes:
    """The node's hash at a height, waiting for a node that is not there yet: to restart would not bring it on."""
    delays = backoff(0.5, 10.0)
    waiting = False
    while True:
        block_hash = await node.block_hash(number)
        metrics.progressed()
        if block_hash is not None:
            if waiting:
                log.info("node_caught_up", endpoint=node.endpoint, block=number)
            return block_hash
        if not waiting:
            waiting = True
            log.warning("node_lags", endpoint=node.endpoint, block=number, consequence="waiting for it")
            metrics.condition("node", False, f"{node.endpoint} lags: it has no block {number} yet")
        await anyio.sleep(next(delays))
