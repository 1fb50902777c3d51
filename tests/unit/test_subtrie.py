"""The trie of stored pairs has the roots that the chain's own builder gives, whatever lies beside and below."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.devchain.trie_build import TrieStore
from indexer.subtrie import Pairs, pairs, top
from indexer.trie import EMPTY_ROOT, MissingNode, blake2_256, by_hash, decode_node, nibbles

VALUES = st.one_of(st.binary(max_size=4), st.binary(min_size=31, max_size=34))
KEYS = st.binary(min_size=1, max_size=5) | st.lists(
    st.sampled_from(b"\x00\x01\x10\xf0\xff"), min_size=1, max_size=6
).map(bytes)
STATES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=40)


@given(STATES)
def test_a_whole_state_has_the_root_of_the_chains_builder(state: dict[bytes, bytes]) -> None:
    assert blake2_256(pairs(state.items()).node()) == TrieStore().update(EMPTY_ROOT, state)


@given(STATES, st.data())
def test_a_map_has_the_node_that_a_proof_of_its_prefix_shows(state: dict[bytes, bytes], data: st.DataObject) -> None:
    """A map with one key is a leaf above its prefix's end; an empty one is absent; neighbours do not matter."""
    prefix = data.draw(KEYS | st.sampled_from([key[:size] for key in state for size in range(1, len(key) + 1)]))
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    mine = pairs((key, value) for key, value in state.items() if key.startswith(prefix))
    found = top(root, prefix, by_hash(store.prove(root, [prefix])))
    assert (found is None) == (not mine.keys)
    if found is not None:
        assert mine.node(found.path) == found.node


@given(STATES)
def test_every_node_can_be_asked_for_by_its_path(state: dict[bytes, bytes]) -> None:
    store = TrieStore()
    store.update(EMPTY_ROOT, state)
    mine = pairs(state.items())

    def check(path: bytes, raw: bytes) -> None:
        assert mine.node(path) == raw
        node = decode_node(raw)
        for slot, child in enumerate(node.children or ()):
            if child is not None:
                whole = child if len(child) < 32 else store.raw[child]
                check(path + node.partial + bytes([slot]), whole)

    check(b"", mine.node())


@given(STATES, st.data())
def test_another_value_another_key_or_a_missing_one_gives_another_node(
    state: dict[bytes, bytes], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(state)))
    other = data.draw(KEYS.filter(lambda one: one not in state))
    right = pairs(state.items()).node()
    assert pairs({**state, key: state[key] + b"!"}.items()).node() != right
    assert pairs({**state, other: b""}.items()).node() != right
    if len(state) > 1:
        assert pairs((k, v) for k, v in state.items() if k != key).node() != right


def test_a_proof_that_leaves_a_node_out_is_refused() -> None:
    store = TrieStore()
    root = store.update(EMPTY_ROOT, {bytes([a, b]): bytes(40) for a in range(16) for b in range(16)})
    proof = by_hash(store.prove(root, [b"\x03"]))
    found = top(root, b"\x03", proof)
    assert found is not None
    assert found.path == b"\x00\x03"
    del proof[blake2_256(found.node)]
    with pytest.raises(MissingNode, match="on the path of 0x03"):
        top(root, b"\x03", proof)
    assert top(EMPTY_ROOT, b"\x03", by_hash([b"\0"])) is None


def test_a_key_is_found_or_not_and_never_twice() -> None:
    few = pairs([(b"b", b"2"), (b"a", b"1")])
    assert (few, few.get(b"a"), few.get(b"b"), few.get(b"ab"), few.get(b"c")) == (
        Pairs([b"a", b"b"], [b"1", b"2"]), b"1", b"2", None, None,
    )  # fmt: skip
    with pytest.raises(ValueError, match="twice"):
        pairs([(b"a", b"1"), (b"a", b"1")])


def test_a_large_map_is_built_in_good_time() -> None:
    source = random.Random(5)
    many = pairs((source.randbytes(80), source.randbytes(16)) for _ in range(20_000))
    store = TrieStore()
    assert blake2_256(many.node()) == store.update(EMPTY_ROOT, dict(zip(many.keys, many.values, strict=True)))
    assert many.node(nibbles(many.keys[7][:1])) != many.node()
