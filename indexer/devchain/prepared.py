"""A chain that was made before and lies in a folder: all its blocks and states, to be looked up and shown one by one.

Owns the folder's form: ``manifest.json`` (what it is, how long the files are), ``blocks.jsonl`` (a header, a body and
the offset of a state per line), ``nodes`` (see ``node_file``). A folder that is not exactly what its manifest says, or
that another version wrote, is refused. Served like ``chain.Chain``, but without forks and without making anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.devchain import oracle
from indexer.devchain.blocks import CODE_KEY, GENESIS_PARENT, Body, ChainBlock, seal_block
from indexer.devchain.growing_trie import GrowingTrie
from indexer.devchain.node_file import NodeFile
from indexer.devchain.runtime_file import ServedRuntime
from indexer.devchain.served import Listener, UnknownBlock
from indexer.errors import ConfigError
from indexer.trie import blake2_256

VERSION = 1
"""Of the folder's form and of what a seed makes of it: raise it when either changes."""
MANIFEST, BLOCKS, NODES = "manifest.json", "blocks.jsonl", "nodes"


class BadFolder(ConfigError):
    """A folder that holds no prepared chain, or another one than is wanted, or not all of it."""


@dataclass(frozen=True, slots=True)
class PreparedState:
    """The state after one block, read where it lies."""

    nodes: NodeFile
    root: int

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``; None if absent."""
        return self.nodes.get(self.root, key)

    def keys(self, prefix: bytes = b"", after: bytes | None = None, count: int | None = None) -> list[bytes]:
        """At most ``count`` keys under ``prefix`` in order, after the key ``after``."""
        return self.nodes.keys(self.root, prefix, after, count)

    def prove(self, keys: Iterable[bytes]) -> list[bytes]:
        """A read proof for ``keys``, as ``TrieStore.prove`` gives it."""
        return self.nodes.prove(self.root, keys)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a prepared chain says of itself."""

    name: str
    length: int | None


class PreparedChain:
    """The chain in a folder. At first only its genesis block is shown; ``grow`` shows the next ones."""

    def __init__(self, folder: Path, runtimes: Iterable[tuple[bytes, ServedRuntime]]) -> None:
        """``runtimes``: (code, runtime). Raises ``BadFolder``."""
        self.manifest = read_manifest(folder)
        """What the folder says of itself: ``made_from``, ``seconds``, lengths and so on."""
        self._runtimes = {blake2_256(code): runtime for code, runtime in runtimes}
        self._blocks, self._roots = _read_blocks(folder)
        self._number = {block.hash: block.number for block in self._blocks}
        self._nodes = NodeFile(folder / NODES)
        self.producer = Origin(self.manifest["name"], len(self._blocks))
        self.listeners: list[Listener] = []
        self.genesis = self.best = self.finalized = self._blocks[0]

    def close(self) -> None:
        """Let go of the files."""
        self._nodes.close()

    def __enter__(self) -> PreparedChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def block(self, block_hash: bytes) -> ChainBlock:
        """Raises ``UnknownBlock``, as well for blocks that are not shown yet."""
        number = self._number.get(block_hash)
        if number is None or number > self.best.number:
            raise UnknownBlock(f"0x{block_hash.hex()}")
        return self._blocks[number]

    def hash_at(self, number: int) -> bytes | None:
        """Hash of the block at a height, None above the best head."""
        return self._blocks[number].hash if 0 <= number <= self.best.number else None

    def at(self, number: int) -> ChainBlock:
        """The block at a height. Raises ``UnknownBlock``."""
        if self.hash_at(number) is None:
            raise UnknownBlock(f"number {number}")
        return self._blocks[number]

    def state(self, block_hash: bytes) -> PreparedState:
        """The state after a block. Raises ``UnknownBlock``."""
        return PreparedState(self._nodes, self._roots[self.block(block_hash).number])

    def runtime(self, block_hash: bytes) -> ServedRuntime:
        """The runtime in a block's state."""
        return self._runtimes[blake2_256(self.state(block_hash).get(CODE_KEY) or b"")]

    def executed_by(self, block_hash: bytes) -> ServedRuntime:
        """The runtime that executed a block: the one in its parent's state (genesis: its own)."""
        block = self.block(block_hash)
        return self.runtime(block.header.parent_hash if block.number else block_hash)

    def stake_at(self, block_hash: bytes) -> dict[oracle.Position, int]:
        """Alpha in rao of every stored share row after a block, see ``oracle``."""
        return oracle.stake_at(self.state(block_hash), self.executed_by(block_hash).spec_version)

    def prices_at(self, block_hash: bytes) -> dict[int, int]:
        """Rao for one alpha of every subnet after a block, see ``oracle``."""
        return oracle.prices_at(self.state(block_hash), self.executed_by(block_hash).spec_version)

    def grow(self, count: int = 1) -> list[ChainBlock]:
        """Show ``count`` more blocks, each as the new best head; fewer if there are no more."""
        shown = self._blocks[self.best.number + 1 : self.best.number + 1 + count]
        for block in shown:
            self.best = block
            for listener in self.listeners:
                listener.on_block(block)
                listener.on_best(block)
        return shown

    def finalize(self, number: int) -> None:
        """Finalize up to ``number`` (never backwards); one notice for the last block."""
        block = self.at(number)
        if block.number > self.finalized.number:
            self.finalized = block
            for listener in self.listeners:
                listener.on_finalized(block)


