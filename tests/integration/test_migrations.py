"""The migrations give exactly the declared schema, and keep away from databases that are not ours."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from indexer import datasets, migrate, schema, schema_facts
from indexer.errors import ConfigError

pytestmark = pytest.mark.anyio


def declared() -> set[str]:
    """Tables of the product: a test may declare tables of its own in the same metadata."""
    found = {table.name for table in schema.CORE}
    found |= {datasets.STORAGE_ITEMS.current.name, datasets.STORAGE_ITEMS.history.name}
    for dataset in datasets.load(["all"]):
        for table in dataset.tables:
            found |= {table.name} if isinstance(table, schema.Log) else {table.current.name, table.history.name}
    return found


def differences(connection: Connection) -> list[Any]:
    """What autogenerate would still change, comments and indexes included."""
    wanted = declared()

    def include(_: object, name: str | None, kind: str, reflected: bool, __: object) -> bool:
        return kind != "table" or reflected or name in wanted

    options = {"compare_type": True, "target_metadata": schema.metadata, "include_object": include}
    return compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)


async def test_migrations_give_the_declared_tables_with_all_comments(database: str) -> None:
    engine = migrate.engine_for(database)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_everything_in_the_schema_has_a_comment(database: str) -> None:
    connection = await asyncpg.connect(database)
    bare = await connection.fetch(
        """
        select c.relname || coalesce('.' || a.attname, '') as name
        from pg_class c
        left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and c.relname <> 'alembic_version'
            and (col_description(c.oid, a.attnum) is null or obj_description(c.oid, 'pg_class') is null)
        union all
        select p.proname from pg_proc p
        where p.pronamespace = 'public'::regnamespace and obj_description(p.oid, 'pg_proc') is null
        """
    )
    await connection.close()
    assert [record["name"] for record in bare] == []


async def test_the_documentation_tells_of_all_that_is_in_a_migrated_database(database: str) -> None:
    connection = await asyncpg.connect(database)
    columns = await connection.fetch(
        """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname <> 'alembic_version'
        """
    )
    views = await connection.fetch("select viewname from pg_views where schemaname = 'public'")
    functions = await connection.fetch("select proname from pg_proc where pronamespace = 'public'::regnamespace")
    indexes = await connection.fetch(
        "select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid "
        "where c.relnamespace = 'public'::regnamespace and not i.indisprimary"
    )
    await connection.close()
    tables = schema_facts.tables()
    told = {(t.name, c.name): (c.type.replace("timestamptz", "timestamp with time zone"), not c.is_nullable)
            for t in tables for c in t.columns}  # fmt: skip
    assert told == {(row["relname"], row["attname"]): (row["type"], row["attnotnull"]) for row in columns}
    assert {view.name for view in schema_facts.views()} == {row["viewname"] for row in views}
    assert {function.name for function in schema_facts.functions()} == {row["proname"] for row in functions}
    assert {index.name for table in tables for index in table.indexes} == {row["relname"] for row in indexes}


async def test_a_second_upgrade_changes_nothing(database: str) -> None:
    await migrate.upgrade(database)
    assert await migrate.current(database) == migrate.expected()
    await migrate.check(database)


async def test_an_empty_database_is_reported_as_not_migrated(empty_database: str) -> None:
    assert await migrate.current(empty_database) is None
    with pytest.raises(ConfigError, match="indexer migrate"):
        await migrate.check(empty_database)


async def test_a_database_that_holds_other_tables_is_left_alone(empty_database: str) -> None:
    connection = await asyncpg.connect(empty_database)
    await connection.execute("create table orders (id int)")
    with pytest.raises(ConfigError, match="orders"):
        await migrate.upgrade(empty_database)
    tables = await connection.fetch("select relname from pg_class where relkind = 'r' and relnamespace = 2200")
    await connection.close()
    assert [record["relname"] for record in tables] == ["orders"]


async def test_a_database_of_a_newer_version_is_left_alone(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("update alembic_version set version_num = '9999'")
    await connection.close()
    with pytest.raises(ConfigError, match=r"9999.*newer version"):
        await migrate.upgrade(database)


async def test_a_wrong_database_name_is_a_configuration_error(database: str) -> None:
    with pytest.raises(ConfigError, match="cannot open the database"):
        await migrate.upgrade(f"{database}_absent")
