"""When something that the chain limits in time was last done: registration of a subnet, transactions, changes.

Owns ``rate_limits`` and its history. The item's key is an enum; its rows bear it as text, ``Case`` or
``Case:part:part``, from which the key follows again. The price of a subnet is computed from one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.datasets._fields import INTEGER, Place, field, of_tables, table
from indexer.datasets._values import whole
from indexer.datasets.base import Key
from indexer.errors import DecodeError
from indexer.scale import ss58_decode, ss58_encode
from indexer.schema import text


def _row(key: Key) -> Key:
    """``("NetworkLastRegistered",)`` or ``({"OwnerHyperparamUpdate": (7, "Tempo")},)`` as one text."""
    (limit,) = key
    if isinstance(limit, str):
        return (limit,)
    if not isinstance(limit, dict) or len(limit) != 1:
        raise DecodeError(f"expected a case of an enum, found {type(limit).__name__}")
    ((case, parts),) = limit.items()
    return (":".join([case, *_shown(parts if isinstance(parts, tuple) else (parts,))]),)


def _shown(parts: tuple[object, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, bytes):
            yield ss58_encode(part) if len(part) == 32 else f"0x{part.hex()}"
        else:
            yield part if isinstance(part, str) else str(whole(part))


def _storage(key: Key) -> Key | None:
    """The inverse of ``_row``."""
    case, *shown = str(key[0]).split(":")
    if not shown:
        return (case,)
    parts = tuple(_part(one) for one in shown)
    return ({case: parts[0] if len(parts) == 1 else parts},)


def _part(shown: str) -> object:
    if shown.isdecimal():
        return int(shown)
    try:
        return bytes.fromhex(shown[2:]) if shown.startswith("0x") else ss58_decode(shown)
    except (DecodeError, ValueError):
        return shown  # a case of an enum: none is an address


DATASET = of_tables(
    "rate_limits",
    [
        table(
            "rate_limits",
            "rate_limit_history",
            keys=[
                text(
                    "name",
                    "What was done, and by or on what: NetworkLastRegistered, LastTxBlock:5G…, "
                    "OwnerHyperparamUpdate:7:Tempo.",
                    nullable=False,
                )
            ],
            fields=[
                field(
                    "SubtensorModule.LastRateLimitedBlock",
                    INTEGER,
                    "last_block",
                    "LastRateLimitedBlock: block at which it was last done.",
                    place=Place(_row, _storage),
                )
            ],
            comment="When what the chain limits in time was last done (since spec ~273).",
        )
    ],
)
