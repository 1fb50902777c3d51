"""What the chain keeps per subnet and mechanism under one number: netuid + 4096 * mechanism.

(``NetUidStorageIndex``, since about spec 320; before there was one mechanism, and the number was the netuid.) Owns the
way between such a storage key and the key columns netuid, mechanism and whatever follows.
"""

from __future__ import annotations

from indexer.datasets._fields import INTEGERS, Field, Place
from indexer.datasets._values import pair, vector, whole
from indexer.datasets.base import Key
from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.schema import integer

SUBNETS_PER_MECHANISM = 4096
STORAGE_INDICES = 1 << 16

MECHANISM = integer("mechanism", "Mechanism of the subnet, from 0.", nullable=False)


def _row(key: Key) -> Key:
    mechanism, netuid = divmod(whole(key[0]), SUBNETS_PER_MECHANISM)
    return (netuid, mechanism, *key[1:])


def _storage(key: Key) -> Key | None:
    netuid, mechanism = whole(key[0]), whole(key[1])
    index = netuid + SUBNETS_PER_MECHANISM * mechanism
    if not 0 <= netuid < SUBNETS_PER_MECHANISM or not 0 <= index < STORAGE_INDICES:
        return None
    return (index, *key[2:])


BY_MECHANISM = Place(_row, _storage)
"""(index, rest) in storage is (netuid, mechanism, rest) in the table."""


def pairs_of(item: str, first: tuple[str, str], second: tuple[str, str]) -> Field:
    """``Vec<(u16, u16)>`` by mechanism: a column (name, comment) with the first parts, one with the second ones."""
    pallet, _, name = item.partition(".")

    def read(value: object) -> tuple[object, ...]:
        pairs = vector(value, pair)
        return [whole(one) for one, _ in pairs], [whole(other) for _, other in pairs]

    def write(ones: object, others: object) -> object:
        both = [vector(part, whole) for part in (ones, others)]
        if len(both[0]) != len(both[1]):
            raise DecodeError(f"{first[0]} and {second[0]} are not of one length")
        return list(zip(*both, strict=True))

    columns = tuple(INTEGERS.declare(*column) for column in (first, second))
    return Field(ItemRef(pallet, name), columns, read, write, place=BY_MECHANISM)
