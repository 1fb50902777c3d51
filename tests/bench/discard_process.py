"""The floor of a backfill: ask a node what a file of messages asks, so many at once, and drop what it answers.

``python discard_process.py URL FILE AT_ONCE``: prints the processor seconds it took, without those of its start.
Nothing is parsed and no text is made of what comes: whatever reads the answers has to do this and more.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anyio
from websockets.asyncio.client import connect


async def main(url: str, file: str, at_once: str) -> None:
    """Send each line; a new one as soon as an answer came."""
    messages = Path(file).read_text(encoding="utf-8").splitlines()  # noqa: ASYNC240 - nothing else is under way
    async with connect(url, max_size=None, compression=None, proxy=None) as socket:
        started_s, size, answered = time.process_time(), 0, 0
        for at, message in enumerate(messages):
            await socket.send(message)
            if at + 1 - answered >= int(at_once):
                size += len(await socket.recv(decode=False))
                answered += 1
        while answered < len(messages):
            size += len(await socket.recv(decode=False))
            answered += 1
        print(time.process_time() - started_s, size)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
