"""SS58 in SQL: any address of this network becomes its account, and nothing else does."""

from __future__ import annotations

import hashlib
import random

import asyncpg
import pytest

from indexer.scale import ss58_encode

pytestmark = pytest.mark.anyio

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


async def test_blake2b_is_that_of_the_rfc(database: str) -> None:
    connection = await asyncpg.connect(database)
    chance = random.Random(7)
    for message in (b"", b"abc", *(chance.randbytes(chance.randint(1, 128)) for _ in range(12)), b"\xff" * 128):
        assert await connection.fetchval("select blake2b_512($1)", message) == hashlib.blake2b(message).digest()
    with pytest.raises(asyncpg.PostgresError, match="128 bytes at most, not 129"):
        await connection.fetchval("select blake2b_512($1)", bytes(129))
    await connection.close()


async def test_an_address_that_occurs_nowhere_is_decoded(database: str) -> None:
    connection = await asyncpg.connect(database)
    chance = random.Random(11)
    for account in (bytes(32), b"\xff" * 32, *(chance.randbytes(32) for _ in range(8))):
        assert await connection.fetchval("select ss58_decode($1)", ss58_encode(account)) == account
        assert await connection.fetchval("select account_id($1)", ss58_encode(account)) == account
        assert await connection.fetchval("select account_id($1)", "0x" + account.hex()) == account
    assert await connection.fetchval("select ss58_decode(null)") is None
    await connection.close()


async def test_the_prefix_is_that_of_the_chain(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("insert into chain values ($1, 'other', 1328, now())", bytes(32))
    account = bytes(range(32))
    assert await connection.fetchval("select ss58_decode($1)", ss58_encode(account, 1328)) == account
    with pytest.raises(asyncpg.PostgresError, match="another network: its prefix is 42, here it is 1328"):
        await connection.fetchval("select ss58_decode($1)", ss58_encode(account))
    await connection.close()


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (ALICE[:-1] + "Z", "wrong checksum"),
        (ALICE.replace("r", "s", 1), "wrong checksum"),
        (ss58_encode(bytes(range(32)), 2), "another network: its prefix is 2, here it is 42"),
        (ALICE + "Y", "is no SS58 address of an account|is not an SS58 address|wrong checksum"),
        (ALICE[:46], "is no SS58 address of an account"),
        ("0OIl" + ALICE[4:], "is not an SS58 address nor 0x"),
        ("", "is not an SS58 address nor 0x"),
        ("0x" + "12" * 31, "is not an SS58 address nor 0x"),
    ],
)
async def test_what_is_no_address_of_this_network_is_an_error_that_says_why(
    database: str, address: str, problem: str
) -> None:
    connection = await asyncpg.connect(database)
    with pytest.raises(asyncpg.PostgresError, match=problem):
        await connection.fetchval("select account_id($1)", address)
    await connection.close()
