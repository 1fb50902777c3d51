"""Trie nodes that were received and verified, kept for the blocks to come, within a limit of memory.

Shared by all workers, since a node never changes. Knows nothing of what stands in a node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_TAKEN_BESIDES = 150
"""Bytes of memory that a node takes besides its encoding: 33 for the bytes object, 65 for its name, and 30 to 60 for
its place in a dict. By ``tracemalloc`` 127 to 158 whatever the node's size; a test holds it within a fifth."""


KEPT_BLOCKS = 400
"""A generation lasts so many blocks at most: more than the 360 of an epoch (``SubtensorModule.Tempo``), after which
what rests in between is needed again. On a chain of small blocks memory would grow for days otherwise, with nodes of
states that are long over."""


class NodeCache:
    """Trie nodes by hash, bounded by bytes and by blocks; shared by all workers, since a node never changes.

    Two generations: what was not used since the last turn is dropped with the older one.
    """

    def __init__(self, limit_bytes: int, progressed: Callable[[], None] = lambda: None) -> None:
        """``progressed`` is called whenever nodes come in."""
        self._limit_bytes, self._progressed = limit_bytes // 2, progressed
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._young_bytes = self._young_blocks = 0

    def get(self, key: bytes, /) -> bytes | None:
        """The node's bytes; a hit keeps it for another generation."""
        raw = self._young.get(key)
        if raw is None:
            raw = self._old.get(key)
            if raw is not None:
                self._put(key, raw)
        return raw

    def update(self, nodes: Mapping[bytes, bytes]) -> None:
        """Keep nodes whose hash was computed from their bytes."""
        self._progressed()
        for key, raw in nodes.items():
            if key not in self._young:
                self._put(key, raw)

    def block_passed(self) -> None:
        """A block is captured: nodes that none of the last ``KEPT_BLOCKS`` used go, those that one used stay."""
        self._young_blocks += 1
        if self._young_blocks >= KEPT_BLOCKS:
            self._turn()

    def _put(self, key: bytes, raw: bytes) -> None:
        self._young[key] = raw
        self._young_bytes += len(raw) + _TAKEN_BESIDES
        if self._young_bytes > self._limit_bytes:
            self._turn()

    def _turn(self) -> None:
        self._old, self._young, self._young_bytes, self._young_blocks = self._young, {}, 0, 0
