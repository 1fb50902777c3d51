"""Which keys will change: those that change often, and those whose parts an event names as it did before.

Learns from each decoded block, by the metadata's key types alone: what a changed key is made of (accounts, subnets)
is looked for among the values of the block's events, and what was found once is tried again at the next event of
that kind, as long as it proves right often enough. A prediction is only a hint: it saves round trips where it is
right and costs bytes where it is not. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from indexer.model import Change, EventRecord, ItemRef
from indexer.scale import EncodeError, Runtime, StorageItem, twox128
from indexer.trie import nibbles, pack

KEYS_KNOWN = 60_000
"""Keys that changed lately, kept with how often."""
OFTEN_MAX = 4_000
NAMED_MAX = 4_000
"""Keys that may be asked for in every block, and for the events of one block: what a bad guess costs at most."""
OFTEN = 0.2
"""Part of the blocks in which a key has to change to be asked for in each."""
FADE = 0.9
"""What a block weighs against the next one, when it is told how often a key changes."""
LIST_MAX = 64
"""Elements of a list in an event that are looked at."""
UNLEARNT_MAX = 256
"""Blocks kept until there is time to learn from them: all of a transaction, mostly; the oldest is forgotten."""
LEARNED_PER_ITEM = 12
"""Changes of one item nobody predicted that are looked for among the events of a block."""
LEARNING_BLOCKS, LEARNING_EVERY = 64, 8
"""Each of the first blocks is searched for rules, later one of so many: the search costs about what decoding does."""
SOURCES_MAX = 4
RULES_PER_KIND = 48
TRIES_FIRST, USEFUL, TRIES_KEPT = 6, 0.15, 256
"""A rule is kept to while it is new, and while it is right as often as this in the last tries."""
BELOW_MAX = 4
_SHORTEST_PATH = 66
"""Nibbles of an item's prefix, and two more: nearer to the root too much lies below."""

_Path: TypeAlias = "tuple[str | int, ...]"
_Part: TypeAlias = "bytes | int"
_Kind: TypeAlias = "tuple[str, str]"
_Seen: TypeAlias = "tuple[bytes, Mapping[ItemRef, Sequence[Change]], Sequence[EventRecord]]"


@dataclass(slots=True)
class _Rule:
    """A key of ``item`` whose parts stand at ``paths`` in the fields of an event, and how often it changed."""

    item: ItemRef
    paths: tuple[_Path, ...]
    tries: int = 0
    hits: int = 0

    @property
    def is_useful(self) -> bool:
        return self.tries < TRIES_FIRST or self.hits >= USEFUL * self.tries

    def count(self, hit: bool) -> None:
        self.tries, self.hits = self.tries + 1, self.hits + hit
        if self.tries > TRIES_KEPT:
            self.tries, self.hits = self.tries // 2, self.hits // 2


