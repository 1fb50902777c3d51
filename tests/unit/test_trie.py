"""The trie: real roots, and the exact difference of two states whatever their shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.model import HashedValue, RawChange
from indexer.trie import (
    EMPTY_ROOT,
    BadNode,
    Diff,
    MissingNode,
    Node,
    Want,
    blake2_256,
    by_hash,
    decode_node,
    diff,
    encode_node,
    nibbles,
    pack,
)

State = Mapping[bytes, bytes | HashedValue]


class World:
    """States built from scratch, and the read proofs a node gives for them."""

    def __init__(self) -> None:
        self.bytes_by_hash: dict[bytes, bytes] = {}

    def root(self, state: State) -> bytes:
        """Store the trie of ``state`` and return its root."""
        if not state:
            return EMPTY_ROOT
        return self._keep(self._build(sorted((nibbles(k), v) for k, v in state.items()), 0))

    def _keep(self, encoded: bytes) -> bytes:
        self.bytes_by_hash[blake2_256(encoded)] = encoded
        return blake2_256(encoded)

    def _build(self, items: list[tuple[bytes, bytes | HashedValue]], depth: int) -> bytes:
        first, last = items[0][0], items[-1][0]
        split = depth
        while split < min(len(first), len(last)) and first[split] == last[split]:
            split += 1
        value = None
        if len(first) == split:
            value, items = items[0][1], items[1:]
            if isinstance(value, bytes) and len(value) > 32:
                value = HashedValue(self._keep(value))
        children: list[bytes | None] | None = None
        if items:
            children = [None] * 16
            for slot in range(16):
                below = [item for item in items if item[0][split] == slot]
                if below:
                    encoded = self._build(below, split + 1)
                    children[slot] = encoded if len(encoded) < 32 else self._keep(encoded)
        return encode_node(Node(first[depth:split], tuple(children) if children else None, value))

    def proof(self, root: bytes, keys: Iterable[bytes]) -> list[bytes]:
        """The nodes a lookup of each key visits, as ``state_getReadProof`` answers."""
        seen: dict[bytes, bytes] = {}
        for key in keys:
            path, ref, at = nibbles(key), root, 0
            while True:
                encoded = ref
                if len(ref) == 32:
                    encoded = seen[ref] = self.bytes_by_hash[ref]
                node = decode_node(encoded)
                if path[at : at + len(node.partial)] != node.partial:
                    break
                at += len(node.partial)
                if at == len(path):
                    if isinstance(node.value, HashedValue):
                        seen[node.value.hash] = self.bytes_by_hash[node.value.hash]
                    break
                child = node.children[path[at]] if node.children else None
                if child is None:
                    break
                ref, at = child, at + 1
        return list(seen.values())


def run(walk: Diff, answer: Callable[[list[Want]], Mapping[bytes, bytes]]) -> list[RawChange]:
    """Drive a ``diff`` to its end, answering each of its wants."""
    try:
        wants = next(walk)
        while True:
            wants = walk.send(answer(wants))
    except StopIteration as stop:
        changes: list[RawChange] = stop.value
        return changes


def solve(world: World, old: bytes | None, new: bytes, prefixes: Iterable[bytes], batch: int = 4096) -> list[RawChange]:
    """Drive ``diff`` with proofs alone, starting from an empty cache."""

    def answer(wants: list[Want]) -> Mapping[bytes, bytes]:
        return by_hash(
            [
                *world.proof(new, [pack(want.path) for want in wants if not want.old]),
                *world.proof(old or EMPTY_ROOT, [pack(want.path) for want in wants if want.old]),
            ]
        )

    return run(diff(old, new, list(prefixes), {}, batch=batch), answer)


def plain_difference(old: State, new: State, prefixes: Iterable[bytes]) -> list[RawChange]:
    starts = tuple(prefixes)
    return [
        RawChange(key, new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key.startswith(starts)
    ]


keys = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.lists(st.sampled_from([b"\x00", b"\x01", b"\x10", b"\xff"]), min_size=1, max_size=6).map(b"".join),
)
values = st.one_of(st.binary(min_size=0, max_size=3), st.binary(min_size=30, max_size=70))
states = st.dictionaries(keys, values, max_size=40)


@settings(max_examples=400, deadline=None)
@given(
    old=states,
    changed=states,
    dropped=st.lists(keys, max_size=12),
    prefixes=st.lists(st.binary(max_size=2), max_size=4),
)
def test_diff_over_proofs_equals_the_plain_difference(
    old: dict[bytes, bytes], changed: dict[bytes, bytes], dropped: list[bytes], prefixes: list[bytes]
) -> None:
    world = World()
    new = {key: value for key, value in {**old, **changed}.items() if key not in dropped}
    roots = world.root(old), world.root(new)
    assert solve(world, *roots, prefixes) == plain_difference(old, new, prefixes)
    assert solve(world, *roots, prefixes, batch=1) == plain_difference(old, new, prefixes)


@settings(max_examples=100, deadline=None)
@given(state=states)
def test_bootstrap_is_the_difference_from_the_empty_state(state: dict[bytes, bytes]) -> None:
    world = World()
    root = world.root(state)
    assert solve(world, None, root, [b""]) == sorted(RawChange(*item) for item in state.items())
    assert solve(world, root, EMPTY_ROOT, [b""]) == [RawChange(key, None) for key in sorted(state)]


def test_a_branch_that_collapses_into_its_last_child_is_one_removal() -> None:
    world = World()
    old = {b"\x12\x34": b"a" * 40, b"\x12\x35": b"b" * 40, b"\x12\x3f\x00": b"c" * 40, b"\x20": b"d" * 40}
    for gone in old:
        new = {key: value for key, value in old.items() if key != gone}
        assert solve(world, world.root(old), world.root(new), [b""]) == [RawChange(gone, None)]


@settings(max_examples=100, deadline=None)
@given(state=st.dictionaries(keys, values, min_size=1, max_size=20), data=st.data())
def test_any_flipped_bit_in_a_proof_is_caught(state: dict[bytes, bytes], data: st.DataObject) -> None:
    world = World()
    root = world.root(state)

    kept = world.bytes_by_hash
    victim = data.draw(st.sampled_from(sorted(kept)))
    bit = data.draw(st.integers(0, 8 * len(kept[victim]) - 1))
    bent = bytearray(kept[victim])
    bent[bit // 8] ^= 1 << bit % 8
    kept[victim] = bytes(bent)  # the node still answers, under the same name, with one bit flipped
    with pytest.raises((MissingNode, BadNode)):
        run(diff(None, root, [b""], {}), lambda wants: by_hash(kept[want.hash] for want in wants))


def test_a_value_stored_by_hash_is_read_unless_only_its_hash_is_wanted() -> None:
    world = World()
    code = b"\x00asm" * 100
    root = world.root({b":code": code, b"other": b"x" * 50})
    assert solve(world, None, root, [b":code", b"other"]) == [RawChange(b":code", code), RawChange(b"other", b"x" * 50)]
    bare = diff(None, root, [b":code"], world.bytes_by_hash, hash_only=[b":code"])
    assert run(bare, lambda _: {}) == [RawChange(b":code", HashedValue(blake2_256(code)))]


def test_equal_roots_and_untouched_maps_need_no_node_at_all() -> None:
    world = World()
    same = {b"\x01" + bytes([n]): b"v" * 40 for n in range(50)}
    old, new = world.root({**same, b"\x02": b"a"}), world.root({**same, b"\x02": b"b"})
    asked: list[bytes] = []

    def answer(wants: list[Want]) -> Mapping[bytes, bytes]:
        asked.extend(want.path for want in wants)
        return world.bytes_by_hash

    assert run(diff(old, new, [b"\x01"], {}), answer) == []
    assert asked == [b"", b""], "only the two roots are looked at: the map's own node has not changed"
    assert run(diff(old, old, [b""], {}), answer) == []
    assert asked == [b"", b""]


@given(st.binary(max_size=80))
def test_bytes_that_are_no_node_raise_bad_node_or_encode_back(raw: bytes) -> None:
    try:
        node = decode_node(raw)
    except BadNode:
        return
    decode_node(encode_node(node))


@pytest.mark.parametrize("size", [0, 1, 14, 15, 16, 30, 31, 62, 63, 64, 317, 318, 319, 574])
def test_long_partial_paths_survive_the_codec(size: int) -> None:
    partial = bytes(n % 16 for n in range(size))
    for node in (
        Node(partial, None, b"leaf"),
        Node(partial, None, HashedValue(b"h" * 32)),
        Node(partial, (b"c" * 32, *(None,) * 14, b"inline"), None),
        Node(partial, (b"c" * 32, *(None,) * 15), b"v"),
        Node(partial, (b"c" * 32, *(None,) * 15), HashedValue(b"h" * 32)),
    ):
        assert decode_node(encode_node(node)) == node


@pytest.mark.realdata
def test_the_public_test_networks_genesis_has_its_well_known_state_root(realdata: Path) -> None:
    genesis = json.loads((realdata / "testfinney_genesis.json").read_text())
    state = {
        bytes.fromhex(key[2:]): HashedValue(bytes.fromhex(value["blake2_256"][2:]))
        if isinstance(value, dict)
        else bytes.fromhex(value[2:])
        for key, value in genesis["storage"].items()
    }
    root = World().root(state)
    assert root.hex() == genesis["state_root"][2:]
    header = bytes(32) + b"\0" + root + bytes.fromhex(genesis["extrinsics_root"][2:]) + b"\0"
    assert blake2_256(header).hex() == genesis["genesis_hash"][2:]
