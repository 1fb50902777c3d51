"""Migrations on a filled database, revision by revision: back to nothing and up again; locks; broken index builds."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from loader import load_tape
from sqlalchemy import Connection
from tables import all_rows, assert_equal
from typer.testing import CliRunner

from indexer import cli, migrate, migration_plan
from indexer.errors import ConfigError
from indexer.store import open_store
from migrations import indexes

pytestmark = pytest.mark.anyio

REVISIONS = migration_plan.revisions()
SCHEMA = """
    select 'column' as kind, table_name || '.' || column_name as name,
        concat_ws(' ', data_type, is_nullable, column_default, ordinal_position,
            col_description(format('%I', table_name)::regclass, ordinal_position)) as text
    from information_schema.columns where table_schema = 'public'
    union all
    select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
    union all
    select 'view', viewname, definition from pg_views where schemaname = 'public'
    union all
    select 'relation', relname, obj_description(oid, 'pg_class') from pg_class where relnamespace = 2200
    union all
    select 'constraint', conrelid::regclass::text || conname, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 2200 and conrelid <> 0
    union all
    select 'function', oid::regprocedure::text, pg_get_functiondef(oid) || obj_description(oid, 'pg_proc')
    from pg_proc where pronamespace = 2200
"""


async def schema_of(dsn: str) -> dict[tuple[str, str], str]:
    """Every relation, column, index, constraint, view and function with its definition and comment."""
    connection = await asyncpg.connect(dsn)
    try:
        return {(row["kind"], row["name"]): row["text"] for row in await connection.fetch(SCHEMA)}
    finally:
        await connection.close()


async def load(dsn: str, realdata: Path) -> None:
    """The recorded chain."""
    metadata = {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)}
    await load_tape(dsn, realdata / "tape/blocks.jsonl.gz", metadata, batch=89)


@pytest.mark.realdata
async def test_a_filled_database_goes_back_to_nothing_and_up_again_one_revision_at_a_time(
    empty_database: str, another_database: str, realdata: Path
) -> None:
    """Each step back gives the very schema that the step up to it gave; afterwards all is as if indexed anew."""
    on_the_way = {None: await schema_of(empty_database)}
    for revision in REVISIONS:
        await migrate.upgrade(empty_database, revision)
        assert await migrate.current(empty_database) == revision
        on_the_way[revision] = await schema_of(empty_database)
    await load(empty_database, realdata)
    for revision in reversed([None, *REVISIONS[:-1]]):
        await migrate.downgrade(empty_database, revision or migration_plan.BASE)
        assert await migrate.current(empty_database) == revision
        found, wanted = await schema_of(empty_database), dict(on_the_way[revision])
        if revision is None:
            found = {key: text for key, text in found.items() if "alembic_version" not in key[1]}
        assert found == wanted, revision
    await migrate.upgrade(empty_database)
    assert await schema_of(empty_database) == on_the_way[REVISIONS[-1]]
    await load(empty_database, realdata)
    await load(another_database, realdata)
    assert_equal(await all_rows(empty_database), await all_rows(another_database))


@pytest.mark.realdata
async def test_a_dataset_taken_back_is_not_told_of_as_indexed_and_the_others_stay_as_they_were(
    database: str, realdata: Path
) -> None:
    await load(database, realdata)
    before = await all_rows(database)
    await migrate.downgrade(database, "0009")
    await migrate.upgrade(database)
    connection = await asyncpg.connect(database)
    told = {
        row["dataset"]
        for row in await connection.fetch("select dataset from cursors union select dataset from coverage")
    }
    with pytest.raises(asyncpg.InvalidParameterValueError, match='dataset "neurons" is not indexed'):
        await connection.fetch("select * from neurons_at(50)")
    assert len(await connection.fetch("select * from delegations_at(60)")) == 26
    await connection.close()
    assert told == {"blocks", "balances", "subnets", "hyperparameters", "stake"}
    after = await all_rows(database)
    for table in ("balance_history", "stake_shares_history", "hotkey_pools", "stored_hyperparameters", "blocks"):
        assert after[table] == before[table] != []
    assert after["uid_history"] == []


async def test_the_way_back_is_refused_while_an_instance_writes(database: str) -> None:
    async with open_store(database) as store:
        await store.lock_writer()
        with pytest.raises(ConfigError, match="an instance writes to this database"):
            await migrate.downgrade(database, "0009")
    assert await migrate.current(database) == REVISIONS[-1]
    await migrate.downgrade(database, "0009")
    assert await migrate.current(database) == "0009"


async def test_of_several_that_migrate_at_once_each_finds_it_done(empty_database: str) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_database) for _ in range(3)))
    assert await migrate.current(empty_database) == REVISIONS[-1]


async def test_an_upgrade_waits_for_whoever_migrates(empty_database: str) -> None:
    other = await asyncpg.connect(empty_database)
    await other.execute(f"select pg_advisory_lock({migrate.MIGRATION_LOCK})")
    waiting = asyncio.create_task(migrate.upgrade(empty_database))
    tries: set[object] = set()
    query = (
        "select query_start from pg_stat_activity where datname = current_database() "
        "and query like '%pg_try_advisory%' and pid <> pg_backend_pid()"
    )
    while len(tries) < 3 and not waiting.done():  # one that does not wait tries once
        tries |= {row["query_start"] for row in await other.fetch(query)}
    assert len(tries) == 3
    assert await other.fetchval("select to_regclass('accounts')") is None
    await other.close()
    await waiting
    assert await migrate.current(empty_database) == REVISIONS[-1]


async def test_an_upgrade_that_broke_on_the_way_goes_on_where_it_was(empty_database: str) -> None:
    await migrate.upgrade(empty_database, "0004")
    connection = await asyncpg.connect(empty_database)
    await connection.execute("create table identities (in_the_way int)")
    with pytest.raises(Exception, match="identities"):
        await migrate.upgrade(empty_database)
    assert await migrate.current(empty_database) == "0009", "what came before is done"
    await connection.execute("drop table identities")
    await connection.close()
    await migrate.upgrade(empty_database)
    await migrate.check(empty_database)


async def built(dsn: str, name: str, definition: str) -> None:
    """Build an index as a revision would."""

    def run(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with Operations.context(context), context.begin_transaction(_per_migration=True):
            indexes.build(name, definition)

    engine = migrate.engine_for(dsn)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def test_an_index_that_a_broken_build_left_invalid_is_built_again_and_a_good_one_left_alone(
    database: str,
) -> None:
    connection = await asyncpg.connect(database)
    valid = "select indisvalid, indexrelid from pg_index where indexrelid = to_regclass('seen_idx')"
    await connection.execute("create table seen as select n / 2 as n from generate_series(1, 1000) n")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("create unique index concurrently seen_idx on seen (n)")
    assert (await connection.fetchrow(valid))["indisvalid"] is False
    await built(database, "seen_idx", "seen (n)")
    first = await connection.fetchrow(valid)
    assert first["indisvalid"] is True
    await built(database, "seen_idx", "seen (n)")
    assert await connection.fetchrow(valid) == first, "not built twice"
    await connection.close()


async def test_old_code_refuses_the_schema_of_a_newer_version_whatever_it_is_asked(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("update alembic_version set version_num = '9999'")
    before = await schema_of(database)
    for refused in (
        migrate.check(database),
        migrate.upgrade(database),
        migrate.downgrade(database, "0001"),
        migrate.planned(database),
    ):
        with pytest.raises(ConfigError, match=r"9999, which this version does not know.*newer version"):
            await refused
    assert await connection.fetchval("select version_num from alembic_version") == "9999"
    assert await schema_of(database) == before
    await connection.close()


def test_the_plan_of_an_empty_database_names_every_table_and_locks_none() -> None:
    steps = migration_plan.steps(None, REVISIONS[-1])
    assert [step.revision for step in steps] == list(REVISIONS)
    effects = [effect for step in steps for effect in step.effects]
    assert {"create table blocks", "create view delegations", "create function stake_flows"} <= {
        e.what for e in effects
    }
    lines = list(migration_plan.described(steps, {}))
    assert not any("blocks writing" in line for line in lines)
    assert migration_plan.lost(steps, {}) == {}


def test_the_plan_tells_what_locks_a_table_and_what_takes_long() -> None:
    steps = migration_plan.steps("0006", "0009")
    rows = {"balance_history": 30_000_000, "coverage": 12, "cursors": 14}
    lines = list(migration_plan.described(steps, rows))
    name = "balance_history_removed_idx"
    assert f"    create index {name} on balance_history: blocks writing, about 60 s (30,000,000 rows)" in lines
    assert "    alter table coverage: blocks reading and writing, a moment" in lines


def test_the_plan_of_a_way_back_tells_what_is_lost() -> None:
    steps = migration_plan.steps("0019", "0017")
    assert [step.revision for step in steps] == ["0019", "0018"]
    assert all(step.is_downgrade for step in steps)
    rows = {"miner_collateral_history": 1234, "lock_records": 5}
    lost = migration_plan.lost(steps, rows)
    assert lost["miner_collateral_history"] == 1234
    assert len(lost) == 12
    lines = list(migration_plan.described(steps, rows))
    assert "    drop table lock_records: blocks reading and writing; loses about 5 rows" in lines
    assert "    delete from cursors" in lines


def test_each_way_back_drops_all_tables_of_its_revision_and_says_whether_anything_is_lost() -> None:
    up = {step.revision: step for step in migration_plan.steps(None, REVISIONS[-1])}
    back = {step.revision: step for step in migration_plan.steps(REVISIONS[-1], None)}
    assert list(back) == list(reversed(up))
    for revision in REVISIONS:
        made = {e.what.split()[-1] for e in up[revision].effects if e.what.startswith("create table")}
        assert {e.table for e in back[revision].effects if e.loses} == made, revision
        assert not made or re.search("(?<!no data is )lost|forgotten", back[revision].title), revision


def test_a_revision_that_nobody_knows_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=f"no revision 4711: it has 0001 to {REVISIONS[-1]}, and base"):
        migration_plan.target("4711")


def command(dsn: str, *arguments: str) -> Any:
    """Run ``indexer migrate``."""
    return CliRunner().invoke(cli.app, ["migrate", "--database-url", dsn, *arguments])


def test_the_command_plans_goes_to_a_revision_and_back_only_if_told_so(empty_database: str) -> None:
    planned = command(empty_database, "--plan", "--to", "0003")
    assert planned.exit_code == 0
    assert planned.output.splitlines()[0] == "0001  The core tables: accounts, runtimes, chain, cursors, coverage."
    assert "    create table balance_history" in planned.output.splitlines()
    assert "revision 0003" in command(empty_database, "--to", "0003").output
    refused = command(empty_database, "--to", "0001")
    assert isinstance(refused.exception, ConfigError)
    assert "going back drops 5 tables with about 0 rows" in str(refused.exception)
    assert "back from 0003" in command(empty_database, "--plan", "--to", "0001").output
    assert "revision 0001" in command(empty_database, "--to", "0001", "--allow-downgrade").output
    assert "revision base" in command(empty_database, "--to", "base", "--allow-downgrade").output
    assert f"revision {REVISIONS[-1]}" in command(empty_database).output
    assert "nothing to do" in command(empty_database, "--plan").output
