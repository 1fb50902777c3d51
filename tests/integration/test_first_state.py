"""A first state read in parts: the same rows as at once, whatever interrupts it; nobody sees any of it before."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from running import index, running
from structlog.testing import capture_logs
from tables import all_rows, assert_equal

from indexer import first_state, migrate, pipeline, staging, survey
from indexer.capture import CODE_KEY, EVENTS, Progress, capture, item_prefix, track
from indexer.datasets import load
from indexer.decode import block_rows, decode
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.devchain.tape import load_tape
from indexer.errors import NodeError
from indexer.first_state import FirstState, Followed
from indexer.model import BlockRows, Header
from indexer.schema import Log

pytestmark = pytest.mark.anyio

HEAD, START = 32, 25
STRETCH_KEYS, WANTED_AT_ONCE = 60, 20
PROOFS = "state_getReadProof"


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


class Gate:
    """A node's answers, the keys of proofs counted; and what happens once so many parts of a state are kept."""

    def __init__(self) -> None:
        self.keys = self.calls = self.parts = 0
        self.asked: set[str] = set()
        """Paths of nodes, in hex; an odd one has a zero at its end."""
        self.gone: set[str] = set()
        """Blocks (hex hashes) whose state is dropped."""
        self.unknown: dict[int, int] = {}
        """How often a height is said to be unknown."""
        self.at_part: dict[int, Callable[[], None]] = {}
        """What happens once so many parts are kept."""
        self.slow_s = 0.0
        self.last_part = 0
        """The part after which nothing is answered any more, and the run fails; 0: there is none."""
        self.lies_after = 10**9
        """The part after which proofs are altered."""
        self.ended = anyio.Event()

    async def __call__(self, method: str, params: Any, result: Any) -> Any:
        if self.ended.is_set():
            await anyio.sleep(60)
        if len(params) > 1 and params[-1] in self.gone and method.startswith("state_"):
            raise RpcError(4003, "Client error: UnknownBlock: State already discarded")
        if method == "chain_getBlockHash" and params and self.unknown.get(params[0]):
            self.unknown[params[0]] -= 1
            return None
        if method != PROOFS:
            return result
        await anyio.sleep(self.slow_s)
        self.keys, self.calls = self.keys + len(params[0]), self.calls + 1
        self.asked.update(key.removeprefix("0x") for key in params[0])
        if self.parts >= self.lies_after:
            proof = [f"{node[:-2]}{int(node[-2:], 16) ^ 1:02x}" for node in result["proof"]]
            return {**result, "proof": proof}
        return result

    def kept(self) -> None:
        """A part is committed."""
        self.parts += 1
        self.at_part.pop(self.parts, lambda: None)()
        if self.parts == self.last_part:
            self.ended.set()
            raise NodeError("this is where it dies")


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_state, "STRETCH_KEYS", STRETCH_KEYS)
    monkeypatch.setattr(first_state, "WANTED_AT_ONCE", WANTED_AT_ONCE)
    monkeypatch.setattr(survey, "PROBES", 1)  # a survey of so small a state would read most of it


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate, add = Gate(), staging.add

    async def add_and_tell(*given: Any) -> staging.Staged:
        done = await add(*given)
        gate.kept()
        return done

    monkeypatch.setattr(staging, "add", add_and_tell)
    return gate


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(HEAD)
    chain.finalize(HEAD)
    return chain


@pytest.fixture
async def devnode(chain: Chain, gate: Gate) -> AsyncIterator[DevNode]:
    async with DevNode(chain, tamper=gate) as node:
        yield node


async def index_at_once(monkeypatch: pytest.MonkeyPatch, dsn: str, url: str, **options: Any) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "FirstState", AtOnce)
        await index(dsn, url, **options)


async def broken_off(dsn: str, devnode: DevNode, gate: Gate, *, after: int, **options: Any) -> None:
    """Run until so many parts are kept, then die."""
    gate.last_part, gate.ended = gate.parts + after, anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(index, dsn, devnode.url, **options))
        with anyio.fail_after(60):
            await gate.ended.wait()
        group.cancel_scope.cancel()
    devnode.drop_connections()
    gate.last_part, gate.ended = 0, anyio.Event()


