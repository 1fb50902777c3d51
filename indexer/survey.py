"""How large a state is, before it is read: from a few random paths down each map.

A path that takes a random child at each branch estimates the nodes below each of its own by the fan-outs it meets
(Knuth 1975); that is right on average for any tree, and keys being hashed, sub-tries at one depth of a map are alike.
Pure, like ``trie.diff``: yields the nodes it lacks. What it reads the walk needs too, so it costs a few calls only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from indexer.model import HashedValue
from indexer.trie import EMPTY_ROOT, HASH_LENGTH, MissingNode, Nodes, Want, decode_node, nibbles

MAP_NIBBLES = 64
"""Nibbles of a map's prefix: twox128 of the pallet and of the item."""
PROBES = 12
"""Random paths per map: with a handful of large maps, the sum is right within about a tenth."""

Pick: TypeAlias = Callable[[Sequence[int]], int]
Steps: TypeAlias = Generator[list[Want], Mapping[bytes, bytes], "Survey"]


@dataclass(slots=True)
class _Probe:
    """One path down one map: where it is, and what it met."""

    prefix: bytes
    path: bytes
    ref: bytes | None
    met: list[tuple[int, int, int]] = field(default_factory=list)
    """(length of the path, nodes and values to read here, children to read below)."""

    def step(self, raw: bytes, pick: Pick) -> None:
        """Go on from the node at ``path``, whose bytes these are."""
        node = decode_node(raw)
        at = self.path + node.partial
        children = node.children or ()
        below = [slot for slot, child in enumerate(children) if child is not None and len(child) == HASH_LENGTH]
        if len(at) < len(self.prefix):
            slot = self.prefix[len(at)]
            leads = self.prefix.startswith(at) and slot in below
        else:
            leads = at.startswith(self.prefix) and bool(below)
            if at.startswith(self.prefix):
                self.met.append((len(self.path), 1 + isinstance(node.value, HashedValue), len(below)))
            slot = pick(below) if leads else 0
        self.path, self.ref = at + bytes([slot]), children[slot] if leads else None


@dataclass(frozen=True, slots=True)
class Survey:
    """Nodes and values that have to be read at and below a slot, on average, by map and length of the slot's path."""

    sizes: Mapping[bytes, Mapping[int, float]]

    def below(self, path: bytes) -> float:
        """Reads that the slot at ``path`` (nibbles) still costs."""
        if len(path) < MAP_NIBBLES:
            return sum(sizes[min(sizes)] for prefix, sizes in self.sizes.items() if sizes and prefix.startswith(path))
        return self.sizes.get(path[:MAP_NIBBLES], {}).get(len(path), 1.0)

    def left(self, paths: Iterable[bytes]) -> float:
        """The same of many slots."""
        return sum(map(self.below, paths))


def survey(root: bytes, prefixes: Collection[bytes], nodes: Nodes, *, pick: Pick | None = None) -> Steps:
    """Estimate the reads that the whole state under ``prefixes`` (32 bytes each) costs.

    Yields the nodes that ``nodes`` lacks, and must be sent them by hash; else raises ``MissingNode``. ``pick``
    chooses among slots; by default at random, but the same for the same state.
    """
    pick = random.Random(root).choice if pick is None else pick
    start = None if root == EMPTY_ROOT else root
    probes = [_Probe(nibbles(prefix), b"", start) for prefix in prefixes for _ in range(PROBES)]
    sent: Mapping[bytes, bytes] = {}
    going = probes
    while True:
        wants: dict[bytes, Want] = {}
        for probe in going:
            while probe.ref is not None:
                raw = sent.get(probe.ref) or nodes.get(probe.ref)
                if raw is None:
                    wants[probe.ref] = Want(probe.path, probe.ref, False, False)
                    break
                probe.step(raw, pick)
        if not wants:
            return Survey({prefix: _sizes(own) for prefix, own in _by_map(probes).items()})
        sent = yield list(wants.values())
        if wants.keys() - sent.keys():
            raise MissingNode("a node that the survey of the state asked for is missing")
        going = [probe for probe in going if probe.ref is not None]


def _by_map(probes: Iterable[_Probe]) -> dict[bytes, list[_Probe]]:
    found: dict[bytes, list[_Probe]] = {}
    for probe in probes:
        found.setdefault(probe.prefix, []).append(probe)
    return found


def _sizes(probes: Iterable[_Probe]) -> dict[int, float]:
    """Mean reads below a slot, by the length of its path."""
    found: dict[int, list[float]] = {}
    for probe in probes:
        size = 0.0
        for length, own, children in reversed(probe.met):
            size = own + children * size
            found.setdefault(length, []).append(size)
    means = {length: sum(sizes) / len(sizes) for length, sizes in found.items()}
    filled, last = {}, 1.0
    for length in range(max(means, default=0), min(means, default=1) - 1, -1):  # lengths that no path met
        filled[length] = last = means.get(length, last)
    return filled
