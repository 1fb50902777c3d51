"""Any storage item as a dataset of its own, with no code: every change of it, told as its block's metadata reads it.

All such datasets share ``storage_values`` and its history, each a part of its own by pallet and item; a dataset is
called ``Pallet.Item``, so it has a cursor, coverage and gaps of its own, and what cannot be decoded stops it alone.
The bytes decide; the JSON beside them is for people.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from sqlalchemy import Index
from sqlalchemy import text as sql_text

from indexer.datasets.base import Columns, Dataset, Encoded, Key, RuntimeView, Source
from indexer.errors import DecodeError
from indexer.model import ITEM_NAME, Block, Change, ItemRef, Row
from indexer.scale import RawKey
from indexer.schema import json, keyed, raw, text

KEY_BYTES_MAX = 2_000
"""Postgres takes no more into an index; the chain's own keys are below 200."""
NEAR_NAMES, NEARNESS = 3, 0.7
"""How many names are offered where one is unknown, and how near they have to be."""

TABLE = keyed(
    "storage_values",
    "storage_value_history",
    keys=[
        text("pallet", "Pallet, as the metadata names it.", nullable=False),
        text("item", "Storage item of the pallet.", nullable=False),
        raw("key_raw", "The storage key behind its first 32 bytes, which are the item's; empty for a plain value.",
            nullable=False),
    ],
    values=[
        json("key", "The parts of the key as an array, decoded through the metadata of the block; a part whose hasher "
             "keeps no clear text is the hex of its hash."),
        json("value", "The value, decoded through the metadata of the block: accounts are SS58 text, bytes are text "
             "where they are text, else 0x and hex."),
        raw("value_raw", "Its SCALE bytes, as the chain stores them."),
    ],
    comment="Storage items that were chosen with --item: the current value per key.",
)  # fmt: skip

# By the hash, as the JSON of a key may be longer than an index takes.
_of_key = sql_text('jsonb_hash("key")')
Index(f"{TABLE.history.name}_key_idx", TABLE.history.c.pallet, TABLE.history.c.item, _of_key)


def is_item(name: str) -> bool:
    """Whether a dataset's name is that of a storage item, ``Pallet.Item``."""
    return ITEM_NAME.fullmatch(name) is not None


def of_item(name: str) -> Dataset:
    """The dataset of one storage item (``Pallet.Item``), whether or not any runtime lists it."""
    pallet, _, bare = name.partition(".")
    item = ItemRef(pallet, bare)
    table = TABLE.part(name, pallet=pallet, item=bare)

    def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
        """A whole row per changed key."""
        del block, runtime
        for change in changes:
            if len(change.raw_key) > KEY_BYTES_MAX:
                raise DecodeError(f"{item}: a key of {len(change.raw_key)} bytes; {KEY_BYTES_MAX} are the most")
            yield Row(name, (pallet, bare, change.raw_key), None if change.raw is None else _values(change, change.raw))

    def places(_table: str, key: Key) -> Iterable[tuple[Source, Key]]:
        """The one key that a row stands for."""
        if key[:2] == item and isinstance(key[2], bytes):
            yield Source(name, item), (RawKey(key[2]),)

    def value(_source: Source, row: Columns) -> object | None:
        """The bytes as they are stored."""
        stored = row["value_raw"]
        return Encoded(stored) if isinstance(stored, bytes) else None

    def note(runtime: RuntimeView) -> str | None:
        """That the runtime lacks the item, and which names are near."""
        return None if runtime.has(item) else absence(item, runtime)

    return Dataset(
        name=name,
        tables=(table,),
        items=(item,),
        rows=rows,
        sources=(Source(name, item),),
        places=places,
        value=value,
        note=note,
    )


def _values(change: Change, stored: bytes) -> Columns:
    assert change.kind is not None, "whoever decodes a change tells its type"
    return {
        "key": change.kind.shown_key(change.key),
        "value": change.kind.shown_value(change.value, stored),
        "value_raw": stored,
    }


def absence(item: ItemRef, runtime: RuntimeView) -> str:
    """Why there is nothing to index of an item under a runtime, with names that may have been meant."""
    pallets: dict[str, dict[str, str]] = {}
    for name in filter(lambda name: is_item(str(name)), runtime.names()):  # a node may tell any text
        pallets.setdefault(name.pallet, {})[name.item.lower()] = str(name)
    known = {pallet.lower(): pallet for pallet in pallets}
    searched = [known[one] for one in difflib.get_close_matches(item.pallet.lower(), known, cutoff=NEARNESS)]
    near = [
        pallets[pallet][one]
        for pallet in searched
        for one in difflib.get_close_matches(item.item.lower(), pallets[pallet], NEAR_NAMES, NEARNESS)
    ] or [own[item.item.lower()] for own in pallets.values() if item.item.lower() in own]
    what = f"no storage item {item}" if item.pallet in pallets else f"no pallet {item.pallet}"
    hint = f" (did you mean {' or '.join(near[:NEAR_NAMES])}?)" if near else ""
    return f"runtime {runtime.spec_version} has {what}{hint}; it is indexed as soon as one has it"
