"""Old blocks are forgotten, where ``--retain`` asks for it: what one transaction deletes, and when there is one.

What a row said at the first block that is kept still holds there, so it stays, with the block that gave it;
answers as of kept blocks do not change. Cursors and coverage say the new first block in the same transaction.
Steps are small: the writer waits for none of them long, and a database with a long past shrinks by and by.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from indexer.datasets.base import Dataset
from indexer.errors import IndexerError, root_cause
from indexer.metrics import Metrics
from indexer.schema import Keyed, Log
from indexer.session import Connection
from indexer.statements import touched_since
from indexer.store import Store

log = structlog.get_logger()

STEP_BLOCKS = 300
"""Blocks that one transaction forgets at most: an hour of the chain."""
POLL_S = 5.0
PAUSE_S = 0.2
"""Seconds between two steps while there is more to forget: the database has others to serve."""


async def forget_for_ever(store: Store, datasets: Sequence[Dataset], retain_blocks: int, metrics: Metrics) -> None:
    """Keep ``retain_blocks`` blocks up to the last committed one, for ever.

    It never ends the run: a database that fails is met by the next step, and by the writer.
    """
    while True:
        first: int | None = None
        try:
            async with store.transaction("forget old blocks") as connection:
                first = await forget(connection, datasets, retain_blocks)
        except (IndexerError, BaseExceptionGroup) as error:
            cause = root_cause(error)
            if not isinstance(cause, IndexerError):
                raise
            log.warning("not_forgotten", cause=type(cause).__name__, reason=str(cause))
        if first is not None:
            log.info("forgotten", first_block=first)
            metrics.first_block.set(first)
        await anyio.sleep(POLL_S if first is None else PAUSE_S)


async def forget(connection: Connection, datasets: Sequence[Dataset], retain_blocks: int) -> int | None:
    """Forget one step of blocks, in an open transaction; returns the first block kept now; None: none was due.

    The same block for all datasets, as answers are put together from several. It is final, so nothing is ever
    taken back beyond it, and it is not in a hole: one that is still within what is to be kept can be filled in.
    """
    names = [dataset.name for dataset in datasets]
    cursors = await connection.fetch("SELECT * FROM cursors WHERE dataset = ANY($1) FOR UPDATE", names)
    if not cursors or any(cursor["finalized_block"] is None for cursor in cursors):
        return None
    last = min(min(cursor["block_number"], cursor["finalized_block"]) for cursor in cursors)
    begins = min(cursor["start_block"] for cursor in cursors)
    step = min(STEP_BLOCKS, max(1, retain_blocks // 10))
    due = min(cursor["block_number"] for cursor in cursors) - retain_blocks + 1
    if due - begins < step:
        return None
    first = await _covered(connection, names, min(due, last, begins + STEP_BLOCKS))
    if first <= begins:  # before a hole: beyond it, once all of it is to be forgotten
        behind = await connection.fetch(
            "SELECT DISTINCT first_block FROM coverage WHERE dataset = ANY($1) AND first_block > $2 "
            "AND first_block <= $3 ORDER BY first_block",
            names, begins, min(due, last),
        )  # fmt: skip
        reached = [await _covered(connection, names, row["first_block"]) for row in behind]
        first = next((block for block in reached if block > begins), begins)
    if first <= begins:
        return None
    starts = {cursor["dataset"]: cursor["start_block"] for cursor in cursors}
    for dataset in datasets:
        if starts.get(dataset.name, first) < first:
            for table in dataset.tables:
                await connection.execute(*_forgotten(table, starts[dataset.name], first))
            await _begin_at(connection, dataset.name, first)
    return first


async def _covered(connection: Connection, names: Sequence[str], wanted: int) -> int:
    """The highest block up to ``wanted`` that no dataset has in a hole."""
    while True:
        lowered = await connection.fetchval(
            "SELECT min((SELECT max(least(v.last_block, $2)) FROM coverage v "
            "WHERE v.dataset = c.dataset AND v.first_block <= $2)) FROM cursors c "
            "WHERE c.dataset = ANY($1) AND c.start_block <= $2",
            names, wanted,
        )  # fmt: skip
        if lowered is None or lowered >= wanted:
            return wanted
        wanted = lowered


def _forgotten(table: Keyed | Log, begins: int, first: int) -> tuple[str, *tuple[int, ...]]:
    """The statement, and its arguments, that forgets a table's rows from block ``begins`` to before ``first``.

    Of a history: rows that another one followed up to ``first``, and ends. Only keys that changed since ``begins``
    can have any, so it costs what happened in these blocks, whatever the size of the table.
    """
    if isinstance(table, Log):
        return f"DELETE FROM {table.name} WHERE block_number < $1", first
    same = " AND ".join(f'h."{key}" = k."{key}"' for key in table.keys)
    latest = " AND ".join(f'x."{key}" = t."{key}"' for key in table.keys)
    name = table.history.name
    return (
        f"DELETE FROM {name} h USING (SELECT t.*, l.block_number, l.exists FROM ("
        f"{touched_since(table)} AND block_number <= $2) t "
        f"CROSS JOIN LATERAL (SELECT x.block_number, x.exists FROM {name} x WHERE {latest} AND x.block_number <= $2 "
        f"ORDER BY x.block_number DESC LIMIT 1) l) k WHERE {same} "
        "AND (h.block_number < k.block_number OR h.block_number = k.block_number AND NOT k.exists)",
        begins,
        first,
    )


async def _begin_at(connection: Connection, dataset: str, first: int) -> None:
    """Say that a dataset is indexed from block ``first`` on."""
    for statement in (
        "DELETE FROM coverage WHERE dataset = $1 AND last_block < $2",
        "UPDATE coverage SET first_block = $2 WHERE dataset = $1 AND first_block < $2",
        "DELETE FROM holes WHERE dataset = $1 AND last_block < $2",
        "UPDATE cursors SET start_block = $2 WHERE dataset = $1",
    ):
        await connection.execute(statement, dataset, first)
