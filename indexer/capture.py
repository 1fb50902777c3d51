"""The changed keys of one block, exact and proven against its state root.

Drives the pure walks of ``trie`` with read proofs from a node: one walk for the difference to the
parent's state under the tracked prefixes, one for the plain values that are read in every block,
one for what is read from the parent's state (above all the hash of the runtime's code). The wants
of all walks are asked for together, so a block costs a few calls whatever the number of maps.
Nothing here knows what a value means, and nothing that does not hash to what was asked is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import anyio
from xxhash import xxh64_intdigest

from indexer.datasets.base import Dataset
from indexer.errors import Fatal, NodeError
from indexer.link import RpcRefused
from indexer.model import Captured, HashedValue, Header, ItemRef, RawChange
from indexer.node import METHOD_NOT_FOUND, Check, Node
from indexer.survey import Survey, survey
from indexer.trie import Ahead, Diff, NodeCache, Want, diff, pack

CODE_KEY = b":code"
EVENTS = ItemRef("System", "Events")
TIMESTAMP = ItemRef("Timestamp", "Now")
KEYS_PER_CALL = 1000
PREDICTED_KEYS_MAX = 4000
Progress: TypeAlias = "Callable[[int, Callable[[], float] | None], None]"
"""Told how much of a whole state is read, and how to find out about how much is left, where that can be."""
BODY_PAUSES_S = (0.0, 0.3, 1.0)
"""Before each time that a body is asked for which nobody had the time before."""


def item_prefix(item: ItemRef) -> bytes:
    """The 32 bytes every key of a storage item begins with: twox128(pallet) ++ twox128(item)."""
    return _twox_128(item.pallet) + _twox_128(item.item)


def _twox_128(name: str) -> bytes:
    return b"".join(xxh64_intdigest(name.encode(), seed=seed).to_bytes(8, "little") for seed in (0, 1))


@dataclass(frozen=True)
class Tracked:
    """What to capture of each block. Prefixes come of names alone, so an item that no metadata lists yet, or
    lists no longer, is watched all the same."""

    items: tuple[ItemRef, ...]
    reads: tuple[ItemRef, ...]
    parent_reads: tuple[ItemRef, ...]
    bodies: bool = False
    """Whether the extrinsics of each block are wanted too."""
    item_of: Mapping[bytes, ItemRef] = field(init=False)
    """Item by its 32-byte prefix."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_of", {item_prefix(item): item for item in self.items})


def track(datasets: Sequence[Dataset]) -> Tracked:
    """What to capture for ``datasets``: each item once."""
    return Tracked(
        items=tuple(dict.fromkeys(item for dataset in datasets for item in dataset.items)),
        reads=tuple(dict.fromkeys([TIMESTAMP, *(item for dataset in datasets for item in dataset.reads)])),
        parent_reads=tuple(dict.fromkeys(item for dataset in datasets for item in dataset.parent_reads)),
        bodies=any(dataset.bodies for dataset in datasets),
    )


@dataclass(slots=True)
class _Walk:
    """One running ``diff``: which block its new side stands for, what it wants, what it found."""

    steps: Diff
    header: Header
    wants: list[Want] = field(default_factory=list)
    found: list[RawChange] | None = None

    def advance(self, nodes: Mapping[bytes, bytes] | None) -> None:
        """Run on until the next wants, or to the end."""
        try:
            self.wants = next(self.steps) if nodes is None else self.steps.send(nodes)
        except StopIteration as stop:
            self.wants, self.found = [], stop.value

    def values(self) -> dict[bytes, bytes | HashedValue | None]:
        """What was found, by key."""
        return {change.key: change.value for change in self.found or ()}


