"""Trie: the exact difference of two states by ``trie.diff``, verified, on one core.

The floor is what nobody can leave out: every node that is received from hex to bytes, and its blake2b-256. The
indexer's side does that too, and walks both states. Two loads: one block with all that its walk wants, and blocks in
a row through one ``NodeCache`` as a backfill has them, where the old states are known in part from the blocks before
and half of the changed keys could be guessed. How cost grows, and what a cached node takes, is told beside.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b

from measuring import Case, Effort, Figure, Goal, in_turns, timed
from stand_in import Keys, keys, state

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


def walked(
    step: Step, prefixes: Sequence[bytes], nodes: Nodes, answer: Callable[[list[Want]], Mapping[bytes, bytes]]
) -> None:
    """Run the difference of a block to its end, and look whether it is all there."""
    walk = diff(step.old, step.new, prefixes, nodes)
    try:
        wants = next(walk)
        while True:
            wants = walk.send(answer(wants))
    except StopIteration as stop:
        found = len(stop.value)
    assert found == step.changed


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
            step.replies.append(
                [
                    text
                    for root, asked in zip(roots, paths, strict=True)
                    if asked
                    for text in as_proof(store.prove(root, asked))
                ]
            )
            nodes = received(step.replies[-1])
            cache.update(nodes)
            return nodes

        walked(step, given.keys.prefixes, cache, answer)
        steps.append(step)
        old = new
    return steps


def one_block(given: Load) -> Step:
    """The first block of a load, both states' nodes on every changed path in one proof; no value of the old one."""
    chance = random.Random("values")
    touched = given.blocks[0]
    old, store = state(given.keys, touched, chance)
    new = store.update(old, {key: given.keys.value(key, chance) for key in touched})
    unread = {value.hash for key in touched if isinstance(value := store.stored(old, key), HashedValue)}
    nodes = [*store.prove(new, touched), *(raw for raw in store.prove(old, touched) if blake2_256(raw) not in unread)]
    return Step(old, new, len(touched), as_proof(nodes))


def told(given: Load, steps: Sequence[Step]) -> dict[str, object]:
    """What a reader should know of a load."""
    every = [text for step in steps for proof in step.proofs for text in proof]
    found = given.keys
    return {
        "keys": len(found.accounts) + len(found.stakes) + len(found.pools),
        "blocks": len(steps),
        "changed_keys": sum(step.changed for step in steps),
        "nodes_received": len(every),
        "nodes_received_twice": len(every) - len(set(every)),
        "bytes": sum(len(text) // 2 - 1 for text in every),
    }


def difference(effort: Effort) -> list[Figure]:
    """One block, and blocks in a row."""
    size = SHORT if effort.short else 1
    given = load(ACCOUNTS // size, STAKES // size, 1, BLOCKS_SHORT if effort.short else BLOCKS)
    one, row, prefixes = one_block(given), blocks_in_a_row(given), given.keys.prefixes

    def walk_one() -> None:
        walked(one, prefixes, received(one.guess), nothing)

    figures = []
    for name, steps, ours in (
        ("one block", [one], walk_one),
        ("blocks in a row", row, lambda: replayed(row, prefixes)),
    ):
        proofs = [proof for step in steps for proof in step.proofs]
        figure = in_turns(name, GOAL, effort, ours, partial(floor, proofs), **told(given, steps))
        changed = sum(step.changed for step in steps)
        rate = round(changed / statistics.median(figure.ours))
        figures.append(replace(figure, notes={**figure.notes, "changed_keys_per_second": rate}))
    return [*figures, cached(row, prefixes)]


def nothing(wants: list[Want]) -> Mapping[bytes, bytes]:
    """The answer to a walk that is to have every node."""
    raise AssertionError(f"{len(wants)} nodes are lacking")


def cached(steps: Sequence[Step], prefixes: Sequence[bytes]) -> Figure:
    """What the nodes of some blocks take of memory in a cache, against their encodings alone."""
    nodes = {name: raw for step in steps for proof in step.proofs for name, raw in received(proof).items()}
    encoded = sum(map(len, nodes.values()))
    del nodes
    tracemalloc.start()
    try:
        cache = replayed(steps, prefixes)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    count = len({text for step in steps for proof in step.proofs for text in proof})
    assert cache.get(steps[-1].new) is not None
    notes = {"nodes": count, "bytes_per_node": round(taken / count), "encoding_per_node": round(encoded / count)}
    return Figure(
        "memory of cached nodes to their encodings", None, (taken / encoded,), (taken,), (encoded,), "bytes", notes
    )


def growth(effort: Effort) -> list[Figure]:
    """How much longer it takes with twice the changes, and with twice the keys; pool values are left out."""
    size = SHORT if effort.short else 1
    loads = {
        "twice the changes": load(ACCOUNTS // size, STAKES // size, 0.5, 1),
        "twice the keys": load(ACCOUNTS // size // 2, STAKES // size // 2, 1, 1),
        "": load(ACCOUNTS // size, STAKES // size, 1, 1),
    }
    works = {}
    for name, given in loads.items():
        given = replace(given, blocks=[[key for key in given.blocks[0] if key[:32] in given.keys.prefixes[:2]]])
        step, prefixes = one_block(given), given.keys.prefixes
        works[name] = partial(
            lambda step, prefixes: walked(step, prefixes, received(step.guess), nothing), step, prefixes
        )
        works[name]()
    times = {name: [0.0] * 0 for name in works}
    for at in range(effort.runs):
        for name in list(works) if at % 2 else reversed(list(works)):
            times[name].append(timed(works[name]))
    whole = times.pop("")
    return [
        Figure(
            f"{name}: exponent",
            None,
            tuple(math.log2(more / less) for more, less in zip(whole, times[name], strict=True)),
            tuple(whole),
            tuple(times[name]),
        )
        for name in times
    ]


CASES = [
    Case(
        "trie",
        "verified difference of two states, one core",
        "hex decoding and blake2b-256 of the same nodes",
        difference,
    ),
    Case("trie_growth", "the same with more of it", "itself with half as much", growth),
]
