"""The trie builder against a root computed from scratch, recursively, with code of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.devchain.trie_build import TrieStore, ValueNotRecorded, ordered_root
from indexer.model import HashedValue
from indexer.trie import EMPTY_ROOT

REALDATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def blake2(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def compact(number: int) -> bytes:
    if number < 64:
        return bytes([number << 2])
    if number < 2**14:
        return (number << 2 | 1).to_bytes(2, "little")
    return (number << 2 | 2).to_bytes(4, "little")


def head(prefix: int, bits: int, size: int) -> bytes:
    largest = (1 << bits) - 1
    if size < largest:
        return bytes([prefix << bits | size])
    out, size = bytes([prefix << bits | largest]), size - largest
    while size >= 255:
        out, size = out + b"\xff", size - 255
    return out + bytes([size])


def reference(items: list[tuple[str, bytes]], depth: int, inline: bool) -> bytes:
    """Encoding of the node that holds ``items`` (hex path, value) from nibble ``depth`` on."""
    first, last = items[0][0], items[-1][0]
    end = depth
    while end < min(len(first), len(last)) and first[end] == last[end]:
        end += 1
    value = items[0][1] if len(first) == end else None
    below = items[1:] if value is not None else items
    hashed = value is not None and len(value) > 32 and not inline
    partial = first[depth:end]
    path = bytes.fromhex("0" * (len(partial) % 2) + partial)
    held = b"" if value is None else blake2(value) if hashed else compact(len(value)) + value
    if not below:
        return (head(0b001, 5, len(partial)) if hashed else head(0b01, 6, len(partial))) + path + held
    kind = head(0b10, 6, len(partial))
    if value is not None:
        kind = head(0b0001, 4, len(partial)) if hashed else head(0b11, 6, len(partial))
    bitmap, body = 0, b""
    for slot in range(16):
        group = [item for item in below if item[0][end] == f"{slot:x}"]
        if group:
            bitmap |= 1 << slot
            child = reference(group, end + 1, inline)
            child = blake2(child) if len(child) >= 32 else child
            body += compact(len(child)) + child
    return kind + path + bitmap.to_bytes(2, "little") + held + body


def reference_root(state: dict[bytes, bytes], inline: bool = False) -> bytes:
    return blake2(reference(sorted((k.hex(), v) for k, v in state.items()), 0, inline)) if state else blake2(b"\0")


# Few letters and short keys give many shared prefixes, keys inside keys, and collapses.
keys = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0xFF]), max_size=5).map(bytes)
values = st.one_of(st.binary(max_size=4), st.binary(min_size=30, max_size=40))
steps = st.lists(st.dictionaries(keys, st.one_of(st.none(), values), max_size=12), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_every_state_of_a_chain_of_changes_has_the_root_of_a_fresh_build(changes: list[dict[bytes, bytes | None]]):
    store, root, state = TrieStore(), EMPTY_ROOT, dict[bytes, bytes]()
    for change in changes:
        root = store.update(root, change)
        state = {k: v for k, v in (state | change).items() if v is not None}
        assert root == reference_root(state)
        assert dict(store.items(root)) == state
        assert list(store.keys(root)) == sorted(state)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys, values, min_size=1, max_size=20), keys, keys)
def test_keys_are_paged_from_any_point_under_any_prefix(state: dict[bytes, bytes], prefix: bytes, after: bytes):
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    expected = sorted(k for k in state if k.startswith(prefix) and k > after)
    assert list(store.keys(root, prefix, after)) == expected


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys, values, min_size=1, max_size=20), st.lists(keys, max_size=5))
def test_a_proof_alone_answers_each_of_its_keys(state: dict[bytes, bytes], asked: list[bytes]):
    store = TrieStore()
    root = store.update(EMPTY_ROOT, state)
    proof = store.prove(root, asked)
    assert len(proof) == len(set(proof))
    alone = TrieStore(raw={blake2(raw): raw for raw in proof})
    for key in asked:
        assert alone.get(root, key) == state.get(key)


def test_removing_keys_nobody_has_changes_nothing():
    store = TrieStore()
    root = store.update(EMPTY_ROOT, {b"\x12\x34": b"x", b"\x12\x35": b"y"})
    assert store.update(root, {b"\x12": None, b"\x12\x34\x56": None, b"\x99": None}) == root


def test_past_states_stay_readable():
    store = TrieStore()
    old = store.update(EMPTY_ROOT, {b"a": b"1" * 40, b"b": b"2"})
    new = store.update(old, {b"a": None, b"b": b"3"})
    assert (store.get(old, b"a"), store.get(old, b"b")) == (b"1" * 40, b"2")
    assert (store.get(new, b"a"), store.get(new, b"b")) == (None, b"3")


def test_a_value_known_by_hash_alone_gives_the_same_root_and_refuses_to_be_read():
    code = b"wasm" * 100
    whole, bare = TrieStore(), TrieStore()
    root = whole.update(EMPTY_ROOT, {b":code": code, b":x": b"1"})
    assert bare.update(EMPTY_ROOT, {b":code": HashedValue(blake2(code)), b":x": b"1"}) == root
    assert bare.get(root, b":x") == b"1"
    with pytest.raises(ValueNotRecorded, match=blake2(code).hex()):
        bare.get(root, b":code")
    with pytest.raises(ValueNotRecorded):
        bare.prove(root, [b":code"])


def test_an_ordered_root_keeps_long_values_inline():
    listed = [b"\x01" * 50, b"\x02", b"\x03" * 200]
    assert ordered_root(listed) == reference_root({compact(i): v for i, v in enumerate(listed)}, inline=True)
    many = [bytes([i % 256]) * 3 for i in range(100)]
    assert ordered_root(many) == reference_root({compact(i): v for i, v in enumerate(many)}, inline=True)


@pytest.mark.realdata
def test_the_test_networks_genesis_has_its_known_state_root():
    path = REALDATA / "testfinney_genesis.json"
    if not path.exists():
        pytest.skip("no ../shared/data here")
    genesis = json.loads(path.read_text())
    changes = {
        bytes.fromhex(key[2:]): HashedValue(bytes.fromhex(value["blake2_256"][2:]))
        if isinstance(value, dict)
        else bytes.fromhex(value[2:])
        for key, value in genesis["storage"].items()
    }
    assert "0x" + TrieStore().update(EMPTY_ROOT, changes).hex() == genesis["state_root"]
