"""How a dataset declares storage maps: a table, its key columns, and each item with the columns it fills.

Several items may share a table if they share its key; a struct may fill a column per member. The row
function and its inverse follow from the declaration (``of_tables``), so a map costs a few lines. An item
that a runtime does not list gives no rows, and one that is retired keeps those it gave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from indexer.datasets._values import (
    bit,
    blob,
    boolean,
    document,
    documented,
    fixed,
    fixed_bits,
    integral,
    located,
    nothing_inside,
    vector,
    whole,
)
from indexer.datasets.base import Columns, Dataset, Key, RuntimeView, Source
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import AnyColumn, Keyed, account, flag, integer, integers, json, keyed, number, rao, raw


@dataclass(frozen=True, slots=True)
class Kind:
    """How a decoded value becomes one column, and back. Both raise ``DecodeError`` for what is not of the kind."""

    declare: Callable[[str, str], AnyColumn]
    read: Callable[[object], object]
    write: Callable[[object], object]


RAO = Kind(rao, whole, integral)
INTEGER = Kind(integer, whole, integral)
NUMBER = Kind(number, whole, integral)
"""A whole number beyond 2^63."""
FLAG = Kind(flag, boolean, boolean)
FIXED32 = Kind(number, partial(fixed, fraction_bits=32), partial(fixed_bits, fraction_bits=32))
FIXED64 = Kind(number, partial(fixed, fraction_bits=64), partial(fixed_bits, fraction_bits=64))
JSON = Kind(json, document, documented)
ACCOUNT = Kind(partial(account, nullable=True), blob, blob)
BYTES = Kind(raw, blob, blob)
PRESENT = Kind(flag, nothing_inside, lambda _value: ())
"""An item whose value says nothing: that the key is there is all."""
INTEGERS = Kind(integers, partial(vector, of=whole), partial(vector, of=integral))
FLAGS = Kind(integers, partial(vector, of=lambda part: int(boolean(part))), partial(vector, of=bit))
"""A vector of booleans, as 0 and 1."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item's rows stand, if the table's key is not the item's: a part of its own, or one made of another."""

    row: Callable[[Key], Key]
    """The item's key to the table's."""
    storage: Callable[[Key], Key | None]
    """The inverse; None: no row with this key tells of the item."""


@dataclass(frozen=True, slots=True)
class Field:
    """One storage item: the columns it fills, how its decoded value fills them, and back."""

    item: ItemRef
    columns: tuple[AnyColumn, ...]
    read: Callable[[object], tuple[object, ...]]
    write: Callable[..., object]
    """The inverse of ``read``, a parameter per column."""
    key: tuple[str, ...] = ()
    """The table's key columns in the order of the item's key, where that is another one."""
    place: Place | None = None
    """Instead of ``key``, where it takes more than another order. Such items may share a column: each row tells one."""

    names: tuple[str, ...] = dataclasses.field(init=False)
    """Of ``columns``: SQLAlchemy takes its time to tell them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(column.name) for column in self.columns))

    def values(self, value: object | None) -> Columns:
        """The item's columns for a decoded value; all None if the key is absent."""
        if value is None:
            return dict.fromkeys(self.names)
        if len(self.names) == 1:  # nearly all are, and thousands come in every block
            return {self.names[0]: self.read(value)[0]}
        return dict(zip(self.names, self.read(value), strict=True))

    def value(self, row: Columns) -> object | None:
        """The decoded value that the item's columns of a row tell; None if the key is absent."""
        parts = [row[name] for name in self.names]
        return None if all(part is None for part in parts) else self.write(*parts)


def field(
    item: str, kind: Kind, name: str, comment: str, *, key: Sequence[str] = (), place: Place | None = None
) -> Field:
    """An item (``Pallet.Item``) whose whole value is one column."""
    pallet, _, bare = item.partition(".")
    column = kind.declare(name, comment)
    return Field(ItemRef(pallet, bare), (column,), lambda value: (kind.read(value),), kind.write, tuple(key), place)


def parts(item: str, names: Mapping[str, tuple[Kind, str]], *, key: Sequence[str] = ()) -> Field:
    """An item whose value is a tuple: a column per part, in the order of the parts."""
    pallet, _, bare = item.partition(".")
    kinds = [kind for kind, _ in names.values()]

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, tuple) or len(value) != len(kinds):
            raise DecodeError(f"expected a tuple of {len(kinds)}, found {type(value).__name__}")
        return tuple(kind.read(part) for kind, part in zip(kinds, value, strict=True))

    def write(*stored: object) -> object:
        return tuple(kind.write(part) for kind, part in zip(kinds, stored, strict=True))

    columns = tuple(kind.declare(name, comment) for name, (kind, comment) in names.items())
    return Field(ItemRef(pallet, bare), columns, read, write, tuple(key))


