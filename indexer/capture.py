"""The changed keys of one block, exact and proven against its state root.

Drives the pure walks of ``trie`` with read proofs from a node: one walk for the difference to the
parent's state under the tracked prefixes, one for the plain values that are read in every block,
one for what is read from the parent's state (above all the hash of the runtime's code). The wants
of all walks are asked for together, so a block costs a few calls whatever the number of maps.
Nothing here knows what a value means, and nothing that does not hash to what was asked is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import anyio
import anyio.lowlevel
from xxhash import xxh64_intdigest

from indexer.datasets.base import Dataset
from indexer.errors import Fatal, NodeError
from indexer.link import RpcRefused
from indexer.model import Captured, HashedValue, Header, ItemRef, RawChange
from indexer.node import METHOD_NOT_FOUND, Check, Node, ProofAsked
from indexer.survey import Survey, survey
from indexer.trie import Ahead, Diff, NodeCache, Want, diff, pack

CODE_KEY = b":code"
EVENTS = ItemRef("System", "Events")
TIMESTAMP = ItemRef("Timestamp", "Now")
KEYS_PER_CALL = 1000
KEYS_PER_MESSAGE = 4000
"""Of several blocks; about 2 MB of hex, as most nodes on the paths are shared."""
PREDICTED_KEYS_MAX = 4000
Progress: TypeAlias = "Callable[[int, Callable[[], float] | None], None]"
"""Told how much of a whole state is read, and how to find out about how much is left, where that can be."""
Hints: TypeAlias = "Callable[[bytes], Iterable[bytes]]"
"""Gives keys that may lie below a path of nibbles."""
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
    before: Header
    """Which block its old side stands for, if it has one."""
    wants: list[Want] = field(default_factory=list)
    found: Sequence[RawChange] | None = None

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
    predicted: Collection[bytes] | None = (),
    changes: Sequence[RawChange] | None = None,
    hints: Hints = lambda _: (),
    progress: Progress = lambda _done, _left: None,
) -> Captured:
    """Capture the block of ``header``; ``parent`` is its parent's header, None for block 0.

    ``grandparent`` (None if there is none, or at a bootstrap) tells whether the runtime is a new one.
    ``bootstrap`` takes the whole state under the tracked prefixes instead of the difference.
    ``predicted`` keys are asked for in the first message (None: they were asked for before); ``hints`` gives
    keys that may lie below a path and are asked for with it. A good guess saves messages, a bad one costs a few
    bytes, neither changes the result. ``changes`` are those that ``differences`` found, if it was asked before.
    ``progress`` is told the number of nodes read at a bootstrap.
    Raises ``ProofError`` if an endpoint's nodes do not lead to the state root, ``NodeError`` if no
    endpoint can answer, or serves read proofs.
    """
    before = parent or header
    old_root = None if bootstrap or parent is None else parent.state_root
    prefixes = list(tracked.item_of)
    reads = {item: item_prefix(item) for item in (EVENTS, *tracked.reads)}
    parent_reads = {item: item_prefix(item) for item in tracked.parent_reads}
    calls = 0
    if not bootstrap and predicted is not None:
        guess = sorted({*prefixes, *reads.values(), *predicted})
        cache.update(await read_proofs(node, [(guess, header.ref.hash, rootless(header))]))
        calls = 1
    ahead: list[Ahead] = []
    difference = _Walk(diff(old_root, header.state_root, prefixes, cache, ahead=ahead), header, before, found=changes)
    now = _Walk(diff(None, header.state_root, reads.values(), cache), header, before)
    then_keys = [CODE_KEY, *parent_reads.values()]
    then = _Walk(diff(None, before.state_root, then_keys, cache, hash_only=[CODE_KEY]), before, before)
    earlier_root = (grandparent or before).state_root
    earlier = _Walk(diff(None, earlier_root, [CODE_KEY], cache, hash_only=[CODE_KEY]), grandparent or before, before)
    read, left = 0, None
    if bootstrap:
        found, read, calls = await surveyed(node, cache, header, prefixes)
        left = partial(_left, found, read, ahead)
    async for asked, made in _walked(node, cache, [difference, now, then, earlier], hints):
        calls += made
        if bootstrap:
            read += len({want.hash for _, want in asked})  # proofs hold the nodes above them once more
            progress(read, left)
    code = then.values().get(CODE_KEY)
    if not isinstance(code, HashedValue):
        raise Fatal(f"the state of block {before.ref} holds no runtime code: this is no Substrate chain with layout V1")
    values, parent_values = now.values(), then.values()
    cache.block_passed()
    return Captured(
        header=header,
        changes=tuple(difference.found or ()),
        reads={item: _plain(values.get(key)) for item, key in reads.items()},
        parent_reads={item: _plain(parent_values.get(key)) for item, key in parent_reads.items()},
        code_hash=code.hash,
        runtime_changed=bootstrap or parent is None or earlier.values().get(CODE_KEY) != code,
        bootstrap=bootstrap or parent is None,
        calls=calls + tracked.bodies,
        extrinsics=await read_body(node, header) if tracked.bodies else None,
    )


async def differences(
    node: Node, cache: NodeCache, tracked: Tracked, blocks: Sequence[tuple[Header, Header]], hints: Hints
) -> tuple[list[Sequence[RawChange]], int]:
    """What ``capture`` finds of the changes of some blocks, each given with its parent's header; and the messages.

    Walked side by side: what several of them lack is asked for together.
    """
    prefixes = list(tracked.item_of)
    walks = [_Walk(diff(old.state_root, new.state_root, prefixes, cache), new, old) for old, new in blocks]
    messages = 0
    async for _, made in _walked(node, cache, walks, hints):
        messages += made
    return [walk.found or () for walk in walks], messages


async def _walked(
    node: Node, cache: NodeCache, walks: Sequence[_Walk], hints: Hints
) -> AsyncIterator[tuple[list[tuple[Header, Want]], int]]:
    """Run walks to their end; tells after each round what was asked for, and in how many messages."""
    for walk in walks:
        if walk.found is None:
            walk.advance(None)
            await anyio.lowlevel.checkpoint()  # a block of the main network takes a good part of a second
    while any(walk.wants for walk in walks):
        asked = [(walk.before if want.old else walk.header, want) for walk in walks for want in walk.wants]
        nodes, made = await fetch(node, asked, hints)
        cache.update(nodes)
        for walk in walks:
            if walk.wants:
                walk.advance(nodes)
                await anyio.lowlevel.checkpoint()
        yield asked, made


async def surveyed(
    node: Node, cache: NodeCache, header: Header, prefixes: Collection[bytes]
) -> tuple[Survey, int, int]:
    """About how much there is to read under the prefixes, the nodes read for that (they are kept), and the calls."""
    steps, read, calls = survey(header.state_root, prefixes, cache), 0, 0
    try:
        wants = next(steps)
        while True:
            nodes, made = await fetch(node, [(header, want) for want in wants])
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


async def fetch(
    node: Node, asked: Iterable[tuple[Header, Want]], hints: Hints = lambda _: ()
) -> tuple[dict[bytes, bytes], int]:
    """Everything that is wanted of some blocks, in few messages, and their number.

    Those of one block go in a message each, as a node answers them side by side; those of several go together.
    """
    wants: dict[Header, dict[bytes, set[bytes]]] = {}
    for block, want in asked:
        own = wants.setdefault(block, {})
        own.setdefault(pack(want.path), set()).add(want.hash)
        for key in () if want.is_value else hints(want.path):
            own.setdefault(key, set())
    at_once = KEYS_PER_CALL if len(wants) == 1 else KEYS_PER_MESSAGE
    messages, room = list[list[ProofAsked]](), 0
    for block, keys in wants.items():
        ordered = sorted(keys)
        for start in range(0, len(ordered), KEYS_PER_CALL):
            part = ordered[start : start + KEYS_PER_CALL]
            if len(part) > room:
                messages.append([])
                room = at_once
            room -= len(part)
            messages[-1].append((part, block.ref.hash, _lacks(block, part, keys)))
    nodes: dict[bytes, bytes] = {}

    async def ask(proofs: Sequence[ProofAsked]) -> None:
        nodes.update(await read_proofs(node, proofs))

    async with anyio.create_task_group() as group:
        for proofs in messages:
            group.start_soon(ask, proofs)
    return nodes, len(messages)


def _lacks(block: Header, keys: Sequence[bytes], wanted: Mapping[bytes, set[bytes]]) -> Check:
    def lacks(proof: Mapping[bytes, bytes]) -> str | None:
        for key in keys:
            for node_hash in wanted[key]:  # no difference of sets: that looks at all of the proof for each key
                if node_hash not in proof:
                    return (
                        f"sent a proof for block {block.ref} that lacks the node 0x{node_hash.hex()} "
                        f"on the path of key 0x{key.hex()}: its bytes are altered or of another block"
                    )
        return None

    return lacks


def rootless(header: Header) -> Check:
    """What is wrong with a proof of guessed keys, of which only the root is known: what else is in it does no harm."""
    lacking = f"sent a proof for block {header.ref} that does not begin at its state root"
    return lambda proof: None if header.state_root in proof else lacking


async def read_proofs(node: Node, asked: Sequence[ProofAsked]) -> dict[bytes, bytes]:
    """Nodes by hash. Raises ``NodeError`` where nobody serves read proofs.

    The next run finds out whether another endpoint does, or goes on without: see ``fallback``.
    """
    try:
        return (await node.read_proofs(asked))[0]
    except RpcRefused as refusal:
        if refusal.code == METHOD_NOT_FOUND:
            raise NodeError(
                f"{refusal.endpoint} does not serve state_getReadProof, without which completeness cannot be proven"
            ) from refusal
        raise
