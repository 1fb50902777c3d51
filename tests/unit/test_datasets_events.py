"""Rows made of events: every shape the events had, shapes that no runtime has had yet, and the fees."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.datasets import stake_events, transfers
from indexer.datasets.base import Dataset
from indexer.model import Block, EventRecord
from indexer.scale import Runtime, ss58_encode
from indexer.scale.registry import Case, Composite, Sequence, Variant

BLOCK = Block(1, b"", b"", b"", b"", (), 0, 0, True, False, False, {}, {})
ALICE, BOB, CAROL, DAVE = (bytes([n]) * 32 for n in (1, 2, 3, 4))


class Told:
    """A runtime of which events ask nothing but their own form as JSON."""

    class documents:  # noqa: N801 - stands for the attribute
        @staticmethod
        def event(record: EventRecord) -> object:
            return ["told", record.name]


def event(pallet: str, name: str, fields: object, extrinsic: int | None = 1) -> EventRecord:
    phase = "Finalization" if extrinsic is None else "ApplyExtrinsic"
    return EventRecord(phase, extrinsic, pallet, name, fields, ())


def rows(
    dataset: Dataset, *events: EventRecord, runtime: Any = Told
) -> list[tuple[tuple[object, ...], dict[str, Any]]]:
    """Keys and columns that are not NULL; every row names every column."""
    found = list(dataset.rows(replace(BLOCK, events=events), (), runtime))
    assert all(row.values is not None and {*row.values} == {*dataset.tables[0].values} for row in found)
    return [(row.key, {k: v for k, v in (row.values or {}).items() if v is not None}) for row in found]


def paid(extrinsic: int, fee: object = 100, tip: object = 5) -> EventRecord:
    return event("TransactionPayment", "TransactionFeePaid", {"who": ALICE, "actual_fee": fee, "tip": tip}, extrinsic)


def transfer(sender: object, recipient: object, amount: object, extrinsic: int | None = 1) -> EventRecord:
    return event("Balances", "Transfer", {"from": sender, "to": recipient, "amount": amount}, extrinsic)


def test_each_transfer_has_the_fee_of_its_own_extrinsic_and_its_place_in_the_block() -> None:
    found = rows(
        transfers.DATASET,
        transfer(ALICE, BOB, 7),
        transfer(ALICE, CAROL, 8),
        paid(1),
        event("Balances", "Deposit", {"who": BOB, "amount": 1}, 2),
        transfer(BOB, CAROL, 9, 2),
        transfer(CAROL, BOB, 10, None),
        paid(3, 999),
    )
    both = {"extrinsic_index": 1, "fee": 100, "sender": ALICE}
    assert found == [
        ((0,), {**both, "recipient": BOB, "amount": 7}),
        ((1,), {**both, "recipient": CAROL, "amount": 8}),
        ((4,), {"extrinsic_index": 2, "sender": BOB, "recipient": CAROL, "amount": 9}),
        ((5,), {"sender": CAROL, "recipient": BOB, "amount": 10}),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"from": ALICE, "to": BOB, "amount": 7, "memo": b"x"},
        {"from": ALICE, "to": BOB},
        (ALICE, BOB, 7),
        {"from": {"Id": ALICE}, "to": BOB, "amount": 7},
        {"from": ALICE, "to": BOB, "amount": 2**63},
        {"from": ALICE[:20], "to": BOB, "amount": 7},
        {"from": ALICE, "to": BOB, "amount": True},
        7,
        (),
    ],
)
def test_a_transfer_of_a_new_shape_is_kept_as_told_and_no_column_guesses(fields: object) -> None:
    assert rows(transfers.DATASET, event("Balances", "Transfer", fields), paid(1)) == [
        ((0,), {"extrinsic_index": 1, "fee": 100, "fields": ["told", "Transfer"]})
    ]


@pytest.mark.parametrize(
    "fields", [{"who": ALICE, "fee": 3}, (ALICE, 3, 0), {"actual_fee": ALICE}, {"actual_fee": 2**64}]
)
def test_a_fee_of_a_new_shape_is_no_fee(fields: object) -> None:
    found = rows(transfers.DATASET, transfer(ALICE, BOB, 7), event("TransactionPayment", "TransactionFeePaid", fields))
    assert found == [((0,), {"extrinsic_index": 1, "sender": ALICE, "recipient": BOB, "amount": 7})]


SHAPES = [
    ("StakeAdded", (ALICE, 5), {"hotkey": ALICE, "tao": 5}),
    ("StakeRemoved", (ALICE, BOB, 5, 6, 7), {"coldkey": ALICE, "hotkey": BOB, "tao": 5, "alpha": 6, "netuid": 7}),
    (
        "StakeAdded",
        (ALICE, BOB, 5, 6, 7, 8),
        {"coldkey": ALICE, "hotkey": BOB, "tao": 5, "alpha": 6, "netuid": 7, "swap_fee": 8},
    ),
    (
        "StakeMoved",
        (ALICE, BOB, 1, CAROL, 2, 9),
        {
            "coldkey": ALICE, "hotkey": BOB, "netuid": 1, "destination_hotkey": CAROL, "destination_netuid": 2,
            "tao": 9,
        },
    ),
    (
        "StakeTransferred",
        (ALICE, BOB, CAROL, 1, 2, 9),
        {
            "coldkey": ALICE, "destination_coldkey": BOB, "hotkey": CAROL, "netuid": 1, "destination_netuid": 2,
            "tao": 9,
        },
    ),
    (
        "StakeSwapped",
        (ALICE, BOB, 1, 2, 9),
        {"coldkey": ALICE, "hotkey": BOB, "netuid": 1, "destination_netuid": 2, "tao": 9},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "columns"), SHAPES)
def test_a_stake_event_fills_the_columns_of_its_shape(name: str, fields: object, columns: dict[str, object]) -> None:
    always = {"name": name, "extrinsic_index": 1, "fields": ["told", name]}
    assert rows(stake_events.DATASET, paid(0, 3), event("SubtensorModule", name, fields)) == [((1,), always | columns)]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("StakeAdded", (ALICE, BOB, 5, 6, 7, 8, 9)),
        ("StakeAdded", (ALICE, BOB, 5, 6, 70_000, 8)),
        ("StakeAdded", (ALICE, 5, BOB, 6, 7, 8)),
        ("StakeMoved", (ALICE, BOB, 1, 2, CAROL, 9)),
        ("StakeSwapped", {"coldkey": ALICE}),
        ("StakeRemoved", ALICE),
        ("StakeRemoved", ()),
    ],
)
def test_a_stake_event_of_a_new_shape_is_kept_as_told(name: str, fields: object) -> None:
    (found,) = rows(stake_events.DATASET, event("SubtensorModule", name, fields))
    assert found == ((0,), {"name": name, "extrinsic_index": 1, "fields": ["told", name]})


def test_other_events_of_the_same_name_or_pallet_are_none() -> None:
    others = [
        event("Other", "Transfer", {"from": ALICE, "to": BOB, "amount": 7}),
        event("Other", "StakeAdded", (ALICE, 5)),
        event("SubtensorModule", "StakeThresholdSet", 5),
        event("Balances", "Reserved", {"who": ALICE, "amount": 7}),
    ]
    assert rows(transfers.DATASET, *others) == rows(stake_events.DATASET, *others) == []


@pytest.mark.realdata
def test_every_shape_of_every_real_runtime_fills_its_columns(realdata: Path) -> None:
    """An event of each shape, made from the metadata and encoded, decoded and told: specs 103 to 424."""
    met: Counter[str] = Counter()
    for file in sorted((realdata / "metadata").iterdir()):
        runtime = Runtime.from_metadata(file.read_bytes())
        for pallet, case in _cases(runtime):
            wanted = {("Balances", "Transfer"): transfers.DATASET} | {
                ("SubtensorModule", name): stake_events.DATASET for name in stake_events.SHAPES
            }
            dataset = wanted.get((pallet, case.name))
            if dataset is None:
                continue
            record = event(pallet, case.name, _fields(runtime, case))
            (decoded,) = runtime.decode_events(runtime.encode_events([record]))
            ((_, columns),) = rows(dataset, decoded, runtime=runtime)
            assert "sender" in columns or "hotkey" in columns, (file.name, case)
            if case.name == "Transfer":
                assert "fields" not in columns
                assert (columns["sender"], columns["recipient"]) == (bytes([1]) * 32, bytes([2]) * 32)
            else:
                values = decoded.fields
                assert columns["fields"] == [ss58_encode(v) if isinstance(v, bytes) else v for v in values]
                told = {k: v for k, v in columns.items() if k not in ("fields", "name", "extrinsic_index")}
                assert sorted(map(repr, told.values())) == sorted(map(repr, values)), (file.name, case)
            met[case.name] += 1
    assert met == {
        "Transfer": 13, "StakeAdded": 13, "StakeRemoved": 13, "StakeMoved": 10, "StakeTransferred": 10,
        "StakeSwapped": 10,
    }  # fmt: skip


def _cases(runtime: Runtime) -> list[tuple[str, Case]]:
    registry = runtime.codec.registry
    records = registry.definition(runtime._events_item().value_type)
    assert isinstance(records, Sequence)
    record = registry.definition(records.element)
    assert isinstance(record, Composite)
    (outer,) = [registry.definition(field.type_id) for field in record.fields if field.name == "event"]
    assert isinstance(outer, Variant)
    found = []
    for pallet in outer.cases:
        inner = registry.definition(pallet.fields[0].type_id)
        assert isinstance(inner, Variant)
        found += [(pallet.name, case) for case in inner.cases]
    return found


def _fields(runtime: Runtime, case: Case) -> Any:
    """Distinct values: the n-th field is n, as an account where the type is one."""
    values = []
    for number, field in enumerate(case.fields, start=1):
        is_account = runtime.codec.registry[field.type_id].path[-1:] == ("AccountId32",)
        values.append(bytes([number]) * 32 if is_account else number)
    if case.fields[0].name is not None:
        return {str(field.name): value for field, value in zip(case.fields, values, strict=True)}
    return tuple(values)
