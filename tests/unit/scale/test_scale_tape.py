"""Every value, key, event and extrinsic of the two recorded chains, with the runtime that executed the block."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from indexer.model import ItemRef
from indexer.scale import Runtime, blake2_256, ss58_decode, ss58_encode, trace

pytestmark = pytest.mark.realdata

TAPES = {"blocks.jsonl.gz": 89, "blocks_spec143.jsonl.gz": 42}
EVENTS = ItemRef("System", "Events")


@pytest.fixture(params=TAPES)
def tape(request: pytest.FixtureRequest, realdata: Path) -> list[dict[str, Any]]:
    with gzip.open(realdata / "tape" / request.param, "rt") as lines:
        blocks = [json.loads(line) for line in lines]
    assert len(blocks) == TAPES[request.param]
    return blocks


@cache
def load(path: Path) -> Runtime:
    return Runtime.from_metadata(path.read_bytes())


def executed(blocks: list[dict[str, Any]], realdata: Path) -> Iterator[tuple[dict[str, Any], Runtime]]:
    """Each block with the runtime found in the state of its parent (genesis: its own)."""
    for parent, block in zip([blocks[0], *blocks], blocks, strict=False):
        yield block, load(realdata / "metadata" / f"spec{parent['spec_version']}.v14.scale")


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def test_every_value_decodes_and_every_key_is_built_again(tape: list[dict[str, Any]], realdata: Path) -> None:
    seen: Counter[ItemRef] = Counter()
    foreign = set()
    for block, runtime in executed(tape, realdata):
        by_prefix = {item.prefix: item for item in runtime.items()}
        for key_text, value in block["changes"]:
            key = unhex(key_text)
            item = by_prefix.get(key[:32])
            if item is None:
                foreign.add(key if key.startswith(b":") else key[16:32].hex())
                continue
            assert item.key(*item.split_key(key)) == key
            if isinstance(value, str):
                raw = unhex(value)
                decoded = item.decode(raw)
                assert item.encode(decoded) == raw
                assert trace.decode(item.codec.registry, item.value_type, raw) == (decoded, len(raw))
                seen[item.ref] += 1
    assert seen[ItemRef("System", "Account")] > 30
    assert len(seen) > 90
    # What no metadata lists: well-known keys, each pallet's storage version, and the pallets' own hidden items.
    storage_version = "4e7b9012096b41c4eb3aaf947f6ea429"
    assert storage_version in foreign
    assert len(foreign) < 12


def test_every_event_decodes_and_encodes_again(tape: list[dict[str, Any]], realdata: Path) -> None:
    names: Counter[tuple[str, str]] = Counter()
    for block, runtime in executed(tape, realdata):
        events = runtime.item(EVENTS)
        assert events is not None
        for key, value in block["changes"]:
            if unhex(key) == events.prefix and isinstance(value, str):
                records = runtime.decode_events(unhex(value))
                assert runtime.encode_events(records) == unhex(value)
                names.update((record.pallet, record.name) for record in records)
    assert names["System", "ExtrinsicSuccess"] > 40
    assert names["Balances", "Transfer"] > 0
    assert len(names) > 20


def test_every_extrinsic_decodes_and_its_call_encodes_again(tape: list[dict[str, Any]], realdata: Path) -> None:
    calls: Counter[tuple[str, str]] = Counter()
    for block, runtime in executed(tape, realdata):
        for text in block["extrinsics"]:
            if not isinstance(text, str):
                continue
            raw = unhex(text)
            extrinsic = runtime.decode_extrinsic(raw)
            calls[extrinsic.pallet, extrinsic.call] += 1
            call = {extrinsic.pallet: {extrinsic.call: extrinsic.args} if extrinsic.args else extrinsic.call}
            if extrinsic.signed:
                assert len(extrinsic.signer or b"") == 32
                again = runtime.extrinsics.encode_signed(
                    call, extrinsic.address, extrinsic.signature, extrinsic.extensions
                )
            else:
                again = runtime.extrinsics.encode_bare(call, version=extrinsic.version)
            assert again == raw
            assert extrinsic.hash == blake2_256(raw)
    assert calls["Timestamp", "set"] >= 40
    assert len(calls) > 10


def test_account_of_alice_reads_as_known(tape: list[dict[str, Any]], realdata: Path) -> None:
    alice = ss58_decode("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", 42)
    assert ss58_encode(alice) == "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    accounts = []
    for block, runtime in executed(tape, realdata):
        item = runtime.item(ItemRef("System", "Account"))
        assert item is not None
        assert item.split_key(item.key(alice)) == (alice,)
        if stored := dict(block["changes"]).get("0x" + item.key(alice).hex()):
            accounts.append((item.decode(unhex(stored)), unhex(stored)))
    account, raw = accounts[0]
    # nonce, consumers, providers and sufficients are u32 each; the free balance is the next u64.
    assert account["data"]["free"] == int.from_bytes(raw[16:24], "little") > 10**9
    assert account["nonce"] == int.from_bytes(raw[:4], "little")
    nonces = [account["nonce"] for account, _ in accounts]
    assert nonces == sorted(nonces)
    assert nonces[-1] > 5
