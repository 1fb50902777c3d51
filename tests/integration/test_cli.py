"""The commands as a person meets them: one clear line for bad input, the promised exit code, nothing lost."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from running import Ended, index, indexer, indexer_async
from tables import all_rows, assert_equal

from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.store import open_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def devnode() -> AsyncIterator[DevNode]:
    chain = simulated_chain(7)
    chain.grow(8)
    chain.finalize(8)
    async with DevNode(chain) as node:
        yield node


def the_one_line(ended: Ended) -> str:
    """The error line; there is exactly one and never a traceback."""
    assert "Traceback" not in ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ended.err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--network", "fineey"], r"did you mean finney\?"),
        (["run", "--network", "http://example.org"], "neither a known network nor a ws://"),
        (["run", "--datasets", "stak"], "did you mean 'stake'"),
        (
            ["run", "--datasets", "System.Account"],
            "'System.Account' is no dataset: storage items are named with --item",
        ),
        (["run", "--item", "Tempo"], "--item.*'Tempo' is not of the form Pallet.Item, such as SubtensorModule.Tempo"),
        (["run", "--item", "System.Account,a.b.c"], "'a.b.c' is not of the form Pallet.Item"),
        (["run", "--item", "System.Acc'ount"], "is not of the form Pallet.Item"),
        (["run", "--start", "-4"], "--start '-4'"),
        (["run", "--start", "9", "--stop", "3"], "--stop 3 lies before --start 9"),
        (["run", "--database-url", "mysql://x"], "--database-url: is not of the form postgresql://"),
        (["run", "--database-url", "postgresql://x@127.0.0.1:9/x"], "cannot reach the database.*check --database-url"),
        (["status", "--data-dir", "/nonexistent"], "there is no database under /nonexistent"),
        (["devchain", "--replay", "/nonexistent", "--metadata", "/"], "/nonexistent"),
        (["devchain", "--replay", "/nonexistent"], "--replay needs --metadata"),
        (["devchain", "--metadata", "/"], "--metadata goes with --replay"),
        (["devchain", "--profile", "finney", "--replay", "/tape"], "give one of them"),
        (["devchain", "--accounts", "5000"], "go with --profile finney"),
        (["devchain", "--profile", "finney", "--accounts", "60"], "too few accounts"),
        (["devchain", "--profile", "finney", "--accounts", "2000", "--cache-dir", "/proc/none"], "--cache-dir"),
    ],
)
def test_bad_input_is_one_line_that_says_what_is_wrong(arguments: list[str], says: str) -> None:
    ended = indexer(*arguments)
    assert ended.code == 2
    assert re.search(says, the_one_line(ended)), ended.err


@pytest.mark.parametrize("arguments", [["run", "--netwrk", "x"], ["frobnicate"], ["rewind", "three"]])
def test_wrong_usage_exits_2_without_a_traceback(arguments: list[str]) -> None:
    ended = indexer(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "Usage: indexer" in ended.err


def test_an_unknown_setting_stops_the_start() -> None:
    ended = indexer("run", env={"INDEXER_NETWRK": "local"})
    assert ended.code == 2
    assert "did you mean INDEXER_NETWORK?" in the_one_line(ended)


def test_an_unknown_key_in_the_configuration_file_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text('networks = "local"\n')
    ended = indexer("run", "--config", str(file))
    assert ended.code == 2
    assert str(file) in the_one_line(ended)


def test_an_unreachable_node_names_the_demo(database: str) -> None:
    ended = indexer("run", "--network", "ws://127.0.0.1:9", "--database-url", database, "--metrics-address", "off")
    assert ended.code == 2
    assert re.search(r"cannot be reached.*check --network.*make demo", the_one_line(ended))


@pytest.mark.parametrize(
    "content",
    ["no json", '{"number": 0}', "[]", '{"number": 0, "hash": "0x00", "changes": [["0x", 3]]}', ""],
)
def test_a_malformed_tape_is_named_with_file_and_line(tmp_path: Path, content: str) -> None:
    tape = tmp_path / "tape.jsonl"
    tape.write_text(content + "\n")
    ended = indexer("devchain", "--replay", str(tape), "--metadata", str(tmp_path))
    assert ended.code == 2
    assert str(tape) in the_one_line(ended)


async def test_a_database_that_is_not_ours_is_left_alone(empty_database: str, devnode: DevNode) -> None:
    connection = await asyncpg.connect(empty_database)
    await connection.execute("CREATE TABLE customers (id int)")
    ended = await indexer_async("run", "--network", devnode.url, "--database-url", empty_database, "--stop", "2")
    assert ended.code == 2
    assert "customers" in the_one_line(ended)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1
    await connection.close()


async def test_a_database_of_a_newer_version_is_left_alone(database: str, devnode: DevNode) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    ended = await indexer_async("run", "--network", devnode.url, "--database-url", database, "--stop", "2")
    assert ended.code == 2
    assert "newer" in the_one_line(ended)
    assert await connection.fetchval("SELECT count(*) FROM blocks") == 0
    await connection.close()


async def test_the_wrong_chain_exits_3_and_loses_nothing(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=3)
    before = await all_rows(database)
    stranger = simulated_chain(8)
    async with DevNode(stranger) as other:
        ended = await indexer_async(
            "run", "--network", other.url, "--database-url", database, "--metrics-address", "off"
        )
    assert ended.code == 3
    assert "genesis" in the_one_line(ended)
    assert_equal(await all_rows(database), before)


async def test_a_second_writer_exits_4(database: str, devnode: DevNode) -> None:
    async with open_store(database) as leader:
        await leader.lock_writer()
        ended = await indexer_async(
            "run", "--network", devnode.url, "--database-url", database, "--metrics-address", "off"
        )
    assert ended.code == 4
    assert "--standby" in the_one_line(ended)


@pytest.mark.realdata
async def test_a_block_that_cannot_be_decoded_exits_5_and_keeps_all_before_it(database: str, realdata: Path) -> None:
    """From the upgrade on the node hands out the metadata of another runtime: the first value that does
    not fit stops the line, named with block, pallet, item and key."""
    wrong = (realdata / "metadata" / "spec143.v14.scale").read_bytes()
    chain = simulated_chain(7, upgrade_at=5)
    chain.grow(12)
    chain.finalize(12)
    upgraded = {"0x" + chain.at(number).hash.hex() for number in range(5, 13)}

    async def mislead(method: str, params: Any, result: Any) -> Any:
        if method == "state_call" and params[0] == "Metadata_metadata_at_version" and params[2] in upgraded:
            size = (len(wrong) << 2 | 2).to_bytes(4, "little")
            return "0x" + (b"\1" + size + wrong).hex()
        return result

    async with DevNode(chain, tamper=mislead) as node:
        arguments = ["run", "--network", node.url, "--database-url", database, "--start", "genesis"]
        ended = await indexer_async(*arguments, "--metrics-address", "off")
    assert ended.code == 5
    assert re.search(r"block 6: System\.Events \(runtime 143\).* of 0x[0-9a-f]+", the_one_line(ended)), ended.err
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT max(block_number) FROM blocks") == 5
    await connection.close()
    async with DevNode(chain) as node:  # one that tells the truth: what was stored of the runtime is corrected
        await index(database, node.url, stop=12)
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT max(block_number) FROM blocks") == 12
    assert await connection.fetch("SELECT * FROM gaps") == []
    await connection.close()


async def test_status_tells_people_and_machines_the_same(database: str, devnode: DevNode) -> None:
    await index(database, devnode.url, stop=5)
    for_people = await indexer_async("status", "--all", "--database-url", database)
    for_machines = await indexer_async("status", "--json", "--database-url", database)
    assert for_people.code == for_machines.code == 0
    report = json.loads(for_machines.out)
    assert {row["dataset"] for row in report["datasets"]} >= {"blocks", "balances", "stake", "hyperparameters"}
    assert all(row["committed_block"] == 5 and row["ranges"] == [[0, 5, True]] for row in report["datasets"])
    assert all(row["dataset"] in for_people.out for row in report["datasets"])
    assert "0-5" in for_people.out


async def test_check_finds_what_run_would_and_changes_nothing(empty_database: str, devnode: DevNode) -> None:
    good = await indexer_async("check", "--network", devnode.url, "--database-url", empty_database)
    assert good.code == 0, good.err
    assert "lead to the state root" in good.out
    assert re.search(r"^(ok|warn) +summary +run would work", good.out, re.M)
    assert re.search(r"^ok +backfill +a block takes .* \(measured on 5 blocks", good.out, re.M)
    bad = await indexer_async("check", "--network", "ws://127.0.0.1:9", "--database-url", empty_database)
    assert bad.code == 2
    assert re.search(r"^no +endpoint +ws://127.0.0.1:9 cannot be reached", bad.out, re.M)
    assert re.search(r"^no +summary +run would not work", bad.out, re.M)
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()


async def test_check_tells_machines_the_same_and_says_what_it_does_elsewhere(
    empty_database: str, devnode: DevNode
) -> None:
    options = ["--network", devnode.url, "--database-url", empty_database, "--start", "2", "--sample-blocks", "2"]
    ended = await indexer_async("check", "--json", *options)
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["works"] is True
    assert report["endpoints"][0]["oldest_state_block"] == 0
    assert report["start"]["beginnings"][0]["first_block"] == 2
    assert len(report["backfill"]["sampled"]) == 2
    assert {one["level"] for one in report["findings"]} <= {"good", "note", "warning"}
    assert ended.err == ""
    plain = await indexer_async("check", *options)
    assert "asking 1 endpoint and the database" in plain.err
    assert len(plain.out.splitlines()) >= len(report["findings"])


async def test_rewind_forgets_above_a_block_and_run_brings_it_back(
    database: str, another_database: str, devnode: DevNode
) -> None:
    await index(database, devnode.url, stop=8)
    await index(another_database, devnode.url, stop=8)
    ended = await indexer_async("rewind", "3", "--yes", "--database-url", database)
    assert ended.code == 0
    assert "rewound from block 8 to 3" in ended.out
    await index(database, devnode.url, stop=8)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_psql_answers_on_the_configured_database(database: str) -> None:
    ended = await indexer_async("psql", "--database-url", database, "--", "-Atc", "SELECT 1 + 1")
    assert (ended.code, ended.out.strip()) == (0, "2")
