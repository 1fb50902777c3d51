"""Transfers of TAO between accounts: a row per event ``Balances.Transfer``, with the fee of its extrinsic.

Owns ``transfer_log``; the view ``transfers`` and ``transfers_of()`` tell it with addresses. Balances change without
transfers too (stake, fees, rewards): ``balance_history`` has every change, this tells who sent to whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from indexer.datasets._events import EVENT_INDEX, EXTRINSIC_INDEX, Fee, fees, told, typed
from indexer.datasets.base import Dataset, RuntimeView
from indexer.model import Block, Change, Row
from indexer.schema import account, json, log, rao

_SENDER = account("sender", "Who sent; NULL where fields tells.", nullable=True)
_RECIPIENT = account("recipient", "Who received; NULL where fields tells.", nullable=True)
_AMOUNT = rao("amount", "What was sent, rao; NULL where fields tells.")

TRANSFERS = log(
    "transfer_log",
    keys=[EVENT_INDEX],
    values=[
        EXTRINSIC_INDEX,
        _SENDER,
        _RECIPIENT,
        _AMOUNT,
        rao(
            "fee", "TransactionFeePaid of the extrinsic, tip included, rao: the same on each of its transfers; or NULL."
        ),
        json("fields", "The event as decoded, where a runtime gave it another shape than from, to, amount; else NULL."),
    ],
    comment="Transfers of TAO: events Balances.Transfer.",
    indexes=[("sender",), ("recipient",)],
)


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """A row per transfer of the block."""
    del changes
    paid = fees(block.events)
    for index, event in enumerate(block.events):
        if (event.pallet, event.name) != ("Balances", "Transfer"):
            continue
        values: dict[str, object] | None = None
        if isinstance(event.fields, dict) and event.fields.keys() == {"from", "to", "amount"}:
            parts = [event.fields[name] for name in ("from", "to", "amount")]
            values = typed([_SENDER, _RECIPIENT, _AMOUNT], parts)
        known = dict.fromkeys(TRANSFERS.values) | (values or {"fields": told(runtime, event)})
        fee = paid.get(event.extrinsic_index, Fee()).fee if event.extrinsic_index is not None else None
        yield Row(TRANSFERS.name, (index,), {**known, "extrinsic_index": event.extrinsic_index, "fee": fee})


DATASET = Dataset(name="transfers", tables=(TRANSFERS,), items=(), rows=rows)
