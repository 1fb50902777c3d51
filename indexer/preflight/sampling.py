"""What a bootstrap and a backfill would take, told by doing a little of both with the indexer's own parts.

Captures, decodes and makes rows as ``pipeline`` does, and throws them away: nothing is written anywhere. The size
of the whole state comes from ``census``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from indexer.capture import KEYS_PER_CALL, PREDICTED_KEYS_MAX, Tracked, capture, item_prefix, track
from indexer.commit import by_table
from indexer.datasets.base import Dataset
from indexer.decode import block_rows, decode
from indexer.errors import NodeError
from indexer.metrics import Metrics
from indexer.model import Captured, Header
from indexer.node import Node
from indexer.preflight.census import Ask, Census, census, interval
from indexer.preflight.findings import BackfillFacts, BootstrapFacts, Range, SampledBlock
from indexer.runtimes import metadata_at
from indexer.scale import Runtime
from indexer.trie import NodeCache

BYTES_PER_ROW = 263.0
"""Bytes of database per row of history, with its share of current rows, indexes and accounts: docs/SIZE.md."""
ROWS_PER_S = (10_000.0, 25_000.0, 50_000.0)
"""Rows of a first block decoded, merged and written per second: slow, likely, fast. Assumed, not measured."""
CACHE_BYTES = 128 << 20
HEAD_BLOCKS = 7200
"""Blocks at the head that are sampled from where there is nothing to backfill: about a day's."""
BLOCKS_BEFORE = 3
"""Blocks before a sampled one whose state is read: one is captured before it, as a backfill would have."""
SLOT_S = 12.0
DAY_S = 86_400.0


async def bootstrap(
    node: Node, datasets: Sequence[Dataset], number: int, *, bytes_per_row: float | None, trial_s: float
) -> BootstrapFacts:
    """What it takes to read the whole state at a height for ``datasets``; the trial read lasts ``trial_s``.

    Raises ``NodeError`` or ``ProofError``.
    """
    header = await _header_at(node, number)
    parent = await node.header(header.parent_hash) if number else None
    prefixes = sorted({item_prefix(item) for dataset in datasets for item in dataset.items})
    found, requests = await take_census(node, header, prefixes, random.Random(header.ref.hash))
    rate = await _read_rate(node, track(datasets), header, parent, trial_s)
    seconds = None
    if rate is not None:
        slow, likely, fast = ROWS_PER_S
        keys = found.keys
        seconds = found.nodes.times(1 / rate[0]).plus(keys.low / fast, keys.likely / likely, keys.high / slow)
    return BootstrapFacts(
        block=number,
        items=len(prefixes),
        keys=found.keys,
        nodes=found.nodes,
        bytes=found.bytes,
        is_exact=found.is_exact,
        requests=requests,
        nodes_per_s=None if rate is None else round(rate[0], 1),
        measured_s=None if rate is None else round(rate[1], 2),
        seconds=seconds,
        database_bytes=found.keys.times(bytes_per_row or BYTES_PER_ROW),
    )


async def take_census(node: Node, header: Header, prefixes: Sequence[bytes], rng: random.Random) -> tuple[Census, int]:
    """The size of the state under ``prefixes`` and the number of requests it took to tell."""
    known, _ = await node.read_proof(prefixes, header.ref.hash)
    requests = 1
    steps = census(header.state_root, prefixes, rng, known=known)
    try:
        asks = next(steps)
        while True:
            got: dict[bytes, bytes] = {}
            for at in range(0, len(asks), KEYS_PER_CALL):
                part = asks[at : at + KEYS_PER_CALL]
                got.update((await node.read_proof([a.key for a in part], header.ref.hash, _lacking(part)))[0])
                requests += 1
            asks = steps.send(got)
    except StopIteration as end:
        result: Census = end.value
        return result, requests


