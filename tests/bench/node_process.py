"""A node as a process of its own, so that its processor time can be told from the indexer's.

``python node_process.py CHAIN RECORD``: CHAIN is ``simulated:BLOCKS`` (made before anybody may connect), ``quiet``
(made as it is asked for; old states forgotten) or ``finney:FOLDER:BLOCKS``. It prints lines of JSON: its URL, then
each new head with the time it was there, then what is asked for. Lines on its input: ``reveal N`` makes heads up to
block N at once, ``leap N`` too but tells nobody of those between, ``beat COUNT INTERVAL_S`` one after the other,
``told`` prints what was asked since the last time: messages, requests, and the seconds spent on answering. Each message
goes to the file RECORD, one a line, if that is not ``-``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import anyio
import anyio.to_thread

from indexer.devchain import finney
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

STATES_KEPT = 128


class RecordingNode(DevNode):
    """A node that notes what it is asked, and how long it takes to answer."""

    record: TextIO | None = None
    messages = 0
    answering_s = 0.0

    async def _answer(self, client: Any, message: str | bytes) -> str | None:
        if self.record is not None:
            self.record.write(message if isinstance(message, str) else message.decode())
            self.record.write("\n")
        self.messages += 1
        started_s = time.perf_counter()
        try:
            return await super()._answer(client, message)
        finally:
            self.answering_s += time.perf_counter() - started_s


def say(**what: object) -> None:
    """One line for whoever started this process."""
    print(json.dumps(what), flush=True)


def opened(spec: str) -> Any:
    """The chain that ``spec`` names."""
    kind, _, rest = spec.partition(":")
    if kind == "quiet":
        return simulated_chain(1, quiet_from=40, keep_states=STATES_KEPT, keep_blocks=STATES_KEPT)
    if kind == "simulated":
        return grown(simulated_chain(1), int(rest))
    if kind == "finney":
        folder, _, blocks = rest.rpartition(":")
        return grown(finney.open_chain(Path(folder)), int(blocks))
    raise SystemExit(f"no chain is called {spec}")


def grown(chain: Any, blocks: int) -> Any:
    """The chain with so many blocks, all final."""
    chain.grow(blocks)
    chain.finalize(blocks)
    return chain


def reveal(chain: Any, number: int) -> None:
    """Make the head ``number``, final at once: what is timed is one chain, without forks."""
    while chain.best.number < number and chain.grow(1):
        pass
    chain.finalize(chain.best.number)
    say(head=chain.best.number, at_s=time.monotonic())


def leap(chain: Any, number: int) -> None:
    """Have block ``number``, and tell of it alone."""
    listeners, chain.listeners = chain.listeners, []
    chain.grow(number - 1 - chain.best.number)
    chain.listeners = listeners
    reveal(chain, number)


async def obey(chain: Any, node: RecordingNode) -> None:
    """Carry out what is said on the input, until it ends."""
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        word, *arguments = line.split()
        if word == "reveal":
            reveal(chain, int(arguments[0]))
        elif word == "leap":
            leap(chain, int(arguments[0]))
        elif word == "beat":
            due_s = time.monotonic()
            for _ in range(int(arguments[0])):
                due_s += float(arguments[1])
                await anyio.sleep(max(0.0, due_s - time.monotonic()))
                reveal(chain, chain.best.number + 1)
        elif word == "told":
            if node.record is not None:
                node.record.flush()
            say(messages=node.messages, requests=sum(node.requests.values()), answering_s=node.answering_s)
            node.messages, node.answering_s = 0, 0.0
            node.requests.clear()


async def main(spec: str, record: str) -> None:
    """Serve until the input ends."""
    chain = opened(spec)
    async with RecordingNode(chain) as node:
        if record != "-":
            node.record = Path(record).open("w", encoding="utf-8")  # noqa: SIM115, ASYNC230 - open as long as we are
        say(url=node.url, head=chain.best.number)
        await obey(chain, node)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
