"""What is missing, and how it comes back: state the nodes have dropped, and holes that can be filled in again.

A node keeps the state of the last few hundred blocks only. Whoever was away for longer goes on at the
present head, which leaves a hole; the hole is filled as soon as some endpoint has its state. Nothing
here writes: it tells ``run`` what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from indexer.capture import item_prefix
from indexer.coverage import Hole
from indexer.errors import ConfigError
from indexer.link import RpcRefused
from indexer.model import BlockRef, ItemRef
from indexer.node import METHOD_NOT_FOUND, Node

PROBE = item_prefix(ItemRef("Timestamp", "Now"))
TRIES = 2
"""A refusal that comes twice, with the head's state readable each time, is not of the moment."""


async def is_dropped(node: Node, block_hash: bytes, head_hash: bytes) -> bool:
    """Whether every endpoint refuses the state of a known block while the head's can be read.

    Raises ``NodeError`` if the head's state cannot be read either: that tells nothing of the block.
    """
    for _ in range(TRIES):
        try:
            await node.storage([PROBE], block_hash)
        except RpcRefused as refusal:
            if refusal.code == METHOD_NOT_FOUND:
                raise
        else:
            return False
        await node.storage([PROBE], head_hash)
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


def together(holes: Iterable[Hole]) -> dict[tuple[BlockRef, int], list[str]]:
    """Datasets by the hole they share: (last indexed block before it, last missing block)."""
    groups: dict[tuple[BlockRef, int], list[str]] = {}
    for hole in holes:
        groups.setdefault((hole.after, hole.last), []).append(hole.dataset)
    return groups
