"""What is asked of a node before its turn: the headers and the changes of a run of blocks, in a few messages for all.

First the hashes, the headers and the events of all its blocks; then whatever these events and the blocks before make
likely to have changed, each state once for both blocks that it bounds; then what is still missing, for all blocks
together. A guess only fills the cache of nodes: it changes no result. A run that fails is not told of: each of its
blocks is then asked for by itself, and meets the errors in its own place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise

import anyio
import structlog
from anyio.abc import TaskGroup

from indexer.capture import CODE_KEY, EVENTS, Tracked, differences, item_prefix, read_proofs, rootless
from indexer.errors import DecodeError, IndexerError, Retryable, root_cause
from indexer.model import HashedValue, Header, RawChange
from indexer.node import Check, Node, ProofAsked
from indexer.prediction import Prediction
from indexer.scale import Runtime
from indexer.trie import NodeCache, diff

log = structlog.get_logger()

RUN_BLOCKS = 16
"""Blocks read ahead together: what they share, some twenty messages on a chain as large as the main network, is paid
once for all. More would keep the last of them waiting, and more memory."""
MESSAGE_BYTES = 8 << 20
"""About what one answer may have, by the size of those before; a node's limit is 15 MiB."""
KEY_BYTES = 1500.0
"""What is taken for a key's part of an answer before the first was seen: five nodes of its own, in hex."""
KEYS_AT_ONCE = 500
"""Of one block for which somebody waits, in a message: a node is done with so many within some milliseconds."""
RUNS_AHEAD_MAX = 8
RUNS_KEPT = RUNS_AHEAD_MAX + 2
"""The one that is worked on, those ahead of it, and one to spare: blocks are asked for in order."""
CODE_PATH = b":cod"
"""Leads to the node that holds the hash of the runtime's code, and not to the code, which has two megabytes."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a block before its turn."""

    header: Header
    changes: Sequence[RawChange] | None
    """All its changes, as ``capture`` finds them; None if they are still to be found."""
    messages: float
    """Its part of the messages that were sent for its run."""


@dataclass(slots=True, eq=False)
class _Run:
    """Blocks read ahead together; ``blocks`` is empty if that failed."""

    first: int
    last: int
    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    blocks: dict[int, Known] = field(default_factory=dict)


