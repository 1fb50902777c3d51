"""The tables against the chain: nothing to find where nothing is wrong, and whatever a hand changed by name."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from by_hand import Hand, fullest, kept
from running import index
from tables import all_rows, assert_equal
from verifying import connected, repaired, verified

from indexer.datasets import load
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import ConfigError
from indexer.schema import KEYED
from indexer.verify import Report
from indexer.verify.snapshot import open_snapshot

pytestmark = pytest.mark.anyio

LENGTH = 32
"""Past the upgrade at 20: both generations of shares, defaults that moved, items that left the metadata."""


@pytest.fixture
def chain() -> Chain:
    chain = simulated_chain(7)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    return chain


@pytest.fixture
async def devnode(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as node:
        yield node


@pytest.fixture
async def indexed(database: str, devnode: DevNode) -> str:
    """A database that holds the whole chain."""
    await index(database, devnode.url, stop=LENGTH)
    return database


async def test_a_fresh_index_has_no_difference_at_any_block(indexed: str, devnode: DevNode) -> None:
    for block in (None, 0, 1, 19, 20, 21, 22, LENGTH - 1):
        report = await verified(indexed, devnode, block=block)
        assert report.differences == (), block
        assert report.block.number == (LENGTH if block is None else block)
        assert report.maps == sum(len(dataset.sources) for dataset in load())
        assert report.rows > 150
        sampled = await verified(indexed, devnode, block=block, sample=7)
        assert (sampled.differences, sampled.is_whole) == ((), False)


EMPTY_HERE = {"axons", "coldkey_stakes", "identities", "rate_limits", "storage_values"} | {
    table.name
    for dataset in load(["all"])
    if not dataset.by_default
    or dataset.name in ("baskets", "children", "collateral", "commitments", "keys", "leases", "locks")
    for table in dataset.tables
}
"""Tables that hold nothing on this chain, or not always: the recorded chains have some of them (test_verify_tape), and
any value of the rest comes back from its row (test_datasets_any_value)."""


def named(report: Report) -> set[tuple[str, object]]:
    """Rows that differ; what the runtime's answers tell besides is no row."""
    return {(one.table, one.key) for one in report.differences if one.table != "accounts" and one.is_repairable}


@pytest.mark.parametrize("where", ["current", "history", "both"])
async def test_rows_altered_by_hand_are_named_and_repaired(indexed: str, devnode: DevNode, where: str) -> None:
    before = await all_rows(indexed)
    async with connected(indexed) as connection:
        rows = {table.name: await fullest(connection, table) for table in KEYED.values()}
        assert {name for name, row in rows.items() if row is None} <= EMPTY_HERE
        for action in ("update", "delete", "insert"):
            async with kept(connection):
                altered: set[tuple[str, object]] = set()
                for table in KEYED.values():
                    row = rows[table.name]
                    if row is None:
                        continue
                    hand = Hand(connection, table, row, where)
                    if action == "update":
                        await hand.update(next(name for name in reversed(table.values) if row[name] is not None))
                    else:
                        await getattr(hand, action)()
                    altered.add((table.name, hand.key))
                report = await verified(indexed, devnode)
                assert named(report) == altered, action
                assert await repaired(indexed, devnode, report) >= len(altered)
                assert (await verified(indexed, devnode)).differences == (), action
                after = await all_rows(indexed)
                for table in KEYED.values():
                    unlike = {one[: len(table.keys)] for one in set(after[table.name]) ^ set(before[table.name])}
                    if where == "current":
                        assert after[table.history.name] == before[table.history.name]
                        assert not unlike
                    else:  # what the history said of earlier blocks stays; the row is right from this block on
                        assert unlike <= {key for name, key in altered if name == table.name}


async def test_every_column_counts(indexed: str, devnode: DevNode) -> None:
    """Altered alike in both tables, so that nothing but the chain can tell."""
    async with connected(indexed) as connection:
        rows = {table.name: await fullest(connection, table) for table in KEYED.values()}
        columns = {
            name: [column for column in KEYED[name].values if row[column] is not None]
            for name, row in rows.items()
            if row is not None
        }
        for turn in range(max(map(len, columns.values()))):
            async with kept(connection):
                altered = set()
                for name, mine in columns.items():
                    row = rows[name]
                    assert row is not None
                    if turn < len(mine):
                        hand = Hand(connection, KEYED[name], row, "both")
                        await hand.update(mine[turn])
                        altered.add((name, hand.key))
                assert named(await verified(indexed, devnode)) == altered, (turn, columns)


async def test_the_blocks_row_and_the_texts_of_accounts_are_compared_too(indexed: str, devnode: DevNode) -> None:
    before = await all_rows(indexed)
    async with connected(indexed) as connection:
        for statement, table, what in (
            ("UPDATE blocks SET author = NULL WHERE block_number = 32", "blocks", "author"),
            ("UPDATE blocks SET hash = state_root WHERE block_number = 32", "blocks", "hash"),
            ("UPDATE blocks SET spec_version = 1 WHERE block_number = 32", "blocks", "spec_version"),
            ("DELETE FROM blocks WHERE block_number = 32", "blocks", "row"),
            ("UPDATE accounts SET address = 'x' WHERE account = (SELECT min(account) FROM balances)", "accounts",
             "address"),
            ("DELETE FROM accounts WHERE account = (SELECT min(owner) FROM delegates)", "accounts", "address"),
        ):  # fmt: skip
            await connection.execute(statement)
            report = await verified(indexed, devnode)
            assert [(one.table, one.what) for one in report.differences if one.is_repairable] == [(table, what)], (
                statement
            )
            await repaired(indexed, devnode, report)
            assert_equal(await all_rows(indexed), before)


