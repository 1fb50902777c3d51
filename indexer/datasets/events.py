"""Every event of every block, its fields as JSON. Off by default: some 100 rows per block, of use to few.

Owns ``events``. It asks the node for nothing that other datasets do not ask for: a block's events are among the
plain values that are read, and proven, in every block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from indexer.datasets._events import EVENT_INDEX, EXTRINSIC_INDEX, told
from indexer.datasets.base import Dataset, RuntimeView
from indexer.model import Block, Change, Row
from indexer.schema import json, log, text

EVENTS = log(
    "events",
    keys=[EVENT_INDEX],
    values=[
        text("phase", "ApplyExtrinsic, Initialization or Finalization.", nullable=False),
        EXTRINSIC_INDEX,
        text("pallet", "Pallet that deposited it.", nullable=False),
        text("name", "Its name there.", nullable=False),
        json("fields", "Its fields: an object, or an array where they have no names; accounts as addresses."),
        json("topics", "Hashes it is indexed under, as hex; NULL where none."),
    ],
    comment="Events of blocks, in order. Off by default.",
    indexes=[("pallet", "name")],
)


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """A row per event of the block."""
    del changes
    for index, event in enumerate(block.events):
        yield Row(
            EVENTS.name,
            (index,),
            {
                "phase": event.phase,
                "extrinsic_index": event.extrinsic_index,
                "pallet": event.pallet,
                "name": event.name,
                "fields": told(runtime, event),
                "topics": ["0x" + topic.hex() for topic in event.topics] or None,
            },
        )


DATASET = Dataset(name="events", tables=(EVENTS,), items=(), rows=rows, by_default=False)
