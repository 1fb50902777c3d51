"""What a dataset is: its tables, the storage items it wants, and one pure function to rows.

A dataset is one file in this folder with one module constant ``DATASET`` whose name is the file's.
It never awaits, reads a clock or touches a database: the same changes always give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import Keyed, Log


class RuntimeView(Protocol):
    """The part of ``indexer.scale.Runtime`` a row function may ask (the runtime that executed the block)."""

    @property
    def spec_version(self) -> int:
        """spec_version of the runtime."""
        ...

    def has(self, item: ItemRef) -> bool:
        """Whether the metadata lists the item."""
        ...

    def default(self, item: ItemRef) -> object | None:
        """The decoded value of an absent key; None for an optional item or one the metadata lacks."""
        ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of data. ``rows`` is pure; everything else is a statement of fact."""

    name: str
    tables: tuple[Keyed | Log, ...]
    items: tuple[ItemRef, ...]
    """Storage maps and values whose every change the dataset is handed."""
    rows: Callable[[Block, Sequence[Change], RuntimeView], Iterable[Row]]
    """(block, its changes of ``items`` in trie order, runtime) -> rows."""
    reads: tuple[ItemRef, ...] = ()
    """Plain values wanted in every block, changed or not, as of the block itself."""
    parent_reads: tuple[ItemRef, ...] = ()
    """The same as of the parent's state."""
