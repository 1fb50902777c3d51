"""What a comparison found, and how it is shown. Values only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from indexer.model import BlockRef
from indexer.scale import ss58_encode

SHOWN_AT_MOST = 200
"""Lines of the table a person reads; JSON holds all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the tables say otherwise than the chain."""

    dataset: str
    table: str
    key: tuple[object, ...] | None
    """Key of the row, in the table's order; None where it is not known, and nothing can be repaired."""
    what: str
    """The storage item, column or check that differs."""
    stored: str | None
    """What the tables say; None: nothing."""
    chain: str | None
    """What the chain has; None: nothing."""
    storage_key: bytes | None = None
    is_repairable: bool = True
    """Whether reading the row again can mend it: not if it is the runtime's answer that differs."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one comparison."""

    block: BlockRef
    is_whole: bool
    """True: all rows were compared; False: a sample."""
    maps: int
    """Maps whose root was compared."""
    rows: int
    api_values: int
    """Values of the runtime's API that were compared."""
    seconds: float
    skipped: tuple[str, ...]
    """What was not compared, and why."""
    differences: tuple[Difference, ...]


def shown(value: object) -> str:
    """A key part as text: accounts in SS58, other bytes in hex."""
    if isinstance(value, bytes):
        return ss58_encode(value) if len(value) == 32 else "0x" + value.hex()
    return str(value)


def as_json(report: Report, repaired: int | None = None) -> str:
    """The report as one JSON object; ``repaired`` rows were written before it."""
    answer: dict[str, Any] = {
        "block": report.block.number,
        "block_hash": "0x" + report.block.hash.hex(),
        "whole": report.is_whole,
        "maps": report.maps,
        "rows": report.rows,
        "api_values": report.api_values,
        "seconds": report.seconds,
        "skipped": list(report.skipped),
        "differences": list(_as_dicts(report.differences)),
    }
    if repaired is not None:
        answer["repaired"] = repaired
    return json.dumps(answer, indent=2)


def _as_dicts(differences: Iterable[Difference]) -> Iterator[dict[str, object]]:
    for one in differences:
        yield {
            "dataset": one.dataset,
            "table": one.table,
            "key": None if one.key is None else [shown(part) for part in one.key],
            "what": one.what,
            "stored": one.stored,
            "chain": one.chain,
            "storage_key": None if one.storage_key is None else "0x" + one.storage_key.hex(),
        }


def as_table(report: Report) -> Table | None:
    """The differences as a person reads them; None if there are none."""
    if not report.differences:
        return None
    table = Table(title=f"differences at block {report.block.number}", title_justify="left")
    for name in ("table", "key", "what", "in the table", "on the chain"):
        table.add_column(name, overflow="fold")
    for one in report.differences[:SHOWN_AT_MOST]:
        key = "-" if one.key is None else " ".join(shown(part) for part in one.key)
        table.add_row(one.table, key, one.what, one.stored or "nothing", one.chain or "nothing")
    if len(report.differences) > SHOWN_AT_MOST:
        table.caption = f"and {len(report.differences) - SHOWN_AT_MOST} more: --json shows all"
    return table


def summary(report: Report) -> str:
    """One line."""
    found = len(report.differences)
    verdict = "no difference" if not found else f"{found} difference{'s' if found > 1 else ''}"
    extent = f"{report.rows} rows of {report.maps} maps by root" if report.is_whole else f"{report.rows} rows by proof"
    return f"block {report.block}: {verdict} in {extent}, {report.api_values} values of the runtime's API"
