"""How large a part of the state trie is, told by a few thousand of its nodes.

All sub-tries are gone down at once, level by level, each node opened as long as a level is small. Where it is not,
some of its nodes are drawn, and each stands for as many as it had chances against (Knuth's estimator of a tree's
size, with a crowd instead of one walker: what he lets one walk tell, Chen's and Rubinstein's refinements let many).
Several crowds go down independently, and their spread gives the range. Pure, like ``trie.diff``: it yields what
it lacks.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from indexer.model import HashedValue
from indexer.preflight.findings import Range
from indexer.trie import EMPTY_ROOT, HASH_LENGTH, MissingNode, Node, decode_node, nibbles, pack

LEVEL_NODES = 2000
"""Nodes of one level, of all sub-tries together, from which on some are drawn; and as many are, by all crowds."""
CROWDS = 8
"""Independent answers; their spread gives the range."""
LEVEL_VALUES = 256
"""Large values of one level that are read for their length."""
SCOUTS, SCOUTED_LEVELS, ALIKE = 2, 6, 6
"""How far is looked ahead before the first draw: from at most so many times ``LEVEL_NODES`` places, so many levels
down. Of a node with so many children one tells for all: their keys are hashes."""
EVEN = 0.3
"""Share of the draw that goes by number instead of by promise."""
CROWDED = 60.0
"""Keys below a node all of whose 16 children are there; with fewer the number follows from chance."""
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Student's t at 95 %, both sides, by degrees of freedom from 1 on; beyond, 2.0 will do."""


class Ask(NamedTuple):
    """A node or value that is lacking: a proof of ``key`` holds it."""

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
    most: int = LEVEL_NODES,
    crowds: int = CROWDS,
) -> Steps:
    """The size of everything under ``prefixes``, none of which begins with another, in the state ``root``.

    Yields what it lacks beside ``known`` and must be sent a mapping with at least that, by hash; else raises
    ``MissingNode``.
    """
    store: _Store = dict(known or {})
    tops = yield from _tops(root, [nibbles(prefix) for prefix in prefixes], store)
    first = _Crowd(rng, most)
    first.begin(tops)
    while first.ends and len(first.ends) <= most:
        yield from _down([first], store)
    yield from _down([first], store, values_only=True)
    if not first.ends:
        keys, nodes, size = (Range(number, number, number) for number in first.size)
        return Census(keys, nodes, size, is_exact=not first.is_drawn)
    first.ends = yield from _scouted(first.ends, store, rng, most)
    several = [first.divided(crowds) for _ in range(crowds)]
    while any(one.ends or one.values for one in several):
        yield from _down(several, store)
    least = first.size.add(Size(len(first.ends), len(first.ends), 0))  # each end has a key, and is a node
    keys, nodes, size = (interval([one.size[at] for one in several], least[at]) for at in range(3))
    return Census(keys, nodes, size, is_exact=False)


def _scouted(
    members: list[_Member], store: _Store, rng: random.Random, most: int
) -> Generator[list[Ask], Mapping[bytes, bytes], list[_Member]]:
    """The same with better promises, told by going on from some: many children of one node are alike, few are not.

    A wrong promise costs precision, and makes no answer wrong on average.
    """
    siblings = Counter(member.end.path[:-1] for member in members)
    kinds = [one.end.path[:-1] if siblings[one.end.path[:-1]] >= ALIKE else one.end.path for one in members]
    scouts = {kinds[at]: (members[at].end, 1.0) for at in rng.sample(range(len(members)), len(members))}
    scouts = dict(rng.sample(list(scouts.items()), min(len(scouts), SCOUTS * most)))
    promised: dict[bytes, float] = {}
    for _ in range(SCOUTED_LEVELS):
        yield from _fetch([Ask(pack(e.path), e.hash) for e, _ in scouts.values() if e.hash not in store], store)
        further = {}
        for parent, (end, times) in scouts.items():
            _, _, children = _within(end.path, decode_node(store[end.hash]))
            below = times * max(1.0, len(children) * promise(len(children)))
            promised[parent] = max(below, promised.get(parent, 0.0))
            if children:
                further[parent] = rng.choice(children), times * len(children)
        scouts = further
    usual = math.fsum(promised.values()) / len(promised)
    return [one._replace(promise=promised.get(kind, usual)) for one, kind in zip(members, kinds, strict=True)]


def _down(
    several: Sequence[_Crowd], store: _Store, *, values_only: bool = False
) -> Generator[list[Ask], Mapping[bytes, bytes], None]:
    """One level down, for all."""
    asks = [ask for one in several for ask in one.lacks(values_only)]
    yield from _fetch([ask for ask in asks if ask.hash not in store], store)
    for one in several:
        one.advance(store, values_only)


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


