"""The trie written to a file against the one that keeps every state in memory: roots, proofs, values, listings."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.devchain.growing_trie import GrowingTrie
from indexer.devchain.node_file import NodeFile
from indexer.devchain.trie_build import TrieStore
from indexer.trie import EMPTY_ROOT

# Few letters and short keys give many shared prefixes, keys inside keys, and collapses; the head stands for a map's.
keys = st.builds(
    lambda head, rest: head + bytes(rest),
    st.sampled_from([b"", b"M" * 32, b"M" * 31 + b"N"]),
    st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0xFF]), max_size=5),
)
values = st.one_of(st.binary(max_size=4), st.binary(min_size=30, max_size=40))
steps = st.lists(st.dictionaries(keys, st.one_of(st.none(), values), max_size=12), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(steps, st.lists(keys, max_size=8))
def test_every_state_in_the_file_answers_as_the_store_does(
    changes: list[dict[bytes, bytes | None]], asked: list[bytes]
) -> None:
    store, root, states = TrieStore(), EMPTY_ROOT, list[tuple[bytes, int]]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nodes"
        with path.open("wb") as file:
            trie = GrowingTrie(file)
            for change in changes:
                root = store.update(root, change)
                trie.put(change)
                if root != EMPTY_ROOT:
                    sealed = trie.seal()
                    assert sealed[0] == root
                    states.append(sealed)
            trie.flush()
            assert file.tell() == trie.length
        nodes = NodeFile(path)
        for root, at in states:
            assert nodes.prove(at, asked) == store.prove(root, asked)
            assert nodes.keys(at) == list(store.keys(root))
            for key in asked:
                assert nodes.get(at, key) == store.get(root, key)
                assert nodes.keys(at, key) == list(store.keys(root, key))
                assert nodes.keys(at, b"", key, 3) == list(store.keys(root, b"", key))[:3]
        nodes.close()


def test_a_trie_without_keys_cannot_be_sealed(tmp_path: Path) -> None:
    with (tmp_path / "nodes").open("wb") as file:
        trie = GrowingTrie(file)
        trie.put({b"k": b"v"})
        trie.put({b"k": None})
        with pytest.raises(ValueError, match="no root"):
            trie.seal()


def test_another_file_is_not_taken_for_nodes(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="holds no trie nodes"):
        NodeFile(path)


def test_what_is_alike_in_two_maps_is_proven_once(tmp_path: Path) -> None:
    state: dict[bytes, bytes | None] = {
        head + tail: b"a value of more than thirty-two bytes"
        for head in (b"M" * 32, b"N" * 32)
        for tail in (b"\x01" * 20, b"\x12" * 20, b"\x13" * 20)
    }
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    with (tmp_path / "nodes").open("wb") as file:
        trie = GrowingTrie(file)
        trie.put(state)
        sealed, at = trie.seal()
        trie.flush()
    assert sealed == root
    proof = NodeFile(tmp_path / "nodes").prove(at, list(state))
    assert proof == store.prove(root, list(state))
    assert len(proof) == len(set(proof))
