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
from made_blocks import block as made
from scalecodec.utils.ss58 import ss58_encode
from tape import State, answers, blake, blocks, compact, prefix

from indexer import datasets
from indexer.model import BlockRows, Row
from indexer.store import open_store

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


HOTKEYS = [bytes([n]) * 32 for n in range(1, 5)]
OWNER = bytes([9]) * 32


def seat(uid: int, hotkey: bytes | None, at: int) -> Row:
    """Who holds a uid of subnet 1."""
    return Row("uids", (1, uid), None if hotkey is None else {"hotkey": hotkey, "registered_at": at})


def vector(name: str, *elements: int, mechanism: int = 0) -> Row:
    """A vector of subnet 1."""
    return Row("neuron_vectors", (1, mechanism, name), {"elements": [*elements]})


SERVING = {
    "axon_block": 1, "axon_version": 7, "axon_ip": (0x2001 << 112) | 1, "axon_port": 8091, "axon_ip_type": 6,
    "axon_protocol": 4, "prometheus_block": 2, "prometheus_version": 3, "prometheus_ip": 0x01020304,
    "prometheus_port": 9000, "prometheus_ip_type": 4,
}  # fmt: skip


async def written(database: str, chosen: list[str], *given: BlockRows) -> asyncpg.Connection[Any]:
    """A connection to a database that holds these blocks for the chosen datasets."""
    async with open_store(database) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for one in given:
            await store.write([one], datasets.load(chosen))
    return await asyncpg.connect(database)


async def shown(connection: Any, columns: str, block: int | None = None) -> list[tuple[Any, ...]]:
    """Some columns of all neurons by uid; of the view and the function alike at the last block."""
    found = [tuple(row) for row in await connection.fetch(f"select {columns} from neurons_at($1) order by uid", block)]
    if block is None:
        assert found == [tuple(row) for row in await connection.fetch(f"select {columns} from neurons order by uid")]
    return found


async def test_a_uid_tells_of_its_holder_from_the_block_it_took_it_until_it_lost_it(database: str) -> None:
    one, two, three, _ = HOTKEYS
    connection = await written(
        database,
        ["blocks", "neurons", "stake"],
        made(1, seat(0, one, 1), seat(1, two, 1), Row("axons", (1, two), SERVING), spec=300),
        made(2, Row("delegates", (two,), {"owner": OWNER}), Row("hotkey_pools", (1, two), {"alpha": 500}), spec=300),
        made(3, seat(1, three, 3), Row("axons", (1, two), None), spec=300),
        made(4, seat(1, None, 4), spec=300),
        made(5, seat(0, None, 5), spec=300),
    )
    names = [ss58_encode(hotkey.hex()) for hotkey in HOTKEYS]
    told = "uid, hotkey, registered_at, coldkey, stake_alpha, axon_ip"
    nobody = (0, names[0], 1, None, 0, None)
    axon = IPv6Address("2001::1")
    assert await shown(connection, told, 1) == [nobody, (1, names[1], 1, None, 0, axon)]
    assert await shown(connection, told, 2) == [nobody, (1, names[1], 1, ss58_encode(OWNER.hex()), 500, axon)]
    assert await shown(connection, told, 3) == [nobody, (1, names[2], 3, None, 0, None)]
    assert await shown(connection, told, 4) == [nobody]
    assert await shown(connection, told) == []
    found = await shown(connection, "prometheus_ip, prometheus_port, prometheus_version, prometheus_block", 1)
    assert found == [(None, None, None, None), (IPv4Address("1.2.3.4"), 9000, 3, 2)]
    await connection.close()


async def test_what_no_vector_tells_of_a_uid_is_what_the_runtime_takes_for_it(database: str) -> None:
    """Vectors may be shorter than the subnet, or longer; those of other mechanisms are not those of neurons."""
    connection = await written(
        database,
        ["blocks", "neurons"],
        made(1, *(seat(uid, HOTKEYS[uid], 1) for uid in range(3)), spec=396),
        made(2, vector("incentive", 5, 6), vector("incentive", 7, 8, mechanism=1), vector("active", 0, 1), spec=396),
        made(3, vector("rank", 1, 2, 3, 4), vector("pruning_scores", 1, 2), vector("last_update", 1), spec=396),
        made(4, spec=397),
        made(5, Row("neuron_vectors", (1, 0, "incentive"), None), spec=397),
    )
    told = "active, incentive, rank, pruning_score, last_update"
    nothing = (False, 0, 0, 65535, 0)
    assert await shown(connection, told, 1) == [nothing] * 3
    assert await shown(connection, told, 2) == [(False, 5, 0, 65535, 0), (True, 6, 0, 65535, 0), nothing]
    assert await shown(connection, told, 3) == [(False, 5, 1, 1, 1), (True, 6, 2, 2, 0), (False, 0, 3, 65535, 0)]
    # Since spec 397 the runtime keeps neither rank nor pruning scores; what is left of them counts no more.
    assert await shown(connection, told, 4) == [(False, 5, 0, 65535, 1), (True, 6, 0, 65535, 0), nothing]
    assert await shown(connection, told) == [(False, 0, 0, 65535, 1), (True, 0, 0, 65535, 0), nothing]
    assert await shown(connection, "coldkey, stake_alpha") == [(None, None)] * 3, "the dataset stake is not indexed"
    assert await connection.fetchval("select neuron_vector(1, 'incentive', 5, 1)") == [7, 8]
    assert await connection.fetchval("select blocks_since_last_update(1, 0)") == 4
    assert await connection.fetchval("select blocks_since_last_update(1, 1)") is None
    await connection.close()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("neurons_at(0)", 'block 0 is not indexed for dataset "neurons": blocks 1 to 2 are'),
        ("neurons_at(3, array[1])", "block 3 is not indexed"),
        ("uid('nobody', 1)", "is not an SS58 address"),
        ("netuids_for_hotkey('5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY', 9)", "block 9 is not indexed"),
        ("blocks_since_last_update(1, 0, 3)", "block 3 is not indexed"),
    ],
)
async def test_what_cannot_be_answered_is_an_error(database: str, query: str, problem: str) -> None:
    connection = await written(database, ["blocks", "neurons"], made(1, seat(0, HOTKEYS[0], 1)), made(2))
    with pytest.raises(asyncpg.InvalidParameterValueError, match=problem.replace("(", r"\(")):
        await connection.fetch(f"select * from {query}")
    assert await connection.fetchval("select uid('5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY', 1)") is None
    assert await connection.fetch("select * from neurons_at(of_netuid => array[null, 77])") == []
    await connection.close()