class Lookahead:
    """The runs of one pipeline."""

    def __init__(
        self,
        node: Node,
        cache: NodeCache,
        tracked: Tracked,
        prediction: Prediction | None,
        runtime_of: Callable[[bytes], Runtime | None],
        runs: int,
    ) -> None:
        """``prediction`` None: headers only. ``runtime_of`` gives a runtime by the hash of its code, if it was met
        before. ``runs``: how many are read ahead of the one that is worked on, at most ``RUNS_AHEAD_MAX``.
        """
        self._node, self._cache, self._prediction, self._runtime_of = node, cache, prediction, runtime_of
        self._runs_ahead, self._runs = min(runs, RUNS_AHEAD_MAX), list[_Run]()
        self._tracked, self._prefixes = tracked, list(tracked.item_of)
        plain = [EVENTS, *tracked.reads, *tracked.parent_reads]
        self._first_keys = sorted({CODE_PATH, *(item_prefix(item) for item in plain)})
        self._key_bytes = KEY_BYTES
        self._stopped = False

    def stop(self) -> None:
        """Read nothing ahead any more; who waits for a run goes on without."""
        self._stopped = True
        for run in self._runs:
            run.scope.cancel()

    async def block(self, number: int, last: int, group: TaskGroup) -> Known | None:
        """What was read ahead of the block at a height; None if it is to be asked for by itself.

        ``last`` is the last height that may be read ahead: a final one, and one that will be asked for.
        """
        if number >= last or self._stopped:
            return None
        run = self._run_of(number) or self._begin(number, last, group)
        ahead = run
        for _ in range(self._runs_ahead):
            if ahead.last < last:
                ahead = self._run_of(ahead.last + 1) or self._begin(ahead.last + 1, last, group)
        await run.done.wait()
        return run.blocks.pop(number, None)

    def _run_of(self, number: int) -> _Run | None:
        return next((run for run in self._runs if run.first <= number <= run.last), None)

    def _begin(self, number: int, last: int, group: TaskGroup) -> _Run:
        run = _Run(number, min(last, number + RUN_BLOCKS - 1))
        self._runs = [*self._runs[1 - RUNS_KEPT :], run]
        group.start_soon(self._read, run, name=f"blocks ahead from {number}")
        return run

    async def _read(self, run: _Run) -> None:
        try:
            with run.scope:
                before = max(0, run.first - 1)
                headers = await self._node.headers(range(before, run.last + 1))
                pairs, messages = list(pairwise(headers)), 2.0
                found: Sequence[Sequence[RawChange] | None] = [None] * len(pairs)
                if pairs and self._prediction is not None:
                    messages += await self.prepare(headers[1:], headers[0])
                    hints = self._prediction.below
                    found, made = await differences(self._node, self._cache, self._tracked, pairs, hints)
                    messages += made
                for (_, header), changes in zip(pairs, found, strict=True):
                    run.blocks[header.ref.number] = Known(header, changes, messages / len(pairs))
        except IndexerError as error:
            log.debug("not_read_ahead", first=run.first, last=run.last, reason=str(error))
        except BaseExceptionGroup as bundle:
            if bundle.split(IndexerError)[1] is not None:
                raise
            log.debug("not_read_ahead", first=run.first, last=run.last, reason=str(root_cause(bundle)))
        finally:
            run.done.set()

    async def prepare(self, headers: Sequence[Header], parent: Header | None) -> float:
        """Ask for what blocks that follow one another will probably need; gives the number of messages.

        ``parent`` is the parent of the first. Raises ``NodeError`` and ``ProofError`` as a proof does, or a bundle.
        """
        if self._prediction is None:
            return 0.0
        states = [*([parent] if parent is not None else []), *headers]
        unread = [state for state in states if self._cache.get(state.state_root) is None]
        if len(headers) == 1:
            return await self._at_once(headers[0], parent, unread)
        messages = 0.0
        if unread:
            messages += await self._ask([(self._first_keys, state) for state in unread])
        often = {*self._prefixes, *self._prediction.often()}
        wanted: dict[bytes, set[bytes]] = {state.ref.hash: set(often) for state in headers}
        if parent is not None:
            wanted[parent.ref.hash] = set(often) if parent in unread else set()
        for before, header in pairwise(states):
            named = self._named(header, before)
            wanted[header.ref.hash].update(named)
            wanted[before.ref.hash].update(set(named) - often)
        asked = [(sorted(keys), state) for state in states if (keys := wanted[state.ref.hash])]
        while asked:
            room = MESSAGE_BYTES / self._key_bytes
            sizes = list(accumulate(len(keys) for keys, _ in asked))
            at_once = max(1, bisect_right(sizes, room))
            messages += await self._ask(asked[:at_once], measured=True)
            asked = asked[at_once:]
        return messages

    async def _at_once(self, header: Header, parent: Header | None, unread: Sequence[Header]) -> float:
        """One block, for which somebody waits: all is asked for as soon as it is known, and in parts, so that the
        node is at work while the events and the first answers are read."""
        assert self._prediction is not None
        often = {*self._prefixes, *self._prediction.often()}
        messages = 0.0
        async with anyio.create_task_group() as group:

            def begin(keys: Collection[bytes], state: Header) -> int:
                ordered = sorted(keys)
                parts = [ordered[at : at + KEYS_AT_ONCE] for at in range(0, len(ordered), KEYS_AT_ONCE)]
                for part in parts:
                    group.start_soon(partial(self._ask, [(part, state)], measured=True))
                return len(parts)

            messages += begin(often, header)
            if parent is not None and parent in unread:
                messages += begin(often, parent)
            if unread:
                messages += await self._ask([(self._first_keys, state) for state in unread])
            named = () if parent is None else self._named(header, parent)
            for state in (header, parent) if parent is not None else ():
                messages += begin(set(named) - often, state)
        return messages

    async def _ask(self, asked: Sequence[tuple[Sequence[bytes], Header]], *, measured: bool = False) -> float:
        proofs: list[ProofAsked] = [(keys, state.ref.hash, rootless(state)) for keys, state in asked]
        sizes: list[int] = []
        if measured:
            proofs = [(keys, block_hash, _told_to(sizes, check)) for keys, block_hash, check in proofs]
        nodes = await read_proofs(self._node, proofs)
        self._cache.update(nodes)
        if sizes:
            own = sum(sizes) / sum(len(keys) for keys, _ in asked)
            self._key_bytes = max(own, (3 * self._key_bytes + own) / 4)
        return 1.0

    def _named(self, header: Header, parent: Header) -> list[bytes]:
        """Keys that the events of a block make likely; none where these cannot be read now."""
        assert self._prediction is not None
        code, events = self._value(parent, CODE_KEY), self._value(header, item_prefix(EVENTS))
        runtime = self._runtime_of(code.hash) if isinstance(code, HashedValue) else None
        if runtime is None or not isinstance(events, bytes):
            return []
        try:
            return self._prediction.named(header.ref.hash, runtime.decode_events(events), runtime)
        except DecodeError as error:  # whoever decodes the block meets this again, and says so
            log.debug("events_not_read_ahead", block=header.ref.number, reason=str(error))
            return []

    def _value(self, state: Header, key: bytes) -> bytes | HashedValue | None:
        """What stands under a key in a state, as far as the nodes at hand lead."""
        walk = diff(None, state.state_root, [key], self._cache, hash_only=[CODE_KEY])
        try:
            next(walk)
        except StopIteration as stop:
            return next((change.value for change in stop.value if change.key == key), None)
        except Retryable:
            pass  # no node at all: an answer that nobody needed yet
        return None


def _told_to(sizes: list[int], check: Check) -> Check:
    """The same check, which notes how many bytes a proof takes in an answer: ``0x``, hex digits, quotes, a comma."""

    def measured(proof: Mapping[bytes, bytes]) -> str | None:
        sizes.append(sum(2 * len(raw) + 5 for raw in proof.values()))
        return check(proof)

    return measured