async def waiting(dsn: str) -> list[Any]:
    """The first states under way."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch("SELECT * FROM first_states")
    finally:
        await connection.close()


async def tables_besides(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch("SELECT relname FROM pg_class WHERE starts_with(relname::text, 'first_state_')")
        return [row[0] for row in found]
    finally:
        await connection.close()


def assert_nothing_seen(found: dict[str, list[tuple[object, ...]]]) -> None:
    assert not [name for name, rows in found.items() if rows and name not in ("chain", "writer", "first_states")]


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


SHORT = (
    "from indexer import first_state, survey\n"
    f"first_state.STRETCH_KEYS, first_state.WANTED_AT_ONCE, survey.PROBES = {STRETCH_KEYS}, {WANTED_AT_ONCE}, 0\n"
    "from indexer.cli import main\n"
    "main()\n"
)
"""The command, with stretches as short as in this process."""


def passed_over(asked: set[str], last: str) -> list[str]:
    """Of the paths asked for those with nothing below but keys before ``last``, or that one, and no plain value."""
    tracked = track(load(["default"]))
    plain = [item_prefix(item).hex() for item in (EVENTS, *tracked.reads, *tracked.parent_reads)]

    def leads_to(path: str, key: str) -> bool:
        return key.startswith(path) or (path.endswith("0") and key.startswith(path[:-1]))

    ways = [last, CODE_KEY.hex(), *plain]
    return [path for path in asked if path < last[: len(path)] and not any(leads_to(path, key) for key in ways)]


async def until(connection: Any, question: str, within_s: float = 30.0) -> None:
    with anyio.fail_after(within_s):
        while not await connection.fetchval(question):  # noqa: ASYNC110 - another process does it
            await anyio.sleep(0.02)


@pytest.mark.parametrize("moment", ["while parts are read", "while one is committed", "just before the end"])
async def test_a_killed_process_leaves_what_is_gone_on_with(
    database: str, another_database: str, devnode: DevNode, gate: Gate, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(survey, "PROBES", 0)  # it looks here and there, also at what is there already
    await index(another_database, devnode.url, start=START, stop=START)
    anew, gate.slow_s = gate.asked, 0.02
    await migrate.upgrade(database)
    run = ["run", "--network", devnode.url, "--database-url", database, "--metrics-address", "off"]
    process = await anyio.open_process(
        [sys.executable, "-c", SHORT, *run, "--start", str(START), "--stop", str(START)], stdout=None, stderr=None
    )
    connection = await asyncpg.connect(database)
    if moment == "while parts are read":
        await until(connection, "SELECT keys_read > 100 FROM first_states")
        gate.ended.set()
        process.send_signal(signal.SIGKILL)
    else:
        of = "first_states" if moment == "while one is committed" else "cursors"
        await until(connection, "SELECT keys_read > 200 FROM first_states")
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {of} IN SHARE ROW EXCLUSIVE MODE")
            await until(connection, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            process.send_signal(signal.SIGKILL)
            if moment == "just before the end":  # the server finds out, although its statement goes on
                await until(connection, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted)", 10.0)
    await process.wait()
    (begun,) = await connection.fetch("SELECT * FROM first_states")
    await connection.close()
    assert_nothing_seen(await all_rows(database))
    gate.slow_s, gate.ended, gate.asked = 0.0, anyio.Event(), set()
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    (told,) = [line for line in lines if line["event"] == "first_state_resumed"]
    assert told["keys"] == begun["keys_read"] > 0
    assert not passed_over(gate.asked, begun["last_key"].hex())
    assert len(passed_over(anew, begun["last_key"].hex())) > 30
    assert_equal(await all_rows(database), await all_rows(another_database))
    assert await tables_besides(database) == []


async def test_killed_again_and_again_it_ends_all_the_same(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await index(another_database, devnode.url, start=START, stop=START)
    reached = [0]
    for _ in range(3):
        await broken_off(database, devnode, gate, after=2, start=START, stop=START)
        reached += [row["keys_read"] for row in await waiting(database)]
    await index(database, devnode.url, start=START, stop=START)
    assert reached == sorted(set(reached))
    assert len(reached) == 4
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_begun_at_the_newest_block_it_goes_on_with_that_block_although_the_chain_has_moved(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start="latest", stop=HEAD + 3)
    (begun,) = await waiting(database)
    devnode.chain.grow(3)
    devnode.chain.finalize(HEAD + 3)
    await index(database, devnode.url, start="latest", stop=HEAD + 3)
    await index(another_database, devnode.url, start=begun["block_number"], stop=HEAD + 3)
    assert begun["block_number"] == HEAD
    assert begun["keys_read"] > 0
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_where_the_state_is_gone_meanwhile_it_begins_anew_and_says_so(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start="latest", stop=HEAD + 3)
    gate.gone = {"0x" + devnode.chain.at(number).hash.hex() for number in range(HEAD + 1)}
    devnode.chain.grow(3)
    devnode.chain.finalize(HEAD + 3)
    with capture_logs() as lines:
        await index(database, devnode.url, start="latest", stop=HEAD + 3)
    (told,) = [line for line in lines if line["event"] == "first_state_dropped"]
    assert (told["block"], told["reason"]) == (HEAD, "no endpoint has its state any more")
    await index(another_database, devnode.url, start="latest", stop=HEAD + 3)
    assert_equal(await all_rows(database), await all_rows(another_database))
    assert await tables_besides(database) == []


@pytest.mark.parametrize("why", ["its state is dropped", "another block takes its height"])
async def test_what_befalls_its_block_while_it_is_read_makes_it_begin_anew_and_leaves_nothing_of_it(
    database: str, another_database: str, devnode: DevNode, gate: Gate, why: str
) -> None:
    chain, lost = devnode.chain, devnode.chain.best
    chosen = {"start": HEAD, "stop": HEAD + 2, "follow": "best", "workers": 1}
    if why == "its state is dropped":
        chosen["start"] = "latest"
    else:
        chain.grow(1)
        lost = chain.best  # not final, as those after the start may be
        chosen["start"] = lost.number

    def befall() -> None:
        if why == "its state is dropped":
            gate.gone = {"0x" + chain.at(number).hash.hex() for number in range(HEAD + 1)}
            chain.grow(2)
        else:
            chain.fork(HEAD, 2)
        chain.finalize(HEAD + 2)

    gate.at_part[2] = befall
    with capture_logs() as lines:
        await index(database, devnode.url, **chosen)
    (told,) = [line for line in lines if line["event"] == "first_state_dropped"]
    reason = "no endpoint has its state any more" if chosen["start"] == "latest" else "its block is not on the chain any more"
    assert (told["block"], told["reason"]) == (lost.number, reason)
    assert told["keys"] > 0
    assert await tables_besides(database) == []
    assert await waiting(database) == []
    await index(another_database, devnode.url, **chosen)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_an_endpoint_that_lags_does_not_lose_what_is_read(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=2, start=START, stop=START)
    gate.unknown[START] = 3
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    assert gate.unknown[START] == 0
    assert [line["event"] for line in lines].count("first_state_resumed") == 1
    await index(another_database, devnode.url, start=START, stop=START)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_a_node_that_begins_to_lie_ends_the_run_and_an_honest_one_goes_on(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    gate.lies_after = 2
    with anyio.move_on_after(5) as time:
        await index(database, devnode.url, start=START, stop=START)
    assert time.cancelled_caught
    assert_nothing_seen(await all_rows(database))
    (begun,) = await waiting(database)
    assert begun["keys_read"] > 0
    gate.lies_after = 10**9
    await index(database, devnode.url, start=START, stop=START)
    await index(another_database, devnode.url, start=START, stop=START)
    assert_equal(await all_rows(database), await all_rows(another_database))


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


async def test_rows_that_a_crash_of_the_server_took_are_read_anew(
    database: str, another_database: str, devnode: DevNode, gate: Gate
) -> None:
    await broken_off(database, devnode, gate, after=3, start=START, stop=START)
    connection = await asyncpg.connect(database)
    tables = await tables_besides(database)
    await connection.execute(f"TRUNCATE {tables[0]}")  # what a crash does to unlogged tables
    await connection.close()
    with capture_logs() as lines:
        await index(database, devnode.url, start=START, stop=START)
    assert not [line for line in lines if line["event"] == "first_state_resumed"]
    await index(another_database, devnode.url, start=START, stop=START)
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
