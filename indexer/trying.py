"""The commands for trying things out, `devchain` and `demo`: what they take, and what it means.

What they do is in ``playground`` and ``demo``, which are imported only when one of them runs.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from indexer import logs
from indexer.errors import ConfigError

_FINNEY = "With --profile finney"


class Profile(StrEnum):
    """What kind of chain `indexer devchain` serves."""

    ACTIVITY = "activity"
    FINNEY = "finney"


def devchain(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 9944,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Seed of what happens: the same seed, the same chain.")] = 1,
    profile: Annotated[
        Profile,
        typer.Option(
            help="`activity`: a few accounts that do everything there is to do, over a runtime upgrade. "
            "`finney`: the size of the main network, prepared once on disk, then only looked up."
        ),
    ] = Profile.ACTIVITY,
    block_time: Annotated[
        float | None,
        typer.Option(
            help="Seconds per block; 0: all blocks exist at once. Default 12, with --replay and --profile finney 0."
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(help="Make this many blocks, then only serve. Default: without end; with finney 2000.", min=0),
    ] = None,
    accounts: Annotated[
        int | None,
        typer.Option(help=f"{_FINNEY}: so many accounts, all else in proportion. Default 500000.", min=1),
    ] = None,
    shown: Annotated[
        int | None,
        typer.Option(help=f"{_FINNEY} and a block time: blocks that exist from the start. Default 1.", min=1),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help=f"{_FINNEY}: folder that keeps prepared chains. Default: in the user's cache folder."),
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Serve a recorded tape (.jsonl.gz) instead.")] = None,
    metadata: Annotated[Path | None, typer.Option(help="Folder of the tape's metadata, specN.vM.scale.")] = None,
) -> None:
    """Serve a simulated Bittensor chain over a node's JSON-RPC, for trying things without a network.

    Follow it from another terminal: indexer run --network local --start genesis

    With --profile finney the load is the main network's: 500,000 accounts,
    300,000 stakes over 129 subnets, 250 accounts and 400 stake keys changed in
    every block, 3,000 where epochs end, every value of every pool. The first time
    it is prepared, which takes minutes and about 3 GB of disk; later it is found.
    Smaller and soon there: --accounts 20000 --blocks 200
    """
    from indexer import playground

    logs.set_up(bars=True)
    every_s = block_time if block_time is not None else (0.0 if replay or profile is Profile.FINNEY else 12.0)
    if profile is Profile.FINNEY:
        if replay is not None or metadata is not None:
            raise ConfigError("--replay serves a recorded chain, --profile finney a prepared one: give one of them")
        with playground.prepared(cache_dir, seed=seed, accounts=accounts, blocks=blocks) as chain:
            if every_s > 0 and shown is not None:
                chain.grow(shown - 1)
                chain.finalize(chain.best.number)
            anyio.run(partial(playground.serve, chain, host, port, block_time_s=every_s, blocks=None))
        return
    if (accounts, shown, cache_dir) != (None, None, None):
        raise ConfigError("--accounts, --shown and --cache-dir go with --profile finney")
    made = playground.chain(seed=seed, block_time_s=every_s, replay=replay, metadata=metadata)
    anyio.run(partial(playground.serve, made, host, port, block_time_s=every_s, blocks=blocks))


def demo(
    blocks: Annotated[
        int | None, typer.Option(help="Stop by itself after this many blocks. Default: at Ctrl-C.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated activity.")] = 1,
    block_time: Annotated[float, typer.Option(help="Seconds per block.", min=0.05)] = 1.0,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keep the demo's database here. Default: a temporary folder."),
    ] = None,
) -> None:
    """See it work: a simulated chain, an embedded Postgres and the indexer, with a live status and sample SQL."""
    from indexer import demo as show

    anyio.run(partial(show.run, blocks=blocks, seed=seed, block_time_s=block_time, data_dir=data_dir))
