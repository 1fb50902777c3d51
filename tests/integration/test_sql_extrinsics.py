"""Events and extrinsics in SQL, of the recorded chains through the whole path, against another decoder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from another_decoder import TAPES, AnotherDecoder
from made_blocks import block as made
from running import index
from tape import blocks, prefix

from indexer import datasets
from indexer.datasets import extrinsics
from indexer.devchain.server import DevNode
from indexer.devchain.tape import load_tape
from indexer.model import Block, EventRecord, Row
from indexer.node import open_node
from indexer.scale import Runtime, ss58_decode
from indexer.store import open_store
from indexer.verify import verify

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


@asynccontextmanager
async def indexed(database: str, realdata: Path, name: str) -> AsyncIterator[tuple[Any, DevNode]]:
    """A tape, indexed from a node, with events and extrinsics."""
    chain = load_tape(realdata / "tape" / name, realdata / "metadata")
    chain.grow(10_000)
    chain.finalize(chain.best.number)
    async with DevNode(chain) as node:
        await index(database, node.url, stop=chain.best.number, datasets=("blocks", "events", "extrinsics"))
        connection = await asyncpg.connect(database)
        yield connection, node
        await connection.close()


def plain(value: Any) -> Any:
    """Both decoders' JSON in one form: what differs is how they tell calls, ``()``, addresses and bytes."""
    if isinstance(value, dict):
        if "call_function" in value:
            args = {one["name"]: plain(one["value"]) for one in value["call_args"]}
            return {value["call_module"]: {value["call_function"]: args}}
        if value.keys() == {"Id"}:
            return plain(value["Id"])
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value] or None
    if isinstance(value, str) and re.fullmatch("0x([0-9a-f]{2})+", value):
        raw = bytes.fromhex(value[2:])
        return raw.decode() if raw.isascii() and raw.decode().isprintable() else value
    return None if value == "" else value


@pytest.mark.parametrize(("name", "count"), [*zip(TAPES, (275, 97), strict=True)])
async def test_extrinsics_are_what_another_decoder_reads_and_end_as_the_events_say(
    database: str, realdata: Path, name: str, count: int
) -> None:
    decoders = {spec: AnotherDecoder(realdata / f"metadata/spec{spec}.v14.scale") for spec in TAPES[name]}
    async with indexed(database, realdata, name) as (connection, node):
        found = await connection.fetch("select * from extrinsics order by block_number, extrinsic_index")
        spec, compared, failed = None, 0, []
        told = {(row["block_number"], row["extrinsic_index"]): row for row in found}
        assert len(told) == sum(len(recorded.line["extrinsics"]) for recorded in blocks(realdata / "tape" / name))
        for recorded in blocks(realdata / "tape" / name):
            executed, spec = spec or recorded.line["spec_version"], recorded.line["spec_version"]
            for at, given in enumerate(recorded.line["extrinsics"]):
                row = told[recorded.number, at]
                if not isinstance(given, str):  # the one that carries code was not recorded
                    continue
                raw = bytes.fromhex(given[2:])
                right = decoders[executed].extrinsic(raw)
                assert row["hash"] == "0x" + hashlib.blake2b(raw, digest_size=32).hexdigest()
                assert row["signer"] == right.get("address"), (recorded.number, at)
                assert row["nonce"] == right.get("nonce")
                assert plain({row["pallet"]: {row["call"]: json.loads(row["args"])}}) == plain(right["call"])
                events = decoders[executed].events(recorded.state[prefix("System.Events")])
                mine = {event["event_id"]: event["attributes"] for event in events if event["extrinsic_idx"] == at}
                assert row["success"] is ("ExtrinsicSuccess" in mine)
                assert row["success"] is not ("ExtrinsicFailed" in mine)
                assert (row["fee"], row["tip"]) == tuple(
                    mine.get("TransactionFeePaid", {}).get(part) for part in ("actual_fee", "tip")
                )
                failed += [row["error"]] if row["error"] else []
                compared += 1
        assert compared == count
        assert failed == (["SubtensorModule.TooManyRegistrationsThisBlock"] * 2 if name == "blocks.jsonl.gz" else [])
        async with open_node([node.url]) as endpoint:
            report = await verify(endpoint, database, datasets.load(["all"]))
        assert report.differences == ()
        assert not any("extrinsics" in skipped for skipped in report.skipped)


