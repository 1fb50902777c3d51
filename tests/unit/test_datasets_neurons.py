"""Vectors of subnets: one storage index is a subnet and a mechanism; every element keeps its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.datasets.neurons import DATASET
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef
from indexer.scale import Runtime

BLOCK = Block(1, b"", b"", b"", b"", (), 0, 0, True, False, False, {}, {})


class NoRuntime:
    """What the row function of storage maps asks of a runtime: nothing."""

    spec_version = 0

    def has(self, item: ItemRef) -> bool:
        raise AssertionError(item)

    def default(self, item: ItemRef) -> object | None:
        raise AssertionError(item)

    def constants(self) -> tuple[tuple[str, str, object], ...]:
        raise AssertionError


@given(st.integers(0, 65535))
def test_a_vector_stands_under_its_subnet_and_mechanism_and_nowhere_else(index: int) -> None:
    change = Change(ItemRef("SubtensorModule", "LastUpdate"), (index,), [1, 2], None)
    (row,) = DATASET.rows(BLOCK, [change], NoRuntime())
    assert row.key == (index % 4096, index // 4096, "last_update")
    places = [(source.item, place) for source, place in DATASET.places(row.table, row.key)]
    assert places == [(change.item, (index,))]
    assert [*DATASET.places(row.table, (*row.key[:2], "bogus"))] == []


@pytest.mark.parametrize("key", [(4096, 0), (0, 16), (-1, 1), (65535, 15), (0, -1)])
def test_no_vector_stands_under_a_key_that_the_chain_could_not_give(key: tuple[int, int]) -> None:
    assert [*DATASET.places("neuron_vectors", (*key, "incentive"))] == []


@pytest.mark.parametrize("elements", [[0, 2], [-1], [None], [True], 1])
def test_flags_that_are_none_are_refused_on_the_way_back(elements: object) -> None:
    (source,) = (source for source in DATASET.sources if source.item.item == "Active")
    assert DATASET.value(source, {"elements": [1, 0]}) == [True, False]
    with pytest.raises(DecodeError):
        DATASET.value(source, {"elements": elements})


VALUES = {
    "Active": [True, False],
    "ValidatorPermit": [False],
    "Emission": [2**62, 0, 7],
    "Incentive": [65535, 1],
    "Axons": {"block": 9, "version": 2**32 - 1, "ip": 2**128 - 1, "port": 65535, "ip_type": 6, "protocol": 4,
              "placeholder1": 1, "placeholder2": 2},
    "Prometheus": {"block": 9, "version": 1, "ip": 1, "port": 9000, "ip_type": 4},
    "NeuronCertificates": {"public_key": b"\x00\xff" * 16, "algorithm": 255},
}  # fmt: skip


@pytest.mark.realdata
@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("file", ["spec143.v14", "spec293.v15", "spec424.v16"])
def test_what_the_tapes_do_not_hold_comes_back_as_it_was(realdata: Path, file: str, name: str) -> None:
    runtime = Runtime.from_metadata((realdata / f"metadata/{file}.scale").read_bytes())
    item = ItemRef("SubtensorModule", name)
    kind = runtime.item(item)
    if kind is None:
        assert (file, name) == ("spec143.v14", "NeuronCertificates")
        return
    raw = kind.encode(VALUES[name])
    key = (3, bytes([8]) * 32) if len(kind.hashers) == 2 else (3,)
    (row,) = DATASET.rows(BLOCK, [Change(item, key, kind.decode(raw), raw)], runtime)
    (table,) = (table for table in DATASET.tables if table.name == row.table)
    stored = {**dict.fromkeys(table.values), **(row.values or {})}
    told = {
        (source.item, kind.key(*place)): kind.encode(value)
        for source, place in DATASET.places(row.table, row.key)
        if (value := DATASET.value(source, stored)) is not None
    }
    assert told == {(item, kind.key(*key)): raw}
