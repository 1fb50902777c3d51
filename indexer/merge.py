"""From the patches of a run of blocks to whole rows: history to append, current rows to keep.

Pure. A row made of several storage items changes column by column; this is where the columns that
a block did not touch are carried over from the row before, in block order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
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
    last_block: dict[Key, int]
    """Of each changed key the block of its last change."""
    state: dict[Key, Values]
    """The values of every named key after the run, changed or not; all None where it does not exist."""

    @property
    def current(self) -> list[tuple[object, ...]]:
        """Changed rows that exist after the run: (key…, block_number, value…)."""
        state = self.state
        return [(*key, number, *state[key]) for key, number in self.last_block.items() if exists(state[key])]


def exists(values: Values) -> bool:
    """Whether a row with these values is stored."""
    return values != (None,) * len(values)


@lru_cache(maxsize=1024)
def _positions(columns: tuple[str, ...]) -> dict[str, int]:
    return {name: at for at, name in enumerate(columns)}


def merge(table: Keyed, base: Mapping[Key, Values], patches: Iterable[Patch], *, anew: int | None = None) -> Merged:
    """Apply ``patches``, in block order, to the rows in ``base``: the current row of every key they
    name, where there is one.

    A key has one history row per block, whatever the number of patches, and none for a block that
    leaves it as it was. ``anew`` is a block whose patches are the whole table: nothing is carried over
    from ``base``, which then holds every row there is, and keys that the patches do not name end there.
    """
    columns = table.values
    position = _positions(columns)
    nothing: Values = (None,) * len(columns)
    merged = Merged([], {}, {})
    history, last_block, state = merged.history, merged.last_block, merged.state
    named: dict[Key, Sequence[object]] = {}  # by the present block, with the values it gives
    whole = itemgetter(*columns) if len(columns) > 1 else None

    def end_of_block() -> None:
        for key, given in named.items():
            before, values = state.get(key) or base.get(key, nothing), tuple(given)
            state[key] = values
            if values != before:
                history.append((*key, block, *values, values != nothing))
                last_block[key] = block
        named.clear()

    block = -1
    if anew is not None:
        block = anew
        named.update(dict.fromkeys(base, nothing))
    for number, row in patches:
        if number != block:
            end_of_block()
            block = number
        key, patch = row.key, row.values
        if patch is None:
            named[key] = nothing
        elif len(patch) == len(columns):
            named[key] = whole(patch) if whole else (patch[columns[0]],)
        else:
            values = named.get(key)
            if not isinstance(values, list):
                values = named[key] = list(values or state.get(key) or base.get(key, nothing))
            for name, value in patch.items():
                values[position[name]] = value
    end_of_block()
    return merged
