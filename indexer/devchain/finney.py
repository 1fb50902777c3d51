"""The profile ``finney``: a chain the size of the main network, made once from a seed and then only looked up.

Owns where it lies and when it is made. In code::

    folder = finney.prepare(cache, finney.Sizes(), seed=1)   # minutes the first time, nothing after that
    with finney.open_chain(folder) as chain:                 # shows block 0; chain.grow(n) shows the next n
        chain.grow(1999); chain.finalize(1999)               # or let heartbeat.beat do it by the clock
        async with DevNode(chain) as node: ...

``SMALL`` is the same chain in a second, for tests. On the command line: ``indexer devchain --profile finney``.
"""

from __future__ import annotations

import gc
import hashlib
import json
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from indexer.devchain import finney_blocks
from indexer.devchain.finney_genesis import genesis, stored
from indexer.devchain.finney_state import RUNTIME, Holdings, Sizes
from indexer.devchain.prepared import BadFolder, PreparedChain, Recorder, read_manifest, recorded_into
from indexer.errors import ConfigError

START_MS = 1_760_000_000_000
"""Time of the genesis block."""
FULL = Sizes()
SMALL = Sizes(
    accounts=2_500, stakes=1_200, pools=200, subnets=9, blocks=40, changed_accounts=40, changed_stake_keys=60, tempo=12
)

Progress = Callable[[int, int], None]
"""(blocks made, blocks in all)."""


def sizes_of(accounts: int | None = None, blocks: int | None = None) -> Sizes:
    """The full size, or the same chain in a smaller one with so many accounts. Raises ``ConfigError``."""
    made = FULL
    if accounts is not None:
        share = accounts / FULL.accounts
        subnets = max(5, min(FULL.subnets, round(FULL.subnets * share**0.5)))
        pools = max(4 * subnets, round(FULL.pools * share))
        moved = max(subnets + 12, round(FULL.changed_accounts * min(1.0, share**0.5)))
        stake_keys = max(40, round(FULL.changed_stake_keys * min(1.0, share**0.5)))
        stakes = max(2 * pools, round(FULL.stakes * share))
        made = replace(
            FULL, accounts=accounts, stakes=stakes, pools=pools, subnets=subnets,
            changed_accounts=moved, changed_stake_keys=stake_keys,
        )  # fmt: skip
    if blocks is not None:
        made = replace(made, blocks=blocks)
    return _checked(made)


def prepare(cache: Path, sizes: Sizes = FULL, seed: int = 1, tell: Progress | None = None) -> Path:
    """The folder under ``cache`` with the chain of these sizes and this seed, made if it is not there or not whole.

    Raises ``ConfigError`` for sizes of which no chain can be made, ``OSError`` if the disk does not take it.
    """
    made_from = {**asdict(_checked(sizes)), "seed": seed}
    name = hashlib.blake2b(json.dumps(made_from).encode(), digest_size=4).hexdigest()
    folder = cache / f"finney-{sizes.accounts}x{sizes.blocks}-{name}"
    with suppress(BadFolder):
        read_manifest(folder, made_from)
        return folder
    _make(folder, made_from, sizes, seed, tell or (lambda _done, _total: None))
    return folder


def open_chain(folder: Path) -> PreparedChain:
    """The chain in a folder that ``prepare`` gave, at its genesis block. Raises ``BadFolder``."""
    return PreparedChain(folder, [(RUNTIME.code, RUNTIME.served())])


def _make(folder: Path, made_from: Any, sizes: Sizes, seed: int, tell: Progress) -> None:
    began_s, collects = time.monotonic(), gc.isenabled()
    gc.disable()  # millions of lasting objects and no cycles: looking for some takes a third of the time
    try:
        with recorded_into(folder, "Devchain finney", made_from) as (recorder, note):
            holdings = Holdings(sizes, seed)
            for part in genesis(holdings):
                recorder.trie.put(part)
            recorder.add((), ())
            tell(1, sizes.blocks)
            counts = {"events": 0, "accounts": 0, "stake": 0, "other": 0}
            for number in range(1, sizes.blocks):
                for name, count in _one_block(recorder, holdings, number).items():
                    counts[name] += count
                tell(number + 1, sizes.blocks)
            per_block = {name: round(count / (sizes.blocks - 1), 1) for name, count in counts.items()}
            note(
                per_block=per_block,
                nodes=recorder.trie.nodes,
                seconds=round(time.monotonic() - began_s, 1),
                most_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            )
    finally:
        if collects:
            gc.enable()


def _one_block(recorder: Recorder, holdings: Holdings, number: int) -> dict[str, int]:
    """Make a block; how many events it has and how many keys of each kind it writes."""
    parent = recorder.best
    assert parent is not None
    extrinsics, digest, events = finney_blocks.run(holdings, number, START_MS)
    holdings.other.update(
        [
            stored("ParentHash", value=parent.hash, pallet="System"),
            stored("BlockHash", number - 1, value=parent.hash, pallet="System"),
        ]
    )
    counts = {"events": events, "accounts": len(holdings.accounts), "stake": len(holdings.stake)}
    counts["other"] = len(holdings.other)
    recorder.trie.put({key: value for part in holdings.take() for key, value in part.items()})
    recorder.add(extrinsics, (digest,))
    return counts


def _checked(sizes: Sizes) -> Sizes:
    try:
        sizes.check()
    except ValueError as error:
        raise ConfigError(f"no chain of the profile finney can have these sizes: {error}") from None
    return sizes
