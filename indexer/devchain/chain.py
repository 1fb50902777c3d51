"""The simulated chain: a tree of blocks over one trie store, a best head and a finalized head.

Owns growth, forks, finality and what a node keeps of old states. It knows nothing of pallets: a
``Producer`` says what the next block does. It does no I/O and reads no clock, so a test can drive
it block by block; ``server`` is what gives it a heartbeat and a socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from indexer.devchain import oracle
from indexer.devchain.blocks import GENESIS_PARENT, Body, ChainBlock, seal_block
from indexer.devchain.runtime_file import ServedRuntime
from indexer.devchain.served import Listener, StateDiscarded, UnknownBlock
from indexer.devchain.state import State
from indexer.devchain.trie_build import TrieStore
from indexer.model import Header
from indexer.trie import EMPTY_ROOT

SWEEP_EVERY_BLOCKS = 256
"""Finalized blocks after which what need not be kept is forgotten: looking for it costs a walk over all states."""


class Producer(Protocol):
    """Decides what blocks do. Deterministic: the same parent and salt give the same body."""

    name: str
    """The chain's name, as ``system_chain`` gives it."""
    length: int | None
    """How many blocks there are, the genesis block included; None without end."""

    def genesis(self) -> Body:
        """The whole first state as changes, no extrinsics."""
        ...

    def produce(self, parent: Header, state: State, salt: int) -> Body | None:
        """The block after ``parent``, whose state is ``state``; another salt gives another block. None: no more."""
        ...

    def runtime(self, code_hash: bytes) -> ServedRuntime:
        """The runtime behind a code hash. Raises ``LookupError``."""
        ...


