"""One comparison under way: table by table, map by map, what differs between a snapshot and the chain.

A map is compared by the root of its sub-trie; only where roots differ is the chain's map walked. What a
table keeps besides (parts of a value, current rows beside history, the runtime's defaults, SS58 texts) is
held against the same source, so that no column can be wrong without being named.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from anyio import to_thread

from indexer.capture import item_prefix
from indexer.datasets.base import Columns, Dataset, Encoded, Source
from indexer.errors import DecodeError
from indexer.model import Change, Row
from indexer.scale import EncodeError, StorageItem, ss58_encode
from indexer.schema import Keyed, Log
from indexer.subtrie import Pairs, top
from indexer.verify.report import Difference
from indexer.verify.snapshot import Snapshot
from indexer.verify.spool import Spool
from indexer.verify.truth import Truth, in_thread, not_hashed, plain

Key = tuple[object, ...]
FREE_OF_TRUTH = frozenset({"complete"})
"""Columns that say how a block was captured, which the chain cannot tell."""


@dataclass(slots=True)
class Comparison:
    """Collects what differs. ``maps`` and ``rows`` count what was compared; ``told`` hears of each part of it."""

    snapshot: Snapshot
    truth: Truth
    number: int
    differences: list[Difference] = field(default_factory=list)
    maps: int = 0
    rows: int = 0
    told: Callable[[int], None] = lambda _: None

    async def whole(self, dataset: Dataset) -> None:
        """Every row of a dataset's tables."""
        is_tip = self.snapshot.cursors[dataset.name].block.number == self.number
        heads = await self.truth.proof(item_prefix(source.item) for source in dataset.sources)
        for table in dataset.tables:
            if not isinstance(table, Keyed):
                await self._fixed(dataset, table, is_tip)
                continue
            for key in await self.snapshot.disagreements(table):
                what = "current row and latest history row differ"
                self._differs(dataset, table, key, what, None, "one row in both")
            sources = [source for source in dataset.sources if source.table == table.name]
            if not sources:
                await self._fixed(dataset, table, is_tip)
                continue
            found = {source: Spool() for source in sources}
            try:
                await self._read(dataset, table, found, is_tip)
                for source, spool in found.items():
                    mine = await to_thread.run_sync(spool.pairs)
                    await self._map(dataset, table, source, mine, heads)
            finally:
                for spool in found.values():
                    spool.close()

    async def sampled(self, dataset: Dataset, count: int) -> None:
        """About ``count`` random rows, and as many keys beside them that no row has, each by proof."""
        is_tip = self.snapshot.cursors[dataset.name].block.number == self.number
        for table in dataset.tables:
            if not isinstance(table, Keyed) or not any(source.table == table.name for source in dataset.sources):
                await self._fixed(dataset, table, is_tip)
                continue
            stored = {
                tuple(row[name] for name in table.keys): row
                for row in await self.snapshot.sample(table, self.number, count, is_tip=is_tip)
            }
            beside = {_beside(table, key) for key in stored}
            for row in await self.snapshot.these(table, self.number, [*beside], is_tip=is_tip):
                stored[tuple(row[name] for name in table.keys)] = row
            since = {key: at for key, row in stored.items() if isinstance(at := row["block_number"], int)}
            for right in await self.truth.rows(dataset, table, {*stored, *beside}, since=since):
                self._compare_row(dataset, table, right, stored.get(right.key))
            self.rows += len(stored | dict.fromkeys(beside))

    async def accounts(self, datasets: Sequence[Dataset]) -> None:
        """Every account of the tables has its text, and the right one."""
        tables = [table for dataset in datasets for table in dataset.tables]
        async for part in self.snapshot.accounts(tables):
            self.differences += await to_thread.run_sync(_texts, part, self.snapshot.ss58_prefix)

    def _differs(
        self, dataset: Dataset, table: Keyed | Log, key: Key | None, what: str, stored: object, chain: object
    ) -> None:
        self.differences.append(Difference(dataset.name, table.name, key, what, _short(stored), _short(chain)))

    async def _fixed(self, dataset: Dataset, table: Keyed | Log, is_tip: bool) -> None:
        """A table of rows that need no storage map: the runtime's, or the block's own."""
        right = {row.key: row for row in fixed_rows(dataset, self.truth) if row.table == table.name}
        stored: dict[Key, Columns] = {}
        if isinstance(table, Log):
            found = await self.snapshot.log_rows(table, self.number)
        else:
            found = [row async for part in self.snapshot.rows(table, self.number, is_tip=is_tip) for row in part]
        for row in found:
            stored[tuple(row[name] for name in table.keys)] = row
        for key in right.keys() | stored.keys():
            self._compare_row(dataset, table, right.get(key, Row(table.name, key, None)), stored.get(key))
        self.rows += len(stored)

    def _compare_row(self, dataset: Dataset, table: Keyed | Log, right: Row, stored: Columns | None) -> None:
        if right.values is None or stored is None:
            if right.values is not None or stored is not None:
                self._differs(dataset, table, right.key, "row", _values(table, stored), _values(table, right.values))
            return
        for name in table.values:
            if name not in FREE_OF_TRUTH and plain(right.values[name]) != stored[name]:
                self._differs(dataset, table, right.key, name, stored[name], right.values[name])

    async def _read(self, dataset: Dataset, table: Keyed, found: Mapping[Source, Spool], is_tip: bool) -> None:
        """Storage keys and values of a whole table, by source; rows that stand for none are differences."""

        def add(rows: Sequence[Columns]) -> None:
            for row in rows:
                key = tuple(row[name] for name in table.keys)
                try:
                    told = list(self._told(dataset, table, key, row))
                except (DecodeError, EncodeError) as error:
                    self._differs(dataset, table, key, f"no row that the chain could give: {error}", row, None)
                    continue
                if not told:
                    self._differs(dataset, table, key, "row that stands for nothing", _values(table, row), None)
                for source, name, raw in told:
                    found[source].add(name, raw)

        async for part in self.snapshot.rows(table, self.number, is_tip=is_tip):
            await to_thread.run_sync(add, part)
            self.rows += len(part)
            self.told(self.rows)

    def _told(self, dataset: Dataset, table: Keyed, key: Key, row: Columns) -> Iterator[tuple[Source, bytes, bytes]]:
        """What a row tells: source, storage key, value. Raises ``DecodeError`` or ``EncodeError``."""
        for source, parts in dataset.places(table.name, key):
            value = dataset.value(source, row)
            if value is None:
                continue
            kinds = self.truth.types(source.item)
            if not kinds:
                raise DecodeError(f"no runtime so far lists {source.item}")
            name = kinds[0].key(*parts)
            if not isinstance(value, Encoded):
                yield source, name, _encoded(kinds, value)
                continue
            since = row["block_number"]
            assert isinstance(since, int)
            then = self.truth.types_at(source.item, since) or kinds
            self._hold_parts(dataset, table, key, row, self.truth.change(source.item, parts, name, bytes(value), then))
            yield source, name, bytes(value)

    def _hold_parts(self, dataset: Dataset, table: Keyed, key: Key, row: Columns, change: Change) -> None:
        """Where a row keeps the bytes, what it says of them has to be what the dataset read in them at its block."""
        for right in dataset.rows(self.truth.block, [change], self.truth.runtime):
            if right.key == key and right.values is not None:
                for name, value in right.values.items():
                    if plain(value) != row[name]:
                        self._differs(dataset, table, key, name, row[name], value)

    def _same_in_another_type(self, source: Source, stored: bytes | None, chain: bytes | None) -> bool:
        """Whether the chain keeps the row's value as an earlier runtime wrote it, in the type the item had then."""
        kinds = self.truth.types(source.item)
        if stored is None or chain is None or len(kinds) < 2:
            return False
        value = self.truth.decoded(source.item, stored)
        for kind in kinds:
            try:
                if kind.encode(value) == chain:
                    return True
            except EncodeError:
                continue
        return False

    async def _map(
        self, dataset: Dataset, table: Keyed, source: Source, mine: Pairs, heads: dict[bytes, bytes]
    ) -> None:
        """One map's root against the chain's; the keys that differ are named."""
        prefix = item_prefix(source.item)
        self.maps += 1
        found = top(self.truth.header.state_root, prefix, heads)
        if found is None and not mine.keys:
            return
        if found is not None and mine.keys and await in_thread(mine.node, found.path) == found.node:
            return
        changes = await self.truth.differing(prefix, mine)
        for name, raw in changes:
            stored, chain = mine.get(name), not_hashed(raw)
            if not self._same_in_another_type(source, stored, chain):
                self._key_differs(dataset, table, source, name, stored, chain)
        if not changes:
            self._differs(dataset, table, None, f"root of {source}, though no key differs", None, None)

    def _key_differs(
        self, dataset: Dataset, table: Keyed, source: Source, name: bytes, stored: bytes | None, chain: bytes | None
    ) -> None:
        key, what = None, str(source)
        kinds = self.truth.types(source.item)
        try:
            if not kinds:
                raise DecodeError("no runtime so far lists it")
            change = Change(source.item, kinds[0].split_key(name), None, None, name[32:])
            for row in self._rows_of(dataset, change):
                if row.table == table.name and source in {place for place, _ in dataset.places(table.name, row.key)}:
                    key = row.key
        except DecodeError as error:
            what = f"{source}: {error}"
        mine, right = self._readable(source, stored), self._readable(source, chain)
        self.differences.append(Difference(dataset.name, table.name, key, what, mine, right, storage_key=name))

    def _readable(self, source: Source, raw: bytes | None) -> str | None:
        """A stored value as a person reads it; its bytes where they fit no type."""
        try:
            return _short(raw if raw is None else self.truth.decoded(source.item, raw))
        except DecodeError:
            return _short(raw)

    def _rows_of(self, dataset: Dataset, change: Change) -> Iterator[Row]:
        yield from dataset.rows(self.truth.block, [change], self.truth.runtime)


