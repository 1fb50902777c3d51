"""How large a part of the state trie is, told by a few walks into it.

Knuth's estimator ("Estimating the efficiency of backtrack programs", 1975): whoever walks down a tree and takes
one of k children at random meets, counted k-fold from there on, as many nodes as there are, on average. Here each
sub-trie is opened whole as long as it is small; what lies below is walked into from some of its open ends, and
several independent rounds tell how far the answers differ. Pure, like ``trie.diff``: it yields what it lacks.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from indexer.model import HashedValue
from indexer.preflight.findings import Range
from indexer.trie import EMPTY_ROOT, HASH_LENGTH, MissingNode, Node, decode_node, nibbles, pack

OPENED_NODES = 64
"""Nodes of one sub-trie that are opened before what is below is estimated."""
ROUNDS = 8
"""Independent answers; their spread gives the range."""
WALKS = 6
"""Walks into one sub-trie per round, each from another of its open ends."""
LUCK_NIBBLES = 320
"""Longer than any key's path."""
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Student's t at 95 %, both sides, by degrees of freedom from 1 on; beyond, 2.0 will do."""


class Ask(NamedTuple):
    """A node or value that is lacking: a proof of ``key`` holds it, with luck also what the walk wants next."""

    key: bytes
    hash: bytes


class Size(NamedTuple):
    """What lies below a place."""

    keys: float
    nodes: float
    bytes: float

    def add(self, other: Size, weight: float = 1.0) -> Size:
        """Both together, the other one counted ``weight`` times."""
        return Size(*(own + weight * more for own, more in zip(self, other, strict=True)))


