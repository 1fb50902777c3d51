"""Any storage item, with no code: exact at every block, through an upgrade, added, left and taken up again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from running import index, indexer_async
from sqlalchemy import Connection
from tables import all_rows, assert_equal
from verifying import connected, the_cause

from indexer import config, datasets, inspection, migrate
from indexer.capture import item_prefix
from indexer.devchain.chain import Chain
from indexer.devchain.declare import U8, Type
from indexer.devchain.forms import array
from indexer.devchain.pallet import OPTIONAL
from indexer.devchain.runtimes import SPEC_475, RuntimeDeclaration
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.node import open_node
from indexer.scale import ss58_encode
from indexer.trie import blake2_256
from indexer.verify import Report, verify

pytestmark = pytest.mark.anyio

LENGTH, UPGRADE = 16, 8
PLAIN, MAP, DOUBLE_MAP, N_MAP = "Timestamp.Now", "System.Account", "SubtensorModule.Keys", "SubtensorModule.AlphaV2"
NEW, OLD, RETIRED = "Swap.SwapBalancer", "Swap.AlphaSqrtPrice", "SubtensorModule.Alpha"
"""The upgrade brings one, removes every key of another, and no longer lists the third while its rows are drained."""
ITEMS = (PLAIN, MAP, DOUBLE_MAP, N_MAP, NEW, OLD, RETIRED, "System.Events", "SubtensorModule.LastUpdate")


def grown(length: int = LENGTH, **options: Any) -> Chain:
    chain = simulated_chain(7, upgrade_at=UPGRADE, **options)
    chain.grow(length)
    chain.finalize(length)
    return chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return grown()


def stored(chain: Chain, item: str, number: int) -> dict[bytes, bytes]:
    """What the chain keeps of an item as of a block: by key behind the prefix."""
    state = chain.state(chain.at(number).hash)
    pallet, _, bare = item.partition(".")
    prefix = item_prefix(ItemRef(pallet, bare))
    return {key[32:]: state.get(key) or b"" for key in state.keys(prefix)}


async def told(connection: asyncpg.Connection[Any], item: str, number: int) -> dict[bytes, bytes]:
    """The same from the tables."""
    rows = await connection.fetch("SELECT key_raw, value_raw FROM storage_at($1, $2)", number, item)
    return {row["key_raw"]: row["value_raw"] for row in rows}


async def compared(dsn: str, devnode: DevNode, items: tuple[str, ...], **options: Any) -> Report:
    with the_cause():
        async with open_node([devnode.url]) as node:
            return await verify(node, dsn, datasets.load(["blocks", *items]), **options)


async def items_equal_the_chain(dsn: str, chain: Chain, items: tuple[str, ...], last: int = LENGTH) -> None:
    async with connected(dsn) as connection:
        for item in items:
            for number in range(last + 1):
                assert await told(connection, item, number) == stored(chain, item, number), (item, number)
            current = await connection.fetch(
                "SELECT key_raw, value_raw FROM storage_values WHERE pallet || '.' || item = $1", item
            )
            assert {row["key_raw"]: row["value_raw"] for row in current} == stored(chain, item, last), item


async def test_items_are_as_the_chain_has_them_at_every_block_through_an_upgrade(database: str, chain: Chain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=ITEMS, datasets=("blocks",))
        await items_equal_the_chain(database, chain, ITEMS)
        assert not stored(chain, NEW, UPGRADE)
        assert stored(chain, NEW, LENGTH)
        assert stored(chain, OLD, UPGRADE)
        assert not stored(chain, OLD, LENGTH)
        assert stored(chain, RETIRED, LENGTH)
        for block in (UPGRADE, UPGRADE + 1, LENGTH):
            report = await compared(database, devnode, ITEMS, block=block)
            assert (report.differences, report.skipped) == ((), ())
            assert report.maps == len(ITEMS)
            assert (await compared(database, devnode, ITEMS, block=block, sample=20)).differences == ()
    async with connected(database) as connection:
        covered = await connection.fetch("SELECT first_block, last_block, complete FROM coverage")
    assert {tuple(row) for row in covered} == {(0, LENGTH, True)}


async def test_keys_and_values_are_json_that_people_type(database: str, chain: Chain) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=ITEMS, datasets=("blocks",))
    async with connected(database) as connection:
        hotkey = await connection.fetchval("SELECT value FROM storage_at(5, $1, '[1, 2]')", DOUBLE_MAP)
        assert hotkey == json.dumps(ss58_encode(stored(chain, DOUBLE_MAP, 5)[b"\1\0\2\0"]))
        assert await connection.fetch("SELECT * FROM storage_at(5, $1, '[1, 200]')", DOUBLE_MAP) == []
        now = await connection.fetchrow("SELECT key, value, since_block FROM storage_at(5, $1)", PLAIN)
        assert tuple(now) == ("[]", str(1_760_000_000_000 + 5 * 12_000), 5)
        one = await connection.fetchrow("SELECT key, value FROM storage_at(NULL, $1) LIMIT 1", MAP)
        again = await connection.fetchrow("SELECT key, value FROM storage_at(NULL, $1, $2)", MAP, one["key"])
        assert tuple(one) == tuple(again)
        assert json.loads(one["key"])[0].startswith("5")
        assert set(json.loads(one["value"])) == {"nonce", "consumers", "providers", "sufficients", "data"}
        removed = await connection.fetch(
            "SELECT key, value, value_raw FROM storage_changes WHERE item = 'AlphaSqrtPrice' AND NOT exists"
        )
        assert {(row["key"], row["value"], row["value_raw"]) for row in removed} >= {("[1]", None, None)}
        gone = await connection.fetch("SELECT * FROM storage_at($1, $2, '[1]')", LENGTH, OLD)
        there = await connection.fetch("SELECT * FROM storage_at($1, $2, '[1]')", UPGRADE, OLD)
        assert (len(gone), len(there)) == (0, 1)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("storage_at(5)", r"storage item NULL is not indexed.*those that are: Timestamp\.Now"),
        ("storage_at(5, 'Timestamp.Then')", r'"Timestamp\.Then" is not indexed in this database; those that are: Time'),
        ("storage_at(5, 'blocks')", r'"blocks" is not indexed'),
        ("storage_at(2, 'Timestamp.Now')", "blocks 4 to 6 are"),
        ("storage_at(7, 'Timestamp.Now')", "blocks 4 to 6 are"),
        ("storage_at(5, 'Timestamp.Now', '1')", r"of_key is an array of the key's parts, such as \[1\]"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_that_says_why(
    database: str, chain: Chain, call: str, problem: str
) -> None:
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, start=4, stop=6, item=(PLAIN,), datasets=("blocks",))
    async with connected(database) as connection:
        with pytest.raises(asyncpg.InvalidParameterValueError, match=problem):
            await connection.fetch(f"SELECT * FROM {call}")


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
        assert f"ok item {NEW}: runtime 475 has it" in checked.out
        assert f"no item {mistyped}: runtime 475 has no storage item {mistyped} (did you mean" in checked.out
    async with connected(database) as connection:
        notes = dict(await connection.fetch("SELECT dataset, note FROM status"))
        assert notes.pop(mistyped).startswith("runtime 475 has no storage item")
        assert set(notes.values()) == {None}
    await items_equal_the_chain(database, chain, (NEW,))


def retyped(item: str, kind: Type, length: int = LENGTH) -> Chain:
    """A chain whose newer runtime says that ``item`` is of another type; it writes what it always wrote."""
    declared = RuntimeDeclaration(475, new=True)
    bare = item.partition(".")[2]
    pallet = next(one for one in declared.pallets if one.name == item.partition(".")[0])
    items = tuple(replace(one, value=kind, default=OPTIONAL) if one.name == bare else one for one in pallet.items)
    object.__setattr__(pallet, "items", items)
    chain = simulated_chain(7, upgrade_at=UPGRADE)
    producer: Any = chain.producer
    producer._served[blake2_256(SPEC_475.code)] = declared.served()
    chain.grow(length)
    chain.finalize(length)
    return chain


TOTAL = "Balances.TotalIssuance"


async def test_each_row_is_told_in_the_type_of_its_own_block(database: str) -> None:
    chain = retyped(TOTAL, array(U8, 8))
    async with DevNode(chain) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=(TOTAL, DOUBLE_MAP), datasets=("blocks",))
        await items_equal_the_chain(database, chain, (TOTAL,))
        async with connected(database) as connection:
            rows = await connection.fetch(
                "SELECT block_number, value FROM storage_changes WHERE item = 'TotalIssuance' ORDER BY block_number"
            )
            kinds = {row["block_number"] <= UPGRADE: type(json.loads(row["value"])) for row in rows}
            assert kinds == {True: int, False: str}
            assert len(rows) > UPGRADE
        for block in (UPGRADE, UPGRADE + 1, LENGTH):
            assert (await compared(database, devnode, (TOTAL,), block=block)).differences == ()
        async with connected(database) as connection:
            for name in ("storage_values", "storage_value_history"):
                await connection.execute(f"UPDATE {name} SET value = '7' WHERE item = 'TotalIssuance'")
            await connection.execute(
                "UPDATE storage_values SET value_raw = '\\x00' WHERE item = 'Keys' AND key = '[1, 1]'"
            )
        report = await compared(database, devnode, (TOTAL, DOUBLE_MAP))
        assert {(one.dataset, one.key and one.key[1:]) for one in report.differences} == {
            (TOTAL, ("TotalIssuance", b"")), (DOUBLE_MAP, ("Keys", b"\1\0\1\0")),
        }  # fmt: skip
        settings = config.load({"database_url": database, "network": (devnode.url,)})
        _, repaired = await inspection.verified(settings, block=None, sample=None, mend=True)
        assert repaired == 2
        assert (await compared(database, devnode, (TOTAL, DOUBLE_MAP))).differences == ()


async def test_a_row_that_is_older_than_the_type_of_its_item_is_no_difference(database: str) -> None:
    tempo = "SubtensorModule.Tempo"
    async with DevNode(retyped(tempo, array(U8, 2))) as devnode:
        await index(database, devnode.url, stop=LENGTH, item=(tempo,), datasets=("blocks",))
        async with connected(database) as connection:
            values = await connection.fetch("SELECT value FROM storage_at($1, $2)", LENGTH, tempo)
            assert {type(json.loads(row["value"])) for row in values} == {int}
        for options in ({}, {"sample": 20}):
            assert (await compared(database, devnode, (tempo,), **options)).differences == ()
        async with connected(database) as connection:
            for name in ("storage_values", "storage_value_history"):
                await connection.execute(f"UPDATE {name} SET value = '\"0x0500\"' WHERE key = '[1]'")
        for options in ({}, {"sample": 20}):
            report = await compared(database, devnode, (tempo,), **options)
            assert [(one.key, one.what) for one in report.differences] == [
                (("SubtensorModule", "Tempo", b"\1\0"), "value")
            ]


async def test_a_value_that_cannot_be_decoded_stops_that_item_alone(database: str) -> None:
    chain = retyped(TOTAL, array(U8, 3))
    async with DevNode(chain) as devnode:
        with pytest.raises(DecodeError, match=rf"block {UPGRADE + 1}: {TOTAL}"):
            await index(database, devnode.url, stop=LENGTH, item=(TOTAL, MAP), datasets=("blocks",))
        settings = config.load({"database_url": database, "network": (devnode.url,)})
        status = {row.dataset: row for row in (await inspection.status(settings)).datasets}
        reached = {name: (row.state, row.committed_block) for name, row in status.items()}
        assert reached == {"blocks": ("followed", LENGTH), MAP: ("followed", LENGTH), TOTAL: ("stopped", UPGRADE)}
        async with connected(database) as connection:
            stop = await connection.fetchrow("SELECT stopped_at, stop_reason FROM status WHERE dataset = $1", TOTAL)
            assert stop["stopped_at"] == UPGRADE + 1
            assert TOTAL in stop["stop_reason"]
            assert await told(connection, TOTAL, UPGRADE) == stored(chain, TOTAL, UPGRADE)
    await items_equal_the_chain(database, chain, (MAP,))


async def test_keys_of_an_item_whose_type_nobody_knows_stop_it_and_leave_the_others_complete(
    database: str, chain: Chain
) -> None:
    """Begun after the upgrade that no longer lists it, while the chain still keeps rows."""
    async with DevNode(chain) as devnode:
        with pytest.raises(DecodeError, match="no runtime met so far tells their type"):
            await index(
                database, devnode.url, start=UPGRADE + 2, stop=LENGTH, item=(RETIRED, MAP), datasets=("blocks",)
            )
    async with connected(database) as connection:
        covered = await connection.fetch("SELECT dataset, first_block, last_block, complete FROM coverage ORDER BY 1")
        assert [tuple(row) for row in covered] == [
            (MAP, UPGRADE + 2, LENGTH, True), ("blocks", UPGRADE + 2, LENGTH, True),
        ]  # fmt: skip
        stop = await connection.fetchrow("SELECT state, committed_block FROM status WHERE dataset = $1", RETIRED)
        assert tuple(stop) == ("stopped", None)


async def test_the_migrations_go_back_and_forth_on_a_filled_database(database: str, chain: Chain) -> None:
    script = ScriptDirectory.from_config(migrate._config())

    async def at(revision: str, go: Any) -> None:
        def run(connection: Connection) -> None:
            settings = migrate._config()
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
