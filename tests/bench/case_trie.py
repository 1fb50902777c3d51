"""Trie: the exact difference of two states by ``trie.diff``, verified, on one core.

The floor is what nobody can leave out: every node that is received from hex to bytes, and its blake2b-256. The
indexer's side does that too, and walks both states. Two loads: one block with all that its walk wants, and blocks in
a row through one ``NodeCache`` as a backfill has them, where the old states are known in part from the blocks before
and half of the changed keys could be guessed. How cost grows, and what a cached node takes, is told beside.
"""

from __future__ import annotations

import math
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from measuring import Case, Effort, Figure, Goal, in_turns, timed
from stand_in import Keys, keys, state

from indexer.devchain.trie_build import TrieStore
from indexer.model import HashedValue
from indexer.trie import NodeCache, Nodes, Want, blake2_256, by_hash, diff, pack

GOAL = Goal(4.0, "at most")
ACCOUNTS, STAKES = 500_000, 300_000
ACCOUNTS_CHANGED, STAKES_CHANGED = 250, 400
BLOCKS, BLOCKS_SHORT = 12, 4
SHORT = 8
"""The short form's state is smaller by so much."""
CACHE_BYTES = 256 << 20

Proof = list[str]
"""Nodes as ``state_getReadProof`` has them."""


@dataclass(frozen=True, slots=True)
class Load:
    """Blocks to be: the keys each changes, and those that one could have guessed for all of them."""

    keys: Keys
    blocks: Sequence[Sequence[bytes]]
    guess: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Step:
    """One block: its states, and what a node sent of them, in order."""

    old: bytes
    new: bytes
    changed: int
    guess: Proof
    replies: list[Proof] = field(default_factory=list)
    """One for each time that the walk wanted something."""

    @property
    def proofs(self) -> list[Proof]:
        """All that was received."""
        return [self.guess, *self.replies]


def load(accounts: int, stakes: int, changed: float, blocks: int) -> Load:
    """Blocks that change every subnet's pool values, keys that often change, and as many others at random."""
    chance = random.Random("load")
    found = keys(accounts, stakes, chance)
    maps = [(found.accounts, round(ACCOUNTS_CHANGED * changed)), (found.stakes, round(STAKES_CHANGED * changed))]
    often = [chance.sample(each, count) for each, count in maps]
    drawn = [
        {
            key
            for (every, count), own in zip(maps, often, strict=True)
            for key in (*chance.sample(own, count // 2), *chance.sample(every, count - count // 2))
        }
        for _ in range(blocks)
    ]
    return Load(
        found,
        [sorted([*each, *found.pools]) for each in drawn],
        sorted([*(key for each in often for key in each), *found.pools]),
    )


def as_proof(nodes: Iterable[bytes]) -> Proof:
    """Nodes as they are sent."""
    return [f"0x{raw.hex()}" for raw in nodes]


def received(proof: Proof) -> dict[bytes, bytes]:
    """What ``node`` makes of them."""
    return by_hash([bytes.fromhex(text[2:]) for text in proof])


def floor(proofs: Iterable[Proof]) -> None:
    """From hex to bytes, and hashed."""
    fromhex = bytes.fromhex
    for proof in proofs:
        for text in proof:
            blake2b(fromhex(text[2:]), digest_size=32).digest()


def walked(step: Step, prefixes: Sequence[bytes], nodes: Nodes, answer: Callable[[list[Want]], Mapping[bytes, bytes]]) -> None:
    """Run the difference of a block to its end, and look whether it is all there."""
    walk = diff(step.old, step.new, prefixes, nodes)
    try:
        wants = next(walk)
        while True:
            wants = walk.send(answer(wants))
    except StopIteration as stop:
        assert len(stop.value) == step.changed


def replayed(steps: Iterable[Step], prefixes: Sequence[bytes]) -> NodeCache:
    """The walks of blocks in a row, as ``capture`` drives them, with what was received for each."""
    cache = NodeCache(CACHE_BYTES)
    for step in steps:
        cache.update(received(step.guess))
        replies = iter(step.replies)

        def answer(_: list[Want], replies: Iterator[Proof] = replies) -> Mapping[bytes, bytes]:
            nodes = received(next(replies))
            cache.update(nodes)
            return nodes

        walked(step, prefixes, cache, answer)
    return cache


def blocks_in_a_row(given: Load) -> list[Step]:
    """The blocks of a load, and what is received for each by whoever keeps nodes from the ones before."""
    chance = random.Random("values")
    old, store = state(given.keys, {*given.guess, *(key for each in given.blocks for key in each)}, chance)
    cache = NodeCache(CACHE_BYTES)
    steps = []
    for touched in given.blocks:
        new = store.update(old, {key: given.keys.value(key, chance) for key in touched})
        step = Step(old, new, len(touched), as_proof(store.prove(new, given.guess)))
        cache.update(received(step.guess))

        def answer(wants: list[Want], step: Step = step) -> Mapping[bytes, bytes]:
            paths = [sorted({pack(want.path) for want in wants if want.old == is_old}) for is_old in (True, False)]
            roots = step.old, step.new
            step.replies.append([
                text for root, asked in zip(roots, paths, strict=True) if asked for text in as_proof(store.prove(root, asked))
            ])
            nodes = received(step.replies[-1])
            cache.update(nodes)
            return nodes

        walked(step, given.keys.prefixes, cache, answer)
        steps.append(step)
        old = new
    return steps


def one_block(given: Load) -> Step:
    """The first block of a load, with both states' nodes on every changed path in one proof; no value of the old one."""
    chance = random.Random("values")
    touched = given.blocks[0]
    old, store = state(given.keys, touched, chance)
    new = store.update(old, {key: given.keys.value(key, chance) for key in touched})
    unread = {value.hash for key in touched if isinstance(value := store.stored(old, key), HashedValue)}
    nodes = [*store.prove(new, touched), *(raw for raw in store.prove(old, touched) if blake2_256(raw) not in unread)]
    return Step(old, new, len(touched), as_proof(nodes))
