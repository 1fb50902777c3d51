"""Full reads of the state beside a pipeline that has no proofs: no block waits for one.

A scan reads one committed block, pinned by its hash, while later blocks are read and committed. When it is
done, that block and those after it are written anew in one transaction: the block as the scan has it, so
that it is complete, and the later ones as they were read. One scan at a time: the next one waits for it, so
that never more blocks are held than lie between two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog
from anyio.abc import TaskGroup

from indexer.errors import IndexerError, root_cause
from indexer.model import BlockRows

log = structlog.get_logger()


class Scans:
    """The scans of one run of a pipeline. Used by its writer alone."""

    def __init__(
        self,
        every_blocks: int,
        read: Callable[[int], Awaitable[BlockRows]],
        put: Callable[[Sequence[BlockRows]], Awaitable[None]],
    ) -> None:
        """``read`` gives a block as a whole state; ``put`` replaces it and the blocks that follow."""
        self._every_blocks, self._read, self._put = every_blocks, read, put
        self._scope = anyio.CancelScope()
        self._under_way: BlockRows | None = None
        self._since: list[BlockRows] = []
        self._rows: BlockRows | None = None
        self._done = anyio.Event()

    async def committed(self, blocks: Sequence[BlockRows], group: TaskGroup) -> None:
        """Take note of blocks just committed: begin a scan at each that is due, and write what is read."""
        if self._under_way is not None:
            self._since.extend(blocks)
        for at, block in enumerate(blocks, 1):
            if block.ref.number % self._every_blocks == 0 and not block.bootstrap:
                await self.finish()
                self._under_way, self._since = block, list(blocks[at:])
                self._rows, self._done = None, anyio.Event()
                group.start_soon(self._scan, block, name=f"scan of block {block.ref.number}")
        if self._done.is_set():
            await self.finish()

    async def finish(self) -> None:
        """Wait for the scan under way, if there is one, and write it."""
        if self._under_way is None:
            return
        await self._done.wait()
        rows, since, self._under_way, self._since = self._rows, self._since, None, []
        if rows is not None:
            await self._put([rows, *since])
            log.info("scanned", block=rows.ref.number, blocks_since=len(since))

    def cancel(self) -> None:
        """Give the scan under way up."""
        self._under_way = None
        self._scope.cancel()

    async def _scan(self, block: BlockRows) -> None:
        with self._scope:
            try:
                rows = await self._read(block.ref.number)
                self._rows = rows if rows.ref == block.ref else None
            except (IndexerError, BaseExceptionGroup) as error:
                cause = root_cause(error)
                if not isinstance(cause, IndexerError):
                    raise
                # The block stays as incomplete as it is; a scan of a later one may do better.
                log.warning("scan_failed", block=block.ref.number, reason=str(cause))
            self._done.set()
