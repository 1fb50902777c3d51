"""Whatever bytes a node sends as a proof: the difference, or a ``Retryable``; no other error, and always an end."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import Retryable
from indexer.model import HashedValue
from indexer.trie import BadNode, Node, blake2_256, decode_node, diff, encode_node

ROUNDS_MAX = 100
"""Far more than a walk of these small tries takes: a walk that asks for the same again and again goes on for ever."""


def random_node(random: Random, store: dict[bytes, bytes], depth: int = 0) -> bytes:
    """A node with any value and any children, some of them garbage, some with a bit turned."""
    if random.random() < 0.25:
        return random.randbytes(random.choice([0, 1, 2, 5, 31, 32, 33, 60]))
    partial = bytes(random.randrange(16) for _ in range(random.choice([0, 0, 1, 2, 3, 63, 64, 300])))
    value = random.choice([None, b"", b"x", random.randbytes(40), HashedValue(blake2_256(b"")), HashedValue(bytes(32))])
    slots: list[bytes | None] = [None] * 16
    for _ in range(random.randrange(4)):
        child = random_node(random, store, depth + 1) if depth < 4 else random.randbytes(random.choice([0, 3, 32, 40]))
        store[blake2_256(child)] = child
        slots[random.randrange(16)] = child if len(child) < 32 else blake2_256(child)
    raw = bytearray(encode_node(Node(partial, tuple(slots) if random.random() < 0.7 else None, value)))
    if random.random() < 0.2:
        raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
    return bytes(raw)


def walk(old: bytes | None, new: bytes, prefixes: list[bytes], store: dict[bytes, bytes]) -> None:
    work = diff(old, new, prefixes, {})
    try:
        next(work)
        for _ in range(ROUNDS_MAX):
            work.send(store)
        pytest.fail("the walk does not end")
    except (StopIteration, Retryable):
        pass


@settings(max_examples=3000, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_nodes_are_walked_to_an_end_or_refused(seed: int) -> None:
    random = Random(seed)
    store: dict[bytes, bytes] = {b"": b""}
    roots = []
    for _ in range(2):
        raw = random_node(random, store)
        roots.append(blake2_256(raw))
        store[roots[-1]] = raw
    prefixes = [random.randbytes(random.choice([0, 0, 1, 2])) for _ in range(2)]
    walk(random.choice([None, roots[0]]), roots[1], prefixes, store)


@settings(max_examples=3000, deadline=None)
@given(raw=st.binary(max_size=80), head=st.sampled_from([b"", b"\x3f", b"\x7f\xff", b"\xbf", b"\xff\xff", b"\x1f"]))
def test_random_bytes_are_a_node_that_encodes_to_another_or_none(raw: bytes, head: bytes) -> None:
    try:
        node = decode_node(head + raw)
    except BadNode:
        return
    assert decode_node(encode_node(node)) == node


def test_empty_bytes_are_asked_for_once() -> None:
    """A value, and a node, of no bytes: their hash is known, and for ever they looked as if not sent."""
    nothing = blake2_256(b"")
    leaf = encode_node(Node(b"", None, HashedValue(nothing)))
    walk(None, blake2_256(leaf), [b""], {blake2_256(leaf): leaf, nothing: b""})
    walk(None, nothing, [b""], {nothing: b""})


def test_a_value_at_an_odd_path_is_no_key() -> None:
    """Padded, it would pass for the key beside it."""
    leaf = encode_node(Node(b"\x01", None, b"x"))
    with pytest.raises(BadNode, match="odd path 1"):
        next(diff(None, blake2_256(leaf), [b""], {blake2_256(leaf): leaf}))
