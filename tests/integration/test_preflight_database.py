"""`check` on databases of every kind: what `run` would be let do there, and what could be better. It changes none."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest
from endpoints_at_fault import grown
from poor_nodes import Pruned
from preflighting import checked, level, told
from running import index
from tables import all_rows, assert_equal

from indexer import embedded, migrate, migration_plan
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.preflight.findings import Level, Topic
from indexer.store import open_store

pytestmark = pytest.mark.anyio

HEIGHT = 24


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Nobody changes it."""
    return grown(7, HEIGHT)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def a_role(dsn: str, *grants: str) -> AsyncIterator[str]:
    """URL of the database for a new role with some rights on its tables."""
    role = f"role_{uuid.uuid4().hex}"
    async with connected(dsn) as admin:
        await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        for grant in grants:
            await admin.execute(f"GRANT {grant} ON ALL TABLES IN SCHEMA public TO {role}")
        place = dsn.rpartition("@")[2]
        try:
            yield f"postgresql://{role}:secret@{place}"
        finally:
            await admin.execute(f"DROP OWNED BY {role}")
            await admin.execute(f"DROP ROLE {role}")


async def test_an_empty_database_would_be_filled_and_is_not_touched(good: DevNode, empty_database: str) -> None:
    report = await checked(good, sample_blocks=2, database_url=empty_database)
    assert report.works
    facts = report.database
    assert (facts.revision, facts.wanted_revision, facts.can_migrate) == (None, migrate.expected(), True)
    assert (facts.encoding, facts.is_replica, facts.writer) == ("UTF8", False, None)
    assert len([line for line in facts.migrations if not line.startswith(" ")]) == len(migration_plan.revisions())
    assert facts.clock_ahead_s == pytest.approx(0, abs=3)
    assert level(report, "the schema is empty; `run` would bring it to") is Level.GOOD
    async with connected(empty_database) as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
        )


async def test_a_filled_database_is_as_it_was_after_a_look(good: DevNode, database: str) -> None:
    await index(database, good.url, stop=HEIGHT - 4)
    before = await all_rows(database)
    async with connected(database) as connection:
        written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
        sessions = "SELECT array_agg(application_name) FROM pg_stat_activity WHERE datname = current_database()"
        changes = await connection.fetchval(written)
        report = await checked(good, sample_blocks=3, database_url=database)
        assert await connection.fetchval(written) == changes
        assert await connection.fetchval(sessions) == [""], "no session is left behind"
    assert_equal(await all_rows(database), before)
    assert report.works
    assert {one.block for one in report.database.cursors} == {HEIGHT - 4}
    assert report.start is not None
    (one,) = report.start.beginnings
    assert (one.after_block, one.first_block, one.behind_blocks, one.gap) == (HEIGHT - 4, HEIGHT - 3, 4, None)
    assert report.bootstrap is None, "there is a first block already"
    assert report.backfill is not None
    assert (report.backfill.first_block, report.backfill.blocks) == (HEIGHT - 3, 4)


async def test_a_gap_that_would_be_left_is_told_before(good: DevNode, chain: Chain, database: str) -> None:
    await index(database, good.url, stop=5)
    pruned: Any = Pruned(chain, 6)
    async with DevNode(pruned) as node:
        report = await checked(node, database_url=database)
        helped = await checked(node, archive=good.url, database_url=database)
    assert report.works, "it goes on, with a gap"
    assert level(report, f"would leave blocks 6-{HEIGHT - 1} out") is Level.WARNING
    assert told(helped, "would go on after block 5").text.endswith(f"the state is at {good.url}")


async def test_datasets_that_come_and_go_are_told(good: DevNode, database: str) -> None:
    await index(database, good.url, stop=8, datasets="blocks,balances,subnets")
    report = await checked(good, database_url=database, datasets="blocks,balances,stake", start="3")
    assert report.start is not None
    assert (report.start.added, report.start.left) == (("stake",), ("subnets",))
    assert level(report, r"stake would begin at block 3 \(--start 3\)") is Level.GOOD
    assert level(report, "subnets in this database would no longer be kept up") is Level.NOTE


async def test_a_database_of_another_chain_is_told(good: DevNode, database: str) -> None:
    await index(database, good.url, stop=3)
    async with DevNode(grown(8, 6)) as stranger:
        report = await checked(stranger, database_url=database)
    assert not report.works
    assert level(report, "another chain, expected is genesis") is Level.BAD


async def test_a_reorg_since_is_a_rewind_and_a_final_block_that_is_gone_is_not(database: str) -> None:
    chain = simulated_chain(7)
    chain.grow(8)
    chain.finalize(4)
    async with DevNode(chain) as node:
        await index(database, node.url, stop=8, follow="best")
        chain.fork(5, 5)
        report = await checked(node, database_url=database)
        assert level(report, "another block 8 by now: `run` would rewind") is Level.NOTE
        assert report.works
        async with connected(database) as connection:
            await connection.execute("UPDATE cursors SET finalized_block = block_number")
        report = await checked(node, database_url=database)
    assert level(report, "block 8 of this database is final") is Level.BAD


