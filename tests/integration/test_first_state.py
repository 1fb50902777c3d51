"""A first state read in parts: the same rows as at once, whatever interrupts it; nobody sees any of it before."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from first_states import HEAD, START, Gate, assert_nothing_seen, broken_off, finalized, gated, tables_besides, waiting
from running import index, running
from structlog.testing import capture_logs
from tables import all_rows, assert_equal

from indexer import first_state, pipeline
from indexer.capture import Progress, capture
from indexer.datasets import load
from indexer.decode import block_rows, decode
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.tape import load_tape
from indexer.first_state import FirstState, Followed
from indexer.model import BlockRows, Header
from indexer.schema import Log

pytestmark = pytest.mark.anyio


class AtOnce(FirstState):
    """The whole state captured, decoded and made into rows at once: what the parts have to add up to."""

    async def read(
        self, header: Header, parent: Header | None, followed: Followed, progress: Progress
    ) -> BlockRows | None:
        del progress
        state = (parent or header).ref.hash
        captured = await capture(self._node, self._cache, self._tracked, header, parent, None, bootstrap=True)
        runtime = await self._runtimes.of(captured.code_hash, header.ref.number, state)
        decoded = decode(captured, runtime, self._tracked.item_of, self._last_type(captured))
        finalized, head = followed()
        return block_rows(captured, decoded, runtime, self._datasets, finalized=finalized, head=head)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return gated(monkeypatch)


@pytest.fixture
def chain() -> Chain:
    return finalized()


@pytest.fixture
async def devnode(chain: Chain, gate: Gate) -> AsyncIterator[DevNode]:
    async with DevNode(chain, tamper=gate) as node:
        yield node


async def index_at_once(monkeypatch: pytest.MonkeyPatch, dsn: str, url: str, **options: Any) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "FirstState", AtOnce)
        await index(dsn, url, **options)


@pytest.mark.parametrize("start", [0, 11, 25])
async def test_the_rows_are_those_of_the_whole_state_at_once(
    database: str, another_database: str, devnode: DevNode, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    chosen = {"datasets": ("all",), "item": ("System.BlockHash", "Proxy.Proxies"), "start": start, "stop": start + 4}
    await index(database, devnode.url, **chosen)
    await index_at_once(monkeypatch, another_database, devnode.url, **chosen)
    assert_equal(await all_rows(database), await all_rows(another_database))
    assert await tables_besides(database) == []


@pytest.mark.realdata
async def test_the_rows_of_a_recorded_state_are_those_of_it_at_once(
    database: str, another_database: str, realdata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_state, "STRETCH_KEYS", 700)
    tape = load_tape(realdata / "tape" / "blocks.jsonl.gz", realdata / "metadata")
    tape.grow(4)
    tape.finalize(tape.best.number)
    async with DevNode(tape) as node:
        chosen = {"datasets": ("all",), "start": "genesis", "stop": tape.best.number}
        await index(database, node.url, **chosen)
        await index_at_once(monkeypatch, another_database, node.url, **chosen)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_a_later_first_state_ends_and_changes_what_was_stored_as_the_whole_at_once_does(
    database: str, another_database: str, devnode: DevNode, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dsn, run in ((database, index), (another_database, partial(index_at_once, monkeypatch))):
        gate.gone.clear()
        await run(dsn, devnode.url, stop=8)
        gate.gone = {"0x" + devnode.chain.at(number).hash.hex() for number in range(20)}
        await run(dsn, devnode.url, stop=HEAD)
    found, wanted = await all_rows(database), await all_rows(another_database)
    assert len([hole for hole in found["holes"] if hole]) > 0
    for tables in (found, wanted):
        tables["holes"] = [row[:4] for row in tables["holes"]]
    assert_equal(found, wanted)


async def test_killed_in_the_middle_it_goes_on_behind_the_last_part_and_nobody_sees_anything_before(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await index(another_database, devnode.url, start=START, stop=START)
    anew, parts = gate.keys, gate.parts
    await broken_off(database, devnode, gate, after=parts // 2, start=START, stop=START)
    (begun,) = await waiting(database)
    assert begun["keys_read"] > 0
    assert_nothing_seen(await all_rows(database))
    before = gate.keys
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    (told,) = [line for line in lines if line["event"] == "first_state_resumed"]
    assert told["keys"] == begun["keys_read"]
    assert gate.keys - before < 0.8 * anew
    assert_equal(await all_rows(database), await all_rows(another_database))
    assert await tables_besides(database) == []


async def test_for_other_datasets_it_begins_anew_and_for_fewer_it_goes_on(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    chosen = {"start": START, "stop": START}
    await broken_off(database, devnode, gate, after=2, datasets=("blocks", "balances", "stake"), **chosen)
    with capture_logs() as lines:
        await broken_off(database, devnode, gate, after=2, datasets=("blocks", "stake", "neurons", "subnets"), **chosen)
        assert [line["event"] for line in lines].count("first_state_dropped") == 1
        await index(database, devnode.url, datasets=("blocks", "stake", "neurons"), **chosen)
    assert [line["event"] for line in lines].count("first_state_resumed") == 1
    await index(another_database, devnode.url, datasets=("blocks", "stake", "neurons"), **chosen)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_a_stop_in_the_middle_is_heard_at_once(database: str, devnode: DevNode, gate: Gate) -> None:
    await index(database, devnode.url, start=START, stop=START)
    whole = gate.calls
    gate.calls, gate.slow_s = 0, 0.2
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM cursors")
    await connection.close()
    async with running(database, devnode.url, "--start", str(START)) as process:
        with anyio.fail_after(30):
            while gate.calls < 4:  # noqa: ASYNC110 - another process asks
                await anyio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    assert gate.calls < whole - 4


def test_no_dataset_with_items_keeps_a_log() -> None:
    """What follows from the block is then told once, whatever the number of parts."""
    for dataset in load(["all"]):
        assert not (dataset.items and any(isinstance(table, Log) for table in dataset.tables)), dataset.name
