"""Names and bytes made to do harm are stored or replaced, and are never part of a statement or of a terminal's line."""

from __future__ import annotations

import json
import re
from typing import Any

import asyncpg
import pytest
from running import index, indexer_async
from tables import all_rows
from test_store import block

from indexer import datasets, schema, session
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.metrics import Metrics
from indexer.model import Block, Change, ItemRef, Row
from indexer.store import open_store

pytestmark = pytest.mark.anyio

HOSTILE = "x'); DROP TABLE blocks; --\"\\\x00\x1b[2J\ud800\u202e$1 %s {0}"


def spy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of every statement from now on."""
    seen: list[str] = []
    connect = asyncpg.connect

    async def watched(*args: Any, **options: Any) -> Any:
        connection = await connect(*args, **options)
        connection.add_query_logger(lambda record: seen.append(record.query))
        return connection

    monkeypatch.setattr(session.asyncpg, "connect", watched)
    return seen


async def test_a_chain_of_any_name_is_followed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = simulated_chain(7)
    chain.grow(3)
    chain.finalize(3)

    async def name_it(method: str, _params: object, result: Any) -> Any:
        if method == "system_properties":
            return {"ss58Format": 1 << 40}
        return HOSTILE * 100 if method == "system_chain" else result

    statements = spy(monkeypatch)
    async with DevNode(chain, tamper=name_it) as devnode:
        await index(database, devnode.url, stop=3)
        checked = await indexer_async("check", "--network", devnode.url, "--database-url", database)
    connection = await asyncpg.connect(database)
    name, prefix = await connection.fetchrow("SELECT name, ss58_prefix FROM chain") or ("", 0)
    await connection.close()
    assert name.startswith("x'); DROP TABLE blocks; --\"\\\ufffd\ufffd[2J\ufffd\ufffd$1 %s {0}")
    assert (len(name), prefix) == (100, 42)
    assert len(statements) > 50
    assert not [text for text in statements if "DROP TABLE" in text]
    report = await indexer_async("status", "--json", "--database-url", database)
    assert json.loads(report.out)["chain"] == name
    assert checked.code == 0
    assert "\x1b" not in checked.out + (await indexer_async("status", "--database-url", database)).out


@pytest.mark.parametrize(
    "symbol",
    [b"'); DROP TABLE blocks; --", b"\x00", b"a\x00b", b"\xff\xfe", b"\xed\xa0\x80", b'{"hex": "00"}', b"\\u0000", b""],
)
async def test_a_subnet_symbol_of_any_bytes_comes_back_as_it_was(
    database: str, symbol: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    subnets = datasets.DATASETS["subnets"]
    item = ItemRef("SubtensorModule", "TokenSymbol")
    change = Change(item, (1,), symbol, symbol)
    nothing: Any = None
    blank: Block = nothing
    statements = spy(monkeypatch)
    async with open_store(database) as store:
        await store.lock_writer()
        rows = tuple(subnets.rows(blank, [change], nothing))
        await store.write([block(0, *rows)], datasets.load(["blocks", "subnets"]))
    connection = await asyncpg.connect(database)
    stored = dict(await connection.fetchrow("SELECT * FROM subnet_info") or {})
    await connection.close()
    (source,) = [source for source in subnets.sources if source.item == item]
    columns = {name: json.loads(v) if isinstance(v, str) else v for name, v in stored.items()}
    assert subnets.value(source, columns) == symbol
    assert not [text for text in statements if "DROP" in text]


async def test_accounts_of_any_bytes_are_kept(database: str) -> None:
    names = datasets.DATASETS["balances"].tables[0].values
    accounts = [b"\x00" * 32, b"\xff" * 32, b"'); DROP TABLE blocks; --".ljust(32, b'"')]
    rows = [Row("balances", (one,), {**dict.fromkeys(names), "free": 1, "nonce": 0}) for one in accounts]
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0, *rows)], datasets.load(["blocks", "balances"]))
    connection = await asyncpg.connect(database)
    assert {row["account"] for row in await connection.fetch("SELECT account FROM balances")} == set(accounts)
    assert await connection.fetchval("SELECT count(*) FROM accounts") == 3
    await connection.close()


async def test_the_reason_of_a_stopped_dataset_may_hold_anything(database: str) -> None:
    async with open_store(database) as store:
        await store.lock_writer()
        await store.write([block(0)], datasets.load(["blocks"]))
        await store.stop_dataset("blocks", 1, HOSTILE)
    assert any("DROP TABLE" in str(row) for row in (await all_rows(database))["holes"])


def test_every_name_that_goes_into_a_statement_is_a_plain_word() -> None:
    """Statements are built from the declarations alone, so these are all the names there can be."""
    tables = [*schema.CORE]
    for dataset in datasets.load():
        for table in dataset.tables:
            tables += [table.table] if isinstance(table, schema.Log) else [table.current, table.history]
    names = {table.name for table in tables} | {column.name for table in tables for column in table.columns}
    assert len(names) > 100
    assert [name for name in names if not re.fullmatch(r"[a-z_][a-z0-9_]*", name)] == []


def test_metrics_can_be_read_whatever_the_reason_of_a_stop() -> None:
    metrics = Metrics()
    metrics.stopped("stake", 5, "Pallet.Item", "00", HOSTILE)
    assert json.dumps(metrics.readiness()[1])
