"""Everything at once, for someone who wants to see it: simulated chain, embedded Postgres, indexer.

It runs the same daemon as ``indexer run``, against a chain in the same process; what it shows, it
reads through SQL as any user would. Its database is made anew each time and kept afterwards.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import asyncpg
from rich.console import Console
from rich.live import Live
from rich.table import Table

from indexer import config, daemon, embedded, logs, playground
from indexer.errors import ConfigError
from indexer.session import Connection

REFRESH_S = 0.5
PLAIN_LINE_EVERY_S = 5.0
BLOCKS_BEFORE_SAMPLES = 3
_MARK = "this-is-a-demo"

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The live status: what SQL says at one moment."""

    committed: int
    lag_s: float
    blocks_per_s: float
    rows: int
    complete: int
    incomplete: int
    runtime: int


async def run(*, blocks: int | None, seed: int, block_time_s: float, data_dir: Path | None) -> None:
    """Show the indexer at work until ``blocks`` are indexed, or until Ctrl-C."""
    logs.set_up(level="warning")
    folder = data_dir or config.default_data_dir().with_name("bittensor-indexer-demo")
    with _own_folder(folder):
        console.print(
            f"[bold]demo[/]: a simulated chain, a block every {block_time_s:g} s; database in {folder}", soft_wrap=True
        )
        chain = playground.chain(seed=seed, block_time_s=block_time_s)
        async with embedded.postgres(folder) as url, anyio.create_task_group() as group:
            port = await group.start(playground.serve_in_background, chain, block_time_s, blocks)
            settings = config.load(
                {
                    "network": (f"ws://127.0.0.1:{port}",),
                    "database_url": url,
                    "start": "genesis",
                    "stop": blocks,
                    "metrics_address": "127.0.0.1:0",
                }
            )
            group.start_soon(_show, url, blocks, folder, name="live status")
            await daemon.serve(settings)
            group.cancel_scope.cancel()
        async with embedded.postgres(folder) as url, _connected(url) as connection:
            await _samples(connection, "at the end")
        console.print(_how_to_connect(folder), soft_wrap=True)


@contextmanager
def _own_folder(folder: Path) -> Iterator[None]:
    """A folder for this demo alone, emptied of the last one. Refuses one that holds anything else."""
    mark = folder / _MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise ConfigError(f"{folder} holds something that is no demo: name another --data-dir")
    folder.mkdir(parents=True, exist_ok=True)
    with mark.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another demo is running in {folder}: name another --data-dir") from None
        for entry in folder.iterdir():
            if entry != mark:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield


class _connected:  # noqa: N801 - used as a function
    """A connection for as long as the context."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        self._connection = await asyncpg.connect(self._url)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            with anyio.CancelScope(shield=True):
                await self._connection.close(timeout=3)


async def _show(url: str, blocks: int | None, folder: Path) -> None:
    """Samples as soon as there is something to see, then the live status."""
    async with _connected(url) as connection:
        enough = min(BLOCKS_BEFORE_SAMPLES, blocks or BLOCKS_BEFORE_SAMPLES)
        while await _committed(connection) < enough:  # noqa: ASYNC110 - another process could be the one that writes
            await anyio.sleep(REFRESH_S)
        await _samples(connection, "after the first blocks")
        console.print(_how_to_connect(folder), soft_wrap=True)
        samples: list[tuple[float, int]] = []
        next_line_s = 0.0
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                glimpse = await _glimpse(connection, samples)
                if console.is_terminal:
                    live.update(_panel(glimpse, blocks), refresh=True)
                elif time.monotonic() >= next_line_s:
                    next_line_s = time.monotonic() + PLAIN_LINE_EVERY_S
                    console.print(_line(glimpse), soft_wrap=True)
                await anyio.sleep(REFRESH_S)


async def _committed(connection: Connection) -> int:
    known = await connection.fetchval("SELECT to_regclass('cursors')")
    if known is None:
        return -1
    value = await connection.fetchval("SELECT min(block_number) FROM cursors")
    return -1 if value is None else int(value)


async def _glimpse(connection: Connection, samples: list[tuple[float, int]]) -> Glimpse:
    row = await connection.fetchrow(
        "SELECT b.block_number, b.spec_version, extract(epoch FROM now() - b.timestamp)::float8 AS lag_s, "
        "(SELECT sum(n_live_tup)::int8 FROM pg_stat_user_tables) AS rows, "
        "(SELECT count(*) FROM blocks WHERE complete) AS complete, "
        "(SELECT count(*) FROM blocks WHERE NOT complete) AS incomplete "
        "FROM blocks b ORDER BY b.block_number DESC LIMIT 1"
    )
    assert row is not None, "the samples waited for the first blocks"
    samples.append((time.monotonic(), row["block_number"]))
    del samples[:-20]
    passed_s = samples[-1][0] - samples[0][0]
    return Glimpse(
        committed=row["block_number"],
        lag_s=row["lag_s"],
        blocks_per_s=(samples[-1][1] - samples[0][1]) / passed_s if passed_s > 0 else 0.0,
        rows=row["rows"],
        complete=row["complete"],
        incomplete=row["incomplete"],
        runtime=row["spec_version"],
    )


def _panel(glimpse: Glimpse, blocks: int | None) -> Table:
    table = Table(title="indexer", title_justify="left", show_header=False, min_width=40)
    until = "Ctrl-C stops" if blocks is None else f"of {blocks}"
    for name, value in (
        ("committed block", f"{glimpse.committed}   {until}"),
        ("lag", f"{glimpse.lag_s:.1f} s"),
        ("speed", f"{glimpse.blocks_per_s:.2f} blocks/s"),
        ("rows", f"{glimpse.rows:,}"),
        ("complete blocks", f"{glimpse.complete} of {glimpse.complete + glimpse.incomplete}, proven by state root"),
        ("runtime", str(glimpse.runtime)),
    ):
        table.add_row(name, value)
    return table


def _line(glimpse: Glimpse) -> str:
    return (
        f"block {glimpse.committed}  lag {glimpse.lag_s:.1f} s  {glimpse.blocks_per_s:.2f} blocks/s  "
        f"{glimpse.rows:,} rows  complete {glimpse.complete} of {glimpse.complete + glimpse.incomplete}  "
        f"runtime {glimpse.runtime}"
    )


async def _samples(connection: Connection, when: str) -> None:
    """Three questions as a user would type them, and their answers."""
    block = await _committed(connection)
    whale = await connection.fetchval(
        "SELECT a.address FROM balances b JOIN accounts a USING (account) ORDER BY b.free DESC LIMIT 1"
    )
    for question in (
        "SELECT hotkey, coldkey, netuid, alpha_rao, tao_rao FROM delegations ORDER BY tao_rao DESC LIMIT 5",
        f"SELECT free, reserved, frozen, nonce FROM balance_at('{whale}', {block // 2})",
        f"SELECT name, value, is_default FROM hyperparameters_at(1, {block}) WHERE name IN "
        "('tempo', 'kappa', 'network_pow_registration_allowed', 'burn') ORDER BY name",
    ):
        console.print(f"\n[bold]{when}[/], block {block}: [cyan]{question}[/]", soft_wrap=True)
        console.print(_grid(await connection.fetch(question)))


def _grid(rows: Sequence[Any]) -> Table:
    table = Table()
    for name in rows[0].keys() if rows else ("no rows",):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_short(value) for value in row.values()))
    return table


def _short(value: object) -> str:
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return f"{text[:8]}…{text[-4:]}" if len(text) == 48 and text.startswith("5") else text


def _how_to_connect(folder: Path) -> str:
    return f"\nask it yourself:  .venv/bin/indexer psql --data-dir {folder}\n"