def _lacking(asks: Sequence[Ask]) -> Callable[..., str | None]:
    def problem(proof: dict[bytes, bytes]) -> str | None:
        missing = next((ask for ask in asks if ask.hash not in proof), None)
        return None if missing is None else f"sent a proof that lacks the node 0x{missing.hash.hex()}"

    return problem


async def _read_rate(
    node: Node, tracked: Tracked, header: Header, parent: Header | None, trial_s: float
) -> tuple[float, float] | None:
    """Nodes per second of a bootstrap that is broken off, and the seconds it was measured for."""
    read, began_s, told_s = 0, time.monotonic(), 0.0

    def progress(nodes: int, _left: object) -> None:
        nonlocal read, told_s
        read, told_s = nodes, time.monotonic() - began_s

    with anyio.move_on_after(trial_s):
        await capture(node, NodeCache(CACHE_BYTES), tracked, header, parent, None, bootstrap=True, progress=progress)
    return (read / told_s, told_s) if read and told_s else None


@dataclass(slots=True)
class _Place:
    """A block to be sampled, with what is read before the clock starts."""

    number: int
    headers: tuple[Header, ...]
    """Of the three blocks before it, the newest first."""
    cache: NodeCache
    predicted: tuple[bytes, ...]


class _Runtimes:
    """Decoders by the hash of the code; each is asked for once."""

    def __init__(self, node: Node) -> None:
        self._node, self._turn = node, anyio.Lock()
        self._known: dict[bytes, Runtime] = {}

    async def of(self, captured: Captured) -> Runtime:
        """The runtime that executed a block."""
        async with self._turn:
            if captured.code_hash not in self._known:
                raw = await metadata_at(self._node, captured.header.parent_hash)
                self._known[captured.code_hash] = Runtime.from_metadata(raw)
        return self._known[captured.code_hash]


async def backfill(
    node: Node,
    metrics: Metrics,
    datasets: Sequence[Dataset],
    *,
    first: int,
    last: int,
    oldest: int,
    count: int,
    workers: int,
    bytes_per_row: float | None,
) -> BackfillFacts | None:
    """What the blocks ``first`` to ``last`` would take, told by up to ``count`` of them; None if none is in reach.

    ``oldest`` is the first height whose state some endpoint has. An empty range stands for the head: then the
    newest blocks are sampled. ``metrics`` are those of ``node``. Raises ``IndexerError``.
    """
    began_s = time.monotonic()
    await node.best()  # whoever knows an endpoint's head can tell what it has dropped from what it does not have yet
    reach = max(first if first < last else last - HEAD_BLOCKS, oldest + BLOCKS_BEFORE)
    numbers = spread(reach, last, count)
    if not numbers:
        return None
    tracked, runtimes, limit = track(datasets), _Runtimes(node), anyio.CapacityLimiter(workers)
    places: list[_Place] = []
    sampled: list[tuple[SampledBlock, int | None]] = []

    async def prepare(number: int) -> None:
        async with limit:
            places.append(await _prepared(node, tracked, runtimes, number))

    async def sample(place: _Place) -> None:
        async with limit:
            sampled.append(await _sampled(node, tracked, runtimes, datasets, place))

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(prepare, number, name=f"prepare {number}")
    before = _received(metrics)
    async with anyio.create_task_group() as group:
        for place in places:
            group.start_soon(sample, place, name=f"sample {place.number}")
    sampled.sort(key=lambda one: one[0].number)
    received = _received(metrics) - before
    blocks = [one for one, _ in sampled]
    times = [(block.number, ms) for block, ms in sampled if ms is not None]
    return _projected(
        blocks, received, _block_s(times), first, last, reach if oldest > first else first, workers,
        bytes_per_row or BYTES_PER_ROW, time.monotonic() - began_s,
    )  # fmt: skip


