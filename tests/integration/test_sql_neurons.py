"""The metagraph in SQL: against the real runtime's own answers, against itself, and what the tapes do not have."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import asyncpg
import oracle
import pytest
from loader import load_tape
from scalecodec.utils.ss58 import ss58_encode
from tape import State, answers, blake, blocks, compact, prefix

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tape(database: str, realdata: Path) -> AsyncIterator[Any]:
    """A connection to a database that holds the tape of specs 293 and 300."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(database, realdata / "tape/blocks.jsonl.gz", metadata)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.mark.realdata
async def test_neurons_are_what_the_runtime_itself_answered_field_by_field(tape: Any, realdata: Path) -> None:
    compared = 0
    for block, given in answers(realdata / "tape/oracle.jsonl.gz").items():
        for netuid in (0, 1, 2):
            compared += await oracle.neurons_agree(tape, block, netuid, given[f"neurons_lite_{netuid}"])
    assert compared == 269 * 25


@pytest.mark.realdata
async def test_the_view_is_the_function_at_the_last_block_and_the_function_of_all_subnets_that_of_each(
    tape: Any,
) -> None:
    assert await tape.fetch("select * from neurons order by netuid, uid") == await tape.fetch(
        "select * from neurons_at() order by netuid, uid"
    )
    for block in (0, 7, 21, 48, 85):
        every = await tape.fetch("select * from neurons_at($1) order by netuid, uid", block)
        for netuids in ([0], [1, 2], [], [7], [2, 0, 1, 2]):
            found = await tape.fetch("select * from neurons_at($1, $2) order by netuid, uid", block, netuids)
            assert found == [row for row in every if row["netuid"] in netuids], (block, netuids)
    assert len(every) == 11


@pytest.mark.realdata
async def test_registrations_are_as_stored_at_every_block(tape: Any, realdata: Path) -> None:
    """A hotkey swap and a new subnet are among them."""
    members, uids = prefix("SubtensorModule.IsNetworkMember"), prefix("SubtensorModule.Uids")
    registered_at = prefix("SubtensorModule.BlockAtRegistration")
    hotkeys: set[bytes] = set()
    seen = set()
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        state, block = recorded.state, recorded.number
        hotkeys |= {key[48:80] for key in state if key[:32] == members}
        for hotkey in hotkeys:
            address = ss58_encode(hotkey.hex())
            netuids = [n for n in range(3) if state.get(members + blake(hotkey) + struct.pack("<H", n)) == b"\x01"]
            found = await tape.fetch("select * from netuids_for_hotkey($1, $2) netuid", address, block)
            assert [row["netuid"] for row in found] == netuids
            for netuid in range(3):
                raw = state.get(uids + struct.pack("<H", netuid) + blake(hotkey))
                uid = await tape.fetchval("select uid($1, $2, $3)", address, netuid, block)
                assert uid == (None if raw is None else int.from_bytes(raw, "little"))
                seen.add((hotkey, netuid, uid))
        told = await tape.fetch("select netuid, uid, registered_at from neurons_at($1)", block)
        for row in told:
            key = registered_at + struct.pack("<HH", row["netuid"], row["uid"])
            assert row["registered_at"] == int.from_bytes(state.get(key, b""), "little")
    assert len(seen) > 20


@pytest.mark.realdata
async def test_blocks_since_the_last_update_grow_with_the_block_alone(tape: Any, realdata: Path) -> None:
    seen = set()
    for recorded in blocks(realdata / "tape/blocks.jsonl.gz"):
        for netuid in range(3):
            updates = last_updates(recorded.state, netuid)
            seen.add((netuid, updates))
            for uid in range(8):
                found = await tape.fetchval("select blocks_since_last_update($1, $2, $3)", netuid, uid, recorded.number)
                assert found == (recorded.number - updates[uid] if uid < len(updates) else None)
    assert len(seen) > 6


def last_updates(state: State, netuid: int) -> tuple[int, ...]:
    """The vector LastUpdate of a subnet."""
    raw = state.get(prefix("SubtensorModule.LastUpdate") + struct.pack("<H", netuid), b"\x00")
    length, at = compact(raw, 0)
    return struct.unpack_from(f"<{length}Q", raw, at)


@pytest.mark.realdata
async def test_before_dtao_stake_is_all_tao_on_the_hotkey(database: str, realdata: Path) -> None:
    await load_tape(database, realdata / "tape/blocks_spec143.jsonl.gz", {143: realdata / "metadata/spec143.v14.scale"})
    connection = await asyncpg.connect(database)
    stakes = prefix("SubtensorModule.TotalHotkeyStake")
    compared = 0
    for recorded in blocks(realdata / "tape/blocks_spec143.jsonl.gz"):
        for row in await connection.fetch("select * from neurons_at($1)", recorded.number):
            raw = recorded.state.get(stakes + oracle.public_key(row["hotkey"]), bytes(8))
            assert row["stake_alpha"] == int.from_bytes(raw, "little")
            compared += row["stake_alpha"] > 0
    assert compared > 20
    assert await connection.fetch("select * from neurons order by netuid, uid") == await connection.fetch(
        "select * from neurons_at() order by netuid, uid"
    )
    await connection.close()


ADDRESSES = [
    "1.2.3.4", "255.255.255.255", "0.0.0.1", "::1", "::ffff:10.1.2.3", "2001:db8::8a2e:370:7334",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::",
]  # fmt: skip


@pytest.mark.parametrize("text", ADDRESSES)
async def test_an_ip_address_is_read_from_its_number(database: str, text: str) -> None:
    connection = await asyncpg.connect(database)
    address: IPv4Address | IPv6Address = ip_address(text)
    found = await connection.fetchval("select ip_address($1, $2)", int(address), address.version)
    assert found == address
    await connection.close()


@pytest.mark.parametrize(("number", "kind"), [(0, 0), (1 << 32, 4), (1 << 128, 6), (-1, 4), (1, 5), (None, 4)])
async def test_what_is_no_ip_address_is_null(database: str, number: int | None, kind: int) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select ip_address($1, $2)", number, kind) is None
    await connection.close()
