"""What listeners are told: ``NOTIFY indexer_block`` and ``indexer_reorg``, in the transaction that writes the rows.

Postgres delivers a notification when its transaction commits, so whoever is told of a block finds its rows. One per
commit, or two where finality lags: a catch-up that writes hundreds of blocks at once tells of the last one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from indexer.model import BlockRef, BlockRows
from indexer.session import Connection

BLOCK_CHANNEL = "indexer_block"
REORG_CHANNEL = "indexer_reorg"


async def commit(connection: Connection, blocks: Sequence[BlockRows]) -> None:
    """A run of blocks is committed: tell of its last one, and before that of the last final one where it is another."""
    final = next((one.ref for one in reversed(blocks) if one.finalized), None)
    last = blocks[-1].ref
    if final is not None and final != last:
        await block(connection, final, finalized=True)
    await block(connection, last, finalized=final == last)


async def block(connection: Connection, ref: BlockRef, *, finalized: bool) -> None:
    """Everything up to this block is committed, or known to be final: ``{"number", "hash", "finalized"}``."""
    told = {"number": ref.number, "hash": "0x" + ref.hash.hex(), "finalized": finalized}
    await _notify(connection, BLOCK_CHANNEL, told)


async def reorg(connection: Connection, ancestor: BlockRef, last: int) -> None:
    """The blocks above ``ancestor`` up to ``last`` were taken back: ``{"first", "last", "ancestor"}``, the last
    an object of number and hash."""
    kept = {"number": ancestor.number, "hash": "0x" + ancestor.hash.hex()}
    await _notify(connection, REORG_CHANNEL, {"first": ancestor.number + 1, "last": last, "ancestor": kept})


async def _notify(connection: Connection, channel: str, told: object) -> None:
    await connection.execute("SELECT pg_notify($1, $2)", channel, json.dumps(told))
