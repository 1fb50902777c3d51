"""The functions for people over plain storage maps: vectors unrolled, as of blocks, from values as the chain has them.

Changes go through the datasets' own row functions into the store; each test tells what SQL must say at each block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from indexer import datasets
from indexer.model import Block, BlockRef, BlockRows, Change, ItemRef, Row
from indexer.scale import ss58_encode
from indexer.store import open_store

pytestmark = pytest.mark.anyio

NAMES = ["baskets", "blocks", "children", "collateral", "commitments", "keys", "leases", "locks"]
CHOSEN = datasets.load(NAMES)
ALICE, BOB, CAROL = (bytes([n]) * 32 for n in (1, 2, 3))
A, B, C = (ss58_encode(account) for account in (ALICE, BOB, CAROL))
ALL = 2**64 - 1

Given = tuple[str, tuple[object, ...], object]


class NoRuntime:
    """Row functions of storage maps ask the runtime nothing."""

    spec_version = 475

    def has(self, item: ItemRef) -> bool:
        raise AssertionError(item)

    def default(self, item: ItemRef) -> object | None:
        raise AssertionError(item)

    def constants(self) -> tuple[tuple[str, str, object], ...]:
        raise AssertionError


LEASE = {
    "beneficiary": ALICE, "coldkey": BOB, "hotkey": CAROL, "emissions_share": 30, "end_block": 90, "netuid": 7,
    "cost": 10**12,
}  # fmt: skip
CROWDLOAN = {
    "creator": ALICE, "deposit": 10, "min_contribution": 1, "end": 100, "cap": 1000, "funds_account": BOB,
    "raised": 10, "target_address": None, "call": {"Inline": b"\xff"}, "finalized": False, "contributors_count": 1,
}  # fmt: skip
SEALED = {"TimelockEncrypted": {"encrypted": b"\xfe", "reveal_round": 11}}
LOCK = {"locked_mass": 5, "conviction": 3 << 63, "last_update": 1}

BLOCKS: list[list[Given]] = [
    [
        ("SubtensorModule.ChildKeys", (ALICE, 7), [(ALL, BOB)]),
        ("SubtensorModule.ParentKeys", (BOB, 7), [(ALL, ALICE)]),
        ("SubtensorModule.PendingChildKeys", (7, ALICE), ([(1 << 62, BOB), (1 << 63, CAROL)], 7)),
        ("Proxy.Proxies", (ALICE,), ([{"delegate": BOB, "proxy_type": "Any", "delay": 0}], 93)),
        ("SubtensorModule.StakingHotkeys", (ALICE,), [BOB]),
        ("SubtensorModule.OwnedHotkeys", (ALICE,), [BOB, CAROL]),
        ("Commitments.CommitmentOf", (7, ALICE), {"deposit": 5, "block": 1, "info": [{"Raw2": b"hi"}, SEALED]}),
        ("Commitments.CommitmentOf", (7, BOB), {
            "deposit": 0, "block": 1,
            "info": ["None", {"Raw1": b"\xe2"}, {"Raw2": b"\x82\xac"}],
        }),
        ("Commitments.RevealedCommitments", (7, BOB), [(b"\x0cold", 0)]),
        ("SubtensorModule.SubnetLeases", (1,), LEASE),
        ("SubtensorModule.SubnetLeaseShares", (1, ALICE), 1 << 62),
        ("Crowdloan.Crowdloans", (1,), CROWDLOAN),
        ("Crowdloan.Contributions", (1, ALICE), 10),
        (
            "SubtensorModule.MinerCollateral", (7, ALICE, BOB),
            {"locked": 10, "drain_ratio": 3 << 63, "min_locked": 4, "earned": 2},
        ),
        ("SubtensorModule.Lock", (ALICE, 7, BOB), LOCK),
        ("SubtensorModule.HotkeyLock", (7, BOB), LOCK),
        ("SubtensorModule.DecayingLock", (ALICE, 7), False),
        ("SubtensorModule.BasketClaimed", (ALICE, BOB), -5),
    ],
    [
        ("SubtensorModule.ChildKeys", (ALICE, 7), [(1 << 62, BOB), (1 << 63, CAROL)]),
        ("SubtensorModule.PendingChildKeys", (7, ALICE), ([], 99)),
        ("Proxy.Proxies", (ALICE,), (
            [
                {"delegate": BOB, "proxy_type": "Any", "delay": 0},
                {"delegate": CAROL, "proxy_type": "Staking", "delay": 5},
            ],
            126,
        )),
        ("SubtensorModule.StakingHotkeys", (ALICE,), [BOB, CAROL]),
        ("Commitments.RevealedCommitments", (7, ALICE), [(b"\x08no", 0), (b"\x14hello", 2)]),
        ("Commitments.CommitmentOf", (7, BOB), {"deposit": 0, "block": 2, "info": [{"Raw1": b"\xff"}]}),
        ("Crowdloan.Crowdloans", (1,), {**CROWDLOAN, "raised": 30, "contributors_count": 2}),
        ("Crowdloan.Contributions", (1, BOB), 20),
        (
            "SubtensorModule.MinerCollateral", (7, ALICE, BOB),
            {"locked": 1, "drain_ratio": 0, "min_locked": 4, "earned": 9},
        ),
    ],
    [
        ("SubtensorModule.ChildKeys", (ALICE, 7), None),
        ("SubtensorModule.ParentKeys", (BOB, 7), None),
        ("SubtensorModule.PendingChildKeys", (7, ALICE), None),
        ("Proxy.Proxies", (ALICE,), None),
        ("SubtensorModule.OwnedHotkeys", (ALICE,), []),
        ("Commitments.CommitmentOf", (7, ALICE), None),
        ("Commitments.CommitmentOf", (7, BOB), {
            "deposit": 0, "block": 3,
            "info": [{"TimelockRevealFailed": {"encrypted": b"", "reveal_round": 9}}],
        }),
        ("SubtensorModule.SubnetLeases", (1,), None),
        ("SubtensorModule.SubnetLeaseShares", (1, ALICE), None),
        ("SubtensorModule.MinerCollateral", (7, ALICE, BOB), None),
        ("SubtensorModule.Lock", (ALICE, 7, BOB), None),
    ],
]  # fmt: skip


def rows(number: int, given: list[Given]) -> BlockRows:
    """A block with the rows that the datasets make of its changes."""
    block = Block(number, b"", b"", b"", b"", (), 0, 0, True, number == 1, False, {}, {})
    changes = [Change(ItemRef(*item.split(".")), key, value, b"") for item, key, value in given]
    made = [
        row
        for dataset in CHOSEN
        for row in dataset.rows(block, [change for change in changes if change.item in dataset.items], NoRuntime())
        if dataset.name != "blocks"
    ]
    own = Row("blocks", (), {
        "hash": bytes([number]) * 32, "parent_hash": bytes([number - 1]) * 32, "spec_version": 475,
        "extrinsic_count": 0, "state_root": bytes(32), "extrinsics_root": bytes(32), "complete": True,
    })  # fmt: skip
    return BlockRows(
        BlockRef(number, bytes([number]) * 32), bytes([number - 1]) * 32, None, True, True, number == 1, (own, *made)
    )


@pytest.fixture
async def sql(database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to a database that holds ``BLOCKS``, from number 1."""
    async with open_store(database) as store:
        await store.lock_writer()
        await store.adopt_chain(bytes(32), "test", 42)
        for number, given in enumerate(BLOCKS, 1):
            await store.write([rows(number, given)], CHOSEN)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def asked(sql: asyncpg.Connection[Any], query: str, *arguments: object) -> list[tuple[Any, ...]]:
    return [tuple(record) for record in await sql.fetch(query, *arguments)]


