"""What is missing or not proven, and how it comes back: dropped state, holes, blocks that were read without proofs.

A node keeps the state of the last few hundred blocks only. Whoever was away for longer goes on at the
present head, which leaves a hole; the hole is filled as soon as some endpoint has its state. Blocks that were
read without proofs are read again once some endpoint serves them. Nothing here writes: it tells ``run`` what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import anyio

from indexer.capture import item_prefix
from indexer.coverage import Hole, Unproven
from indexer.errors import ConfigError, backoff
from indexer.link import RpcRefused
from indexer.model import BlockRef, ItemRef
from indexer.node import METHOD_NOT_FOUND, Node

PROBE = item_prefix(ItemRef("Timestamp", "Now"))
TRIES, PAUSE_S = 3, 0.3
"""A refusal that comes so often, with the head's state readable each time, is not of the moment."""


async def is_dropped(node: Node, block_hash: bytes, head_hash: bytes) -> bool:
    """Whether every endpoint refuses the state of a known block while the head's can be read.

    Raises ``NodeError`` if the head's state cannot be read either: that tells nothing of the block.
    """
    delays = backoff(PAUSE_S)
    for _ in range(TRIES):
        try:
            await node.storage([PROBE], block_hash)
        except RpcRefused as refusal:
            if refusal.code == METHOD_NOT_FOUND:
                raise
        else:
            return False
        await node.storage([PROBE], head_hash)
        await anyio.sleep(next(delays))
    return True


async def cannot_continue(node: Node, after: BlockRef, head_hash: bytes) -> bool:
    """Whether the block after ``after`` cannot be captured any more: it needs the states of two blocks before it."""
    if await is_dropped(node, after.hash, head_hash):
        return True
    parent_hash = (await node.header(after.hash)).parent_hash
    return after.number > 0 and await is_dropped(node, parent_hash, head_hash)


async def check_start(node: Node, number: int, head_hash: bytes) -> None:
    """Raise ``ConfigError`` if a first block is asked for whose state no endpoint has."""
    block_hash = await node.block_hash(number)
    if block_hash is not None and await is_dropped(node, block_hash, head_hash):
        raise ConfigError(
            f"no endpoint has the state of block {number} any more: name an archive node with --archive, "
            "or begin with --start latest"
        )


def alike(runs: Iterable[Unproven]) -> dict[Unproven, list[str]]:
    """Datasets by the unproven blocks they share; the highest first."""
    groups: dict[Unproven, list[str]] = {}
    for run in runs:
        groups.setdefault(replace(run, dataset=""), []).append(run.dataset)
    return groups


def together(holes: Iterable[Hole]) -> dict[tuple[BlockRef, int], list[str]]:
    """Datasets by the hole they share: (last indexed block before it, last missing block)."""
    groups: dict[tuple[BlockRef, int], list[str]] = {}
    for hole in holes:
        groups.setdefault((hole.after, hole.last), []).append(hole.dataset)
    return groups


PROVE_BLOCKS_MAX = 256
"""Blocks that are read again at once: all their rows are in memory, for one transaction. As many states as a
node that does not keep all of them keeps."""
PRUNING_MARGIN = 16
"""Blocks whose state a pruning node may drop while later ones are read."""


async def provable(node: Node, run: Unproven, head_hash: bytes) -> tuple[int, bool] | None:
    """The first block from which on ``run`` can be read again to its end, and whether as a whole state.

    None if no endpoint has the state. Raises ``NodeError`` if that cannot be told.
    """
    first = max(run.first, run.last - PROVE_BLOCKS_MAX + 1)
    if first == run.first and run.is_based and not await _is_dropped_at(node, max(0, first - 2), head_hash):
        return first, False
    if not await _is_dropped_at(node, max(0, first - 1), head_hash):
        return first, True
    low, high = first, run.last - PRUNING_MARGIN
    if high <= low or await _is_dropped_at(node, high - 1, head_hash):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if await _is_dropped_at(node, middle - 1, head_hash) else (low, middle)
    return high + PRUNING_MARGIN, True


async def has_body(node: Node, number: int) -> bool:
    """Whether some endpoint has the extrinsics of the block at a height."""
    block_hash = await node.block_hash(number)
    return block_hash is not None and await node.body(await node.header(block_hash)) is not None


async def _is_dropped_at(node: Node, number: int, head_hash: bytes) -> bool:
    block_hash = await node.block_hash(number)
    return block_hash is None or await is_dropped(node, block_hash, head_hash)
