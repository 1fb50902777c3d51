"""One writer at a time, whatever becomes of the old one: dead, suspended, cut off, or still believing it is."""

from __future__ import annotations

import signal

import anyio
import asyncpg
import pytest
from running import committed, index, running, wait_for
from tables import all_rows, assert_equal
from watched import LENGTH, watched

from indexer import datasets, leader
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.errors import EXIT_LOCKED, Fatal, WriterFenced
from indexer.leader import Watch
from indexer.model import BlockRef, BlockRows
from indexer.session import Holder
from indexer.store import WRITER_LOCK, Store, open_store

pytestmark = pytest.mark.anyio

BEGUN = 6


def grow(chain: Chain, to: int) -> None:
    chain.grow(to - chain.best.number)
    chain.finalize(to)


def empty_block(number: int) -> BlockRows:
    ref = BlockRef(number, bytes(32))
    return BlockRows(
        ref=ref, parent_hash=bytes(32), timestamp_ms=None, finalized=True, complete=True, bootstrap=False, rows=()
    )


async def unlock(store: Store) -> None:
    """Take the lock from a session that lives on, as a pooler between us and Postgres could."""
    async with store._session.calls("unlock") as connection:
        await connection.execute("SELECT pg_advisory_unlock($1)", WRITER_LOCK)


async def test_an_old_writer_whose_session_lives_on_cannot_write_after_a_new_one_took_over(database: str) -> None:
    blocks = datasets.load(["blocks"])
    async with open_store(database) as old, open_store(database, application="the new one") as new:
        await old.lock_writer()
        await old.write([empty_block(1)], blocks)
        await unlock(old)
        await old.ping()
        await new.lock_writer()
        before = await all_rows(database)
        with pytest.raises(WriterFenced, match="the new one"):
            await old.write([empty_block(2)], blocks)
        with pytest.raises(WriterFenced):
            await old.rewind(BlockRef(0, bytes(32)), blocks)
        with pytest.raises(WriterFenced):
            await old.mark_finalized(BlockRef(1, bytes(32)))
        with pytest.raises(WriterFenced):
            await old.adopt_chain(bytes(32), "any", 42)
        with pytest.raises(WriterFenced):
            await old.ping()
        assert_equal(await all_rows(database), before)
        await new.write([empty_block(2)], blocks)
    connection = await asyncpg.connect(database)
    tokens = await connection.fetchrow("SELECT writer_token, token FROM cursors, writer")
    assert tokens is not None
    assert tuple(tokens) == (2, 2)
    await connection.close()


async def test_a_transaction_begun_before_a_take_over_is_whole_before_the_new_writer_begins(database: str) -> None:
    """The token cannot be raised under a transaction that has checked it."""
    async with open_store(database) as old, open_store(database) as new:
        await old.lock_writer()
        async with anyio.create_task_group() as group, old.transaction("write") as connection:
            await connection.execute("SELECT pg_advisory_unlock($1)", WRITER_LOCK)
            group.start_soon(new.lock_writer)
            await anyio.sleep(0.5)
            assert new.busy, "it has to wait for us"
        with pytest.raises(WriterFenced):
            await old.ping()
        await new.ping()


async def test_whoever_is_not_the_writer_writes_nothing(database: str) -> None:
    async with open_store(database) as store:
        with pytest.raises(Fatal, match="not the writer"):
            await store.write([empty_block(1)], datasets.load(["blocks"]))


async def test_a_daemon_that_was_overtaken_while_it_had_nothing_to_write_notices(
    database: str, chain: Chain, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "PING_S", 0.2)
    grow(chain, BEGUN)
    connection = await asyncpg.connect(database)
    async with watched(database, devnode.url, stop=LENGTH) as daemon:
        await wait_for(database, BEGUN)
        await connection.execute("UPDATE writer SET token = token + 1, holder = 'a stranger'")
        with anyio.fail_after(5):
            while not daemon.events("restart"):  # noqa: ASYNC110 - the log is only polled
                await anyio.sleep(0.05)
        assert "a stranger" in daemon.events("restart")[0]["reason"]
        grow(chain, LENGTH)
    await connection.close()


async def test_a_standby_takes_over_from_a_killed_writer_within_seconds(
    database: str, another_database: str, chain: Chain, devnode: DevNode
) -> None:
    grow(chain, BEGUN)
    async with running(database, devnode.url) as first:
        await wait_for(database, BEGUN)
        async with running(database, devnode.url, "--standby", "--stop", str(LENGTH)) as second:
            await anyio.sleep(4)
            first.send_signal(signal.SIGKILL)
            grow(chain, LENGTH)
            await wait_for(database, LENGTH, within_s=8)
            assert await second.wait() == 0
    await index(another_database, devnode.url, stop=LENGTH)
    assert_equal(await all_rows(database), await all_rows(another_database))


@pytest.mark.parametrize("standby", [False, True])
async def test_a_suspended_writer_is_replaced_and_does_no_harm_when_it_wakes(
    database: str,
    another_database: str,
    chain: Chain,
    devnode: DevNode,
    monkeypatch: pytest.MonkeyPatch,
    standby: bool,
) -> None:
    """SIGSTOP in the middle of the work: its connection stays open, and with it its lock."""
    monkeypatch.setattr(leader, "SILENT_S", 5.0)
    grow(chain, 12)
    async with running(database, devnode.url, "--batch", "1", *(["--standby"] if standby else [])) as old:
        await wait_for(database, 3)
        old.send_signal(signal.SIGSTOP)
        stopped_at = await committed(database)
        grow(chain, LENGTH)
        async with watched(database, devnode.url, stop=LENGTH + 4, standby=True) as new:
            await wait_for(database, LENGTH, within_s=20)
            assert stopped_at < LENGTH
            assert new.events("silent_writer_ended")
            old.send_signal(signal.SIGCONT)
            if standby:
                await anyio.sleep(3)
                assert old.returncode is None, "it waits for its turn"
            else:
                with anyio.fail_after(15):
                    assert await old.wait() == EXIT_LOCKED
            grow(chain, LENGTH + 4)
        assert await committed(database) == LENGTH + 4
        if standby:
            grow(chain, LENGTH + 8)
            await wait_for(database, LENGTH + 8, within_s=15)
            old.send_signal(signal.SIGTERM)
            assert await old.wait() == 0
    end = await committed(database)
    await index(another_database, devnode.url, stop=end)
    assert_equal(await all_rows(database), await all_rows(another_database))


def holder(sign: int, *, waits: bool = True) -> Holder:
    return Holder(1, None, "", waits, (sign,))


def test_silence_is_counted_from_the_last_sign_of_life_and_not_while_postgres_works() -> None:
    watch = Watch()
    assert watch.silent_s(holder(1), 100.0) == 0
    assert watch.silent_s(holder(1), 107.0) == 7
    assert watch.silent_s(holder(2), 108.0) == 0
    assert watch.silent_s(holder(2), 110.0) == 2
    assert watch.silent_s(holder(2, waits=False), 150.0) == 0, "a long statement is Postgres' own silence"
    assert watch.silent_s(holder(2), 152.0) == 2
