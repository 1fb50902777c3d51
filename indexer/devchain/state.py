"""One state of a chain, readable: a root in a trie store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from indexer.devchain.blocks import CODE_KEY
from indexer.devchain.trie_build import TrieStore
from indexer.model import HashedValue
from indexer.trie import blake2_256


@dataclass(frozen=True, slots=True)
class State:
    """The state after one block."""

    store: TrieStore
    root: bytes

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``; None if absent. Raises ``ValueNotRecorded``."""
        return self.store.get(self.root, key)

    def keys(self, prefix: bytes = b"", after: bytes | None = None, count: int | None = None) -> list[bytes]:
        """At most ``count`` keys under ``prefix`` in order, after the key ``after``."""
        return list(islice(self.store.keys(self.root, prefix, after), count))

    def prove(self, keys: Iterable[bytes]) -> list[bytes]:
        """A read proof for ``keys``, see ``TrieStore.prove``."""
        return self.store.prove(self.root, keys)

    def code_hash(self) -> bytes:
        """blake2b-256 of ``:code``: which runtime a node would start on this state."""
        code = self.store.stored(self.root, CODE_KEY)
        if code is None:
            raise LookupError("the state has no :code")
        return code.hash if isinstance(code, HashedValue) else blake2_256(code)
