"""The least rights as docs/OPERATING.md gives them: one role owns the tables, another writes rows, a third reads."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest
from running import index
from tables import all_rows, assert_equal

from indexer import config, inspection, migrate
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import ConfigError
from indexer.leader import Leader
from indexer.metrics import Metrics
from indexer.store import open_store
from indexer.verify.snapshot import open_snapshot

pytestmark = pytest.mark.anyio

OPERATING = (Path(__file__).resolve().parents[2] / "docs" / "OPERATING.md").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Roles:
    """URLs of one empty database for each role."""

    owner: str
    writer: str
    reader: str
    after: str
    """What the owner has to do after the first migration."""

    async def migrate(self) -> None:
        await migrate.upgrade(self.owner)
        connection = await asyncpg.connect(self.owner)
        await connection.execute(self.after)
        await connection.close()


@pytest.fixture
async def roles(postgres_url: str) -> AsyncIterator[Roles]:
    """The document's statements, under names of this test's own."""
    (script,) = re.findall(r"```pgsql\n(.*?)```", OPERATING, re.S)
    suffix = uuid.uuid4().hex
    for name in ("indexer_owner", "indexer_writer", "indexer_reader", "DATABASE indexer"):
        script = re.sub(rf"\b{name}\b", f"{name}_{suffix}", script)
    script = script.replace("...", "secret")
    server, inside = script.split("-- in that database")
    parts = urlsplit(postgres_url)
    base = f"postgresql://{parts.netloc}"
    admin = await asyncpg.connect(postgres_url)
    for statement in server.split(";"):
        if statement.strip():
            await admin.execute(statement)
    there = await asyncpg.connect(f"{base}/indexer_{suffix}")
    before, _, after = inside.partition("-- and after it")
    await there.execute(before.partition("\n")[2])
    await there.close()
    urls = [
        f"postgresql://{role}_{suffix}:secret@{parts.hostname}:{parts.port}/indexer_{suffix}"
        for role in ("indexer_owner", "indexer_writer", "indexer_reader")
    ]
    yield Roles(urls[0], urls[1], urls[2], after)
    await admin.execute(f"DROP DATABASE indexer_{suffix} WITH (FORCE)")
    for role in ("indexer_owner", "indexer_writer", "indexer_reader"):
        await admin.execute(f"DROP ROLE {role}_{suffix}")
    await admin.close()


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(24)
    chain.finalize(24)
    return chain


def settings(dsn: str, devnode: DevNode) -> config.Settings:
    return config.load({"database_url": dsn, "network": (devnode.url,)})


async def test_a_role_that_only_writes_rows_can_do_all_but_migrate(
    roles: Roles, another_database: str, chain: Chain
) -> None:
    async with DevNode(chain) as devnode:
        with pytest.raises(ConfigError, match="run `indexer migrate` as the owner"):
            await index(roles.writer, devnode.url, stop=3)
        await roles.migrate()
        await index(roles.writer, devnode.url, stop=12)
        await inspection.rewind(settings(roles.writer, devnode), 9)
        await index(roles.writer, devnode.url, stop=24)
        await index(another_database, devnode.url, stop=24)
        assert_equal(await all_rows(roles.owner), await all_rows(another_database))
        connection = await asyncpg.connect(roles.writer)
        wrong = "UPDATE balances SET free = free + 1 WHERE account IN (SELECT account FROM balances LIMIT 1)"
        await connection.execute(wrong)
        _, repaired = await inspection.verified(settings(roles.writer, devnode), block=None, sample=None, mend=True)
        assert repaired == 1
        migration = "UPDATE alembic_version SET version_num = version_num"
        for statement in ("CREATE TABLE t (x int)", "TRUNCATE balances", "DROP TABLE balances", migration):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()


async def test_a_migration_that_is_due_is_left_to_the_owner(roles: Roles, chain: Chain) -> None:
    await roles.migrate()
    owner = await asyncpg.connect(roles.owner)
    await owner.execute("UPDATE alembic_version SET version_num = '0007'")
    await owner.close()
    async with DevNode(chain) as devnode:
        with pytest.raises(ConfigError, match="run `indexer migrate` as the owner"):
            await index(roles.writer, devnode.url, stop=3)


async def test_a_standby_of_that_role_can_end_a_hung_writers_session(roles: Roles) -> None:
    await roles.migrate()
    async with open_store(roles.writer) as hung, open_store(roles.writer) as standby:
        await hung.lock_writer()
        await standby.end_session(await hung.session_id())
        with anyio.fail_after(5):
            await Leader(Metrics(), standby=True).take(standby)


async def test_who_only_reads_sees_the_status_and_can_verify(roles: Roles, chain: Chain) -> None:
    await roles.migrate()
    async with DevNode(chain) as devnode:
        await index(roles.writer, devnode.url, stop=5)
        asked = settings(roles.reader, devnode)
        async with open_store(roles.writer) as store:
            await store.lock_writer()
            seen = await inspection.status(asked)
        assert {row.committed_block for row in seen.datasets} == {5}
        assert seen.writer is not None
        assert f"process {os.getpid()}" in (seen.writer.name or "")
        assert all((row.size_bytes or 0) > 0 for row in seen.datasets)
        assert (seen.database_bytes or 0) > sum(one.size_bytes for one in seen.largest_tables) > 0
        report, _ = await inspection.verified(asked, block=5, sample=None, mend=False)
        assert not report.differences
        with pytest.raises(ConfigError, match="privilege"):
            await inspection.rewind(asked, 3)


async def test_a_reader_reads_what_later_versions_bring_and_can_change_nothing(roles: Roles, chain: Chain) -> None:
    await roles.migrate()
    async with DevNode(chain) as devnode:
        await index(roles.writer, devnode.url, stop=5, item=("SubtensorModule.Tempo",))
    owner = await asyncpg.connect(roles.owner)
    await owner.execute("CREATE TABLE of_a_later_version (x int); INSERT INTO of_a_later_version VALUES (1)")
    await owner.execute("CREATE FUNCTION later() RETURNS int LANGUAGE sql STABLE RETURN 2")
    writing = await owner.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND provolatile = 'v'"
    )
    await owner.close()
    assert sorted(row["proname"] for row in writing) == ["first_state_forget", "first_state_table"]
    reader = await asyncpg.connect(roles.reader)
    names = await reader.fetch(
        "SELECT format('%I', relname) AS name FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'p')"
    )
    assert {"of_a_later_version", "status", "storage_changes"} <= {row["name"] for row in names}
    for row in names:
        await reader.fetch(f"SELECT * FROM {row['name']} LIMIT 1")
    assert await reader.fetchval("SELECT later()") == 2
    assert await reader.fetch("SELECT * FROM storage_at(5, 'SubtensorModule.Tempo')")
    assert await reader.fetch("SELECT * FROM delegations_at(5)")
    await reader.execute("LISTEN indexer_block")
    for statement in (
        "INSERT INTO holes VALUES ('a', 1, 1, 'x', now())",
        "UPDATE balances SET free = 0",
        "DELETE FROM blocks",
        "TRUNCATE balances",
        "CREATE TABLE t (x int)",
        "CREATE TEMPORARY TABLE t (x int)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE SCHEMA s",
        "DROP VIEW status",
        "SELECT * FROM balances FOR UPDATE",
        "SELECT first_state_table(1, 'balances')",
        "SELECT first_state_forget(1)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    await reader.close()


async def test_a_readers_statement_ends_in_time_unless_the_session_says_otherwise(roles: Roles) -> None:
    await roles.migrate()
    reader = await asyncpg.connect(roles.reader)
    assert await reader.fetchval("SHOW statement_timeout") == "30s"
    await reader.execute("SET statement_timeout = '50ms'")
    with pytest.raises(asyncpg.QueryCanceledError):
        await reader.execute("SELECT pg_sleep(20)")
    await reader.execute("SET statement_timeout = '5min'")
    assert await reader.fetchval("SHOW statement_timeout") == "5min"
    await reader.close()
    async with open_snapshot(roles.reader) as snapshot:  # whole tables, however long it takes
        assert await snapshot.connection.fetchval("SHOW statement_timeout") == "0"
