"""The indexer as a process that tells, when asked by a signal, what it holds: memory, files, tasks, threads.

Run as ``python census.py FILE ARGUMENTS...``: the arguments are those of ``indexer``; each SIGUSR1 writes the census
of that moment to FILE. The product itself is as it ships, but for a smaller cache, which is full sooner.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

from indexer import cli, daemon

CACHE_BYTES = 32 << 20
"""Of trie nodes: what grows after it is full is a leak."""
TRACED_LINES = 25


def take(file: Path) -> None:
    """Write the census; the file is complete as soon as it exists."""
    fds = Counter(_kind(fd) for fd in os.listdir("/proc/self/fd"))
    held = {
        "rss_kib": int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0]),
        "fds": fds,
        "tasks": Counter(_stem(task.get_name()) for task in asyncio.all_tasks()),
        "threads": Counter(_stem(thread.name) for thread in threading.enumerate()),
    }
    if tracemalloc.is_tracing():
        lines = tracemalloc.take_snapshot().statistics("lineno")[:TRACED_LINES]
        held["largest"] = [f"{line.size >> 10} KiB in {line.count}: {line.traceback}" for line in lines]
    part = file.with_suffix(".part")
    part.write_text(json.dumps(held))
    part.rename(file)


def _kind(fd: str) -> str:
    """What a descriptor leads to, without what differs from one socket or pipe to the next."""
    try:
        target = os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return "the listing itself"
    return _stem(target)


def _stem(name: str) -> str:
    """A name without its numbers: ``Task-17`` and ``Task-18`` are of one kind."""
    return re.sub(r"\d+", "#", name)


if __name__ == "__main__":
    told = Path(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda *_: take(told))
    daemon.NODE_CACHE_BYTES = CACHE_BYTES
    sys.argv = ["indexer", *sys.argv[2:]]
    cli.main()
