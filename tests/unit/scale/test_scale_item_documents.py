"""Storage items as JSON for people: what each kind of value looks like, and that none of any real runtime fails."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from metadata_bytes import runtime_metadata
from random_values import NoValue, random_value
from test_scale_storage import ALICE
from test_scale_values import S

from indexer.datasets import load
from indexer.datasets._items import KEY_BYTES_MAX
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef
from indexer.scale import Runtime, ss58_encode
from indexer.scale.document import DEPTH_MAX, Values

VALUES = Values(S.codec.registry, 42)
BLOCK = Block(1, b"", b"", b"", b"", (), 0, 0, True, False, False, {}, {})


@pytest.mark.parametrize(
    ("type_id", "value", "shown"),
    [
        (S.primitive["u128"], 2**128 - 1, 2**128 - 1),
        (S.primitive["bool"], True, True),
        (S.primitive["str"], "aß", "aß"),
        (S.primitive["str"], "a\0", "0x6100"),
        (S.unit, (), []),
        (S.empty, (), []),
        (S.single, (7,), [7]),
        (S.account, ALICE, ss58_encode(ALICE)),
        (S.u256, 2**255, 2**255),
        (S.amount, 5, 5),
        (S.bounded, b"netuid 1\n", "netuid 1\n"),
        (S.bounded, b"\xff\0", "0xff00"),
        (S.data, {"free": 1, "flags": 2, "ok": False}, {"free": 1, "flags": 2, "ok": False}),
        (S.side, "Sell", "Sell"),
        (S.result, {"Ok": ()}, {"Ok": []}),
        (S.result, {"Err": (1, "Buy")}, {"Err": [1, "Buy"]}),
        (S.outer, {"Named": {"x": 3}}, {"Named": {"x": 3}}),
        (S.outer, {"One": 3}, {"One": 3}),
        (S.option, None, None),
        (S.option, 3, 3),
        (S.option2, {"Some": None}, {"Some": None}),
        (S.map, [(1, "x")], [[1, "x"]]),
        (S.compacts["u64"], 2**64 - 1, 2**64 - 1),
        (S.lsb, [True, False], [True, False]),
        (S.tree, {"Node": [{"Leaf": 1}, {"Wrap": {"Leaf": 2}}]}, {"Node": [{"Leaf": 1}, {"Wrap": {"Leaf": 2}}]}),
    ],
)
def test_a_value_is_shown_by_its_type(type_id: int, value: Any, shown: object) -> None:
    assert VALUES.value(type_id, value) == shown


def test_bytes_are_text_only_where_they_are_text() -> None:
    assert VALUES.value(S.bounded, "τao ☕".encode()) == "τao ☕"
    for other in (b"\x1b[2J", b"a\x7f", "\x85".encode(), b"\xc3"):
        assert VALUES.value(S.bounded, other) == "0x" + other.hex()


def test_a_value_that_nests_without_end_is_shown_as_its_bytes() -> None:
    value: Any = {"Leaf": 1}
    for _ in range(DEPTH_MAX + 1):
        value = {"Wrap": value}
    with pytest.raises(DecodeError, match="nests deeper"):
        VALUES.value(S.tree, value)


@pytest.mark.realdata
def test_an_account_is_its_address_on_the_runtimes_network(realdata: Path) -> None:
    runtime = Runtime.from_metadata((realdata / "metadata" / "spec424.v16.scale").read_bytes())
    owner = runtime.item(ItemRef("SubtensorModule", "Owner"))
    assert owner is not None
    assert owner.shown_key((ALICE,)) == [ss58_encode(ALICE)]
    assert owner.shown_value(ALICE, ALICE) == ss58_encode(ALICE)
    runtime.codec.ss58_prefix = 0
    assert owner.shown_key((ALICE,)) == [ss58_encode(ALICE, 0)]


@pytest.mark.parametrize("at", range(7))
def test_a_key_is_told_under_every_hasher_and_the_row_stands_for_just_that_key(at: int) -> None:
    runtime = Runtime.from_metadata(runtime_metadata(16))
    item = runtime.item(ItemRef("System", f"Hasher{at}"))
    assert item is not None
    raw = item.encode(random_value(runtime.codec.registry, item.value_type, Random(1)))
    key = item.key(ALICE)
    (dataset,) = load([f"System.Hasher{at}"])
    change = Change(item.ref, item.split_key(key), item.decode(raw), raw, key[32:], item)
    (row,) = dataset.rows(BLOCK, [change], runtime)
    assert row.values is not None
    clear = item.hashers[0].endswith("Concat") or item.hashers[0] == "Identity"
    assert row.values["key"] == [ss58_encode(ALICE, runtime.ss58_prefix) if clear else "0x" + key[32:].hex()]
    ((source, parts),) = dataset.places(row.table, row.key)
    assert item.key(*parts) == key
    assert dataset.value(source, row.values) == raw


def test_a_key_that_no_index_takes_is_refused_by_name() -> None:
    (dataset,) = load(["System.Hasher0"])
    change = Change(ItemRef("System", "Hasher0"), (b"",), None, None, bytes(KEY_BYTES_MAX + 1))
    with pytest.raises(DecodeError, match=r"System\.Hasher0: a key of 2001 bytes"):
        list(dataset.rows(BLOCK, [change], Runtime.from_metadata(runtime_metadata(16))))


@pytest.mark.realdata
def test_every_item_of_every_real_runtime_goes_to_a_row_and_back(realdata: Path) -> None:
    """Random values of its type: told as JSON that Postgres takes, and given back to the byte."""
    random, gone = Random(7), 0
    for file in sorted((realdata / "metadata").iterdir()):
        runtime = Runtime.from_metadata(file.read_bytes())
        for item in runtime.items():
            try:
                parts = tuple(random_value(runtime.codec.registry, t, random) for t in item.key_types)
                raw = item.encode(random_value(runtime.codec.registry, item.value_type, random))
            except NoValue:
                continue
            key = item.key(*parts)
            (dataset,) = load([str(item.ref)])
            if len(key) > KEY_BYTES_MAX:
                continue
            change = Change(item.ref, item.split_key(key), item.decode(raw), raw, key[32:], item)
            (row,) = dataset.rows(BLOCK, [change], runtime)
            assert row.values is not None
            told = json.dumps([row.values["key"], row.values["value"]])
            assert "\\u0000" not in told, item.ref
            ((source, place),) = dataset.places(row.table, row.key)
            assert (item.key(*place), dataset.value(source, row.values)) == (key, raw), item.ref
            assert dataset.note(runtime) is None
            gone += 1
    assert gone > 3_000


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SubtensorModule.Tempoo", "no storage item SubtensorModule.Tempoo (did you mean SubtensorModule.Tempo?)"),
        ("subtensormodule.tempo", "no pallet subtensormodule (did you mean SubtensorModule.Tempo?)"),
        ("SubtensorModul.Tempo", "no pallet SubtensorModul (did you mean SubtensorModule.Tempo?)"),
        ("Balances.Tempo", "no storage item Balances.Tempo (did you mean SubtensorModule.Tempo?)"),
        ("Balances.TotalIsuance", "no storage item Balances.TotalIsuance (did you mean Balances.TotalIssuance?)"),
        ("Nowhere.Nothing", "no pallet Nowhere;"),
    ],
)
def test_a_name_that_is_unknown_is_reported_with_those_that_are_near(realdata: Path, name: str, told: str) -> None:
    runtime = Runtime.from_metadata((realdata / "metadata" / "spec424.v16.scale").read_bytes())
    note = load([name])[0].note(runtime)
    assert note is not None
    assert note.startswith(f"runtime 424 has {told}"), note