async def test_a_row_that_the_chain_could_not_give_is_named_not_a_crash(indexed: str, devnode: DevNode) -> None:
    async with connected(indexed) as connection:
        for statement in (
            "UPDATE {} SET share_mantissa = share_mantissa + 0.5 WHERE share_mantissa > 0",
            "UPDATE {} SET share_mantissa = 'NaN' WHERE share_mantissa > 0",
            "UPDATE {} SET share_exponent = NULL WHERE share_mantissa IS NOT NULL",
            "UPDATE {} SET stake = 1 WHERE netuid = 1",
            "INSERT INTO {} (netuid, hotkey, coldkey, block_number) VALUES (1, 'short', 'short', 5)",
            "INSERT INTO {} (netuid, hotkey, coldkey, share_bits, block_number) VALUES (-5, 'a', 'b', 1, 5)",
        ):
            async with kept(connection):
                await connection.execute(statement.format("stake_shares"))
                report = await verified(indexed, devnode)
                assert {one.table for one in report.differences if one.is_repairable} <= {"stake_shares", "accounts"}
                broken = {
                    one.key for one in report.differences if one.what.startswith(("no row that", "row that stands"))
                }
                assert broken, statement
                assert {one.key for one in report.differences if one.table == "stake_shares"} == broken, statement
                await repaired(indexed, devnode, report)
                assert (await verified(indexed, devnode)).differences == ()


async def test_an_emptied_table_is_named_row_by_row_and_filled_again(indexed: str, devnode: DevNode) -> None:
    before = await all_rows(indexed)
    async with connected(indexed) as connection:
        await connection.execute("TRUNCATE stake_shares")
        await connection.execute("TRUNCATE balances")
    report = await verified(indexed, devnode)
    for table in ("stake_shares", "balances"):
        assert len({key for name, key in named(report) if name == table}) == len(before[table]) > 10
    await repaired(indexed, devnode, report)
    assert_equal(await all_rows(indexed), before)


async def test_a_sample_of_everything_finds_what_the_roots_find(indexed: str, devnode: DevNode) -> None:
    async with connected(indexed) as connection:
        for statement in (
            "UPDATE balances SET free = free + 1 WHERE account = (SELECT min(account) FROM balances)",
            "INSERT INTO balances (account, free, block_number) VALUES (decode(repeat('ab', 32), 'hex'), 1, 3)",
        ):
            async with kept(connection):
                await connection.execute(statement)
                report = await verified(indexed, devnode, sample=10_000)
                assert {one.table for one in report.differences} == {"balances"}
                assert len(named(report)) == 1
                await repaired(indexed, devnode, report)
                assert (await verified(indexed, devnode)).differences == ()


async def test_only_the_last_committed_block_is_repaired(indexed: str, devnode: DevNode) -> None:
    async with connected(indexed) as connection:
        await connection.execute("UPDATE balance_history SET free = free + 1 WHERE block_number <= 9")
    report = await verified(indexed, devnode, block=9)
    assert named(report)
    before = await all_rows(indexed)
    with pytest.raises(ConfigError, match="rewind 9"):
        await repaired(indexed, devnode, report)
    assert_equal(await all_rows(indexed), before)


async def test_a_block_that_is_not_indexed_is_refused(database: str, devnode: DevNode) -> None:
    with pytest.raises(ConfigError, match="nothing is indexed"):
        await verified(database, devnode)
    await index(database, devnode.url, stop=12, start=9)
    for block in (8, 13):
        with pytest.raises(ConfigError, match=f"block {block} is not indexed"):
            await verified(database, devnode, block=block)
    assert (await verified(database, devnode, block=9)).differences == ()


async def test_a_comparison_sees_one_moment_whatever_is_written_meanwhile(indexed: str) -> None:
    table = KEYED["balances"]
    async with open_snapshot(indexed) as snapshot, connected(indexed) as connection:
        await connection.execute("UPDATE balances SET free = -1")
        rows = [row async for part in snapshot.rows(table, LENGTH, is_tip=True) for row in part]
    assert rows
    assert not [row for row in rows if row["free"] == -1]


async def test_a_parent_state_without_a_known_runtime_is_told(indexed: str, devnode: DevNode) -> None:
    async with connected(indexed) as connection:
        await connection.execute("DELETE FROM runtimes WHERE spec_version = 475")
    with pytest.raises(ConfigError, match="no runtime with the code that executed block 32"):
        await verified(indexed, devnode)


async def test_a_sample_looks_at_absent_keys_as_well(
    indexed: str, devnode: DevNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(indexed) as connection:
        gone = await connection.fetchval("SELECT min(account) FROM balances")
        chance = SimpleNamespace(token_bytes=lambda _: gone, randbelow=secrets.randbelow)
        monkeypatch.setattr("indexer.verify.comparison.secrets", chance)
        assert (await verified(indexed, devnode, sample=10_000)).differences == ()
        await connection.execute("DELETE FROM balances WHERE account = $1", gone)
    report = await verified(indexed, devnode, sample=10_000)
    assert {(one.table, one.key, one.what) for one in report.differences} == {("balances", (gone,), "row")}
