"""Made chains for what the recorded one cannot show: burns stand still there, and nobody copies weights later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
from cookbook_truth_causes import CHARLIE, DAVE
from made_blocks import block

from indexer import datasets
from indexer.model import Row
from indexer.scale import ss58_decode
from indexer.store import open_store

PRICES = "What a registration cost over time"
CAUSES = "Account statement with the cause of each change"
COPIES = "Whose weights equal those of another one epoch earlier"
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


async def load_copies(dsn: str) -> list[tuple[object, ...]]:
    """Weights of which one vector is copied; returns the rows of the answer: uid, whose, set at, other set at."""
    chosen = datasets.load(["blocks", "weights"])
    mine, other = {0: 9, 3: 65_535}, {0: 65_535, 2: 7}
    written: dict[tuple[int, int, int], dict[int, int]] = {
        (1, 6, 19): mine,  # was first
        (1, 1, 20): mine,
        (1, 2, 21): other,
        (1, 3, 22): {0: 9, 3: 65_534},
        (2, 5, 22): mine,  # another subnet
        (1, 3, 28): mine,  # copies 1
        (1, 1, 30): other,  # copies 2
        (1, 4, 31): {**other, 9: 1},
        (1, 5, 32): {**mine, 9: 0},  # copies 1, of which it cannot know that it has changed
    }
    async with open_store(dsn) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for number in range(1, 34):
            rows = [
                Row("weight_rows", (netuid, 0, uid), {"targets": [*vector], "weights": [*vector.values()]})
                for (netuid, uid, at), vector in written.items()
                if at == number
            ]
            await store.write([block(number, *rows, spec=475)], chosen)
    return [(1, 2, 30, 21), (3, 1, 28, 20), (3, 6, 28, 19), (5, 1, 32, 20), (5, 6, 32, 19)]


async def load_causes(dsn: str) -> list[tuple[object, ...]]:
    """Changes of one balance that no recorded one shows; returns the rows of the answer, as its columns are."""
    chosen = datasets.load(["balances", "blocks", "events", "extrinsics", "stake_events", "transfers"])
    free = {5: 1000, 6: 1007, 7: 1005, 8: 1001, 9: 1001, 10: 981, 11: None}
    deposit, fee = _event("Deposit", who=DAVE, amount=7), _event("Withdraw", who=DAVE, amount=4)
    rows = {
        6: [_row(0, None, deposit)],
        7: [_row(0, None, _event("Deposit", who=CHARLIE, amount=3))],  # somebody else's: 2 are gone without an event
        8: [_row(0, 1, fee), _extrinsic(1, DAVE, "set_weights", 4)],
        9: [_row(0, 1, fee), _row(1, None, _event("Deposit", who=DAVE, amount=4)), _extrinsic(1, DAVE, "add_stake", 4)],
        10: [
            _row(0, 1, fee),
            _row(1, 1, _event("Transfer", **{"from": DAVE, "to": DAVE, "amount": 500})),
            _row(2, 1, _event("Reserved", who=DAVE, amount=26)),
            _row(3, 1, _event("Unreserved", who=DAVE, amount=10)),
            _extrinsic(1, DAVE, "add_proxy", 4),
        ],
        11: [_row(0, 2, _event("Transfer", **{"from": DAVE, "to": CHARLIE, "amount": 980})),
             _extrinsic(2, CHARLIE, "proxy", 5)],
    }  # fmt: skip
    async with open_store(dsn) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for number in range(1, 12):
            own = [_balance(free[number])] if number in free else []
            await store.write([block(number, *own, *rows.get(number, []), spec=475)], chosen)
    return [
        (5, 1000, "no event", None, None, None),
        (6, 7, "hook", None, None, None),
        (7, -2, "no event", None, None, None),
        (8, -4, "fee", "SubtensorModule.set_weights", DAVE, 4),
        (10, -20, "call", "SubtensorModule.add_proxy", DAVE, 4),
        (11, -980, "call", "SubtensorModule.proxy", CHARLIE, None),
        (11, -1, "no event", None, None, None),
    ]


def _balance(free: int | None) -> Row:
    if free is None:
        return Row("balances", (ss58_decode(DAVE),), None)
    return Row("balances", (ss58_decode(DAVE),), {"free": free, "reserved": 0, "frozen": 0, "nonce": 0})


def _event(name: str, **fields: object) -> dict[str, object]:
    return {"phase": "ApplyExtrinsic", "pallet": "Balances", "name": name, "fields": fields, "topics": None}


def _row(index: int, extrinsic: int | None, event: dict[str, object]) -> Row:
    return Row("events", (index,), {**event, "extrinsic_index": extrinsic})


def _extrinsic(index: int, signer: str, call: str, fee: int) -> Row:
    values = dict.fromkeys(("nonce", "error", "raw", "problem"))
    told = {"signer": ss58_decode(signer), "pallet": "SubtensorModule", "call": call, "fee": fee, "success": True}
    return Row("extrinsic_log", (index,), {**values, **told, "hash": bytes([index]) * 32, "args": {}, "tip": 0})
