"""``python -m bench``: make the database, ask the documented queries, print a report in Markdown, and remove it again.

With ``--database-url`` the database is an empty one of that server and stays; without, an embedded Postgres is
started in a new folder (of TMPDIR) that is removed at the end. At scale 1 it takes some 12 GB and a quarter of an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from bench.load import load
from bench.measure import Connection, report
from bench.partitions import compare
from bench.world import Size
from indexer import embedded, migrate

SERVER = {"shared_buffers": "2GB", "work_mem": "32MB", "max_wal_size": "8GB", "fsync": "off"}
"""Of the embedded one: what a server of this size would have. Nothing here has to survive a power failure."""


def main() -> None:
    """Parse the command line and do it all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1: the full chain's size; 0.01 takes seconds")
    parser.add_argument("--database-url", help="an empty database; superuser, for the plans")
    parser.add_argument("--partitions", action="store_true", help="compare with partitioned histories instead")
    given = parser.parse_args()
    size = Size(given.scale)
    if given.database_url:
        asyncio.run(work(given.database_url, size, given.partitions))
        return
    folder = Path(tempfile.mkdtemp(prefix="indexer-bench-")).resolve()
    folder.chmod(0o711)  # Postgres may run as another user
    try:
        asyncio.run(work_alone(folder, size, given.partitions))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def work_alone(folder: Path, size: Size, partitions: bool) -> None:
    """``work`` on an embedded Postgres."""
    async with embedded.postgres(folder, options=SERVER) as url:
        await work(url, size, partitions)


async def work(dsn: str, size: Size, partitions: bool) -> None:
    """Fill, measure, print."""
    await migrate.upgrade(dsn)
    began = time.monotonic()
    rows = await load(dsn, size)
    print(f"\n{rows:,} history rows in {time.monotonic() - began:.0f} s\n")
    connection = await asyncpg.connect(dsn)
    try:
        if partitions:
            async for line in compare(connection, size):
                print(line, flush=True)
            return
        lines = await report(connection, size)
        print("\n" + "\n".join([*(await _circumstances(connection, size)), "", *lines]))
    finally:
        await connection.close()


async def _circumstances(connection: Connection, size: Size) -> Iterator[str]:
    settings = await connection.fetch(
        "select name, current_setting(name) as value from pg_settings "
        "where name in ('server_version', 'shared_buffers', 'work_mem') order by name"
    )
    bytes_used = await connection.fetchval("select pg_database_size(current_database())")
    return iter(
        [
            f"Scale {size.scale:g}: {size.accounts:,} accounts, {size.of(300_000, 300):,} stake entries, "
            f"{size.subnets} subnets, {size.blocks:,} blocks, {bytes_used / 1e9:.1f} GB.",
            f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}; "
            + ", ".join(f"{row['name']} {row['value']}" for row in settings)
            + ".",
        ]
    )


if __name__ == "__main__":
    main()
