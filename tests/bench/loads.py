"""The chains that the benches of whole processes run on.

The full one is the devchain's profile ``finney``: made once, which takes minutes, and kept in the user's cache
folder. The short one is the same chain in a smaller size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

from rich.console import Console

from indexer.devchain import finney
from indexer.devchain.finney_state import Sizes

CACHE = Path(gettempdir()) / "indexer-bench-finney"
SEED = 1
SHORT = replace(finney.SMALL, blocks=161)


def folder(sizes: Sizes) -> Path:
    """The prepared chain of these sizes, made if it is not there."""
    console = Console(stderr=True)

    def tell(done: int, total: int) -> None:
        if done % 200 == 0 or done == total:
            console.print(f"making the chain with {sizes.accounts:,} accounts: block {done:,} of {total:,}")

    return finney.prepare(CACHE, sizes, SEED, tell)


def finney_chain(short: bool, blocks: int, sizes: Sizes | None = None) -> str:
    """What ``node_process.py`` calls it, with so many blocks there."""
    sizes = sizes or (SHORT if short else finney.FULL)
    return f"finney:{folder(sizes)}:{min(blocks, sizes.blocks - 1)}"
