"""Trie: the exact difference of two states by ``trie.diff``, verified, on one core.

The floor is what nobody can leave out: every node of the two proofs from hex to bytes, and its blake2b-256. The
indexer's side does that too, and walks both states with it.
"""

from __future__ import annotations

import random

import pytest
from measuring import Case, Effort, Figure, Goal, in_turns

from indexer.devchain.trie_build import TrieStore
from indexer.trie import EMPTY_ROOT, blake2_256, by_hash, diff

GOAL = Goal(4.0, "at most")


def difference(effort: Effort) -> list[Figure]:
    """Account-like keys, some of them changed, as in a block of the main network."""
    keys_count, changed = (20_000, 250) if effort.short else (300_000, 650)
    chance = random.Random("trie")
    prefix = bytes(range(32))
    keys = [prefix + (account := chance.randbytes(32))[:16] + account for _ in range(keys_count)]
    store = TrieStore()
    old = store.update(EMPTY_ROOT, {key: chance.randbytes(80) for key in keys})
    touched = sorted(chance.sample(keys, changed))
    new = store.update(old, {key: chance.randbytes(80) for key in touched})
    proofs = [[f"0x{raw.hex()}" for raw in store.prove(root, touched)] for root in (old, new)]

    def floor() -> None:
        for proof in proofs:
            for text in proof:
                blake2_256(bytes.fromhex(text[2:]))

    def ours() -> None:
        nodes: dict[bytes, bytes] = {}
        for proof in proofs:
            nodes.update(by_hash(bytes.fromhex(text[2:]) for text in proof))
        walk = diff(old, new, [prefix], nodes)
        with pytest.raises(StopIteration) as done:  # it lacks no node
            next(walk)
        assert len(done.value.value) == changed

    nodes = sum(map(len, proofs))
    return [in_turns("changed keys", GOAL, effort, ours, floor, keys=keys_count, changed=changed, nodes=nodes)]


CASES = [
    Case(
        "trie",
        "verified difference of two states, one core",
        "hex decoding and blake2b-256 of the same nodes",
        difference,
    )
]