def struct(
    item: str,
    members: Mapping[str, tuple[Kind, str]],
    *,
    key: Sequence[str] = (),
    optional: str = "",
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Field:
    """An item whose value is a struct: a column per member, named as the chain names it.

    Members that are not named here go to a column ``other``, so that nothing is lost when a runtime adds one.
    ``optional`` names, separated by blanks, the members that are an Option. ``renamed`` gives the column
    of a member, or of ``other``, where the chain's name does not do: two structs in a table, a word of SQL.
    """
    pallet, _, bare = item.partition(".")
    columns = [kind.declare(renamed.get(name, name), comment) for name, (kind, comment) in members.items()]
    columns.append(
        json(renamed.get("other", "other"), "Members that this version does not know, by name; normally NULL.")
    )
    options = frozenset(optional.split())

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, dict):
            raise DecodeError(f"expected a struct, found {type(value).__name__}")
        known = [None if (part := value.get(name)) is None else kind.read(part) for name, (kind, _) in members.items()]
        other = {str(name): document(part) for name, part in value.items() if name not in members}
        return (*known, other or None)

    def write(*parts: object) -> object:
        *known, other = parts
        value: dict[str, object] = {}
        for (name, (kind, _)), part in zip(members.items(), known, strict=True):
            if part is not None or name in options:
                value[name] = None if part is None else kind.write(part)
        rest = documented(other or {})
        if not isinstance(rest, dict):
            raise DecodeError("other is no JSON object")
        return {**value, **rest}

    return Field(ItemRef(pallet, bare), tuple(columns), read, write, tuple(key))


@dataclass(frozen=True, slots=True)
class Maps:
    """A table and the storage maps it holds."""

    table: Keyed
    fields: tuple[Field, ...]


def table(
    name: str,
    history: str,
    *,
    keys: Sequence[AnyColumn],
    fields: Sequence[Field],
    comment: str,
    indexes: Sequence[Sequence[str]] = (),
) -> Maps:
    """Declare a keyed table of storage maps; ``keys`` are the parts of the storage key, in its order."""
    columns: dict[str, AnyColumn] = {}
    for one in fields:
        for column in one.columns:
            if one.place is None and column.name in columns:
                raise ValueError(f"table {name} has two columns {column.name}")
            columns.setdefault(column.name, column)
    declared = keyed(name, history, keys=keys, values=[*columns.values()], comment=comment, indexes=indexes)
    for one in fields:
        if one.key and sorted(one.key) != sorted(declared.keys):
            raise ValueError(f"{one.item} has the key {one.key}, table {name} has {declared.keys}")
    return Maps(declared, tuple(fields))


def of_tables(name: str, tables: Sequence[Maps]) -> Dataset:
    """The dataset of some tables of storage maps."""
    fields = {Source(maps.table.name, one.item): (maps.table, one) for maps in tables for one in maps.fields}
    targets: dict[ItemRef, list[tuple[str, Callable[[Key], Key] | None, Callable[[object | None], Columns]]]] = {}
    for source, (into, one) in fields.items():
        targets.setdefault(source.item, []).append((into.name, _to_table(into, one), one.values))

    def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
        """One patch per changed item; the patches of one row are merged by the store."""
        del block, runtime
        for change in changes:
            for name, key_of, values in targets[change.item]:
                try:
                    yield Row(name, change.key if key_of is None else key_of(change.key), values(change.value))
                except DecodeError as error:
                    raise located(change.item, error) from None

    def places(name: str, key: Key) -> Iterable[tuple[Source, Key]]:
        """Every item of the table that a row with this key may tell of."""
        for source, (of, one) in fields.items():
            if source.table == name and (place := _to_storage(of, one, key)) is not None:
                yield source, place

    def value(source: Source, row: Columns) -> object | None:
        """The item's value out of its columns."""
        return fields[source][1].value(row)

    return Dataset(
        name=name,
        tables=tuple(maps.table for maps in tables),
        items=tuple(targets),
        rows=rows,
        sources=tuple(fields),
        places=places,
        value=value,
    )


def _to_table(into: Keyed, one: Field) -> Callable[[Key], Key] | None:
    """The item's key to the table's; None where they are the same."""
    if one.place is not None:
        return one.place.row
    if not one.key:
        return None
    order = [one.key.index(name) for name in into.keys]
    return lambda key: tuple([key[place] for place in order])


def _to_storage(of: Keyed, one: Field, key: Key) -> Key | None:
    if one.place is not None:
        return one.place.storage(key)
    return key if not one.key else tuple(key[of.keys.index(name)] for name in one.key)
