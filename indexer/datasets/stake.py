"""Stake: shares, pool totals, owners and takes, of every generation of the chain's stake ledger.

Owns ``stake_shares``, ``hotkey_pools``, ``delegates``, ``coldkey_stakes`` and their histories. It stores
shares and totals as the chain stores them and never an amount per position: one epoch changes thousands
of positions by one total, so alpha is computed when read (``delegations``, ``alpha_rao`` in SQL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from indexer.datasets._values import blob, integral, located, whole
from indexer.datasets.base import Columns as Stored
from indexer.datasets.base import Dataset, RuntimeView, Source
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import Keyed, account, integer, keyed, netuid, number, rao

STAKE_SHARES = keyed(
    "stake_shares",
    "stake_shares_history",
    keys=[
        netuid("Subnet id; 0 for the stake of before dTAO (spec < 233)."),
        account("hotkey", "Hotkey the stake is on."),
        account("coldkey", "Coldkey the stake belongs to."),
    ],
    values=[
        rao("stake", "Stake: the amount itself in rao of TAO, before dTAO (spec < 233)."),
        number("share_bits", "Alpha: v1 share of the pool, bits of a U64F64 (value is bits / 2^64)."),
        number("share_mantissa", "AlphaV2: mantissa of the v2 share (value is mantissa * 10^exponent)."),
        integer("share_exponent", "AlphaV2: exponent of the v2 share."),
        integer("share_epoch", "AlphaShareEpoch: pool generation the share was written in; NULL is 0."),
    ],
    comment="Shares of coldkeys in hotkey pools, as stored. What they are worth: delegations.",
    indexes=[("coldkey",), ("hotkey",)],
    removed=[("coldkey",), ("hotkey",)],
)

HOTKEY_POOLS = keyed(
    "hotkey_pools",
    "hotkey_pools_history",
    keys=[
        netuid("Subnet id; 0 for the totals of before dTAO (spec < 233)."),
        account("hotkey", "Hotkey of the pool."),
    ],
    values=[
        rao("stake", "TotalHotkeyStake: stake on the hotkey in rao of TAO, before dTAO (spec < 233)."),
        rao("alpha", "TotalHotkeyAlpha: what the pool holds, in rao of alpha (of TAO on netuid 0)."),
        number("share_bits", "TotalHotkeyShares: sum of v1 shares, bits of a U64F64."),
        number("share_mantissa", "TotalHotkeySharesV2: mantissa of the sum of v2 shares."),
        integer("share_exponent", "TotalHotkeySharesV2: exponent of the sum of v2 shares."),
        integer("pool_epoch", "AlphaSharePoolEpoch: generation of the pool; shares of another one are void."),
    ],
    comment="Totals of hotkey pools, as stored: the value of a pool and the shares it is divided into.",
)

DELEGATES = keyed(
    "delegates",
    "delegate_history",
    keys=[account("hotkey", "Hotkey.")],
    values=[
        account("owner", "Owner: coldkey that controls the hotkey.", nullable=True),
        integer("take", "Delegates: the delegate's take, /65535; NULL: not open for delegation."),
    ],
    comment="Hotkeys, their owners and, where they are delegates, their take.",
    indexes=[("owner",)],
)

COLDKEY_STAKES = keyed(
    "coldkey_stakes",
    "coldkey_stake_history",
    keys=[account("coldkey", "Coldkey.")],
    values=[rao("stake", "TotalColdkeyStake: all stake of the coldkey in rao of TAO.")],
    comment="Stake per coldkey as the chain summed it before dTAO (spec < 233).",
)

Key = tuple[object, ...]
Columns = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a storage item goes: its table, its key in the table's order, its columns (all None if absent).

    And the way back: ``place`` is the inverse of ``key`` (None: no row with this key tells of the item),
    ``value`` that of ``columns``.
    """

    table: Keyed
    key: Callable[[Key], Key]
    columns: Callable[[object | None], Columns]
    place: Callable[[Key], Key | None]
    value: Callable[[Stored], object | None]


def _one(column: str, read: Callable[[object], object]) -> Callable[[object | None], Columns]:
    return lambda value: {column: None if value is None else read(value)}


def _number(column: str) -> Callable[[Stored], object | None]:
    return lambda row: None if row[column] is None else integral(row[column])


