"""A trie as large as the main network's, of which only the parts are made that are looked at.

Whatever lies beside the paths of the keys that are to change is a hash that stands for nothing: no walk goes there.
So 800,000 keys cost the time of the few thousand that change, and the shape is that of the whole.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from indexer.devchain.trie_build import TrieStore
from indexer.model import HashedValue
from indexer.subtrie import Pairs
from indexer.trie import INLINE_VALUE_MAX, Node, blake2_256, encode_node

SUBNETS, POOL_MAPS = 129, 8
ACCOUNT_BYTES, STAKE_BYTES, POOL_BYTES = 80, 16, 8


@dataclass(frozen=True, slots=True)
class Keys:
    """Storage keys of the maps that change from block to block, and what stands under them."""

    prefixes: tuple[bytes, ...]
    accounts: Sequence[bytes]
    stakes: Sequence[bytes]
    pools: Sequence[bytes]

    def value(self, key: bytes, chance: random.Random) -> bytes:
        """A new value for ``key``: of an account 80 bytes, stored by hash; of the others a few, in the leaf."""
        sizes = (ACCOUNT_BYTES, STAKE_BYTES, *[POOL_BYTES] * POOL_MAPS)
        return chance.randbytes(sizes[self.prefixes.index(key[:32])])


def keys(accounts: int, stakes: int, chance: random.Random) -> Keys:
    """Keys as the main network's: accounts; stakes by hotkey, coldkey and netuid; pool values by netuid."""
    prefixes = tuple(sorted(chance.randbytes(32) for _ in range(2 + POOL_MAPS)))
    draw = chance.randbytes
    hotkeys = [draw(48) for _ in range(max(1, stakes // 60))]
    return Keys(
        prefixes,
        [prefixes[0] + draw(48) for _ in range(accounts)],
        list(
            {
                prefixes[1] + chance.choice(hotkeys) + draw(48) + chance.randrange(SUBNETS).to_bytes(2, "little"): None
                for _ in range(stakes)
            }
        ),
        [prefix + netuid.to_bytes(2, "little") for prefix in prefixes[2:] for netuid in range(SUBNETS)],
    )


class _Kept(dict[bytes, bytes]):
    """Nodes by hash. Where a proof goes on beside what was made, as one for an odd path, it finds a leaf."""

    def __missing__(self, name: bytes) -> bytes:
        return encode_node(Node(bytes(90), None, HashedValue(name)))


@dataclass(frozen=True)
class _Touched(Pairs):
    """Pairs of which only the nodes on the way to some keys are made, and kept."""

    touched: Sequence[int] = ()
    """Where in the list those keys are, in order."""
    kept: dict[bytes, bytes] = field(default_factory=dict)

    def _encode(self, start: int, end: int, depth: int) -> bytes:
        at = bisect_left(self.touched, start)
        if at == len(self.touched) or self.touched[at] >= end:
            return b"stands for %d keys from " % (end - start) + self.keys[start]  # long enough to be named by a hash
        raw = super()._encode(start, end, depth)
        self.kept[blake2_256(raw)] = raw
        return raw


def state(found: Keys, touched: Iterable[bytes], chance: random.Random) -> tuple[bytes, TrieStore]:
    """The root of a state with all keys, and a store in which the ``touched`` ones can be changed and proven."""
    wanted = set(touched)
    every = sorted([*found.accounts, *found.stakes, *found.pools])
    values = [found.value(key, chance) if key in wanted else b"" for key in every]
    places = [at for at, key in enumerate(every) if key in wanted]
    kept = _Kept((blake2_256(value), value) for value in values if len(value) > INLINE_VALUE_MAX)
    root = blake2_256(_Touched(every, values, touched=places, kept=kept).node())
    return root, TrieStore(raw=kept)
