"""Which part of the trie is wanted: sorted nibble paths of prefixes, and where another path lies to them.

Pure. None of the prefixes covers another, so that only the neighbours of a path have to be looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from indexer.trie.codec import nibbles


def outermost(prefixes: Iterable[bytes]) -> list[bytes]:
    """The prefixes as sorted nibble paths, without those that another one already covers."""
    kept: list[bytes] = []
    for prefix in sorted(nibbles(prefix) for prefix in prefixes):
        if not (kept and prefix.startswith(kept[-1])):
            kept.append(prefix)
    return kept


def is_inside(path: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether ``path`` begins with a wanted prefix: only the last one not above it can be that."""
    at = bisect_right(wanted, path)
    return at > 0 and path.startswith(wanted[at - 1])


def is_relevant(path: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether a wanted key can lie at or below ``path``."""
    at = bisect_right(wanted, path)
    return (at < len(wanted) and wanted[at].startswith(path)) or (at > 0 and path.startswith(wanted[at - 1]))
