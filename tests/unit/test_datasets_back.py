"""The way back from a row: every value that a column may hold gives back the bits it was read from."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.datasets import load
from indexer.datasets._values import document, documented, fixed, fixed_bits, integral
from indexer.errors import DecodeError
from indexer.model import Block, Change
from indexer.scale import EncodeError, Runtime
from indexer.schema import KEYED

TREES = st.recursive(
    st.binary(max_size=6) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
)


@given(TREES)
def test_a_document_gives_back_what_it_was_made_of(value: object) -> None:
    assert documented(document(value)) == value


@given(st.integers(-(2**127), 2**128 - 1), st.sampled_from([32, 64]))
def test_a_decimal_gives_back_its_bits(bits: int, fraction_bits: int) -> None:
    assert fixed_bits(fixed(bits, fraction_bits), fraction_bits) == bits


@pytest.mark.parametrize("value", [Decimal("0.5"), Decimal("NaN"), Decimal("Infinity"), True, None, "1"])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(DecodeError):
        integral(value)
    with pytest.raises(DecodeError):
        fixed_bits(Decimal("0.3") if value is None else value if value != Decimal("0.5") else Decimal("1e-40"), 32)


def test_hex_that_is_none_is_refused() -> None:
    with pytest.raises(DecodeError):
        documented({"hex": "xy"})


def test_every_item_of_a_dataset_has_a_way_back() -> None:
    for dataset in load():
        assert {source.item for source in dataset.sources} == set(dataset.items), dataset.name
        assert {source.table for source in dataset.sources} <= {table.name for table in dataset.tables}
        assert len(set(dataset.sources)) == len(dataset.sources)


@pytest.mark.realdata
def test_every_default_of_every_real_runtime_goes_to_a_row_and_back(realdata: Path) -> None:
    """The default of an item is a value of its type: through row and place it gives the same key and bytes."""
    block = Block(1, b"", b"", b"", b"", (), 0, 0, True, False, False, {}, {})
    gone = 0
    for file in sorted((realdata / "metadata").iterdir()):
        runtime = Runtime.from_metadata(file.read_bytes())
        for dataset in load():
            for item in dataset.items:
                kind = runtime.item(item)
                if kind is None or kind.optional:
                    continue
                sizes = {32: bytes(range(32)), 2: 7, 4: 7, 3: {"SetSNOwnerHotkey": 7}}
                parts = tuple(sizes[len(runtime.encode_type(t, _any(runtime, t)))] for t in kind.key_types)
                change = Change(item, parts, kind.default(), kind.default_raw)
                found = []
                for row in dataset.rows(block, [change], runtime):
                    table = KEYED[row.table]
                    stored = {**dict.fromkeys(table.values), **dict(zip(table.keys, row.key, strict=True))}
                    stored |= row.values or {}
                    for source, place in dataset.places(row.table, row.key):
                        value = dataset.value(source, stored)
                        if value is not None:
                            raw = bytes(value) if isinstance(value, bytes) and source.name else kind.encode(value)
                            found.append((source.item, kind.key(*place), raw))
                assert found, (file.name, item)
                assert set(found) == {(item, kind.key(*parts), kind.default_raw)}, (file.name, item)
                gone += 1
    assert gone > 1_000


def _any(runtime: Runtime, type_id: int) -> object:
    """A value of an account's, a netuid's or a rate limit's type."""
    for value in (bytes(32), {"SetSNOwnerHotkey": 7}):
        try:
            runtime.encode_type(type_id, value)
        except EncodeError:
            continue
        return value
    return 7
