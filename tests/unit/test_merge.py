"""Patches to whole rows: what a block does not touch is carried over, and one block is one row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import schema
from indexer.merge import Merged, merge
from indexer.model import Row
from indexer.schema import Keyed


@pytest.fixture(scope="module")
def pools() -> Iterator[Keyed]:
    table = schema.keyed(
        "test_pools",
        "test_pool_history",
        keys=[schema.netuid()],
        values=[schema.rao("tao", "TAO."), schema.rao("alpha", "Alpha.")],
        comment="A table of two storage items.",
    )
    yield table
    for each in (table.current, table.history):
        schema.metadata.remove(each)
    del schema.KEYED["test_pools"]


def patch(number: int, netuid: int, values: dict[str, object] | None) -> tuple[int, Row]:
    return number, Row("test_pools", (netuid,), values)


def test_columns_a_block_does_not_name_are_carried_over_from_the_row_before(pools: Keyed) -> None:
    patches = [patch(5, 1, {"tao": 7}), patch(6, 1, {"alpha": 9})]
    merged = merge(pools, {(1,): (1, 2)}, patches)
    assert merged.history == [(1, 5, 7, 2, True), (1, 6, 7, 9, True)]
    assert merged.current == [(1, 6, 7, 9)]


def test_several_patches_of_one_block_make_one_row(pools: Keyed) -> None:
    merged = merge(pools, {}, [patch(5, 1, {"tao": 7}), patch(5, 1, {"alpha": 9}), patch(5, 2, {"tao": 1})])
    assert merged.history == [(1, 5, 7, 9, True), (2, 5, 1, None, True)]


def test_a_row_is_gone_when_its_last_storage_key_is(pools: Keyed) -> None:
    merged = merge(pools, {(1,): (3, None)}, [patch(5, 1, {"tao": None})])
    assert merged.history == [(1, 5, None, None, False)]
    assert (merged.current, merged.last_block) == ([], {(1,): 5})


def test_a_row_may_die_and_return_within_one_run(pools: Keyed) -> None:
    merged = merge(pools, {(1,): (8, 8)}, [patch(5, 1, None), patch(6, 1, {"tao": 1, "alpha": 2})])
    assert merged.history == [(1, 5, None, None, False), (1, 6, 1, 2, True)]
    assert merged.current == [(1, 6, 1, 2)]


def test_a_patch_that_changes_nothing_leaves_no_row(pools: Keyed) -> None:
    nothing = Merged(history=[], last_block={}, state={(1,): (3, 4)})
    assert merge(pools, {(1,): (3, 4)}, [patch(5, 1, {"tao": 3})]) == nothing
    assert merge(pools, {(1,): (3, 4)}, [patch(5, 1, {"tao": 9}), patch(6, 1, {"tao": 9})]).current == [(1, 5, 9, 4)]
    assert merge(pools, {}, [patch(5, 1, {"tao": None}), patch(6, 2, None)]).history == []


values = st.one_of(st.none(), st.integers(0, 2))
steps = st.lists(
    st.tuples(st.integers(0, 2), st.dictionaries(st.sampled_from(["tao", "alpha"]), values, min_size=1)), max_size=30
)


@given(steps, st.integers(1, 30))
def test_a_run_cut_into_batches_anywhere_gives_the_same_rows(
    pools: Keyed, changes: list[tuple[int, dict[str, object]]], cut: int
) -> None:
    patches = [patch(number, netuid, change) for number, (netuid, change) in enumerate(changes)]

    def run(parts: Iterable[list[tuple[int, Row]]]) -> tuple[list[object], dict[object, object]]:
        base: dict[tuple[object, ...], tuple[object, ...]] = {}
        current: dict[object, object] = {}
        history: list[object] = []
        for part in parts:
            merged = merge(pools, base, part)
            history += merged.history
            for key in merged.last_block:  # as the current table: what changed goes, what then exists comes
                current.pop(key, None)
            current.update(((row[0],), row[2:]) for row in merged.current)
            base.update(merged.state)
        assert current == {key: row for key, row in base.items() if row != (None, None)}
        return history, current

    assert run([patches]) == run([patches[:cut], patches[cut:]])