async def test_an_older_schema_would_be_migrated_by_its_owner_and_is_not_by_a_look(
    good: DevNode, database: str
) -> None:
    older = migration_plan.revisions()[-3]
    await migrate.downgrade(database, older)
    report = await checked(good, database_url=database)
    assert report.works
    assert report.database.revision == older
    assert (
        level(report, f"at revision {older}; `run` would bring it to {migrate.expected()}: 2 revisions") is Level.NOTE
    )
    assert await migrate.current(database) == older
    async with a_role(database, "SELECT, INSERT, UPDATE, DELETE") as writer:
        report = await checked(good, database_url=writer)
    assert not report.works
    assert "indexer migrate" in (told(report, "may not change it").advice or "")


async def test_a_schema_that_is_newer_or_anothers_is_told(good: DevNode, database: str, empty_database: str) -> None:
    async with connected(database) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert level(await checked(good, database_url=database), "newer version") is Level.BAD
    async with connected(empty_database) as connection:
        await connection.execute("CREATE TABLE customers (id int)")
    assert level(await checked(good, database_url=empty_database), "customers") is Level.BAD


async def test_a_locked_database_names_who_writes(good: DevNode, database: str) -> None:
    async with open_store(database) as leader:
        await leader.lock_writer()
        report = await checked(good, database_url=database)
        waiting = await checked(good, database_url=database, standby=True)
    assert "bittensor-indexer at 127.0.0.1" in (report.database.writer or "")
    assert level(report, "another instance writes.*exit code 4") is Level.WARNING
    assert level(waiting, "another instance writes.*would wait") is Level.NOTE
    assert (await checked(good, database_url=database)).database.writer is None


async def test_a_role_that_only_reads_cannot_run(good: DevNode, database: str) -> None:
    async with a_role(database, "SELECT") as reader:
        report = await checked(good, database_url=reader)
    assert (report.database.can_write, report.database.can_migrate) == (False, False)
    assert not report.works
    assert level(report, "may not write rows to every table") is Level.BAD


async def test_a_role_that_only_writes_rows_can_run(good: DevNode, database: str) -> None:
    async with a_role(database, "SELECT, INSERT, UPDATE, DELETE") as writer:
        report = await checked(good, database_url=writer)
    assert (report.database.can_write, report.database.can_migrate) == (True, False)
    assert report.works
    assert level(report, "may write rows, and leaves the schema alone") is Level.GOOD


async def test_a_role_that_may_make_no_tables_cannot_begin(good: DevNode, empty_database: str) -> None:
    async with a_role(empty_database) as nobody:
        report = await checked(good, database_url=nobody)
    assert not report.works
    assert level(report, "is needed, and role role_.* may not change it") is Level.BAD


async def test_settings_that_break_or_slow_a_run_are_told(good: DevNode, database: str) -> None:
    name = urlsplit(database).path[1:]
    async with connected(database) as connection:
        for setting in ("statement_timeout = '2s'", "jit = on", "synchronous_commit = off", "work_mem = '1MB'"):
            await connection.execute(f"ALTER DATABASE {name} SET {setting}")
    report = await checked(good, database_url=database)
    found = {one.name: one for one in report.database.settings}
    assert found["statement_timeout"].value == "2s"
    assert found["statement_timeout"].level is Level.BAD
    assert {"jit", "synchronous_commit", "work_mem", "fsync"} <= found.keys()
    assert "shared_buffers" in found, "the tests' server has little"
    assert not report.works
    assert told(report, "^work_mem is 1MB").advice == "set it to 16MB"
    async with connected(database) as connection:
        await connection.execute(f"ALTER DATABASE {name} RESET statement_timeout")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    report = await checked(good, database_url=database)
    assert level(report, "default_transaction_read_only is on") is Level.BAD


async def test_another_encoding_is_told(good: DevNode, postgres_url: str) -> None:
    name = f"latin_{uuid.uuid4().hex}"
    async with connected(postgres_url) as admin:
        await admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            report = await checked(good, database_url=urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert level(report, "encoding is LATIN1") is Level.BAD


async def test_a_database_that_cannot_be_reached_hides_nothing_of_the_endpoints(good: DevNode) -> None:
    report = await checked(good, sample_blocks=2, database_url="postgresql://x@127.0.0.1:9/x")
    assert not report.works
    assert level(report, "cannot reach the database") is Level.BAD
    assert level(report, "lead to the state root") is Level.GOOD
    assert report.start is None, "where it would begin depends on the database"


async def test_an_embedded_database_that_exists_is_looked_at_as_any(good: DevNode, data_dir: Path) -> None:
    async with embedded.postgres(data_dir):
        joined = await checked(good, data_dir=data_dir)
    report = await checked(good, data_dir=data_dir)
    for one in (joined, report):
        assert one.works
        assert (one.database.exists, one.database.is_embedded) == (True, True)
        assert (one.database.revision, one.database.version is None) == (None, False)
        found = [f.text for f in one.findings if f.topic is Topic.DATABASE and f.level is not Level.GOOD]
        assert [text for text in found if "free at" not in text] == [], "it runs with what is suggested"


async def test_a_folder_that_cannot_be_used_is_told_without_making_it(good: DevNode, data_dir: Path) -> None:
    file = anyio.Path(data_dir / "file")
    await file.write_text("")
    report = await checked(good, data_dir=data_dir / "file" / "data")
    assert not report.works
    assert level(report, "is no folder") is Level.BAD