class Recorder:
    """Writes a chain into a folder, block by block."""

    def __init__(self, folder: Path) -> None:
        self._nodes, self._blocks = (folder / NODES).open("wb"), (folder / BLOCKS).open("w", encoding="utf-8")
        self.trie = GrowingTrie(self._nodes)
        """To be changed as a block changes the state, before ``add``."""
        self.best: ChainBlock | None = None

    def add(self, extrinsics: tuple[bytes, ...], digest: tuple[bytes, ...]) -> ChainBlock:
        """Append the block after whose execution the state is that of ``trie``."""
        state_root, at = self.trie.seal()
        number, parent = (0, GENESIS_PARENT) if self.best is None else (self.best.number + 1, self.best.hash)
        block = self.best = seal_block(number, parent, state_root, Body({}, extrinsics, digest))
        header = block.header
        line = {
            "state_root": state_root.hex(),
            "extrinsics_root": header.extrinsics_root.hex(),
            "digest": [item.hex() for item in digest],
            "extrinsics": [extrinsic.hex() for extrinsic in extrinsics],
            "hash": block.hash.hex(),
            "root": at,
        }
        self._blocks.write(json.dumps(line) + "\n")
        return block

    def close(self) -> None:
        """Write out what is left."""
        self.trie.flush()
        self._nodes.close()
        self._blocks.close()


@contextmanager
def recorded_into(folder: Path, name: str, made_from: Any) -> Iterator[tuple[Recorder, Callable[..., None]]]:
    """Record a chain into ``folder``, which is replaced when all of it is there; nothing is left of a failure.

    Yields the recorder and a function that adds facts to the manifest.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    facts: dict[str, Any] = {}
    held = os.open(making, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        recorder = Recorder(making)
        try:
            yield recorder, facts.update
        finally:
            recorder.close()
        lengths = {name: (making / name).stat().st_size for name in (BLOCKS, NODES)}
        manifest = {"version": VERSION, "name": name, "made_from": made_from, "bytes": lengths, **facts}
        (making / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        making.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
        os.close(held)


def _remove_abandoned(folder: Path) -> None:
    """Remove what a process left that was killed while it recorded the same folder; a living one holds a lock."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        with suppress(OSError):
            held = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(held)


def read_manifest(folder: Path, wanted: Any = None) -> dict[str, Any]:
    """What a folder says of itself, held against what lies there. Raises ``BadFolder``."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version, made_from, lengths = (manifest[name] for name in ("version", "made_from", "bytes"))
        found = {name: (folder / name).stat().st_size for name in lengths}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFolder(f"{folder} holds no prepared chain: {error!r}; remove it, it can be made anew") from None
    if version != VERSION:
        raise BadFolder(f"{folder} is of format {version}, not {VERSION}; remove it, it can be made anew")
    if wanted is not None and made_from != wanted:
        raise BadFolder(f"{folder} was made from {made_from}, not from {wanted}; give another folder")
    if found != lengths:
        raise BadFolder(f"{folder} is damaged: files of {found} bytes, not {lengths}; remove it, it can be made anew")
    return dict(manifest)


def _read_blocks(folder: Path) -> tuple[list[ChainBlock], list[int]]:
    """All blocks, each held against the hash that names it, and where their states begin."""
    blocks, roots, parent = list[ChainBlock](), list[int](), GENESIS_PARENT
    with (folder / BLOCKS).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            told = json.loads(line)
            extrinsics, digest = (tuple(map(bytes.fromhex, told[name])) for name in ("extrinsics", "digest"))
            block = seal_block(number, parent, bytes.fromhex(told["state_root"]), Body({}, extrinsics, digest))
            if block.hash.hex() != told["hash"]:
                raise BadFolder(f"{folder} is damaged: block {number} has another hash; remove it, it can be made anew")
            blocks.append(block)
            roots.append(told["root"])
            parent = block.hash
    return blocks, roots