class _Member(NamedTuple):
    """An end that is to be opened."""

    end: _End
    weight: float
    """How many such ends it stands for."""
    promise: float
    """Keys that are likely below it."""


class _Value(NamedTuple):
    """A large value that is to be read for its length."""

    key: bytes
    hash: bytes
    weight: float


class _Crowd:
    """What goes down level by level; ``size`` is what it has met, each as many times as it stands for."""

    def __init__(self, rng: random.Random, most: int) -> None:
        self._rng, self._most = rng, most
        self.size = NOTHING
        self.ends: list[_Member] = []
        self.values: list[_Value] = []
        self.is_drawn = False
        """Whether it left anything out."""

    def begin(self, tops: Sequence[_End | tuple[bytes, Node]]) -> None:
        """Stand at the top of each sub-trie."""
        for top in tops:
            if isinstance(top, _End):
                self.ends.append(_Member(top, 1.0, 1.0))
            else:
                self._open(*top, 0, 1.0, 1.0)

    def divided(self, parts: int) -> _Crowd:
        """A crowd that goes on from here by itself, smaller by so much."""
        other = _Crowd(self._rng, max(2, self._most // parts))
        other.size, other.ends = self.size, other._drawn(self.ends)
        return other

    def lacks(self, values_only: bool) -> list[Ask]:
        """What it wants."""
        nodes = [] if values_only else [Ask(pack(member.end.path), member.end.hash) for member in self.ends]
        return [*nodes, *(Ask(value.key, value.hash) for value in self.values)]

    def advance(self, store: _Store, values_only: bool) -> None:
        """Open what was fetched."""
        for value in self.values:
            self.size = self.size.add(Size(0, 0, len(store[value.hash])), value.weight)
        self.values = []
        if values_only:
            return
        ends, self.ends = self.ends, []
        for member in ends:
            raw = store[member.end.hash]
            self._open(member.end.path, decode_node(raw), len(raw), member.weight, member.promise)
        if self.is_part and len(self.ends) > self._most:
            self.ends = self._drawn(self.ends)
        if len(self.values) > LEVEL_VALUES:
            masses = [value.weight for value in self.values]
            chosen = drawn(masses, LEVEL_VALUES, self._rng)
            self.is_drawn = True
            self.values = [self.values[at]._replace(weight=masses[at] / chance) for at, chance in chosen]

    def _drawn(self, members: list[_Member]) -> list[_Member]:
        self.is_part = True
        if len(members) <= self._most:
            return members
        masses = [member.weight * member.promise for member in members]
        # Whoever promises little may hold much: nobody's chance is far below the usual one.
        usual = math.fsum(masses) / len(masses)
        masses = [mass + usual * EVEN for mass in masses]
        chosen = drawn(masses, self._most, self._rng)
        return [members[at]._replace(weight=members[at].weight / chance) for at, chance in chosen]

    is_part = False
    """Whether it is one of several."""

    def _open(self, path: bytes, node: Node, size: int, weight: float, promised: float) -> None:
        keys, values, children = _within(path, node)
        self.size = self.size.add(Size(keys, (size > 0) + len(values), size), weight)
        self.values += [_Value(*value, weight) for value in values]
        below = max(promise(len(children)), promised / max(1, len(children)))
        self.ends += [_Member(child, weight, below) for child in children]


def promise(children: int) -> float:
    """Keys that are likely below each of so many children: so many keys thrown at 16 slots hit as many of them."""
    if children >= 16:
        return CROWDED / 16
    return max(1.0, 16 * math.log(16 / (16 - children)) / children) if children else 1.0


def drawn(masses: Sequence[float], most: int, rng: random.Random) -> list[tuple[int, float]]:
    """About ``most`` of the places of ``masses``, each with the chance it had, which grows with its mass.

    Whatever has more than its share is taken for sure; of the others, every so much of their mass in order, from
    a random begin on: neighbours are alike, and are not drawn together.
    """
    order = sorted(range(len(masses)), key=masses.__getitem__, reverse=True)
    total, left = math.fsum(masses), most
    sure: set[int] = set()
    for at in order:
        if left <= 1 or masses[at] * left < total:
            break
        sure.add(at)
        total, left = total - masses[at], left - 1
    step = total / max(left, 1)
    found = [(at, 1.0) for at in sure]
    gone, next_at = 0.0, rng.random() * step
    for at, mass in enumerate(masses):
        if at in sure:
            continue
        gone += mass
        if gone > next_at:
            found.append((at, mass / step))
            next_at += step
    return sorted(found)
