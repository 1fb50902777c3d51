"""From the patches of a run of blocks to whole rows: history to append, current rows to keep.

Pure. A row made of several storage items changes column by column; this is where the columns that
a block did not touch are carried over from the row before, in block order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from indexer.model import Row
from indexer.schema import Keyed

Key: TypeAlias = tuple[object, ...]
Values: TypeAlias = tuple[object, ...]
Patch: TypeAlias = tuple[int, Row]
"""A block number and the row it gives."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a run of blocks does to one keyed table."""

    history: list[tuple[object, ...]]
    """(key…, block_number, value…, exists), in the order of ``statements.history_columns``."""
    current: list[tuple[object, ...]]
    """Changed rows that exist after the run: (key…, block_number, value…)."""
    gone: list[Key]
    """Changed keys that no longer exist after the run."""


def merge(table: Keyed, base: Mapping[Key, Values], patches: Iterable[Patch], *, anew: int | None = None) -> Merged:
    """Apply ``patches``, in block order, to the rows in ``base``: the current row of every key they
    name, where there is one.

    A key has one history row per block, whatever the number of patches, and none for a block that
    leaves it as it was. ``anew`` is a block whose patches are the whole table: nothing is carried over
    from ``base``, which then holds every row there is, and keys that the patches do not name end there.
    """
    columns = table.values
    position = {name: at for at, name in enumerate(columns)}
    nothing: Values = (None,) * len(columns)
    state: dict[Key, Values] = {}
    before: dict[tuple[Key, int], Values] = {}
    after: dict[tuple[Key, int], Values] = {}
    if anew is not None:
        for key, values in base.items():
            before[key, anew], after[key, anew], state[key] = values, nothing, nothing
    for number, row in patches:
        key = row.key
        known = state.get(key) or base.get(key, nothing)
        if row.values is None:
            values = nothing
        elif len(row.values) == len(columns):
            values = tuple(row.values[name] for name in columns)
        else:
            patched = list(known)
            for name, value in row.values.items():
                patched[position[name]] = value
            values = tuple(patched)
        before.setdefault((key, number), known)
        after[key, number] = state[key] = values
    changed = {at: values for at, values in after.items() if values != before[at]}
    last_block = dict(changed.keys())  # of each key the last change, as they are in block order
    history = [(*key, number, *values, values != nothing) for (key, number), values in changed.items()]
    current = [(*key, number, *state[key]) for key, number in last_block.items() if state[key] != nothing]
    gone = [key for key in last_block if state[key] == nothing]
    return Merged(history, current, gone)
