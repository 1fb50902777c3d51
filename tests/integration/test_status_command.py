"""`indexer status` as somebody meets it: what goes on in words, on a terminal, in a pipe, in a script."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from running import index, indexer_async
from terminal import ended, on_a_terminal
from verifying import connected

from indexer import config, embedded, inspection
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.store import open_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def devnode() -> AsyncIterator[DevNode]:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(30)
    chain.finalize(30)
    async with DevNode(chain) as node:
        yield node


def asked(dsn: str) -> config.Settings:
    return config.load({"database_url": dsn})


async def test_who_writes_what_goes_on_and_how_fast(
    database: str, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "PACE_WAIT_S", 20.0)
    await index(database, devnode.url, stop=4, datasets=("blocks", "stake"))
    alone = await inspection.status(asked(database))
    assert (alone.activity, alone.writer, alone.is_healthy, alone.is_complete) == ("not_running", None, False, True)
    async with open_store(database) as store, connected(database) as connection:
        await store.lock_writer()
        async with anyio.create_task_group() as group:
            group.start_soon(_commit_later, database)
            behind = await inspection.status(asked(database))
        assert behind.activity == "catching_up"
        assert (behind.head_block, behind.committed_block, behind.lag_blocks) == (30, 14, 16)
        assert behind.blocks_per_second == 5.0
        assert behind.eta_seconds == 3.2
        assert behind.headline == "catching up, 16 blocks, about 3 s at 5.0 blocks/s"
        assert behind.writer is not None
        assert f"process {os.getpid()}" in (behind.writer.name or "")
        await connection.execute("UPDATE cursors SET head_block = 14, committed_at = now()")
        level = await inspection.status(asked(database))
        assert (level.activity, level.lag_blocks, level.blocks_per_second) == ("following", 0, None)
        await connection.execute("UPDATE cursors SET committed_at = now() - interval '14 minutes'")
        still = await inspection.status(asked(database))
        assert (still.activity, still.headline) == ("standing_still", "standing still for 14 min")


async def _commit_later(dsn: str) -> None:
    """Ten blocks in two seconds, by the clock of the database's rows."""
    async with connected(dsn) as connection:
        await anyio.sleep(0.5)
        await connection.execute(
            "UPDATE cursors SET block_number = block_number + 10, committed_at = committed_at + interval '2 seconds'"
        )


async def test_a_script_learns_by_the_exit_code_whether_all_is_well(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=25, datasets=("blocks", "stake"))
    command = ("status", "--exit-code", "--database-url", database)
    assert (await indexer_async(*command)).code == 1, "nobody writes"
    async with open_store(database) as store, connected(database) as connection:
        await store.lock_writer()
        well = await indexer_async(*command, "--json")
        assert well.code == 0, well.out
        assert json.loads(well.out)["is_healthy"] is True
        await connection.execute("UPDATE coverage SET complete = false, reason = 'x' WHERE dataset = 'stake'")
        assert (await indexer_async(*command)).code == 1, "something is not complete"


async def test_in_a_pipe_nothing_is_folded_coloured_or_cut(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=5)
    piped = await indexer_async("status", "--database-url", database)
    assert piped.code == 0
    assert "\x1b" not in piped.out
    lines = [line.rstrip() for line in piped.out.splitlines()]
    assert re.fullmatch(r"● no instance writes, the last commit was \d+ (s|min) ago", lines[0])
    assert any(re.fullmatch(r"default \(\d+ datasets\) +5 +25 +all +█+·+ +0-5", line) for line in lines), lines
    assert len(lines) == 5


async def test_it_goes_on_showing_until_it_is_stopped(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=25, datasets=("blocks", "stake"))
    async with on_a_terminal("status", "--watch", "--database-url", database, columns=80) as session:
        with anyio.fail_after(40):
            while not any("no instance writes" in line for line in session.screen.lines):  # noqa: ASYNC110
                await anyio.sleep(0.05)
            async with open_store(database) as store:
                await store.lock_writer()
                while not any("● following" in line for line in session.screen.lines):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
        assert not any("no instance writes" in line for line in session.screen.lines), "it is drawn in place"
        session.process.send_signal(signal.SIGINT)
        assert await ended(session) == 0
    assert session.screen.has_cursor
    assert "Traceback" not in session.raw.decode()


async def test_the_embedded_database_may_run_or_not(data_dir: Path, devnode: DevNode) -> None:
    async with embedded.postgres(data_dir) as url:
        await index(url, devnode.url, stop=3, datasets=("blocks", "stake"))
        running = await indexer_async("status", "--json", "--data-dir", str(data_dir))
    stopped = await indexer_async("status", "--json", "--data-dir", str(data_dir))
    for told in (running, stopped):
        assert told.code == 0, told.err
        assert json.loads(told.out)["committed_block"] == 3