async def test_children_and_parents_are_told_as_shares(sql: asyncpg.Connection[Any]) -> None:
    query = "select parent, child, proportion, share, since_block from child_keys_at($1, array[$2], array[7])"
    quarter = Decimal("0.25000000000000000001")
    assert await asked(sql, query, 1, A) == [(A, B, ALL, 1, 1)]
    assert await asked(sql, query, 2, A) == [
        (A, B, 1 << 62, quarter, 2),
        (A, C, 1 << 63, Decimal("0.50000000000000000003"), 2),
    ]
    assert await asked(sql, query, 3, A) == []
    assert await asked(sql, query, 2, B) == []
    parents = "select child, parent, share from parent_keys_at($1, of_child => array[$2])"
    assert await asked(sql, parents, 2, B) == [(B, A, 1)]
    assert await asked(sql, parents, 3, B) == []


async def test_pending_children_wait_even_where_all_are_to_go(sql: asyncpg.Connection[Any]) -> None:
    query = "select child, cooldown_block from pending_child_keys_at($1, array[$2])"
    assert await asked(sql, query, 1, A) == [(B, 7), (C, 7)]
    assert await asked(sql, query, 2, A) == [(None, 99)]
    assert await asked(sql, query, 3, A) == []


async def test_proxies_are_a_row_each(sql: asyncpg.Connection[Any]) -> None:
    query = "select account, delegate, proxy_type, delay, deposit from proxies_at($1, array[$2])"
    assert await asked(sql, query, 1, A) == [(A, B, "Any", 0, 93)]
    assert await asked(sql, query, 2, A) == [(A, B, "Any", 0, 126), (A, C, "Staking", 5, 126)]
    assert await asked(sql, query, None, A) == []


