"""Extrinsics: who called what, with which arguments, and how it ended. Off by default: it needs every block's body.

Owns ``extrinsic_log``; the view ``extrinsics`` tells it with addresses. The bytes are proven by the header's
extrinsics root, outcome and fee by the block's events. Bytes that the runtime's metadata cannot tell are kept as
they are, in a row that says so: they were accepted by the chain, and nothing else depends on what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from indexer.datasets._events import EXTRINSIC_INDEX, Fee, amount, fees
from indexer.datasets.base import Dataset, RuntimeView
from indexer.errors import DecodeError
from indexer.model import Block, Change, EventRecord, Row
from indexer.scale import blake2_256
from indexer.schema import account, flag, integer, json, log, rao, raw, text

EXTRINSICS = log(
    "extrinsic_log",
    keys=[integer(EXTRINSIC_INDEX.name, "Place of the extrinsic in the block, from 0.", nullable=False)],
    values=[
        raw(
            "hash",
            "blake2b-256 of the extrinsic: not unique, an account may be reaped and send it again.",
            nullable=False,
        ),
        account("signer", "Account that signed; NULL for inherents and others without signature.", nullable=True),
        integer("nonce", "Nonce of the signer (CheckNonce); NULL where not signed."),
        text("pallet", "Pallet of the call; NULL where raw tells."),
        text("call", "Name of the call there; NULL where raw tells."),
        json("args", "Its arguments by name, accounts as addresses, calls as {pallet: {call: arguments}}."),
        flag("success", "Whether it was applied; a call inside may have failed all the same. NULL: not told."),
        text("error", "Why it failed, as Pallet.Error; NULL where it did not."),
        rao("fee", "What it cost the payer, tip included, rao; NULL where nothing was paid in TAO."),
        rao("tip", "Part of fee that was offered on top, rao."),
        raw("raw", "Its bytes, where the runtime's metadata cannot tell them; else NULL."),
        text("problem", "Why it cannot be told; else NULL."),
    ],
    comment="Extrinsics of blocks, in order. Off by default: a request per block.",
    indexes=[("hash",), ("signer",), ("pallet", "call")],
)


class _Outcome(NamedTuple):
    success: bool | None = None
    error: str | None = None


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """A row per extrinsic of the block."""
    del changes
    paid, ended = fees(block.events), _outcomes(block.events, runtime)
    for index, given in enumerate(block.extrinsics or ()):
        fee, tip = paid.get(index, Fee())
        success, error = ended.get(index, _Outcome())
        yield Row(
            EXTRINSICS.name,
            (index,),
            {
                **dict.fromkeys(EXTRINSICS.values),
                **_told(given, runtime),
                "hash": blake2_256(given),
                "success": success,
                "error": error,
                "fee": fee,
                "tip": tip,
            },
        )


def _told(given: bytes, runtime: RuntimeView) -> Mapping[str, object]:
    try:
        extrinsic = runtime.decode_extrinsic(given)
        return {
            "signer": extrinsic.signer,
            "nonce": amount(extrinsic.extensions.get("CheckNonce")),
            "pallet": extrinsic.pallet,
            "call": extrinsic.call,
            "args": runtime.documents.call(extrinsic),
        }
    except DecodeError as error:
        return {"raw": given, "problem": str(error)}


def _outcomes(events: Iterable[EventRecord], runtime: RuntimeView) -> Mapping[int, _Outcome]:
    """How each extrinsic ended: ``System.ExtrinsicSuccess`` or ``System.ExtrinsicFailed``."""
    found = {}
    for event in events:
        if event.pallet == "System" and event.extrinsic_index is not None:
            if event.name == "ExtrinsicSuccess":
                found[event.extrinsic_index] = _Outcome(True)
            elif event.name == "ExtrinsicFailed":
                fields = event.fields if isinstance(event.fields, dict) else {}
                found[event.extrinsic_index] = _Outcome(False, runtime.documents.error(fields.get("dispatch_error")))
    return found


DATASET = Dataset(name="extrinsics", tables=(EXTRINSICS,), items=(), rows=rows, bodies=True, by_default=False)
