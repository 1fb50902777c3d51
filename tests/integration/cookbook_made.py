"""A made chain for the one question of the cookbook that the recorded chain, where burns stand still, cannot show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
from made_blocks import block

from indexer import datasets
from indexer.model import Row
from indexer.store import open_store

PRICES = "What a registration cost over time"
BEGIN = datetime(2026, 10, 1, 9, 30, tzinfo=UTC)
BURNS = {1: 500_000_000, 2: 630_000_000, 3: 629_500_000, 4: None, 5: 610_000_000, 6: 768_600_000, 7: 600_000_000}
"""Burn of subnet 1 in rao at blocks twenty minutes apart, as written; None: not written in that block."""


async def load_prices(dsn: str) -> list[tuple[object, ...]]:
    """Fill the database; returns the rows of the answer: hour, lowest, highest, changes."""
    chosen = datasets.load(["blocks", "hyperparameters"])
    known = {"burn": 500_000_000, "networks_added": 0}
    defaults = [
        Row("hyperparameter_defaults", (name, False), {"value": value, "value_json": value, "is_constant": False})
        for name, value in known.items()
    ]
    async with open_store(dsn) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for number, burn in BURNS.items():
            rows = [] if number > 1 else [*defaults, _stored("networks_added", 1)]
            rows += [] if burn is None else [_stored("burn", burn)]
            await store.write([block(number, *rows, spec=475)], chosen)
    connection = await asyncpg.connect(dsn)
    for number in BURNS:
        time = BEGIN + timedelta(minutes=20 * number)
        await connection.execute('update blocks set "timestamp" = $1 where block_number = $2', time, number)
    await connection.close()
    hours: dict[datetime, list[int]] = {}
    for number, burn in BURNS.items():
        if burn is not None:
            hour = (BEGIN + timedelta(minutes=20 * number)).replace(minute=0)
            hours.setdefault(hour, []).append(burn)
    nine = Decimal("0.000000001")
    return [(hour, (min(burns) * nine), (max(burns) * nine), len(burns)) for hour, burns in sorted(hours.items())]


def _stored(name: str, value: int) -> Row:
    return Row("stored_hyperparameters", (1, name), {"value": value, "value_json": value, "raw": None})
