"""Declared storage maps in SQL: what a generated as-of function tells, for many keys at once, and what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from made_blocks import block

from indexer import datasets
from indexer.model import Row
from indexer.scale import ss58_encode
from indexer.store import open_store

pytestmark = pytest.mark.anyio

CHOSEN = datasets.load(["blocks", "identities"])
ALICE, BOB, CAROL = (bytes([n]) * 32 for n in (1, 2, 3))


def told(account: bytes, name: str | None) -> Row:
    return Row("identities", (account,), {"identity": None if name is None else {"name": name}})


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Blocks 1 to 4: Alice twice, Bob from 2 until 4, Carol from 3."""
    async with open_store(database) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for one in (
            block(1, told(ALICE, "alice")),
            block(2, told(BOB, "bob")),
            block(3, told(ALICE, "Alice"), told(CAROL, "carol")),
            block(4, told(BOB, None)),
        ):
            await store.write([one], CHOSEN)
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


async def names(connection: asyncpg.Connection[Any], query: str, *arguments: object) -> dict[str, str]:
    records = await connection.fetch(f"select coldkey, identity ->> 'name' as name from {query}", *arguments)
    return {record["coldkey"]: record["name"] for record in records}


async def test_rows_hold_from_the_block_that_gave_them_until_the_next_one(connection: asyncpg.Connection[Any]) -> None:
    alice, bob, carol = map(ss58_encode, (ALICE, BOB, CAROL))
    assert await names(connection, "identities_at(1)") == {alice: "alice"}
    assert await names(connection, "identities_at(2)") == {alice: "alice", bob: "bob"}
    assert await names(connection, "identities_at(3)") == {alice: "Alice", bob: "bob", carol: "carol"}
    assert await names(connection, "identities_at()") == {alice: "Alice", carol: "carol"}


async def test_many_keys_are_asked_for_in_one_statement(connection: asyncpg.Connection[Any]) -> None:
    alice, bob, carol = map(ss58_encode, (ALICE, BOB, CAROL))
    query = "identities_at($1, of_coldkey => $2)"
    assert await names(connection, query, 3, [alice, bob]) == {alice: "Alice", bob: "bob"}
    assert await names(connection, query, 4, [alice, bob]) == {alice: "Alice"}
    assert await names(connection, query, None, [carol, "0x" + ALICE.hex()]) == {alice: "Alice", carol: "carol"}
    assert await names(connection, query, 3, []) == {}
    assert await names(connection, query, 3, [ss58_encode(b"\x09" * 32)]) == {}, "an address that occurs nowhere"


@pytest.mark.parametrize(
    ("block_number", "of", "problem"),
    [
        (0, None, 'block 0 is not indexed for dataset "identities": blocks 1 to 4 are'),
        (5, None, "block 5 is not indexed"),
        (3, ["nobody"], "is not an SS58 address"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_and_not_an_empty_result(
    connection: asyncpg.Connection[Any], block_number: int, of: list[str] | None, problem: str
) -> None:
    with pytest.raises(asyncpg.PostgresError, match=problem):
        await connection.fetch("select * from identities_at($1, $2)", block_number, of)
