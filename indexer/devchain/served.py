"""What a node serves: the parts of a chain that the RPC, its subscriptions and the socket look at.

``chain.Chain`` makes its blocks and keeps all of it in memory; ``prepared.PreparedChain`` finds them on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from indexer.devchain.blocks import ChainBlock

if TYPE_CHECKING:
    from indexer.devchain.runtime_file import ServedRuntime


class UnknownBlock(LookupError):
    """No block has this hash, or it was forgotten."""


class StateDiscarded(LookupError):
    """The block is known but its state was pruned."""


@dataclass(slots=True)
class Listener:
    """Who wants to know of new blocks. Called at once, in order, from whoever drives the chain."""

    on_block: Callable[[ChainBlock], None]
    """Every imported block, on whatever fork."""
    on_best: Callable[[ChainBlock], None]
    on_finalized: Callable[[ChainBlock], None]
    """Only the last of the blocks finalized at once, as a real node."""


class ServedState(Protocol):
    """The state after one block."""

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``; None if absent."""
        ...

    def keys(self, prefix: bytes = b"", after: bytes | None = None, count: int | None = None) -> list[bytes]:
        """At most ``count`` keys under ``prefix`` in order, after the key ``after``."""
        ...

    def prove(self, keys: Iterable[bytes]) -> list[bytes]:
        """The nodes that a look-up of each key visits, and the hashed values found."""
        ...


class ChainInfo(Protocol):
    """What a chain says of itself."""

    @property
    def name(self) -> str:
        """As ``system_chain`` gives it."""
        ...

    @property
    def length(self) -> int | None:
        """How many blocks there are, the genesis block included; None without end."""
        ...


class ServedChain(Protocol):
    """Blocks, states, heads, and who is told of them."""

    listeners: list[Listener]

    @property
    def producer(self) -> ChainInfo:
        """Where the blocks come from."""
        ...

    @property
    def best(self) -> ChainBlock:
        """The head of the canonical chain."""
        ...

    @property
    def finalized(self) -> ChainBlock:
        """The last finalized block."""
        ...

    def block(self, block_hash: bytes) -> ChainBlock:
        """Raises ``UnknownBlock``."""
        ...

    def hash_at(self, number: int) -> bytes | None:
        """Hash of the canonical block at a height, None above the best head."""
        ...

    def state(self, block_hash: bytes) -> ServedState:
        """The state after a block. Raises ``UnknownBlock`` or ``StateDiscarded``."""
        ...

    def runtime(self, block_hash: bytes) -> ServedRuntime:
        """The runtime in a block's state."""
        ...

    def grow(self, count: int = 1) -> Sequence[ChainBlock]:
        """Add ``count`` blocks to the best head; fewer if there are no more."""
        ...

    def finalize(self, number: int) -> None:
        """Finalize the canonical chain up to ``number``."""
        ...
