"""What one run of a pipeline is to do: which blocks, for whom, read how, and written as what. A value only."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.datasets.base import Dataset
from indexer.model import BlockRef


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of the pipeline is to do."""

    datasets: tuple[Dataset, ...]
    after: BlockRef | None
    """The last committed block; None for datasets that have none."""
    first: int
    """The first block to write; a bootstrap if ``after`` is None."""
    stop: int | None
    """The last block to write; None: follow for ever."""
    workers: int
    window: int
    batch: int
    anew: bool = False
    """Whether the first block is taken as a whole state: there is none before it, or none to rely on."""
    leads: bool = True
    """Whether this run is the one whose progress is the database's; a catching-up dataset's is not."""
    hole_last: int | None = None
    """The last block of the hole between indexed blocks that this run fills in; None: it goes on at the end."""
    proves: bool = False
    """Whether it reads blocks again that were read without proofs, all but the last: they are replaced at once."""
    scan_every_blocks: int | None = None
    """Where no endpoint serves proofs: blocks between two scans of the whole state. None: blocks are proven."""
