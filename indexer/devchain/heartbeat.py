"""Keeps a chain going and serves it: what the command line runs. The only clock of the devchain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from indexer.devchain.served import ServedChain
from indexer.devchain.server import DevNode

FINALITY_LAG_BLOCKS = 2
"""GRANDPA's voting rules keep finality at least two blocks behind the best head."""
DEFAULT_BLOCKS = 30
"""Made at once where neither a block time nor a number of blocks bounds a chain without end."""
_HICCUP_EVERY_BLOCKS = 4


async def serve(
    chain: ServedChain,
    host: str = "127.0.0.1",
    port: int = 9944,
    *,
    block_time_s: float = 12.0,
    blocks: int | None = None,
    finality_lag: int = FINALITY_LAG_BLOCKS,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve ``chain`` until cancelled, adding a block every ``block_time_s``, ``blocks`` in all if given.

    With a block time of 0 all blocks exist, finalized, before the first client connects. ``ready`` is
    called with the port once it listens. Raises ``OSError`` if the port is taken.
    """
    if block_time_s <= 0:
        fill(chain, blocks)
    async with DevNode(chain, host, port) as node:
        if ready is not None:
            ready(node.port)
        if block_time_s > 0:
            await beat(chain, block_time_s, blocks, finality_lag)
        await asyncio.Event().wait()


def fill(chain: ServedChain, blocks: int | None = None) -> None:
    """Make all blocks there are to make (at most ``blocks``) and finalize them."""
    end = chain.producer.length - 1 if chain.producer.length is not None else DEFAULT_BLOCKS
    chain.grow(end if blocks is None else blocks)
    chain.finalize(chain.best.number)


async def beat(
    chain: ServedChain, block_time_s: float, blocks: int | None = None, finality_lag: int = FINALITY_LAG_BLOCKS
) -> None:
    """Add a block every ``block_time_s``; return when no more are to come and all are finalized.

    Every fourth block finality waits a beat and then takes two at once: a client that counts on one
    notice per block loses a height.
    """
    made = 0
    while blocks is None or made < blocks:
        await asyncio.sleep(block_time_s)
        if not chain.grow():
            break
        made += 1
        if chain.best.number % _HICCUP_EVERY_BLOCKS:
            chain.finalize(max(0, chain.best.number - finality_lag))
    while chain.finalized.number < chain.best.number:
        await asyncio.sleep(block_time_s)
        chain.finalize(chain.finalized.number + 1)
