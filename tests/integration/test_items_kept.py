"""Storage items that come and go: added later, left, taken up again, absent from the runtime, taken back."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from items import (
    DOUBLE_MAP,
    LENGTH,
    MAP,
    N_MAP,
    NEW,
    PLAIN,
    grown,
    items_equal_the_chain,
    stored,
    told,
)
from running import index, indexer_async
from sqlalchemy import Connection
from tables import all_rows, assert_equal
from verifying import connected

from indexer import config, inspection, migrate, migration_plan
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def chain() -> Chain:
    return grown()


async def test_an_item_added_later_is_filled_in_and_takes_nothing_from_the_others(
    database: str, another_database: str, chain: Chain
) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=(MAP, DOUBLE_MAP, N_MAP), datasets=("blocks",))
        await index(another_database, devnode.url, stop=5, item=(MAP,), datasets=("blocks",))
        await index(another_database, devnode.url, stop=11, item=(MAP, N_MAP), datasets=("blocks",))
        await index(another_database, devnode.url, stop=LENGTH, item=(MAP, DOUBLE_MAP, N_MAP), datasets=("blocks",))
    assert_equal(await all_rows(another_database), await all_rows(database))
    await items_equal_the_chain(another_database, chain, (MAP, DOUBLE_MAP, N_MAP))


async def test_an_item_added_with_start_latest_begins_where_the_others_are(database: str, chain: Chain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=9, item=(MAP,), datasets=("blocks",))
        await index(database, devnode.url, stop=LENGTH, item=(MAP, DOUBLE_MAP), datasets=("blocks",), start="latest")
    async with connected(database) as connection:
        starts = dict(await connection.fetch("SELECT dataset, start_block FROM cursors"))
        assert starts == {"blocks": 0, MAP: 0, DOUBLE_MAP: 9}
        for number in range(9, LENGTH + 1):
            assert await told(connection, DOUBLE_MAP, number) == stored(chain, DOUBLE_MAP, number)


async def test_an_item_that_is_left_keeps_its_rows_says_so_and_is_taken_up_again(
    database: str, another_database: str, chain: Chain
) -> None:
    async with DevNode(chain) as devnode:
        both, one = (MAP, DOUBLE_MAP), (DOUBLE_MAP,)
        await index(database, devnode.url, stop=6, item=both, datasets=("blocks",))
        await index(database, devnode.url, stop=12, item=one, datasets=("blocks",))
        settings = config.load({"database_url": database, "network": (devnode.url,)})
        status = {row.dataset: row for row in (await inspection.status(settings)).datasets}
        assert {name: row.state for name, row in status.items()} == {
            "blocks": "followed", MAP: "left", DOUBLE_MAP: "followed",
        }  # fmt: skip
        assert "no longer in the configuration" in (status[MAP].note or "")
        assert status[MAP].committed_block == 6
        report, _ = await inspection.verified(settings, block=12, sample=None, mend=False)
        assert report.differences == ()
        assert f"{MAP}: block 12 is not indexed" in report.skipped
        async with connected(database) as connection:
            assert await told(connection, MAP, 6) == stored(chain, MAP, 6)
        await index(database, devnode.url, stop=LENGTH, item=both, datasets=("blocks",))
        await index(another_database, devnode.url, stop=LENGTH, item=both, datasets=("blocks",))
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_a_reorg_takes_an_item_back_that_is_no_longer_kept_up(database: str) -> None:
    chain = simulated_chain(7, upgrade_at=None)
    chain.grow(8)
    chain.finalize(4)
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=8, item=(MAP, PLAIN), datasets=("blocks",), follow="best")
        chain.fork(6, 4)
        chain.finalize(4)
        await index(database, devnode.url, stop=10, item=(MAP,), datasets=("blocks",), follow="best")
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT block_number FROM cursors WHERE dataset = $1", PLAIN) == 6
        assert await connection.fetchval("SELECT max(block_number) FROM storage_changes WHERE item = 'Now'") == 6
    await items_equal_the_chain(database, chain, (MAP,), last=10)


async def test_an_item_that_no_runtime_lists_is_reported_and_starts_by_itself(database: str, chain: Chain) -> None:
    mistyped = "SubtensorModule.tempoo"
    async with DevNode(chain) as devnode:
        options = ["--database-url", database, "--network", devnode.url]
        run = ["run", *options, "--start", "genesis", "--metrics-address", "off", "--datasets", "blocks"]
        ended = await indexer_async(*run, "--stop", "5", "--item", NEW, "--item", mistyped)
        assert ended.code == 0, ended.err
        absent = [line for line in ended.err.splitlines() if "item_absent" in line]
        assert len(absent) == 2
        assert any("did you mean SubtensorModule.Tempo?" in line for line in absent)
        shown = await indexer_async("status", "--database-url", database)
        assert f"{NEW}: runtime 293 has no storage item {NEW}" in " ".join(shown.out.split())
        ended = await indexer_async(*run, "--stop", str(LENGTH), "--item", f"{NEW},{mistyped}")
        assert ended.code == 0, ended.err
        appeared = [line for line in ended.err.splitlines() if "item_appeared" in line]
        assert len(appeared) == 1
        assert NEW in appeared[0]
        checked = await indexer_async("check", *options, "--item", f"{NEW},{mistyped}")
        assert checked.code == 2
        told = [" ".join(line.split()) for line in checked.out.splitlines()]
        assert f"ok item {NEW}: runtime 475 has it" in told
        absent = f"no item {mistyped}: runtime 475 has no storage item {mistyped} (did you mean"
        assert any(line.startswith(absent) for line in told)
    async with connected(database) as connection:
        notes = dict(await connection.fetch("SELECT dataset, note FROM status"))
        assert notes.pop(mistyped).startswith("runtime 475 has no storage item")
        assert set(notes.values()) == {None}
    await items_equal_the_chain(database, chain, (NEW,))


async def test_the_migrations_go_back_and_forth_on_a_filled_database(database: str, chain: Chain) -> None:
    script = ScriptDirectory.from_config(migration_plan.config())

    async def at(revision: str, go: Any) -> None:
        def run(connection: Connection) -> None:
            settings = migration_plan.config()
            settings.attributes["connection"] = connection
            go(settings, revision)

        engine = migrate.engine_for(database)
        async with engine.begin() as connection:
            await connection.run_sync(run)
        await engine.dispose()

    before = script.get_revision("0025")
    assert before is not None
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=5, item=(MAP,), datasets=("blocks",))
        await at(str(before.down_revision), command.downgrade)
        async with connected(database) as connection:
            left = await connection.fetch(
                "SELECT relname FROM pg_class WHERE relname ~ '^storage_|^status$' "
                "UNION ALL SELECT attname FROM pg_attribute WHERE attrelid = 'cursors'::regclass "
                "AND attname IN ('head_block', 'is_followed', 'note') "
                "UNION ALL SELECT proname FROM pg_proc WHERE proname = 'storage_at' "
                "UNION ALL SELECT dataset FROM cursors WHERE dataset <> 'blocks'"
            )
            assert left == []
        await at("head", command.upgrade)
        await index(database, devnode.url, stop=8, item=(MAP,), datasets=("blocks",))
    await items_equal_the_chain(database, chain, (MAP,), last=8)


async def test_one_key_as_of_a_block_is_looked_up_and_not_searched_for(database: str) -> None:
    """Among 60,000 keys of two items, with three changes each."""
    async with connected(database) as connection:
        await connection.execute(
            "INSERT INTO cursors (dataset, start_block, block_number, block_hash, committed_at) "
            "VALUES ('A.Big', 1, 30, ''::bytea, now())"
        )
        await connection.execute(
            'INSERT INTO storage_value_history (pallet, item, key_raw, key, value, value_raw, block_number, "exists") '
            "SELECT 'A', item, int8send(n), jsonb_build_array(n), to_jsonb(n + b), int8send(n + b), b, true "
            "FROM generate_series(1, 30000) n, unnest(array[1, 10, 20]) b, unnest(array['Big', 'Other']) item"
        )
        await connection.execute("ANALYZE storage_value_history")

        async def scans() -> int:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            return int(
                await connection.fetchval(
                    "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'storage_value_history'"
                )
            )

        before = await scans()
        found = await connection.fetch("SELECT value, since_block FROM storage_at(15, 'A.Big', '[777]')")
        assert [tuple(row) for row in found] == [("787", 10)]
        assert await scans() == before