class Chain:
    """Blocks by hash, the canonical chain by number, and all their states."""

    def __init__(self, producer: Producer, *, keep_states: int | None = None, keep_blocks: int | None = None) -> None:
        """``keep_states``: how many finalized states stay readable; None keeps all (an archive node).

        ``keep_blocks``: how many finalized blocks, and forks from them, stay known by more than their hash; at
        least ``keep_states``. With both, the memory of a chain that grows for ever is bounded but for the hashes.
        """
        if keep_blocks is not None and (keep_states is None or keep_states > keep_blocks):
            raise ValueError("a block cannot be forgotten before its state")
        self.producer = producer
        self.keep_states, self.keep_blocks = keep_states, keep_blocks
        self._swept = 0
        self.store = TrieStore()
        self.listeners: list[Listener] = []
        self._blocks: dict[bytes, ChainBlock] = {}
        self._canonical: list[bytes] = []
        body = producer.genesis()
        root = self.store.update(EMPTY_ROOT, body.changes)
        self.genesis = seal_block(0, GENESIS_PARENT, root, body)
        self._blocks[self.genesis.hash] = self.genesis
        self._canonical.append(self.genesis.hash)
        self.finalized = self.genesis

    @property
    def best(self) -> ChainBlock:
        """The head of the canonical chain."""
        return self._blocks[self._canonical[-1]]

    def block(self, block_hash: bytes) -> ChainBlock:
        """Raises ``UnknownBlock``."""
        try:
            return self._blocks[block_hash]
        except KeyError:
            raise UnknownBlock(f"0x{block_hash.hex()}") from None

    def hash_at(self, number: int) -> bytes | None:
        """Hash of the canonical block at a height, None above the best head."""
        return self._canonical[number] if 0 <= number < len(self._canonical) else None

    def at(self, number: int) -> ChainBlock:
        """The canonical block at a height. Raises ``UnknownBlock``."""
        block_hash = self.hash_at(number)
        if block_hash is None:
            raise UnknownBlock(f"number {number}")
        return self.block(block_hash)

    def state(self, block_hash: bytes) -> State:
        """The state after a block. Raises ``UnknownBlock`` or ``StateDiscarded``."""
        block = self.block(block_hash)
        if self.keep_states is not None and block.number <= self.finalized.number - self.keep_states:
            raise StateDiscarded(f"0x{block_hash.hex()}")
        return State(self.store, block.header.state_root)

    def runtime(self, block_hash: bytes) -> ServedRuntime:
        """The runtime in a block's state: what a node answers with at that block (it executes the next one)."""
        return self.producer.runtime(self.state(block_hash).code_hash())

    def executed_by(self, block_hash: bytes) -> ServedRuntime:
        """The runtime that executed a block: the one in its parent's state (genesis: its own)."""
        block = self.block(block_hash)
        return self.runtime(block.header.parent_hash if block.number else block_hash)

    def stake_at(self, block_hash: bytes) -> dict[oracle.Position, int]:
        """The chain's own answer: alpha in rao of every stored share row after a block, see ``oracle``."""
        return oracle.stake_at(self.state(block_hash), self.executed_by(block_hash).spec_version)

    def prices_at(self, block_hash: bytes) -> dict[int, int]:
        """The chain's own answer: rao for one alpha of every subnet after a block, see ``oracle``."""
        return oracle.prices_at(self.state(block_hash), self.executed_by(block_hash).spec_version)

    def import_block(self, parent: ChainBlock, salt: int = 0) -> ChainBlock | None:
        """Make one block on ``parent``; it becomes best only if that makes the longest chain.

        None if the producer has no more. Raises ``StateDiscarded`` if the parent's state is gone.
        """
        body = self.producer.produce(parent.header, self.state(parent.hash), salt)
        if body is None:
            return None
        root = self.store.update(parent.header.state_root, body.changes)
        block = seal_block(parent.number + 1, parent.hash, root, body)
        if block.hash in self._blocks:
            return self._blocks[block.hash]
        self._blocks[block.hash] = block
        for listener in self.listeners:
            listener.on_block(block)
        if block.number > self.best.number:
            self.set_best(block.hash)
        return block

    def grow(self, count: int = 1) -> list[ChainBlock]:
        """Add ``count`` blocks to the best head; fewer if the producer has no more."""
        made: list[ChainBlock] = []
        for _ in range(count):
            block = self.import_block(self.best)
            if block is None:
                break
            made.append(block)
        return made

    def fork(self, at: int, length: int, salt: int = 1) -> list[ChainBlock]:
        """Build ``length`` other blocks on the canonical block at height ``at``.

        The fork becomes the best chain as soon as it is longer. ``salt`` tells forks of one block apart.
        """
        made, parent = list[ChainBlock](), self.at(at)
        for _ in range(length):
            block = self.import_block(parent, salt)
            if block is None:
                break
            made.append(block)
            parent = block
        return made

    def set_best(self, block_hash: bytes) -> None:
        """Make this block the best head, however long its chain is (a node may switch to an equally long fork).

        Raises ``ValueError`` if that would give up a finalized block.
        """
        head = self.block(block_hash)
        branch: list[bytes] = []
        for block in self.ancestors(head):
            if self.hash_at(block.number) == block.hash:
                break
            branch.append(block.hash)
        meets = head.number - len(branch)
        if meets < self.finalized.number:
            raise ValueError(f"block {head.number} does not descend from the finalized block {self.finalized.number}")
        del self._canonical[meets + 1 :]
        self._canonical.extend(reversed(branch))
        for listener in self.listeners:
            listener.on_best(head)

    def finalize(self, number: int) -> None:
        """Finalize the canonical chain up to ``number`` (never backwards); one notice for the last block."""
        block = self.at(number)
        if block.number > self.finalized.number:
            self.finalized = block
            for listener in self.listeners:
                listener.on_finalized(block)
            if self.keep_states is not None and number - self._swept >= SWEEP_EVERY_BLOCKS:
                self._swept = number
                self._sweep(self.keep_states)

    def _sweep(self, keep_states: int) -> None:
        """Free the memory of what may be forgotten; the genesis block is none of it."""
        if self.keep_blocks is not None:
            oldest = self.finalized.number - self.keep_blocks
            self._blocks = {
                name: block for name, block in self._blocks.items() if block.number > oldest or block.number == 0
            }
        readable = self.finalized.number - keep_states
        self.store.keep_only(block.header.state_root for block in self._blocks.values() if block.number > readable)

    def ancestors(self, block: ChainBlock) -> Iterator[ChainBlock]:
        """The block itself, its parent, and so on to the genesis block."""
        while True:
            yield block
            if block.number == 0:
                return
            block = self._blocks[block.header.parent_hash]


__all__ = ["SWEEP_EVERY_BLOCKS", "Chain", "Listener", "Producer", "StateDiscarded", "UnknownBlock"]
