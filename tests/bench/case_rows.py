"""Rows: from the captured bytes of a block to the rows that are written, as the indexer goes for every block.

The floor is what nobody can leave out: each value by the decoder compiled for its type, and the events. The indexer's
side takes keys apart and checks their hashes, sorts changes by item, and makes the rows of all datasets that are kept
by default. The bytes that a change and a row take in memory are told beside it: a whole first state is made of them.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

from made_block import made_block
from measuring import Case, Effort, Figure, Goal, in_turns

from indexer.capture import EVENTS
from indexer.datasets import load
from indexer.decode import Decoded, block_rows, decode
from indexer.model import BlockRows


def rows(effort: Effort) -> list[Figure]:
    """One block the size of the main network's."""
    runtime, captured = made_block()
    datasets = load()
    listed = {ref: runtime.item(ref) for dataset in datasets for ref in dataset.items}
    item_of = {item.prefix: ref for ref, item in listed.items() if item is not None}
    types = [(item.value_type, raw) for key, raw in captured.changes if (item := listed[item_of[key[:32]]]) is not None]
    events = captured.reads[EVENTS]

    def decoded() -> Decoded:
        return decode(captured, runtime, item_of, lambda _: None)

    def written(of: Decoded) -> BlockRows:
        return block_rows(captured, of, runtime, datasets, finalized=True, head=None)

    def floor() -> None:
        for type_id, raw in types:
            assert isinstance(raw, bytes)
            runtime.decode_type(type_id, raw)
        runtime.decode_events(events or b"")

    one = decoded()
    count = len(written(one).rows)
    figure = in_turns(
        "a block",
        Goal(1.0, "at most"),
        effort,
        lambda: written(decoded()),
        floor,
        changes=len(captured.changes),
        rows=count,
        events=len(one.block.events),
        bytes_per_change=_bytes_of(decoded) // len(captured.changes),
        bytes_per_row=_bytes_of(lambda: written(one)) // count,
    )
    return [replace(figure, goal=None)]  # how often the floor fits into it: told, and held to nothing


def _bytes_of(made: Callable[[], object]) -> int:
    """What a value takes that is kept, without what others share."""
    tracemalloc.start()
    try:
        kept = made()
        taken = tracemalloc.get_traced_memory()[0]
        del kept
        return taken
    finally:
        tracemalloc.stop()


CASES = [Case("rows", "from a block's bytes to its rows", "decoding the same values and nothing else", rows)]
