"""The simulated chain as the commands ``devchain`` and ``demo`` start it.

The only module of the product that imports ``devchain``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from anyio.abc import TaskStatus
from rich.console import Console

from indexer import board
from indexer.devchain import finney
from indexer.devchain.chain import Chain
from indexer.devchain.heartbeat import serve as serve_chain
from indexer.devchain.prepared import PreparedChain
from indexer.devchain.served import ServedChain
from indexer.devchain.simulate import simulated_chain
from indexer.devchain.tape import load_tape
from indexer.errors import ConfigError

_console = Console(highlight=False)


def chain(*, seed: int, block_time_s: float, replay: Path | None = None, metadata: Path | None = None) -> Chain:
    """A seeded simulated chain, or the recorded one in ``replay``.

    A live one begins now, so that lag means something; with a block time of 0 the same seed gives the
    same hashes on any day. Raises ``ConfigError`` for a tape that is none.
    """
    if replay is None and metadata is not None:
        raise ConfigError("--metadata goes with --replay: the simulated chain declares its own runtimes")
    if replay is not None:
        if metadata is None:
            raise ConfigError("--replay needs --metadata: the folder with the metadata of the tape's runtimes")
        return load_tape(replay, metadata)
    if block_time_s <= 0:
        return simulated_chain(seed)
    return simulated_chain(seed, start_ms=int(time.time() * 1000), block_ms=int(block_time_s * 1000))


def cache_dir() -> Path:
    """Where prepared chains are kept unless told otherwise: in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bittensor-indexer"


def prepared(cache: Path | None, *, seed: int, accounts: int | None, blocks: int | None) -> PreparedChain:
    """The chain of the profile ``finney``, at its genesis block; made first if it is not there.

    Tells on stdout what it found or made. Raises ``ConfigError`` for sizes that cannot be, or a folder or disk that
    does not take it.
    """
    sizes, cache = finney.sizes_of(accounts, None if blocks is None else blocks + 1), cache or cache_dir()
    found = True
    try:
        with board.shown("preparing", "preparing the chain", "blocks", accounts=sizes.accounts) as work:

            def tell(made: int, of: int) -> None:
                nonlocal found
                found = False
                work.tell(made, of)

            folder = finney.prepare(cache, sizes, seed, tell)
        chain = finney.open_chain(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot prepare a chain under {cache}: {error.strerror or error}; choose another --cache-dir"
        ) from error
    told, size = chain.manifest, sum(chain.manifest["bytes"].values())
    took = f"prepared in {told['seconds']:.0f} s with {told['most_memory_bytes'] / 1e6:.0f} MB of memory"
    if found:
        took = f"found, {took} when it was made"
    _console.print(f"{folder}: {sizes.blocks} blocks, {size / 1e6:.0f} MB, {took}", soft_wrap=True)
    return chain


async def serve(chain: ServedChain, host: str, port: int, *, block_time_s: float, blocks: int | None) -> None:
    """Serve until stopped. Raises ``ConfigError`` if the port is taken."""

    def ready(bound: int) -> None:
        url = f"ws://{host}:{bound}"
        _console.print(f"serving on {url} — follow it with: indexer run --network {url}", soft_wrap=True)

    try:
        await serve_chain(chain, host, port, block_time_s=block_time_s, blocks=blocks, ready=ready)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error


async def serve_in_background(
    chain: ServedChain, block_time_s: float, blocks: int | None, *, task_status: TaskStatus[int]
) -> None:
    """Serve on a free local port, as a task whose start gives the port."""
    await serve_chain(chain, "127.0.0.1", 0, block_time_s=block_time_s, blocks=blocks, ready=task_status.started)