NOTHING = Size(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Census:
    """The size of all sub-tries together."""

    keys: Range
    nodes: Range
    bytes: Range
    is_exact: bool


class _End(NamedTuple):
    """A node that is known by its hash."""

    path: bytes
    hash: bytes


_Store: TypeAlias = "dict[bytes, bytes]"
Steps: TypeAlias = Generator[list[Ask], Mapping[bytes, bytes], Census]


def interval(values: Sequence[float], least: float = 0.0) -> Range:
    """The mean, and what it lies between in 19 of 20 cases (Student's t); never below ``least``.

    One value alone tells nothing of the spread: then it is half to twice.
    """
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Range(max(least, mean / 2), mean, mean * 2)
    freedom = len(values) - 1
    factor = STUDENT[freedom - 1] if freedom <= len(STUDENT) else 2.0
    spread = factor * statistics.stdev(values) / math.sqrt(len(values))
    return Range(max(least, mean - spread), mean, mean + spread)


def census(
    root: bytes,
    prefixes: Collection[bytes],
    rng: random.Random,
    *,
    known: Mapping[bytes, bytes] | None = None,
    opened: int = OPENED_NODES,
    rounds: int = ROUNDS,
    walks: int = WALKS,
) -> Steps:
    """The size of everything under ``prefixes``, none of which begins with another, in the state ``root``.

    Yields what it lacks beside ``known`` and must be sent a mapping with at least that, by hash; else raises
    ``MissingNode``.
    """
    store: _Store = dict(known or {})
    counted, fronts = NOTHING, []
    tops = yield from _tops(root, [nibbles(prefix) for prefix in prefixes], store)
    opening = [_Opening(top, opened) for top in tops]
    while any(one.is_open for one in opening):
        yield from _fetch([ask for one in opening for ask in one.lacks(store)], store)
        for one in opening:
            one.advance(store)
    for one in opening:
        counted = counted.add(one.size)
        if one.front:
            fronts.append(one.front)
    if not fronts:
        keys, nodes, size = (Range(number, number, number) for number in counted)
        return Census(keys, nodes, size, is_exact=True)
    started = [
        [_Walk(end, len(front) / taken, rng) for front in fronts for taken in [min(walks, len(front))]
         for end in rng.sample(front, taken)]
        for _ in range(rounds)
    ]  # fmt: skip
    every = [walk for one in started for walk in one]
    while asks := [ask for walk in every for ask in walk.lacks(store)]:
        yield from _fetch(asks, store)
        for walk in every:
            walk.advance(store)
    totals = [_total(counted, one) for one in started]
    ends = sum(map(len, fronts))  # each has a key, and is a node
    least = counted.add(Size(ends, ends, 0))
    keys, nodes, size = (interval([total[at] for total in totals], least[at]) for at in range(3))
    return Census(keys, nodes, size, is_exact=False)


def _total(counted: Size, walks: Sequence[_Walk]) -> Size:
    for walk in walks:
        counted = counted.add(walk.size)
    return counted


def _fetch(asks: list[Ask], store: _Store) -> Generator[list[Ask], Mapping[bytes, bytes], None]:
    if not asks:
        return
    sent = yield list({ask.key: ask for ask in asks}.values())
    for ask in asks:
        if ask.hash not in sent:
            raise MissingNode(f"node 0x{ask.hash.hex()} on the way to key 0x{ask.key.hex()} is missing")
    store.update(sent)


def _tops(
    root: bytes, prefixes: list[bytes], store: _Store
) -> Generator[list[Ask], Mapping[bytes, bytes], list[_End | tuple[bytes, Node]]]:
    """The topmost node of each sub-trie that is not empty."""
    found: list[_End | tuple[bytes, Node]] = []
    seeking: list[tuple[bytes, bytes, bytes]] = [(prefix, b"", root) for prefix in prefixes if root != EMPTY_ROOT]
    while seeking:
        lacking = [Ask(pack(prefix), ref) for prefix, _, ref in seeking if len(ref) == HASH_LENGTH and ref not in store]
        yield from _fetch(lacking, store)
        further: list[tuple[bytes, bytes, bytes]] = []
        for prefix, path, ref in seeking:
            node = decode_node(store[ref] if len(ref) == HASH_LENGTH else ref)
            whole = path + node.partial
            if whole.startswith(prefix):
                found.append(_End(path, ref) if len(ref) == HASH_LENGTH else (path, node))
            elif prefix.startswith(whole) and node.children is not None:
                child = node.children[prefix[len(whole)]]
                if child is not None:
                    further.append((prefix, whole + prefix[len(whole) : len(whole) + 1], child))
        seeking = further
    return found


def _within(path: bytes, node: Node) -> tuple[int, list[tuple[bytes, bytes]], list[_End]]:
    """Of one node, with what stands inline below it: keys, values stored by hash (key, hash), children by hash.

    What stands inline is shorter than a hash, so there is no hash in it.
    """
    here = path + node.partial
    values = [(pack(here), node.value.hash)] if isinstance(node.value, HashedValue) else []
    children = [
        _End(here + bytes([slot]), child)
        for slot, child in enumerate(node.children or ())
        if child is not None and len(child) == HASH_LENGTH
    ]
    return _inline_keys(node), values, children


def _inline_keys(node: Node) -> int:
    inline = [child for child in node.children or () if child is not None and len(child) < HASH_LENGTH]
    return (node.value is not None) + sum(_inline_keys(decode_node(child)) for child in inline)


class _Opening:
    """A sub-trie that is opened level by level, until nothing is left or ``most`` nodes are open."""

    def __init__(self, top: _End | tuple[bytes, Node], most: int) -> None:
        self._most = most
        self.size = NOTHING
        self.front: list[_End] = []
        self._count = 0
        self._next: list[_End] = []
        self._values: list[tuple[bytes, bytes]] = []
        if isinstance(top, _End):
            self._next = [top]
        else:
            self._open(*top, 0)

    @property
    def is_open(self) -> bool:
        """Whether there is more to open."""
        return bool(self._next or self._values)

    def lacks(self, store: _Store) -> list[Ask]:
        """What it wants beside what is at hand."""
        wanted = [*(Ask(pack(end.path), end.hash) for end in self._next), *(Ask(*value) for value in self._values)]
        return [ask for ask in wanted if ask.hash not in store]

    def advance(self, store: _Store) -> None:
        """Go one level down."""
        for _, name in self._values:
            self.size = self.size.add(Size(0, 1, len(store[name])))
        ends, self._next, self._values = self._next, [], []
        for end in ends:
            self._count += 1
            self._open(end.path, decode_node(store[end.hash]), len(store[end.hash]))
        if self._count + len(self._next) > self._most:
            self.front, self._next = self._next, []

    def _open(self, path: bytes, node: Node, size: int) -> None:
        keys, values, children = _within(path, node)
        self.size = self.size.add(Size(keys, 1 if size else 0, size))
        self._values += values
        self._next += children


class _Walk:
    """One walk to a leaf; ``size`` is what it stands for."""

    def __init__(self, start: _End, weight: float, rng: random.Random) -> None:
        self._at: _End | None = start
        self._weight, self._rng = weight, rng
        self._luck = rng.randbytes(LUCK_NIBBLES // 2).hex().encode().translate(_NIBBLE_OF_HEX)
        self._values: list[tuple[bytes, bytes, float]] = []
        self.size = NOTHING

    def lacks(self, store: _Store) -> list[Ask]:
        """What it wants; walks on by itself as far as it lacks nothing."""
        while self._at is not None and self._at.hash in store:
            self._step(store[self._at.hash])
        asks = [Ask(key, name) for key, name, _ in self._values]
        if self._at is not None:
            path = self._at.path
            asks.append(Ask(pack(path + self._luck[len(path) :]), self._at.hash))
        return asks

    def advance(self, store: _Store) -> None:
        """Take what was fetched."""
        for _, name, weight in self._values:
            self.size = self.size.add(Size(0, 1, len(store[name])), weight)
        self._values = []

    def _step(self, raw: bytes) -> None:
        assert self._at is not None
        keys, values, children = _within(self._at.path, decode_node(raw))
        self.size = self.size.add(Size(keys, 1, len(raw)), self._weight)
        self._values += [(*value, self._weight) for value in values]
        self._at = self._choose(children)
        self._weight *= len(children) or 1

    def _choose(self, children: list[_End]) -> _End | None:
        """A child at random, that of the lucky nibble if there is one: the same chance for each."""
        if not children:
            return None
        lucky = self._luck[len(children[0].path) - 1]
        return next((child for child in children if child.path[-1] == lucky), None) or self._rng.choice(children)


_NIBBLE_OF_HEX = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