async def test_hotkeys_of_a_coldkey_are_those_the_chain_lists(sql: asyncpg.Connection[Any]) -> None:
    staking, owned = (f"select hotkey from {name}_hotkeys_at($1, array[$2])" for name in ("staking", "owned"))
    assert await asked(sql, staking, 1, A) == [(B,)]
    assert await asked(sql, staking, 2, A) == await asked(sql, staking, 3, A) == [(B,), (C,)]
    assert await asked(sql, owned, 2, A) == [(B,), (C,)]
    assert await asked(sql, owned, 3, A) == []


async def test_a_commitment_is_sealed_then_revealed_then_only_the_revealed_text_is_left(
    sql: asyncpg.Connection[Any],
) -> None:
    query = (
        "select committed_block, age_blocks, deposit, commitment, status, is_revealed, reveals_at "
        "from commitments_at($1, array[7], array[$2])"
    )
    opens = datetime.fromtimestamp(1_692_803_367 + 30, UTC)
    assert await asked(sql, query, 1, A) == [(1, 0, 5, "hi", "sealed", False, opens)]
    assert await asked(sql, query, 2, A) == [(1, 1, 5, "hello", "revealed", True, None)]
    assert await asked(sql, query, 3, A) == [(2, 1, 0, "hello", "revealed", True, None)]
    assert await asked(sql, query, 1, B) == [(1, 0, 0, "€", "plain", True, None)]
    assert await asked(sql, query, 2, B) == [(2, 0, 0, "0xff", "plain", True, None)]
    assert await asked(sql, query, 3, B) == [(3, 0, 0, None, "failed", False, None)]
    revealed = "select n, revealed_block, content, data from revealed_commitments_at($1, array[7], array[$2])"
    assert await asked(sql, revealed, 2, A) == [(1, 0, "no", b"\x08no"), (2, 2, "hello", b"\x14hello")]
    assert await asked(sql, revealed, 1, A) == []


@pytest.mark.parametrize(
    ("encoded", "content"),
    [
        (b"", b""),
        (b"\x00", b""),
        (b"\x04a", b"a"),
        (b"\x01\x01" + b"a" * 64, b"a" * 64),
        (b"\x02\x00\x01\x00" + b"a" * 16384, b"a" * 16384),
        (b"\x03\x00\x00\x00\x40" + b"a", b"a"),
    ],
    ids=["nothing", "empty", "one byte", "two bytes", "four bytes", "more"],
)
async def test_the_compact_length_is_taken_off(sql: asyncpg.Connection[Any], encoded: bytes, content: bytes) -> None:
    assert await sql.fetchval("select compact_content($1)", encoded) == content


@pytest.mark.parametrize(("stored", "told"), [(2**40, 2**40), (2**63 - 1, 2**63 - 1), (2**63, None), (2**64 - 1, None)])
async def test_a_round_that_never_comes_breaks_no_answer(
    sql: asyncpg.Connection[Any], stored: int, told: int | None
) -> None:
    """Anybody may commit to any round of 64 bits."""
    fields = "jsonb_set(fields, '{1,TimelockEncrypted,reveal_round}', to_jsonb($1::numeric))"
    await sql.execute(
        f"update commitment_history set fields = {fields} where block_number = 1 and fields::text like '%Timelock%'",
        Decimal(stored),
    )
    query = "select status, reveal_round, reveals_at from commitments_at(1, array[7], array[$1])"
    assert await asked(sql, query, A) == [("sealed", told, None)]


