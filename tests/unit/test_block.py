"""Headers and bodies as nodes tell them: believed only if they hash to what names them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.block import body_of, is_body_of, ordered_root
from indexer.devchain.scale_encode import compact
from indexer.devchain.trie_build import TrieStore
from indexer.devchain.trie_build import ordered_root as root_of_the_chain
from indexer.errors import ProofError
from indexer.model import BlockRef, Header
from indexer.trie import EMPTY_ROOT

EXTRINSICS = st.lists(st.binary(max_size=80), max_size=70)
NO_EXTRINSICS = bytes.fromhex("03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314")
"""The extrinsics root of every Substrate chain's genesis."""


def header(root: bytes) -> Header:
    return Header(BlockRef(7, bytes(32)), bytes(32), bytes(32), root, ())


@given(EXTRINSICS)
def test_a_list_has_the_root_that_the_chains_own_builder_gives_it(extrinsics: list[bytes]) -> None:
    assert ordered_root(extrinsics, 0) == root_of_the_chain(extrinsics)
    keyed = {compact(index): value for index, value in enumerate(extrinsics)}
    assert ordered_root(extrinsics, 1) == TrieStore().update(EMPTY_ROOT, keyed)


def test_a_long_list_has_its_root_too() -> None:
    """From 64 on an index takes two bytes, from 16384 on four."""
    some = random.Random(5)
    for count in (63, 64, 65, 300, 16_385):
        extrinsics = [some.randbytes(some.choice((1, 31, 33, 200))) for _ in range(count)]
        assert ordered_root(extrinsics, 0) == root_of_the_chain(extrinsics)


def test_no_extrinsics_have_the_root_of_every_genesis() -> None:
    assert ordered_root([], 0) == ordered_root([], 1) == NO_EXTRINSICS


@pytest.mark.parametrize("layout", [0, 1])
def test_a_body_is_believed_in_either_layout_and_no_other_body_is(layout: int) -> None:
    some = random.Random(layout)
    extrinsics = [some.randbytes(size) for size in (10, 40, 120, 33)]
    known = header(ordered_root(extrinsics, layout))
    assert is_body_of(known, extrinsics)
    others = [
        extrinsics[:-1],
        [*extrinsics, b""],
        extrinsics[::-1],
        [*extrinsics[:2], extrinsics[2][:-1], extrinsics[3]],
        [*extrinsics[:3], bytes([extrinsics[3][0] ^ 1]) + extrinsics[3][1:]],
        [],
    ]
    assert not any(is_body_of(known, other) for other in others)


@pytest.mark.parametrize(
    "block", [{}, {"block": None}, {"block": {"extrinsics": None}}, {"block": {"extrinsics": ["0xzz"]}},
              {"block": {"extrinsics": [7]}}, "block", 7]
)  # fmt: skip
def test_what_is_no_block_is_a_lie(block: object) -> None:
    with pytest.raises(ProofError, match="wss://one sent a block that is none"):
        body_of(block, "wss://one")
