"""Subnets: pools, emission, epochs and descriptions, one row per subnet and change.

Owns ``subnet_pools`` and ``subnet_info`` with their histories; the views ``subnets`` and ``subnet_history``
put them together and add the price, which is computed when read because its formula depends on the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from indexer.datasets._subnet_fields import INFO_FIELDS, POOL_FIELDS, Field
from indexer.datasets._values import located
from indexer.datasets.base import Columns, Dataset, Key, RuntimeView, Source
from indexer.errors import DecodeError
from indexer.model import Block, Change, Row
from indexer.schema import Keyed, keyed, netuid

SUBNET_POOLS = keyed(
    "subnet_pools",
    "subnet_pool_history",
    keys=[netuid()],
    values=[column for field in POOL_FIELDS for column in field.columns],
    comment="Pool, emission and epoch state of subnets, as stored.",
)

SUBNET_INFO = keyed(
    "subnet_info",
    "subnet_info_history",
    keys=[netuid()],
    values=[column for field in INFO_FIELDS for column in field.columns],
    comment="What rarely changes about subnets: existence, owner, mechanism, symbol, identity, as stored.",
)

_TARGETS: dict[object, tuple[Keyed, Field]] = {
    **{field.item: (SUBNET_POOLS, field) for field in POOL_FIELDS},
    **{field.item: (SUBNET_INFO, field) for field in INFO_FIELDS},
}


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """One patch per changed item; the patches of one subnet are merged by the store."""
    del block, runtime
    for change in changes:
        table, field = _TARGETS[change.item]
        try:
            yield Row(table.name, change.key, field.values(change.value))
        except DecodeError as error:
            raise located(change.item, error) from None


_FIELDS = {Source(table.name, field.item): field for table, field in _TARGETS.values()}


def places(table: str, key: Key) -> Iterable[tuple[Source, Key]]:
    """Every item of the table, under the row's netuid."""
    return [(source, key) for source in _FIELDS if source.table == table]


def value(source: Source, row: Columns) -> object | None:
    """The item's value out of its columns."""
    return _FIELDS[source].value(row)


DATASET = Dataset(
    name="subnets",
    tables=(SUBNET_POOLS, SUBNET_INFO),
    items=tuple(field.item for field in (*POOL_FIELDS, *INFO_FIELDS)),
    rows=rows,
    sources=tuple(_FIELDS),
    places=places,
    value=value,
)