async def test_leases_and_crowdloans_are_as_stored(sql: asyncpg.Connection[Any]) -> None:
    lease = "select beneficiary, coldkey, hotkey, emissions_share, end_block, netuid, cost from leases_at($1, array[1])"
    assert await asked(sql, lease, 2) == [(A, B, C, 30, 90, 7, 10**12)]
    assert await asked(sql, lease, 3) == []
    assert await asked(sql, "select account, share from lease_shares_at(1, array[1])") == [(A, Decimal("0.25"))]
    loan = "select creator, raised, cap, end_block, finalized, call, target_address from crowdloans_at($1, array[1])"
    assert await asked(sql, loan, 1) == [(A, 10, 1000, 100, False, '{"Inline": {"hex": "ff"}}', None)]
    assert await asked(sql, loan, 2) == [(A, 30, 1000, 100, False, '{"Inline": {"hex": "ff"}}', None)]
    given = "select account, amount from crowdloan_contributions_at($1, array[1]) order by amount"
    assert await asked(sql, given, 1) == [(A, 10)]
    assert await asked(sql, given, 3) == [(A, 10), (B, 20)]


async def test_collateral_tells_headroom_shortfall_and_work(sql: asyncpg.Connection[Any]) -> None:
    query = (
        "select locked, min_locked, earned, headroom, shortfall, releasable_work "
        "from collateral_at($1, array[7], array[$2], array[$3])"
    )
    assert await asked(sql, query, 1, A, B) == [(10, 4, 2, 6, 0, 4)]
    assert await asked(sql, query, 2, A, B) == [(1, 4, 9, 0, 3, 0)], "a ratio of zero releases nothing"
    assert await asked(sql, query, 3, A, B) == []


async def test_locks_and_baskets_are_as_stored(sql: asyncpg.Connection[Any]) -> None:
    lock = (
        "select coldkey, hotkey, locked_mass, conviction, last_update from lock_records_at($1, of_coldkey => array[$2])"
    )
    assert await asked(sql, lock, 2, A) == [(A, B, 5, Decimal("1.5"), 1)]
    assert await asked(sql, lock, 3, A) == []
    sums = "select locked_mass, decaying_locked_mass from hotkey_locks_at(3, array[7], array[$1])"
    assert await asked(sql, sums, B) == [(5, None)]
    assert await asked(sql, "select netuid, decaying from lock_modes_at(3, array[$1])", A) == [(7, False)]
    claims = "select hotkey, claimed from basket_claims_at(2, of_coldkey => array[$1])"
    assert await asked(sql, claims, B) == [(A, -5)]


async def test_what_a_rewind_takes_back_is_as_it_was(database: str, sql: asyncpg.Connection[Any]) -> None:
    async with open_store(database) as store:
        await store.lock_writer()
        await store.rewind(BlockRef(1, bytes([1]) * 32), CHOSEN)
    assert await asked(sql, "select child, share from child_keys_at()") == [(B, 1)]
    assert await asked(sql, "select delegate from proxies_at()") == [(B,)]
    assert await asked(sql, "select locked from collateral_at()") == [(10,)]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("child_keys_at(4)", 'block 4 is not indexed for dataset "children": blocks 1 to 3 are'),
        ("commitments_at(0)", 'block 0 is not indexed for dataset "commitments"'),
        ("collateral_at(null, of_hotkey => array['nobody'])", "is not an SS58 address"),
        ("proxies_at(2, array['nobody'])", "is not an SS58 address"),
        ("leases_at(9)", "blocks 1 to 3 are"),
    ],
)
async def test_what_cannot_be_answered_is_an_error(sql: asyncpg.Connection[Any], query: str, problem: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match=problem):
        await sql.fetch(f"select * from {query}")


@pytest.mark.parametrize(
    "query",
    ["child_keys_at(2, array[]::text[])", "proxies_at(2, '{}')", "commitments_at(2, '{}')", "collateral_at(2, '{}')"],
)
async def test_nothing_asked_for_is_nothing_told(sql: asyncpg.Connection[Any], query: str) -> None:
    assert await asked(sql, f"select * from {query}") == []
