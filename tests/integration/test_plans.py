"""How Postgres answers the documented queries on a database like the full chain's: by index, and no index is idle."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from random import Random
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from test_readme_sql import QUERIES as DOCUMENTED
from test_sdk_table import BESIDE, READS

from bench.load import histories
from bench.measure import measure, scans
from bench.queries import QUERIES, Query
from bench.world import FIRST_BLOCK, Size, account_id
from deploy.grafana.boards import BOARDS, encoded
from deploy.grafana.boards.asked import Asking, queries
from indexer import datasets, migrate, schema, statements
from indexer.datasets import STORAGE_ITEMS
from indexer.scale import ss58_encode
from indexer.schema import Keyed, Log

pytestmark = pytest.mark.anyio

SIZE = Size(0.01)
MIDDLE = FIRST_BLOCK + SIZE.blocks // 2
ROWS_MANY = 1000
"""A history of fewer rows is read whole in no time."""

ASKED_DIRECTLY = {
    "coldkey_successors_root_idx": "SELECT coldkey FROM coldkey_successors WHERE root = $1",
    "delegates_owner_idx": "SELECT hotkey FROM delegates WHERE owner = $1",
    "evm_associations_evm_address_idx": "SELECT netuid, uid FROM evm_associations WHERE evm_address = $1",
    "hotkey_successors_root_idx": "SELECT netuid, hotkey FROM hotkey_successors WHERE root = $1",
}
"""Indexes on values: who has this one."""
ASKED_BY_OTHERS = {
    "stake_shares_coldkey_idx": "SELECT * FROM delegations_at(NULL, of_coldkey => $1)",
    "stake_shares_hotkey_idx": "SELECT * FROM delegations_at(NULL, of_hotkey => $1)",
    "stake_shares_history_removed_coldkey_idx": "SELECT * FROM delegations_at(1500, of_coldkey => $1)",
    "stake_shares_history_removed_hotkey_idx": "SELECT * FROM delegations_at(1500, of_hotkey => $1)",
    "storage_value_history_key_idx": "SELECT * FROM storage_at(1500, 'Some.Item', '[2000]')",
}
"""Indexes that serve a function of another name than their table."""
ASKED_OF_LOGS = {
    "events_pallet_name_block_number_idx": "SELECT * FROM events WHERE pallet = '7' AND name = '7'",
    "extrinsic_log_hash_block_number_idx": "SELECT * FROM extrinsic('0x" + "00" * 32 + "')",
    "extrinsic_log_pallet_call_block_number_idx": "SELECT * FROM extrinsics WHERE pallet = '7' AND call = '7'",
    "extrinsic_log_signer_block_number_idx": "SELECT * FROM extrinsics_of($1::text)",
    **{
        f"stake_event_log_{column}_block_number_idx": "SELECT * FROM stake_events_of($1::text)"
        for column in ("coldkey", "hotkey", "destination_coldkey", "destination_hotkey")
    },
    **{
        f"transfer_log_{column}_block_number_idx": "SELECT * FROM transfers_of($1::text)"
        for column in ("sender", "recipient")
    },
}
"""Indexes of logs."""
VALUES_ASKED_FOR = ("root", "owner", "evm_address")
MADE_UP = {
    "BLOB": "sha256(n::text::bytea)",
    "BIGINT": "n",
    "INTEGER": "n",
    "TEXT": "n::text",
    "BOOLEAN": "n % 2 = 0",
    "NUMERIC": "n",
    "JSONB": "'{}'",
}
"""Column type -> a value of row n."""


@pytest.fixture
async def connection(sized_database: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(sized_database)
    yield opened
    await opened.close()


async def large_histories(connection: Any) -> set[str]:
    counts = [(name, await connection.fetchval(f"SELECT count(*) FROM {name}")) for name in histories()]
    found = {name for name, count in counts if count >= ROWS_MANY}
    assert len(found) >= 9, "what is not large is not looked at"
    return found


async def read_whole(connection: Any, large: set[str], sql: str, *arguments: object) -> list[str]:
    """The large histories that a statement reads from end to end."""
    found = [scan.partition("Seq Scan ")[2] for scan in await scans(connection, sql, *arguments) if "Seq Scan" in scan]
    return [name for name in found if name in large]


async def test_no_query_of_the_bench_reads_a_history_from_end_to_end(connection: Any) -> None:
    large = await large_histories(connection)
    random = Random(1)
    guilty = {
        query.name: names
        for query in QUERIES
        if (names := await read_whole(connection, large, query.sql, *query.arguments(random, SIZE)))
    }
    assert guilty == {}


async def test_no_statement_of_the_documents_reads_a_history_from_end_to_end(connection: Any) -> None:
    large = await large_histories(connection)
    guilty = {}
    for statement in (*READS.values(), *BESIDE, *DOCUMENTED):
        asked = re.sub(r"\b92\d{5}\b", str(MIDDLE), statement).replace("5G…", ss58_encode(account_id(-1)))
        names = await read_whole(connection, large, asked)
        if names:
            guilty[statement] = names
    assert guilty == {}


async def test_no_statement_of_the_dashboards_reads_a_history_from_end_to_end(connection: Any) -> None:
    large = await large_histories(connection)
    end_s = (await connection.fetchval('SELECT max("timestamp") FROM blocks')).timestamp()
    netuids = [str(row[0]) for row in await connection.fetch("SELECT netuid FROM subnets WHERE netuid > 0")]
    asking = Asking(
        end_s - 3600, end_s, 12, {"netuid": netuids, "account": ss58_encode(account_id(3)), "parameter": ["tempo"]}
    )
    board = json.loads(encoded(BOARDS["chain"]()))
    asked = [query for query in queries(board) if query.language == "sql"]
    assert len(asked) > 20
    guilty = {
        query.where: names for query in asked if (names := await read_whole(connection, large, asking.text(query)))
    }
    assert guilty == {}


async def test_a_query_without_an_index_is_told(connection: Any) -> None:
    large = await large_histories(connection)
    assert await read_whole(connection, large, "SELECT max(free) FROM balance_history") == ["balance_history"]


async def test_a_measured_query_tells_its_times_and_its_plan_inside_functions(connection: Any) -> None:
    one = await measure(connection, SIZE, Query(
        "x", "SELECT * FROM balance_at($1)", lambda *_: (ss58_encode(account_id(3)),), runs=5,
    ))  # fmt: skip
    assert len(one.waited_ms) == len(one.worked_ms) == 5
    assert one.rows == 1
    assert all(0 < worked <= waited for worked, waited in zip(one.worked_ms, one.waited_ms, strict=True))
    assert "Index Scan balance_history_pkey" in one.plan


def by_rule(table: Keyed) -> dict[str, str]:
    """The indexes of a keyed table beside its primary keys, and the statement each is for."""
    name, history = table.name, table.history.name
    served = {
        # Reorgs, retention, and readers of what happened in some blocks.
        f"{history}_block_number_idx": statements.touched_since(table),
        # Functions as of a block, for all keys.
        f"{history}_removed_idx": f'SELECT FROM {history} WHERE NOT "exists" AND block_number > $1',
    }
    for index in sorted(table.current.indexes, key=lambda index: str(index.name)):
        (column,) = (column.name for column in index.columns)
        kind = "text" if column in table.accounts else "integer"
        served[str(index.name)] = f"SELECT * FROM {name}_at(of_{column} => array[$1::{kind}])"
        # How it went, for one column.
        served[f"{history}_{column}_block_number_idx"] = (
            f'SELECT * FROM {history} WHERE "{column}" = $1 ORDER BY block_number'
        )
    return served


async def fill(connection: Any) -> None:
    """Some thousand rows in every table, the keys of all columns different ones, and statistics."""
    await connection.execute(
        'INSERT INTO storage_value_history (pallet, item, key_raw, block_number, "exists", key, value) '
        "SELECT 'Some', 'Item', sha256(n::text::bytea), n, n % 100 > 0, to_jsonb(array[n]), '1' "
        "FROM generate_series(1, 3000) n"
    )
    await connection.execute("ANALYZE storage_value_history")
    for dataset in datasets.load(["all", "Some.Item"]):
        await connection.execute(
            "INSERT INTO cursors (dataset, start_block, block_number, block_hash, committed_at) "
            "VALUES ($1, 0, 3000, $2, now())", dataset.name, bytes(32),
        )  # fmt: skip
        for table in dataset.tables:
            if isinstance(table, Log):
                columns = [column for column in table.table.columns if str(column.type) in MADE_UP]
                values = ", ".join("n" if c.name == "block_number" else MADE_UP[str(c.type)] for c in columns)
                await connection.execute(
                    f"INSERT INTO {table.name} ({statements.quoted([c.name for c in columns])}) "
                    f"SELECT {values} FROM generate_series(1, 3000) n"
                )
                await connection.execute(f"ANALYZE {table.name}")
            elif dataset.name in datasets.DATASETS:
                for one, more in ((table.current, ""), (table.history, ", n % 100 > 0")):
                    columns = [column for column in one.columns if column.name not in ("block_number", "exists")]
                    filled = [c for c in columns if c.name in table.keys or c.name in VALUES_ASKED_FOR]
                    names = statements.quoted((*(c.name for c in filled), "block_number")) + (more and ', "exists"')
                    values = ", ".join(MADE_UP[str(c.type)] for c in filled)
                    await connection.execute(
                        f"INSERT INTO {one.name} ({names}) SELECT {values}, n{more} FROM generate_series(1, 3000) n"
                    )
                    await connection.execute(f"ANALYZE {one.name}")


async def test_each_index_serves_a_query_and_there_are_no_others(database: str) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid "
        "WHERE i.relnamespace = 'public'::regnamespace AND NOT x.indisunique"
    )
    served = {
        index: statement
        for table in (STORAGE_ITEMS, *(table for dataset in datasets.load(["all"]) for table in dataset.tables))
        if isinstance(table, Keyed)
        for index, statement in by_rule(table).items()
    }
    served |= ASKED_DIRECTLY | ASKED_BY_OTHERS | ASKED_OF_LOGS
    assert {row["relname"] for row in rows} == set(served)
    await fill(connection)
    idle = {}
    for index, statement in served.items():
        arguments = [_argument(statement, index)] if "$1" in statement else []
        used = await scans(connection, statement, *arguments)
        if not any(scan.endswith(f" {index}") for scan in used):
            idle[index] = sorted(set(used))
    await connection.close()
    assert idle == {}


def _argument(statement: str, index: str) -> object:
    if "block_number > $1" in statement:
        return 2995
    if "::integer" in statement or "netuid_block_number" in index:
        return 1
    return ss58_encode(account_id(-1)) if "_at(" in statement or "_of(" in statement else account_id(-1)


async def test_every_table_has_the_storage_parameters_of_its_kind(connection: Any, database: str) -> None:
    options = {
        row["relname"]: set(row["reloptions"] or ())
        for row in await connection.fetch("SELECT relname, reloptions FROM pg_class")
    }
    assert "fillfactor=80" in options["balances"]
    for dataset in datasets.load(["all", "Some.Item"]):
        for table in dataset.tables:
            for one in (table.current, table.history) if isinstance(table, Keyed) else (table.table,):
                wanted = {f"{key}={value}" for key, value in schema.settings(one).items()}
                assert wanted
                assert options[one.name] == wanted, one.name
    # A table that a later revision makes gets them by itself.
    engine = migrate.engine_for(database)
    async with engine.begin() as other:
        await other.exec_driver_sql("ALTER TABLE balances RESET (fillfactor)")
        await other.run_sync(migrate.set_storage)
        found = await other.exec_driver_sql("SELECT reloptions FROM pg_class WHERE relname = 'balances'")
        assert "fillfactor=80" in found.scalar_one()
    await engine.dispose()


async def shapes(dsn: str) -> set[str]:
    """Functions, views and indexes, whole."""
    opened = await asyncpg.connect(dsn)
    rows = await opened.fetch(
        "SELECT pg_get_functiondef(oid) AS shape FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL "
        "SELECT relname || pg_get_viewdef(oid) || coalesce(obj_description(oid), '') FROM pg_class "
        "WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace UNION ALL "
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
    )
    await opened.close()
    return {row["shape"] for row in rows}


def alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config


async def test_the_revisions_of_size_go_down_and_up_again(empty_database: str) -> None:
    before = ScriptDirectory.from_config(alembic()).get_revision("0036").down_revision
    assert isinstance(before, str)

    async def go(step: Any, to: str) -> set[str]:
        def run(connection: Any) -> None:
            config = alembic()
            config.attributes["connection"] = connection
            step(config, to)

        engine = migrate.engine_for(empty_database)
        async with engine.begin() as opened:
            await opened.run_sync(run)
        await engine.dispose()
        return await shapes(empty_database)

    was = await go(command.upgrade, before)
    new = await go(command.upgrade, "head")
    assert new != was
    assert await go(command.downgrade, before) == was
    assert await go(command.upgrade, "head") == new
