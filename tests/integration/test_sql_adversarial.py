"""Every function of the database, asked wrongly: it refuses and says why, and never answers with nothing instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from functions import Function, functions
from test_sql_locks import RATES, SUBNET, lock
from test_sql_states import COLD, HOT, Chain, FakeRuntime, change, item, pool

from indexer.datasets import DATASETS
from indexer.scale import ss58_encode

pytestmark = pytest.mark.anyio

FIRST, LAST = 100, 103
ADDRESS = ss58_encode(HOT)
WRONG_CHECKSUM = ADDRESS[:-1] + ("a" if ADDRESS[-1] != "a" else "b")
OTHER_NETWORK = ss58_encode(HOT, 2)
REFUSED = "22023"
"""invalid_parameter_value: what a function raises with a message of its own."""

BESIDE = {"account_id", "account_ids", "account_keys", "ss58_decode", "block_at", "extrinsic"}
"""Functions that are neither pure nor as of a block: they look something up."""

WRITING = {"first_state_table", "first_state_forget"}
"""Functions for the indexer's own use, which write: they say so. Who else calls them is refused: see test_roles."""


@dataclass(frozen=True)
class Asked:
    """A database and its functions."""

    sql: Any
    functions: list[Function]


@pytest.fixture(params=["filled", "empty"])
async def asked(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Asked]:
    """Blocks 100 to 103 are indexed; an empty database must refuse what a filled one does."""
    connection = await asyncpg.connect(database)
    chain = Chain(database, connection, FIRST)
    runtime = FakeRuntime(475, {**RATES, item("Tempo"): 360}, {("Aura", "SlotDuration"): 12000})
    rows = [
        *SUBNET, *pool(7, 9000, 9, cold=6, other=3), lock("Lock", COLD, 7, HOT, mass=5000, at=FIRST),
        lock("HotkeyLock", 7, HOT, mass=5000, at=FIRST), change("DecayingLock", COLD, 7, value=False),
        change("Keys", 7, 0, value=HOT), change("Uids", 7, HOT, value=0), change("Owner", HOT, value=COLD),
        change("Delegates", HOT, value=11796), change("IsNetworkMember", HOT, 7, value=True),
        change("MevShield.NextKey", value=b"\xff" * 64),
    ]  # fmt: skip
    for number in range(FIRST, LAST + 1):
        await chain.block(runtime, rows if number == FIRST and request.param == "filled" else [])
    # Datasets that are off unless asked for refuse the same, once they have blocks.
    await connection.executemany(
        "insert into cursors (dataset, start_block, block_number, block_hash, committed_at) "
        "values ($1, $2, $3, $4, now()) on conflict do nothing",
        [(name, FIRST, LAST, bytes(32)) for name in (*DATASETS, "SubtensorModule.Tempo")],
    )
    yield Asked(connection, await functions(connection))
    await connection.close()


async def problem(asked: Asked, function: Function, expected: str, **wrong: Any) -> list[str]:
    """What is wrong with how a function refuses these arguments; nothing if it says what it should."""
    given = {**function.given(block=LAST, address=ADDRESS), **wrong}
    try:
        found = await function.call(asked.sql, given)
    except asyncpg.PostgresError as error:
        if error.sqlstate == REFUSED and expected in str(error):
            return []
        return [f"{function.name}({wrong}) raises {error.sqlstate} {error}"]
    return [f"{function.name}({wrong}) answers {found}"]


async def test_every_function_is_of_a_known_kind(asked: Asked) -> None:
    """A new one is covered by itself if it is as of a block, or pure; else say here what it is."""
    unknown = [f.name for f in asked.functions if not (f.blocks or f.pure or f.name in BESIDE | WRITING)]
    assert unknown == []
    assert {f.name for f in asked.functions if f.comment.endswith("For the indexer.")} == WRITING
    assert len([f for f in asked.functions if f.checks_block]) > 50
    assert len([f for f in asked.functions if f.addresses]) > 30


@pytest.mark.parametrize(
    ("address", "expected"),
    [(WRONG_CHECKSUM, "wrong checksum"), (OTHER_NETWORK, "of another network"), ("nobody", "is not an SS58 address")],
)
async def test_what_is_no_address_of_this_network_is_refused(asked: Asked, address: str, expected: str) -> None:
    problems = []
    for function in asked.functions:
        for name in function.addresses:
            if not function.pure:
                many = function.arguments[name] == "text[]"
                for wrong in ([address], [ADDRESS, address]) if many else (address,):
                    problems += await problem(asked, function, expected, **{name: wrong})
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("block", [FIRST - 1, LAST + 1, -1, -(1 << 63), (1 << 63) - 1])
async def test_a_block_that_is_not_indexed_is_refused_with_the_range_that_is(asked: Asked, block: int) -> None:
    problems = []
    for function in asked.functions:
        if function.checks_block:
            for name in function.blocks:
                problems += await problem(asked, function, f"blocks {FIRST} to {LAST} are", **{name: block})
    assert not problems, "\n".join(problems)


async def test_no_block_is_the_last_one(asked: Asked) -> None:
    for function in asked.functions:
        for name in {"block", "to_block"} & {*function.blocks} if function.checks_block else ():
            given = function.given(block=LAST, address=ADDRESS)
            last = await function.call(asked.sql, given)
            assert await function.call(asked.sql, {**given, name: None}) == last, function.name


async def test_an_empty_array_asks_for_nothing_and_one_with_null_inside_for_the_rest(asked: Asked) -> None:
    for function in asked.functions:
        for name in function.arrays if not function.pure else []:
            given = function.given(block=LAST, address=ADDRESS)
            right = await function.call(asked.sql, given)
            if function.many:
                assert await function.call(asked.sql, {**given, name: []}) == [], (function.name, name)
                assert await function.call(asked.sql, {**given, name: [None]}) == [], (function.name, name)
                holes = [None, *given[name], None]
                assert await function.call(asked.sql, {**given, name: holes}) == right, (function.name, name)
            else:
                for array in ([], [None]):
                    await function.call(asked.sql, {**given, name: array})


async def test_null_breaks_nothing(asked: Asked) -> None:
    """It asks for all, for nothing, or is refused; never an error of the database itself."""
    problems = []
    for function in asked.functions:
        given = function.given(block=LAST, address=ADDRESS)
        for name in function.arguments:
            try:
                await function.call(asked.sql, {**given, name: None})
            except asyncpg.PostgresError as error:
                if error.sqlstate != REFUSED:
                    problems.append(f"{function.name}({name} => null) raises {error.sqlstate} {error}")
    assert not problems, "\n".join(problems)