async def test_events_are_what_another_decoder_reads(database: str, realdata: Path) -> None:
    name, compared = "blocks.jsonl.gz", 0
    decoders = {spec: AnotherDecoder(realdata / f"metadata/spec{spec}.v14.scale") for spec in TAPES[name]}
    async with indexed(database, realdata, name) as (connection, _):
        found = await connection.fetch("select * from events order by block_number, event_index")
        told = {(row["block_number"], row["event_index"]): row for row in found}
        spec = None
        for recorded in blocks(realdata / "tape" / name):
            executed, spec = spec or recorded.line["spec_version"], recorded.line["spec_version"]
            raw = recorded.state.get(prefix("System.Events"))
            for at, event in enumerate(decoders[executed].events(raw) if raw and recorded.number else []):
                row = told[recorded.number, at]
                assert (row["phase"], row["extrinsic_index"]) == (event["phase"], event["extrinsic_idx"])
                assert (row["pallet"], row["name"]) == (event["module_id"], event["event_id"])
                fields = event["attributes"]
                if not isinstance(fields, dict | list | tuple):
                    fields = [fields]
                assert plain(json.loads(row["fields"])) == plain(None if fields == [None] else fields), event
                assert row["topics"] is None
                compared += 1
        assert compared == len(told) == 1048
        counts = await connection.fetch(
            "select e.block_number from events e join blocks b using (block_number) "
            "group by e.block_number, b.event_count having count(*) <> b.event_count"
        )
        assert counts == []


async def test_extrinsics_are_found_by_signer_and_by_hash(database: str, realdata: Path) -> None:
    async with indexed(database, realdata, "blocks.jsonl.gz") as (connection, _):
        every = await connection.fetch("select * from extrinsics order by block_number, extrinsic_index")
        mine = [row for row in every if row["signer"] == ALICE]
        assert len(mine) > 40
        assert await connection.fetch(f"select * from extrinsics_of('{ALICE}')") == mine
        between = [row for row in mine if 10 <= row["block_number"] <= 30]
        assert await connection.fetch("select * from extrinsics_of($1::text[], 10, 30)", [ALICE]) == between
        assert await connection.fetch("select * from extrinsics_of('{}'::text[])") == []
        for row in every[::25]:
            (one,) = await connection.fetch("select * from extrinsic($1)", row["hash"])
            assert one == row
        assert await connection.fetch("select * from extrinsic($1)", "0x" + "11" * 32) == []
        for query, message in (
            ("extrinsic('0x12')", "is not the hash of an extrinsic"),
            (f"extrinsics_of('{ALICE}', 1, 89)", "blocks 0 to 88 are"),
            ("extrinsics_of('nobody')", "is not an SS58 address"),
            (f"transfers_of('{ALICE}')", 'dataset "transfers" is not indexed'),
        ):
            with pytest.raises(asyncpg.InvalidParameterValueError, match=message):
                await connection.fetch(f"select * from {query}")


async def test_bytes_that_no_metadata_tells_are_a_row_that_says_so(database: str, realdata: Path) -> None:
    runtime = Runtime.from_metadata((realdata / "metadata/spec293.v15.scale").read_bytes())
    good = runtime.extrinsics.encode_bare({"System": {"remark": {"remark": b"hello \x00"}}})
    signed = runtime.extrinsics.encode_bare(
        {"Balances": {"transfer_all": {"dest": {"Id": ss58_decode(ALICE)}, "keep_alive": True}}}
    )
    given = (good, b"\x0c\x09\x01\x02", b"", good[:-1], signed)
    ended = EventRecord("ApplyExtrinsic", 1, "System", "ExtrinsicSuccess", {}, ())
    block = Block(1, b"", b"", b"", b"", (), 293, 5, True, True, False, {}, {}, events=(ended,), extrinsics=given)
    rows: tuple[Row, ...] = tuple(extrinsics.rows(block, (), runtime))
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([made(1, *rows)], datasets.load(["extrinsics"]))
    connection = await asyncpg.connect(database)
    found = await connection.fetch("select * from extrinsic_log order by extrinsic_index")
    await connection.close()
    assert [row["raw"] for row in found] == [None, given[1], given[2], given[3], None]
    assert [row["call"] for row in found] == ["remark", None, None, None, "transfer_all"]
    assert [row["success"] for row in found] == [None, True, None, None, None]
    assert json.loads(found[0]["args"]) == {"remark": "0x68656c6c6f2000"}
    assert json.loads(found[4]["args"]) == {"dest": {"Id": ALICE}, "keep_alive": True}
    assert "unknown extrinsic version 0x09" in found[1]["problem"]
    assert all(row["problem"] for row in found[1:4])
    assert [row["hash"] for row in found] == [hashlib.blake2b(raw, digest_size=32).digest() for raw in given]