class Prediction:
    """What one run has learnt. All workers share it; the order in which they tell of blocks is no matter."""

    def __init__(self) -> None:
        self._blocks = 0
        self._seen: dict[bytes, tuple[float, int]] = {}
        self._often: tuple[int, list[bytes]] = (-1, [])
        self._sorted: tuple[int, list[bytes]] = (0, [])
        self._rules: dict[_Kind, dict[tuple[ItemRef, tuple[_Path, ...]], _Rule]] = {}
        self._named: dict[bytes, dict[bytes, _Rule]] = {}
        self._prefixes: dict[ItemRef, bytes] = {}
        self._unlearnt = deque[_Seen](maxlen=UNLEARNT_MAX)

    def often(self) -> list[bytes]:
        """Keys to ask for in every block."""
        at, keys = self._often
        if at < 0 or self._blocks >= at + 4 or self._blocks < 8:
            fading = [FADE**age for age in range(64)]
            least = OFTEN * (1 - FADE**self._blocks) / (1 - FADE)
            rated = [
                (score * fading[age], key)
                for key, (score, last) in self._seen.items()
                if (age := self._blocks - last) < 64 and score * fading[age] >= least
            ]
            keys = [key for _, key in sorted(rated, reverse=True)[:OFTEN_MAX]]
            self._often = self._blocks, keys
        return keys

    def named(self, block_hash: bytes, events: Iterable[EventRecord], runtime: Runtime) -> list[bytes]:
        """Keys that the events of a block name; ``saw`` is told of the block by its hash later."""
        found: dict[bytes, _Rule] = {}
        items: dict[ItemRef, tuple[StorageItem | None, set[tuple[_Part, ...]]]] = {}
        for event in events:
            rules = self._rules.get((event.pallet, event.name))
            if not rules:
                continue
            leaves: dict[_Path, list[_Part]] = {}
            for rule in rules.values():
                if not rule.is_useful:
                    continue
                if rule.item not in items:
                    items[rule.item] = runtime.item(rule.item), set()
                kind, built = items[rule.item]
                if kind is None:
                    continue
                columns = []
                for path in rule.paths:
                    if path not in leaves:
                        leaves[path] = _at(event.fields, path)
                    columns.append(leaves[path])
                for parts in _aligned(columns):
                    if parts in built or len(found) >= NAMED_MAX:
                        continue
                    built.add(parts)
                    try:
                        found.setdefault(kind.key(*parts), rule)
                    except EncodeError:
                        rule.count(False)
        self._named[block_hash] = found
        while len(self._named) > 256:  # a block that was read ahead and never decoded
            self._named.pop(next(iter(self._named)))
        return list(found)

    def below(self, path: bytes) -> list[bytes]:
        """Some keys known to lie below a trie path (nibbles), where it is deep enough to tell."""
        if len(path) < _SHORTEST_PATH:
            return []
        keys = self._sorted[1]
        at, found = bisect_left(keys, pack(path)), list[bytes]()
        while at < len(keys) and len(found) < BELOW_MAX and nibbles(keys[at]).startswith(path):
            found.append(keys[at])
            at += 1
        return found

    def saw(
        self, block_hash: bytes, changes: Mapping[ItemRef, Sequence[Change]], events: Sequence[EventRecord]
    ) -> None:
        """Keep what changed in a block until there is time to ``learn`` from it."""
        self._unlearnt.append((block_hash, changes, events))

    def learn(self) -> bool:
        """Take in the first of the blocks that were seen, and give whether there was one.

        It costs as much as decoding a block does: best done while nobody waits for one.
        """
        if not self._unlearnt:
            return False
        self._take_in(*self._unlearnt.popleft())
        return True

    def _take_in(
        self, block_hash: bytes, changes: Mapping[ItemRef, Sequence[Change]], events: Sequence[EventRecord]
    ) -> None:
        named = self._named.pop(block_hash, {})
        often = set(self._often[1])
        missed: list[Change] = []
        self._blocks += 1
        now, seen = self._blocks, self._seen
        changed: set[bytes] = set()
        for item, own in changes.items():
            prefix, unforeseen = self._prefix(item), list[Change]()
            for change in own:
                key = prefix + change.raw_key
                changed.add(key)
                score, last = seen.pop(key, (0.0, now))
                seen[key] = (score * FADE ** (now - last) + 1.0, now)
                if key not in named and key not in often:
                    unforeseen.append(change)
            missed += unforeseen[:LEARNED_PER_ITEM]
        for key, rule in named.items():
            rule.count(key in changed)
        if missed and events and (now <= LEARNING_BLOCKS or now % LEARNING_EVERY == 0):
            self._look_for(missed, events)
        while len(seen) > KEYS_KNOWN:
            seen.pop(next(iter(seen)))
        if now >= self._sorted[0] + 32 or now in (1, 2, 4, 8, 16):
            self._sorted = now, sorted(seen)

    def _prefix(self, item: ItemRef) -> bytes:
        if item not in self._prefixes:
            self._prefixes[item] = twox128(item.pallet.encode()) + twox128(item.item.encode())
        return self._prefixes[item]

    def _look_for(self, missed: Iterable[Change], events: Sequence[EventRecord]) -> None:
        """Rules for changes that nothing predicted: events that hold all parts of their keys."""
        told = [_leaves(event.fields) for event in events]
        where: dict[_Part, list[tuple[int, _Path]]] = {}
        for at, leaves in enumerate(told):
            for path, values in leaves.items():
                for value in values:
                    where.setdefault(value, []).append((at, path))
        for change in missed:
            parts = [part for part in change.key if isinstance(part, (bytes, int)) and _is_part(part)]
            if not parts or len(parts) != len(change.key):
                continue
            for at, paths in _sources(parts, where):
                event = events[at]
                rules = self._rules.setdefault((event.pallet, event.name), {})
                rule = rules.get((change.item, paths))
                if rule is None and len(rules) < RULES_PER_KIND:
                    rule = rules[(change.item, paths)] = _Rule(change.item, paths)
                if rule is not None:
                    rule.count(True)
                elif (
                    worst := min(rules.values(), key=lambda one: one.hits / (one.tries or 1))
                ) and not worst.is_useful:
                    del rules[(worst.item, worst.paths)]