def spread(first: int, last: int, count: int) -> list[int]:
    """Up to ``count`` heights, evenly spread over a range: the middles of as many equal parts."""
    length = last - first + 1
    count = min(count, length)
    return [first + (2 * at + 1) * length // (2 * count) for at in range(count)] if count > 0 else []


async def _prepared(node: Node, tracked: Tracked, runtimes: _Runtimes, number: int) -> _Place:
    """Capture the block before, so that the next one meets a cache as filled as in a backfill."""
    header = await _header_at(node, number - 1)
    headers = [header]
    while len(headers) < BLOCKS_BEFORE and headers[-1].ref.number:
        headers.append(await node.header(headers[-1].parent_hash))
    cache = NodeCache(CACHE_BYTES)
    parent, grandparent = [*headers[1:], None, None][:2]
    if parent is None:  # the genesis block: the next one starts with what the prefixes' proofs hold
        return _Place(number, tuple(headers), cache, ())
    captured = await capture(node, cache, tracked, header, parent, grandparent, bootstrap=False)
    await runtimes.of(captured)
    return _Place(number, tuple(headers), cache, _keys(captured))


async def _sampled(
    node: Node, tracked: Tracked, runtimes: _Runtimes, datasets: Sequence[Dataset], place: _Place
) -> tuple[SampledBlock, int | None]:
    """One block from its height to its rows, with the time that it tells."""
    began_s = time.monotonic()
    header = await _header_at(node, place.number)
    parent, grandparent = [*place.headers, None][:2]
    captured = await capture(
        node, place.cache, tracked, header, parent, grandparent, bootstrap=False, predicted=place.predicted
    )
    runtime = await runtimes.of(captured)
    decoded = decode(captured, runtime, tracked.item_of, lambda _: None)
    made = block_rows(captured, decoded, runtime, datasets, finalized=True, head=None)
    rows = sum(len({row.key for _, row in patches}) for patches in by_table([made]).values())
    block = SampledBlock(place.number, round(time.monotonic() - began_s, 4), captured.calls + 2, rows)
    return block, made.timestamp_ms


def _keys(captured: Captured) -> tuple[bytes, ...]:
    return tuple(change.key for change in captured.changes[:PREDICTED_KEYS_MAX])


async def _header_at(node: Node, number: int) -> Header:
    block_hash = await node.block_hash(number)
    if block_hash is None:
        raise NodeError(f"{node.endpoint} has no block {number}")
    return await node.header(block_hash)


def _received(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("indexer_rpc_bytes_total") or 0.0


def _block_s(times: Sequence[tuple[int, int]]) -> float:
    """Seconds between two blocks, from the times in the first and the last of some."""
    if len(times) < 2 or times[-1][1] <= times[0][1]:
        return SLOT_S
    return round((times[-1][1] - times[0][1]) / 1000 / (times[-1][0] - times[0][0]), 3)


def _projected(
    blocks: Sequence[SampledBlock],
    received: float,
    block_s: float,
    first: int,
    last: int,
    sampled_first: int,
    workers: int,
    bytes_per_row: float,
    measured_s: float,
) -> BackfillFacts:
    """The sample, made large."""
    length = max(0, last - first + 1)
    at_once = min(workers, len(blocks))
    seconds, rows = (
        interval(values, least=min(values) if len(values) > 1 else 0.0)
        for values in ([block.seconds for block in blocks], [float(block.rows) for block in blocks])
    )
    size: Range = rows.times(bytes_per_row)
    return BackfillFacts(
        first_block=first,
        last_block=last,
        blocks=length,
        sampled_first=sampled_first,
        sampled=tuple(blocks),
        measured_s=round(measured_s, 2),
        workers=workers,
        seconds_per_block=seconds,
        requests_per_block=round(sum(block.requests for block in blocks) / len(blocks), 1),
        bytes_per_block=round(received / len(blocks), 1),
        rows_per_block=rows,
        block_s=block_s,
        seconds=seconds.times(length / at_once),
        database_bytes=size.times(length),
        database_bytes_per_day=size.times(DAY_S / block_s),
    )