def fixed_rows(dataset: Dataset, truth: Truth) -> Iterator[Row]:
    """Rows that need no storage map: those of the runtime, and the block's own."""
    yield from dataset.of_runtime(truth.runtime)
    logs = {table.name for table in dataset.tables if isinstance(table, Log)}
    yield from (row for row in dataset.rows(truth.block, [], truth.runtime) if row.table in logs)


def _texts(part: Sequence[tuple[bytes, str | None]], ss58_prefix: int) -> list[Difference]:
    """Accounts whose text is not theirs; those that are none and have none are a difference of their row."""
    found = []
    for account, text in part:
        right = ss58_encode(account, ss58_prefix) if len(account) == 32 else None
        if right != text:
            found.append(Difference("accounts", "accounts", (account,), "address", text, right))
    return found


def _encoded(kinds: Sequence[StorageItem], value: object) -> bytes:
    """The value as the first of the item's types takes it: state may keep an older layout than the runtime's."""
    for kind in kinds[:-1]:
        try:
            return kind.encode(value)
        except EncodeError:
            continue
    return kinds[-1].encode(value)


def _beside(table: Keyed, key: Key) -> Key:
    """A key that is like ``key`` but for its first account, or its netuid: hardly ever one that exists."""
    parts = list(key)
    at = next((at for at, name in enumerate(table.keys) if name in table.accounts), 0)
    if isinstance(parts[at], bytes):
        parts[at] = secrets.token_bytes(32)
    elif isinstance(parts[at], int):
        parts[at] = secrets.randbelow(1 << 16)
    return tuple(parts)


def _values(table: Keyed | Log, row: Columns | None) -> object:
    """A row's values that are set, for the report."""
    return None if row is None else {name: row[name] for name in table.values if row.get(name) is not None}


def _short(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return ", ".join(f"{name}={_short(part)}" for name, part in value.items()) or "an empty row"
    return str(value)
