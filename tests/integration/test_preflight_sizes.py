"""What `check` expects of size and time, against what indexing the same blocks does."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from endpoints_at_fault import grown, silent_on
from poor_nodes import Pruned
from preflighting import checked, level, told
from running import index

from indexer import datasets, schema
from indexer.capture import item_prefix
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.preflight import census, sampling
from indexer.preflight.findings import Level

pytestmark = pytest.mark.anyio

HEIGHT = 60


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Nobody changes it."""
    return grown(7, HEIGHT)


def keys_of(chain: Chain, number: int) -> int:
    """Keys under the items of the default datasets."""
    prefixes = tuple(item_prefix(item) for one in datasets.load(None) for item in one.items)
    state = chain.state(chain.at(number).hash)
    return sum(len(state.keys(prefix, None, 100_000)) for prefix in set(prefixes))


async def test_the_size_of_the_state_is_within_the_range_that_is_told(
    good: DevNode, chain: Chain, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = keys_of(chain, HEIGHT)
    plain = (await checked(good, sample_blocks=1, database_url=empty_database)).bootstrap
    assert plain is not None
    assert plain.keys.low <= true <= plain.keys.high
    monkeypatch.setattr(sampling, "census", lambda *a, **b: census.census(*a, **b, most=10**6))
    exact = (await checked(good, sample_blocks=1, database_url=empty_database)).bootstrap
    assert exact is not None
    assert (exact.is_exact, exact.block, exact.keys.low, exact.keys.high) == (True, HEIGHT, true, true)
    monkeypatch.setattr(sampling, "census", lambda *a, **b: census.census(*a, **b, most=30))
    guess = (await checked(good, sample_blocks=1, database_url=empty_database)).bootstrap
    assert guess is not None
    assert not guess.is_exact
    assert guess.keys.low <= true <= guess.keys.high
    assert guess.keys.low < guess.keys.likely < guess.keys.high < 3 * true
    assert guess.nodes.low <= exact.nodes.likely <= guess.nodes.high
    assert guess.seconds is not None
    assert guess.nodes_per_s


async def test_the_rows_of_sampled_blocks_are_those_that_indexing_writes(
    good: DevNode, empty_database: str, database: str
) -> None:
    report = await checked(good, sample_blocks=6, database_url=empty_database, start="genesis")
    assert report.backfill is not None
    backfill = report.backfill
    assert (backfill.first_block, backfill.last_block, backfill.blocks) == (1, HEIGHT, HEIGHT)
    assert [one.number for one in backfill.sampled] == sampling.spread(3, HEIGHT, 6)
    await index(database, good.url, stop=HEIGHT)
    written = await rows_by_block(database)
    for one in backfill.sampled:
        # A change back to the value before, or to columns of a row that stays the same, is one row less.
        assert one.rows * 0.9 <= written[one.number] <= one.rows, one
    per_block = sum(written[number] for number in range(1, HEIGHT + 1)) / HEIGHT
    assert backfill.rows_per_block.low <= per_block <= backfill.rows_per_block.high
    assert backfill.block_s == 12
    per_day = backfill.database_bytes_per_day.likely
    assert per_day == pytest.approx(backfill.rows_per_block.likely * 7200 * sampling.BYTES_PER_ROW)
    assert backfill.seconds.likely == pytest.approx(HEIGHT * backfill.seconds_per_block.likely / 4)
    assert backfill.requests_per_block >= 3
    assert backfill.bytes_per_block > 1000


async def rows_by_block(dsn: str) -> dict[int, int]:
    """Rows of all histories and logs, by the block that gave them."""
    tables = [
        name for name, table in schema.metadata.tables.items()
        if table.info.get("keyed") == "history" or table.info.get("log")
    ]  # fmt: skip
    found: dict[int, int] = {}
    connection = await asyncpg.connect(dsn)
    for name in tables:
        for number, rows in await connection.fetch(f"SELECT block_number, count(*) FROM {name} GROUP BY 1"):
            found[number] = found.get(number, 0) + rows
    await connection.close()
    return found


async def test_only_blocks_whose_state_is_held_are_sampled(chain: Chain, empty_database: str) -> None:
    pruned: Any = Pruned(chain, 12)
    async with DevNode(pruned) as node:
        report = await checked(node, sample_blocks=3, database_url=empty_database)
    assert report.backfill is not None
    assert report.backfill.blocks == 0, "it begins at the head"
    assert [one.number for one in report.backfill.sampled] == sampling.spread(HEIGHT - 12 + 1 + 3, HEIGHT, 3)
    assert level(report, "at the head the database grows by") is Level.GOOD


async def test_an_archive_beside_a_pruning_node_lets_old_blocks_be_sampled(
    chain: Chain, good: DevNode, empty_database: str
) -> None:
    pruned: Any = Pruned(chain, 12)
    async with DevNode(pruned) as node:
        report = await checked(node, archive=good.url, sample_blocks=4, database_url=empty_database, start="2")
    assert report.backfill is not None
    assert [one.number for one in report.backfill.sampled] == sampling.spread(3, HEIGHT, 4)


async def test_nothing_is_measured_where_nobody_wants_it(good: DevNode, empty_database: str) -> None:
    before = dict(good.requests)
    report = await checked(good, sample_blocks=0, database_url=empty_database)
    assert (report.bootstrap, report.backfill) == (None, None)
    assert report.start is not None
    assert good.requests["state_getReadProof"] - before.get("state_getReadProof", 0) == 1


async def test_a_time_that_is_over_is_told_and_what_was_found_by_then_is_kept(
    chain: Chain, empty_database: str
) -> None:
    served = 0

    async def stop_serving(method: str, _params: Any, result: Any) -> Any:
        nonlocal served
        served += method == "state_getReadProof"
        if served > 1:  # the one that tells whether proofs are served
            return await forever(method, _params, result)
        return result

    forever = silent_on()
    async with DevNode(chain, tamper=stop_serving) as node:
        report = await checked(node, sample_blocks=2, timeout_s=8, database_url=empty_database)
    assert report.works
    assert (report.bootstrap, report.backfill) == (None, None)
    assert level(report, "the first block was not looked into") is Level.NOTE
    assert "--timeout" in told(report, "the backfill was not looked into: the time was over").text


async def test_a_block_that_cannot_be_decoded_is_met_before_the_start(chain: Chain, empty_database: str) -> None:
    async def mislead(method: str, params: Any, result: Any) -> Any:
        if method == "state_call" and params[0] == "Metadata_metadata_at_version":
            return "0x01" + (8 << 2).to_bytes(1, "little").hex() + b"meta\x0e\0\0\0".hex()
        return result

    async with DevNode(chain, tamper=mislead) as node:
        report = await checked(node, sample_blocks=2, database_url=empty_database)
    assert level(report, "the backfill was not looked into") is Level.WARNING
