"""Balances: every field of AccountInfo of every account, and the chain's issuance totals.

Owns ``balances``, ``issuance`` and their histories. It stores what the chain stores, in both layouts
of AccountData, and derives nothing: what is spendable is the reader's question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from indexer.datasets._values import document, documented, integral, located, snake, whole
from indexer.datasets.base import Columns, Dataset, Key, RuntimeView, Source
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import account, integer, json, keyed, number, rao, text

ACCOUNT = ItemRef("System", "Account")

TOTALS = {
    ItemRef("SubtensorModule", "TotalIssuance"): "total_issuance",
    ItemRef("SubtensorModule", "TotalStake"): "total_stake",
    ItemRef("Balances", "TotalIssuance"): "balances_total_issuance",
    ItemRef("Balances", "InactiveIssuance"): "balances_inactive_issuance",
}

BALANCES = keyed(
    "balances",
    "balance_history",
    keys=[account("account", "Account id.")],
    values=[
        integer("nonce", "Transactions the account has signed."),
        integer("consumers", "Modules that forbid removing the account."),
        integer("providers", "Modules that keep the account alive."),
        integer("sufficients", "Modules that keep the account alive without a deposit."),
        rao("free", "Free balance in rao, frozen part included."),
        rao("reserved", "Reserved balance in rao (deposits, holds)."),
        rao("frozen", "Part of free that cannot be spent, in rao; NULL in the layout before spec ~146."),
        number("flags", "ExtraFlags of AccountData (u128 bits); NULL in the layout before spec ~146."),
        rao("misc_frozen", "Old layout: frozen for anything but fees, in rao; NULL since spec ~146."),
        rao("fee_frozen", "Old layout: frozen for fees, in rao; NULL since spec ~146."),
        json("other", "Fields of AccountInfo that this version does not know, by name; normally NULL."),
    ],
    comment="Accounts of the chain (System.Account). A missing account has balance zero.",
)

ISSUANCE = keyed(
    "issuance",
    "issuance_history",
    keys=[
        text(
            "name",
            "total_issuance, total_stake, balances_total_issuance or balances_inactive_issuance.",
            nullable=False,
        )
    ],
    values=[rao("amount", "Amount in rao.")],
    comment="Totals of the network: issuance as two pallets count it, and TAO in pools.",
)

_KNOWN = frozenset(BALANCES.values) - {"other"}


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """One row per changed account and total."""
    del block, runtime
    for change in changes:
        try:
            yield _row(change)
        except DecodeError as error:
            raise located(change.item, error) from None


def _row(change: Change) -> Row:
    if change.item == ACCOUNT:
        return Row("balances", change.key, None if change.value is None else account_info(change.value))
    amount = None if change.value is None else whole(change.value)
    return Row("issuance", (TOTALS[change.item],), {"amount": amount})


def account_info(value: object) -> Mapping[str, object]:
    """All columns of an AccountInfo of either layout; a field that the layout lacks is None."""
    if not isinstance(value, dict) or not isinstance(data := value.get("data"), dict):
        raise DecodeError("AccountInfo is not a struct with a struct named data")
    columns: dict[str, object] = dict.fromkeys(BALANCES.values)
    other: dict[str, object] = {}
    for name, part in chain(value.items(), data.items()):
        column = snake(str(name))
        if column in _KNOWN:
            columns[column] = whole(part)
        elif name != "data":
            other[column] = document(part)
    columns["other"] = other or None
    return columns


_ACCOUNTS = Source(BALANCES.name, ACCOUNT)
_TOTALS = {name: Source(ISSUANCE.name, item) for item, name in TOTALS.items()}
_COUNTERS = ("nonce", "consumers", "providers", "sufficients")


def places(table: str, key: Key) -> Iterable[tuple[Source, Key]]:
    """An account's one item; a total's, if the name is one of a total."""
    if table == BALANCES.name:
        return [(_ACCOUNTS, key)]
    return [(_TOTALS[name], ()) for name in key if isinstance(name, str) and name in _TOTALS]


def value(source: Source, row: Columns) -> object | None:
    """AccountInfo in the layout whose columns are set (``account_info`` the other way), or a total."""
    if source != _ACCOUNTS:
        return None if row["amount"] is None else integral(row["amount"])
    set_columns = {name: integral(row[name]) for name in sorted(_KNOWN) if row[name] is not None}
    if not set_columns and row["other"] is None:
        return None
    info: dict[str, object] = {name: set_columns.pop(name) for name in _COUNTERS if name in set_columns}
    other = documented(row["other"] or {})
    if not isinstance(other, dict):
        raise DecodeError("other is no JSON object")
    # Fields that this version does not know are all that may be lost: which struct they stood in.
    return {**info, "data": {**set_columns, **other}}


DATASET = Dataset(
    name="balances",
    tables=(BALANCES, ISSUANCE),
    items=(ACCOUNT, *TOTALS),
    rows=rows,
    sources=(_ACCOUNTS, *_TOTALS.values()),
    places=places,
    value=value,
)
