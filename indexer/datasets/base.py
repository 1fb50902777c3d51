"""What a dataset is: its tables, the storage items it wants, and one pure function to rows.

A dataset is one file in this folder with one module constant ``DATASET`` whose name is the file's.
It never awaits, reads a clock or touches a database: the same changes always give the same rows. And it
is lossless: ``places`` and ``value`` give back, from a row, the storage keys and values the row stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from indexer.model import Block, Change, ItemRef, Row
from indexer.scale import Documents, Extrinsic
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

    @property
    def documents(self) -> Documents:
        """Events and calls as JSON."""
        ...

    def decode_extrinsic(self, raw: bytes) -> Extrinsic:
        """An extrinsic with its length prefix. Raises ``DecodeError``."""
        ...

    def constants(self) -> Iterable[tuple[str, str, object]]:
        """(pallet, name, decoded value) of every constant of the metadata."""
        ...

    def names(self) -> Iterable[ItemRef]:
        """Every storage item that the metadata lists."""
        ...


class Source(NamedTuple):
    """One storage item as one table tells it; ``name`` where a table tells an item more than once."""

    table: str
    item: ItemRef
    name: str = ""

    def __str__(self) -> str:
        return f"{self.item} as {self.name}" if self.name else str(self.item)


class Encoded(bytes):
    """A stored value that a table keeps as the chain has it: not to be encoded again."""

    __slots__ = ()


Key: TypeAlias = tuple[object, ...]
Columns: TypeAlias = Mapping[str, object]
"""A stored row by column, its key columns included, JSON decoded."""


def nowhere(table: str, key: Key) -> Iterable[tuple[Source, Key]]:
    """``Dataset.places`` of a dataset without storage items."""
    del table, key
    return ()


def nothing(source: Source, row: Columns) -> object | None:
    """``Dataset.value`` of a dataset without storage items."""
    del source, row
    return None


def no_rows(runtime: RuntimeView) -> Iterable[Row]:
    """``Dataset.of_runtime`` of a dataset that keeps nothing of the runtime itself."""
    del runtime
    return ()


def no_note(runtime: RuntimeView) -> str | None:
    """``Dataset.note`` of a dataset that runtimes need not list."""
    del runtime
    return None


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
    sources: tuple[Source, ...] = ()
    """Every item of ``items`` in every table that tells it."""
    places: Callable[[str, Key], Iterable[tuple[Source, Key]]] = nowhere
    """(table, key of a row) -> the storage keys, as decoded parts, that the row may stand for; none if no
    row with this key can be."""
    value: Callable[[Source, Columns], object | None] = nothing
    """(source, row) -> the decoded (or ``Encoded``) value the row tells of it; None: the key is absent.
    Raises ``DecodeError`` for a row that ``rows`` never gives."""
    of_runtime: Callable[[RuntimeView], Iterable[Row]] = no_rows
    """Rows that follow from the running runtime alone, whatever is stored: a table of such rows holds no others."""
    bodies: bool = False
    """Whether it needs the extrinsics of every block: a request per block that no other dataset makes."""
    by_default: bool = True
    """Whether it is kept where nobody names datasets; no for what is large and of use to few."""
    note: Callable[[RuntimeView], str | None] = no_note
    """What people have to know of the dataset under a runtime; None: nothing."""