def _sources(
    parts: Sequence[_Part], where: Mapping[_Part, list[tuple[int, _Path]]]
) -> list[tuple[int, tuple[_Path, ...]]]:
    """The first events, and the place in each, that hold all parts of a key."""
    rarest = min(parts, key=lambda part: len(where.get(part, ())))
    found: list[tuple[int, tuple[_Path, ...]]] = []
    for at in dict.fromkeys(at for at, _ in where.get(rarest, ())):
        paths = [next((path for own, path in where.get(part, ()) if own == at), None) for part in parts]
        if None not in paths:
            found.append((at, tuple(path for path in paths if path is not None)))
            if len(found) == SOURCES_MAX:
                break
    return found


def _is_part(value: object) -> bool:
    return type(value) is int or (type(value) is bytes and len(value) == 32)


def _leaves(fields: object) -> dict[_Path, list[_Part]]:
    """What may be a part of a key among the fields of an event, by where it stands; a list's elements share a place."""
    leaves: dict[_Path, list[_Part]] = {}
    for path, value in _walk(fields, ()):
        leaves.setdefault(path, []).append(value)
    return leaves


def _walk(value: object, path: _Path) -> Iterator[tuple[_Path, _Part]]:
    if type(value) is int or (type(value) is bytes and len(value) == 32):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, (*path, name))
    elif isinstance(value, tuple):
        for at, inner in enumerate(value[:LIST_MAX]):
            yield from _walk(inner, (*path, at))
    elif isinstance(value, list):
        for inner in value[:LIST_MAX]:
            yield from _walk(inner, (*path, "*"))


def _at(fields: object, path: _Path) -> list[_Part]:
    """What ``_leaves`` finds at one place, and nothing else of an event: far fewer are asked for than there are."""
    values: list[Any] = [fields]
    for step in path:
        if step == "*":
            values = [inner for value in values if type(value) is list for inner in value[:LIST_MAX]]
        elif isinstance(step, str):
            values = [value[step] for value in values if type(value) is dict and step in value]
        else:
            values = [value[step] for value in values if type(value) is tuple and step < min(len(value), LIST_MAX)]
    return [value for value in values if _is_part(value)]


def _aligned(columns: Sequence[list[_Part]]) -> Iterable[tuple[_Part, ...]]:
    """Tuples of one value of each column: those of lists side by side, single ones with each."""
    length = max(map(len, columns))
    if length == 1 == min(map(len, columns)):
        return (tuple([column[0] for column in columns]),)
    if all(len(column) in (1, length) for column in columns):
        return zip(*(column if len(column) == length else column * length for column in columns), strict=True)
    return ()
