"""A block's changes from endpoints that serve no read proofs: what is likely to have changed, and now and then all.

Between two scans it reads what events name, what changed lately and every key of the small maps; what else
changed in the large maps is missed until the next scan (``scans``) has read everything as of one block. So such
a block never counts as proven, and nothing here claims that it does. The store's own comparison tells what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import anyio

from indexer.capture import EVENTS, KEYS_PER_CALL, Progress, Tracked, item_prefix, read_body
from indexer.errors import DecodeError, backoff
from indexer.link import RpcRefused
from indexer.model import Captured, Header, ItemRef, RawChange
from indexer.node import METHOD_NOT_FOUND, Node
from indexer.scale import Runtime

ACCOUNT = ItemRef("System", "Account")
SMALL_MAP_KEYS = 2_000
"""A map of at most so many keys is read in full in every block."""
LATELY_KEYS = 4_000
REFRESH_BLOCKS = 10
"""Blocks after which the keys of small maps are listed anew."""
CALLS_AT_ONCE = 8
TRIES, PAUSE_S = 3, 0.3
"""A refusal of proofs that comes so often, plain values being given each time, is not of the moment."""
NETUID_BYTES = 2
"""Subnets are keyed by their plain u16 (hasher Identity)."""


async def serves_proofs(node: Node, block_hash: bytes) -> bool:
    """Whether some endpoint gives read proofs; raises ``NodeError`` if it does not even give plain values."""
    key = item_prefix(ItemRef("Timestamp", "Now"))
    delays = backoff(PAUSE_S)
    for _ in range(TRIES):
        try:
            await node.read_proof([key], block_hash)
        except RpcRefused as refusal:
            if refusal.code == METHOD_NOT_FOUND:
                return False
            await node.storage([key], block_hash)
            await anyio.sleep(next(delays))
        else:
            return True
    return False


class Fallback:
    """What one run remembers of keys to read. Workers share it: values are absolute, so their order is no matter."""

    def __init__(self, node: Node, tracked: Tracked, progressed: Callable[[], None] = lambda: None) -> None:
        """``progressed`` is called for each page of keys or values."""
        self._node, self._tracked, self._progressed = node, tracked, progressed
        self._small: dict[bytes, list[bytes]] = {}
        self._listed_at: int | None = None
        self._listing = anyio.Lock()
        self._lately: dict[bytes, None] = {}
        self._code: dict[bytes, bytes] = {}

    async def capture(
        self,
        header: Header,
        parent: Header | None,
        grandparent: Header | None,
        *,
        scan: bool,
        runtime_of: Callable[[bytes], Runtime | None],
        progress: Progress,
    ) -> Captured:
        """One block, unproven: the whole state under the tracked prefixes if ``scan``, else what probably changed.

        ``runtime_of`` gives the runtime of a code hash if it is known already; events are read with it.
        Raises ``NodeError`` if no endpoint can answer.
        """
        node, at, before = self._node, header.ref.hash, parent or header
        plain = {item: item_prefix(item) for item in (EVENTS, *self._tracked.reads)}
        earlier = {item: item_prefix(item) for item in self._tracked.parent_reads}
        reads = await node.storage(plain.values(), at)
        parent_reads = await node.storage(earlier.values(), before.ref.hash)
        code_hash = await self._code_hash(before.ref.hash)
        earlier_code = await self._code_hash((grandparent or before).ref.hash)
        if scan:
            keys = await self._all_keys(at, header.ref.number, progress)
        else:
            keys = set(await self._small_keys(at, header.ref.number))
            runtime = runtime_of(code_hash)
            if runtime is not None:
                keys |= self._predicted(reads[plain[EVENTS]], runtime) | self._siblings(runtime)
        values = await self._values(sorted(keys), at, progress if scan else None)
        return Captured(
            header=header,
            changes=tuple(RawChange(key, value) for key, value in values if value is not None or not scan),
            reads={item: reads[key] for item, key in plain.items()},
            parent_reads={item: parent_reads[key] for item, key in earlier.items()},
            code_hash=code_hash,
            runtime_changed=scan or parent is None or earlier_code != code_hash,
            bootstrap=scan,
            calls=3 + -(-len(keys) // KEYS_PER_CALL),
            proven=False,
            extrinsics=await read_body(node, header) if self._tracked.bodies else None,
        )

    async def _code_hash(self, block_hash: bytes) -> bytes:
        if block_hash not in self._code:
            self._code[block_hash] = await self._node.code_hash(block_hash)
            while len(self._code) > LATELY_KEYS:
                self._code.pop(next(iter(self._code)))
        return self._code[block_hash]

    def _siblings(self, runtime: Runtime) -> set[bytes]:
        """Keys that may come to be beside the known ones: plain values, and every subnet in every map by subnet."""
        subnets = {key[32:] for keys in self._small.values() for key in keys if len(key) == 32 + NETUID_BYTES}
        found: set[bytes] = set()
        for prefix, item in self._tracked.item_of.items():
            kind = runtime.item(item)
            if kind is not None and not kind.hashers:
                found.add(prefix)
            elif kind is not None and kind.hashers == ("Identity",):
                found.update(prefix + subnet for subnet in subnets)
        return found

    def _predicted(self, events: bytes | None, runtime: Runtime) -> set[bytes]:
        """Accounts that events name, now and lately."""
        kind = runtime.item(ACCOUNT)
        if kind is not None and events and ACCOUNT in self._tracked.items:
            try:
                named = {account for event in runtime.decode_events(events) for account in _accounts(event.fields)}
            except DecodeError:
                named = set()  # whoever decodes the block meets this again, and says so
            for account in named:
                key = kind.key(account)
                self._lately.pop(key, None)
                self._lately[key] = None
        while len(self._lately) > LATELY_KEYS:
            self._lately.pop(next(iter(self._lately)))
        return set(self._lately)

    async def _small_keys(self, block_hash: bytes, number: int) -> list[bytes]:
        """Every key of the small maps; listed anew every few blocks, and read in full then."""
        async with self._listing:
            if self._listed_at is None or number >= self._listed_at + REFRESH_BLOCKS:
                for prefix in self._tracked.item_of if self._listed_at is None else list(self._small):
                    found = await self._keys(prefix, block_hash, SMALL_MAP_KEYS)
                    self._note(prefix, [*self._small.get(prefix, ()), *found])
                self._listed_at = number
        return [key for keys in self._small.values() for key in keys]

    async def _all_keys(self, block_hash: bytes, number: int, progress: Progress) -> set[bytes]:
        every: set[bytes] = set()
        for prefix in self._tracked.item_of:
            own = await self._keys(prefix, block_hash)
            progress(len(every) + len(own), None)
            self._small.pop(prefix, None)
            self._note(prefix, own)
            every.update(own)
        self._listed_at = number
        return every

    async def _keys(self, prefix: bytes, block_hash: bytes, enough: int | None = None) -> list[bytes]:
        """The keys below a prefix; of a map with more than ``enough`` only the first, but more than that."""
        found = page = await self._node.keys(prefix, KEYS_PER_CALL, None, block_hash)
        while len(page) == KEYS_PER_CALL and (enough is None or len(found) <= enough):
            self._progressed()
            page = await self._node.keys(prefix, KEYS_PER_CALL, page[-1], block_hash)
            found = found + page
        return found

    def _note(self, prefix: bytes, keys: Iterable[bytes]) -> None:
        """Remember the keys of a map if it is small."""
        distinct = list(dict.fromkeys(keys))
        if len(distinct) <= SMALL_MAP_KEYS:
            self._small[prefix] = distinct
        else:
            self._small.pop(prefix, None)

    async def _values(
        self, keys: list[bytes], block_hash: bytes, progress: Progress | None
    ) -> list[tuple[bytes, bytes | None]]:
        """The keys' values. ``progress``: keys listed and values read count as one each."""
        values: dict[bytes, bytes | None] = {}
        limit = anyio.CapacityLimiter(CALLS_AT_ONCE)

        async def ask(part: list[bytes]) -> None:
            async with limit:
                values.update(await self._node.storage(part, block_hash))
                self._progressed()
            if progress is not None:
                progress(len(keys) + len(values), lambda: float(len(keys) - len(values)))

        async with anyio.create_task_group() as group:
            for start in range(0, len(keys), KEYS_PER_CALL):
                group.start_soon(ask, keys[start : start + KEYS_PER_CALL])
        return sorted(values.items(), key=lambda entry: entry[0])


def _accounts(value: object) -> Iterator[bytes]:
    """Whatever in a decoded value may be an account: 32 bytes."""
    if isinstance(value, bytes):
        if len(value) == 32:
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _accounts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _accounts(part)