def _safe_float(value: object | None) -> Columns:
    """``SafeFloat {mantissa u128, exponent i64}``: the value is mantissa * 10^exponent."""
    if value is None:
        return {"share_mantissa": None, "share_exponent": None}
    if not isinstance(value, dict) or value.keys() != {"mantissa", "exponent"}:
        raise DecodeError("SafeFloat is not a struct of mantissa and exponent")
    return {"share_mantissa": whole(value["mantissa"]), "share_exponent": whole(value["exponent"])}


def _float_parts(row: Stored) -> object | None:
    if row["share_mantissa"] is None and row["share_exponent"] is None:
        return None
    return {"mantissa": integral(row["share_mantissa"]), "exponent": integral(row["share_exponent"])}


def _subnet_first(key: Key) -> Key:
    return (key[-1], *key[:-1])


def _subnet_last(key: Key) -> Key:
    return (*key[1:], key[0])


def _root(key: Key) -> Key:
    """Before dTAO there was one pool of stake; its rows stand under netuid 0, where 233 put them."""
    return (0, *key)


def _rootless(key: Key) -> Key | None:
    return key[1:] if key[0] == 0 else None


def _as_is(key: Key) -> Key:
    return key


def _plain(table: Keyed, column: str) -> _Source:
    return _Source(table, _as_is, _one(column, whole), _as_is, _number(column))


def _before_dtao(table: Keyed) -> _Source:
    return _Source(table, _root, _one("stake", whole), _rootless, _number("stake"))


def _per_subnet(table: Keyed, column: str) -> _Source:
    return _Source(table, _subnet_first, _one(column, whole), _subnet_last, _number(column))


def _float(table: Keyed) -> _Source:
    return _Source(table, _subnet_first, _safe_float, _subnet_last, _float_parts)


_SOURCES: Mapping[str, _Source] = {
    "Stake": _before_dtao(STAKE_SHARES),
    "Alpha": _per_subnet(STAKE_SHARES, "share_bits"),
    "AlphaV2": _float(STAKE_SHARES),
    "AlphaShareEpoch": _per_subnet(STAKE_SHARES, "share_epoch"),
    "TotalHotkeyStake": _before_dtao(HOTKEY_POOLS),
    "TotalHotkeyAlpha": _per_subnet(HOTKEY_POOLS, "alpha"),
    "TotalHotkeyShares": _per_subnet(HOTKEY_POOLS, "share_bits"),
    "TotalHotkeySharesV2": _float(HOTKEY_POOLS),
    "AlphaSharePoolEpoch": _per_subnet(HOTKEY_POOLS, "pool_epoch"),
    "Owner": _Source(DELEGATES, _as_is, _one("owner", blob), _as_is, lambda row: row["owner"]),
    "Delegates": _plain(DELEGATES, "take"),
    "TotalColdkeyStake": _plain(COLDKEY_STAKES, "stake"),
}


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """One patch per changed key; the patches of one row are merged by the store, in order."""
    del block, runtime
    for change in changes:
        source = _SOURCES[change.item.item]
        try:
            yield Row(source.table.name, source.key(change.key), source.columns(change.value))
        except DecodeError as error:
            raise located(change.item, error) from None


_BACK = {Source(way.table.name, ItemRef("SubtensorModule", item)): way for item, way in _SOURCES.items()}
_BACK_OF = {
    table.name: [source for source in _BACK if source.table == table.name]
    for table in (STAKE_SHARES, HOTKEY_POOLS, DELEGATES, COLDKEY_STAKES)
}


def places(table: str, key: Key) -> Iterable[tuple[Source, Key]]:
    """Every item that the row may tell of; those of before dTAO only on netuid 0."""
    for source in _BACK_OF[table]:
        place = _BACK[source].place(key)
        if place is not None:
            yield source, place


def value(source: Source, row: Stored) -> object | None:
    """The item's value out of its columns."""
    if row.get("netuid", 0) != 0 and row.get("stake") is not None:
        raise DecodeError("stake of before dTAO stands under netuid 0 only")
    return _BACK[source].value(row)


DATASET = Dataset(
    name="stake",
    tables=(STAKE_SHARES, HOTKEY_POOLS, DELEGATES, COLDKEY_STAKES),
    items=tuple(ItemRef("SubtensorModule", item) for item in _SOURCES),
    rows=rows,
    sources=tuple(_BACK),
    places=places,
    value=value,
)