async def capture(
    node: Node,
    cache: NodeCache,
    tracked: Tracked,
    header: Header,
    parent: Header | None,
    grandparent: Header | None,
    *,
    bootstrap: bool,
    predicted: Collection[bytes] = (),
    progress: Progress = lambda _done, _left: None,
) -> Captured:
    """Capture the block of ``header``; ``parent`` is its parent's header, None for block 0.

    ``grandparent`` (None if there is none, or at a bootstrap) tells whether the runtime is a new one.
    ``bootstrap`` takes the whole state under the tracked prefixes instead of the difference.
    ``predicted`` keys are asked for in the first call: a good guess saves calls, a bad one costs a
    few bytes, neither changes the result. ``progress`` is told the number of nodes read at a bootstrap.
    Raises ``ProofError`` if an endpoint's nodes do not lead to the state root, ``NodeError`` if no
    endpoint can answer, or serves read proofs.
    """
    before = parent or header
    old_root = None if bootstrap or parent is None else parent.state_root
    prefixes = list(tracked.item_of)
    reads = {item: item_prefix(item) for item in (EVENTS, *tracked.reads)}
    parent_reads = {item: item_prefix(item) for item in tracked.parent_reads}
    if not bootstrap:
        guess = sorted({*prefixes, *reads.values(), *predicted})
        cache.update(await _proof(node, guess, header, _rootless(header)))
    ahead: list[Ahead] = []
    changes = _Walk(diff(old_root, header.state_root, prefixes, cache, ahead=ahead), header)
    now = _Walk(diff(None, header.state_root, reads.values(), cache), header)
    then_keys = [CODE_KEY, *parent_reads.values()]
    then = _Walk(diff(None, before.state_root, then_keys, cache, hash_only=[CODE_KEY]), before)
    earlier_root = (grandparent or before).state_root
    earlier = _Walk(diff(None, earlier_root, [CODE_KEY], cache, hash_only=[CODE_KEY]), grandparent or before)
    read, calls, left = 0, 1, None
    if bootstrap:
        found, read, calls = await _survey(node, cache, header, prefixes)
        left = partial(_left, found, read, ahead)
    for walk in (walks := [changes, now, then, earlier]):
        walk.advance(None)
    while any(walk.wants for walk in walks):
        asked = [(before if want.old else walk.header, want) for walk in walks for want in walk.wants]
        nodes, made = await _fetch(node, asked)
        calls += made
        cache.update(nodes)
        for walk in walks:
            if walk.wants:
                walk.advance(nodes)
        if bootstrap:
            read += len({want.hash for _, want in asked})  # proofs hold the nodes above them once more
            progress(read, left)
    code = then.values().get(CODE_KEY)
    if not isinstance(code, HashedValue):
        raise Fatal(f"the state of block {before.ref} holds no runtime code: this is no Substrate chain with layout V1")
    values, parent_values = now.values(), then.values()
    return Captured(
        header=header,
        changes=tuple(changes.found or ()),
        reads={item: _plain(values.get(key)) for item, key in reads.items()},
        parent_reads={item: _plain(parent_values.get(key)) for item, key in parent_reads.items()},
        code_hash=code.hash,
        runtime_changed=bootstrap or parent is None or earlier.values().get(CODE_KEY) != code,
        bootstrap=bootstrap or parent is None,
        calls=calls + tracked.bodies,
        extrinsics=await read_body(node, header) if tracked.bodies else None,
    )


async def _survey(node: Node, cache: NodeCache, header: Header, prefixes: Collection[bytes]) -> tuple[Survey, int, int]:
    """About how much there is to read under the prefixes, the nodes read for that (they are kept), and the calls."""
    steps, read, calls = survey(header.state_root, prefixes, cache), 0, 0
    try:
        wants = next(steps)
        while True:
            nodes, made = await _fetch(node, [(header, want) for want in wants])
            cache.update(nodes)
            read, calls = read + len(wants), calls + made
            wants = steps.send(nodes)
    except StopIteration as stop:
        return stop.value, read, calls


def _left(found: Survey, surveyed: int, ahead: Sequence[Ahead]) -> float:
    """About how many nodes are still to be read: of those ahead, the part that the survey has not read already."""
    return found.left(path for path, _, _ in ahead) * max(0.0, 1 - surveyed / max(found.below(b""), 1.0))


async def read_body(node: Node, header: Header) -> tuple[bytes, ...] | None:
    """The block's extrinsics; None if every endpoint says, time and again, that it has none of this block.

    One that has just imported the block, or stands behind a load balancer with one that has not, may lack it for a
    moment. Raises ``NodeError`` if it cannot be told.
    """
    for pause_s in BODY_PAUSES_S:
        await anyio.sleep(pause_s)
        body = await node.body(header)
        if body is not None:
            return body
    return None


def _plain(value: bytes | HashedValue | None) -> bytes | None:
    assert not isinstance(value, HashedValue), "only the code is read by hash"
    return value


async def _fetch(node: Node, asked: Iterable[tuple[Header, Want]]) -> tuple[dict[bytes, bytes], int]:
    """Everything that is wanted of some blocks, in as few calls as the node's limits allow, and their number."""
    wants: dict[Header, dict[bytes, set[bytes]]] = {}
    for block, want in asked:
        wants.setdefault(block, {}).setdefault(pack(want.path), set()).add(want.hash)
    nodes: dict[bytes, bytes] = {}
    calls = 0

    async def ask(block: Header, keys: list[bytes]) -> None:
        def lacks(proof: Mapping[bytes, bytes]) -> str | None:
            for key in keys:
                missing = wants[block][key] - proof.keys()
                if missing:
                    return (
                        f"sent a proof for block {block.ref} that lacks the node 0x{missing.pop().hex()} "
                        f"on the path of key 0x{key.hex()}: its bytes are altered or of another block"
                    )
            return None

        nodes.update(await _proof(node, keys, block, lacks))

    async with anyio.create_task_group() as group:
        for block, keys in wants.items():
            ordered = sorted(keys)
            for start in range(0, len(ordered), KEYS_PER_CALL):
                group.start_soon(ask, block, ordered[start : start + KEYS_PER_CALL])
                calls += 1
    return nodes, calls


def _rootless(header: Header) -> Check:
    """A guess is known to be right only as far as its root: whatever else hashes to its name does no harm."""
    lacking = f"sent a proof for block {header.ref} that does not begin at its state root"
    return lambda proof: None if header.state_root in proof else lacking


async def _proof(node: Node, keys: list[bytes], header: Header, check: Check) -> dict[bytes, bytes]:
    try:
        return (await node.read_proof(keys, header.ref.hash, check))[0]
    except RpcRefused as refusal:
        if refusal.code == METHOD_NOT_FOUND:
            # The next run finds out whether another endpoint does, or goes on without: see ``fallback``.
            raise NodeError(
                f"{refusal.endpoint} does not serve state_getReadProof, without which completeness cannot be proven"
            ) from refusal
        raise
