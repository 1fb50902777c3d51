"""States that the recorded chain does not show: retired pools, baskets, dissolution, defaults that move.

Blocks are made of decoded changes and go through the row functions and the store into real tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from indexer.datasets import load
from indexer.model import Block, BlockRef, BlockRows, Change, ItemRef
from indexer.scale import ss58_encode
from indexer.store import open_store

pytestmark = pytest.mark.anyio

HOT, COLD, OTHER = bytes([1] * 32), bytes([2] * 32), bytes([3] * 32)
ESCROW = bytes.fromhex("6d6f646c73756274656e7372626574612f657363").ljust(32, b"\0")
ESCROW_ADDRESS = "5EYCAe5jLQhn6ofDSwHx3AZmsZPVFHnKpstqap4vqwDWtp7s"
DATASETS = load()


@dataclass(frozen=True)
class FakeRuntime:
    """A runtime that lists what it is told, with these defaults (None: optional)."""

    spec_version: int
    defaults: Mapping[ItemRef, object] = field(default_factory=dict)
    constant: Mapping[tuple[str, str], object] = field(default_factory=dict)

    def has(self, item: ItemRef) -> bool:
        return item in self.defaults

    def default(self, item: ItemRef) -> object | None:
        return self.defaults.get(item)

    def constants(self) -> Iterable[tuple[str, str, object]]:
        return [(pallet, name, value) for (pallet, name), value in self.constant.items()]


def item(name: str) -> ItemRef:
    """``Item`` of SubtensorModule, or ``Pallet.Item``."""
    pallet, _, bare = name.rpartition(".")
    return ItemRef(pallet or "SubtensorModule", bare)


def change(name: str, *key: object, value: object) -> Change:
    """A decoded change; None removes the key."""
    raw = None if value is None else repr(value).encode()
    return Change(item(name), key, value, raw)


class Chain:
    """Writes made-up blocks, one by one."""

    def __init__(self, dsn: str, connection: Any, first: int = 0) -> None:
        self.dsn, self.sql = dsn, connection
        self._first, self._number = first, first - 1
        self._runtime: FakeRuntime | None = None

    async def block(self, runtime: FakeRuntime, changes: Iterable[Change] = ()) -> int:
        """Index one more block; returns its number."""
        self._number += 1
        by_item: dict[ItemRef, list[Change]] = {}
        for each in changes:
            by_item.setdefault(each.item, []).append(each)
        block = Block(
            number=self._number, hash=self._hash(self._number), parent_hash=self._hash(self._number - 1),
            state_root=bytes(32), extrinsics_root=bytes(32), digest=(), spec_version=runtime.spec_version,
            extrinsic_count=0, complete=True, bootstrap=self._number == self._first,
            runtime_changed=runtime != self._runtime, reads={}, parent_reads={},
        )  # fmt: skip
        rows = tuple(
            row
            for dataset in DATASETS
            for row in dataset.rows(block, [c for i in dataset.items for c in by_item.get(i, ())], runtime)
        )
        assert set(by_item) <= {i for dataset in DATASETS for i in dataset.items}
        ref = BlockRef(self._number, block.hash)
        async with open_store(self.dsn) as store:
            await store.lock_writer()
            await store.write([BlockRows(ref, block.parent_hash, None, False, True, block.bootstrap, rows)], DATASETS)
        self._runtime = runtime
        return self._number

    @staticmethod
    def _hash(number: int) -> bytes:
        return hashlib.blake2b(str(number).encode(), digest_size=32).digest()

    async def delegations(self, block: int) -> dict[tuple[str, int], int]:
        """Alpha by (coldkey, netuid)."""
        found = await self.sql.fetch("select * from delegations_at($1)", block)
        return {(row["coldkey"], row["netuid"]): row["alpha_rao"] for row in found}

    async def parameters(self, netuid: int | None, block: int) -> dict[str, tuple[Any, Any, bool]]:
        """(value, JSON, is default) by name."""
        found = await self.sql.fetch("select * from hyperparameters_at($1, $2)", netuid, block)
        return {
            row["name"]: (row["value"], row["value_json"] and json.loads(row["value_json"]), row["is_default"])
            for row in found
        }


@pytest.fixture
async def chain(database: str) -> AsyncIterator[Chain]:
    """A chain in an empty, migrated database."""
    connection = await asyncpg.connect(database)
    yield Chain(database, connection)
    await connection.close()


def share(mantissa: int) -> dict[str, int]:
    """A SafeFloat of a small whole number."""
    return {"mantissa": mantissa * 10**20, "exponent": -20}


def pool(netuid: int, alpha: int, shares: int, **of: int) -> list[Change]:
    """A pool of HOT and the shares of coldkeys in it, given by name."""
    coldkeys = {"cold": COLD, "other": OTHER, "escrow": ESCROW}
    return [
        change("TotalHotkeyAlpha", HOT, netuid, value=alpha),
        change("TotalHotkeySharesV2", HOT, netuid, value=share(shares)),
        *(change("AlphaV2", HOT, coldkeys[name], netuid, value=share(part)) for name, part in of.items()),
    ]


SUBNET = [
    change("NetworksAdded", 5, value=True), change("SubnetMechanism", 5, value=1),
    change("SubnetTAO", 5, value=300), change("SubnetAlphaIn", 5, value=100),
]  # fmt: skip
SPEC_475 = FakeRuntime(475)


@pytest.mark.parametrize("source", ["delegations", "delegations_at()"])
async def test_a_price_beyond_reason_breaks_no_answer(chain: Chain, source: str) -> None:
    """A pool that is all but empty of alpha: the value stops at what a bigint holds."""
    empty = [change("SubnetTAO", 5, value=2**63 - 1), change("SubnetAlphaIn", 5, value=1)]
    await chain.block(SPEC_475, [*SUBNET[:2], *empty, *pool(5, 900, 9, cold=9), *pool(0, 50, 1, cold=1)])
    rows = await chain.sql.fetch(f"select netuid, alpha_rao, tao_rao from {source}")
    assert {tuple(row) for row in rows} == {(5, 900, 2**63 - 1), (0, 50, 50)}


async def test_one_write_retires_every_share_of_a_pool(chain: Chain) -> None:
    before = await chain.block(SPEC_475, [*SUBNET, *pool(5, 900, 9, cold=3, other=6)])
    after = await chain.block(SPEC_475, [change("AlphaSharePoolEpoch", HOT, 5, value=1)])
    stamped = await chain.block(SPEC_475, [change("AlphaShareEpoch", HOT, COLD, 5, value=1)])
    cold, other = ss58_encode(COLD), ss58_encode(OTHER)
    assert await chain.delegations(before) == {(cold, 5): 300, (other, 5): 600}
    assert await chain.delegations(after) == {}
    assert await chain.delegations(stamped) == {(cold, 5): 300}


async def test_the_basket_escrow_is_marked_and_valued(chain: Chain) -> None:
    await chain.block(SPEC_475, [*SUBNET, *pool(5, 900, 9, cold=3, escrow=6)])
    for source in ("delegations", "delegations_at()"):
        rows = await chain.sql.fetch(f"select coldkey, tao_rao, is_escrow, is_dissolving from {source}")
        found = {row["coldkey"]: (row["tao_rao"], row["is_escrow"], row["is_dissolving"]) for row in rows}
        assert found == {ESCROW_ADDRESS: (1800, True, False), ss58_encode(COLD): (900, False, False)}


async def test_stake_of_a_subnet_that_is_being_dissolved_is_marked(chain: Chain) -> None:
    alive = await chain.block(SPEC_475, [*SUBNET, *pool(5, 900, 9, cold=9), *pool(0, 50, 1, cold=1),
                                         change("NetworksAdded", 0, value=True)])  # fmt: skip
    gone = await chain.block(SPEC_475, [change("NetworksAdded", 5, value=None)])
    for block, expected in ((alive, {0: False, 5: False}), (gone, {0: False, 5: True})):
        rows = await chain.sql.fetch("select netuid, is_dissolving from delegations_at($1)", block)
        assert dict(map(tuple, rows)) == expected
    assert dict(map(tuple, await chain.sql.fetch("select netuid, is_dissolving from delegations"))) == expected


async def test_a_removed_position_is_found_again_as_of_the_blocks_before(chain: Chain) -> None:
    cold = ss58_encode(COLD)
    first = await chain.block(SPEC_475, [*SUBNET, *pool(5, 900, 9, cold=9)])
    removed = await chain.block(SPEC_475, [change("AlphaV2", HOT, COLD, 5, value=None)])
    await chain.block(SPEC_475)
    assert await chain.delegations(first) == {(cold, 5): 900}, "while it is still removed at the head"
    assert await chain.delegations(removed + 1) == {}
    back = await chain.block(SPEC_475, [change("AlphaV2", HOT, COLD, 5, value=share(1))])
    assert await chain.delegations(first) == {(cold, 5): 900}
    assert await chain.delegations(removed) == {}
    assert await chain.delegations(removed + 1) == {}
    assert await chain.delegations(back) == {(cold, 5): 100}


POW, TEMPO, YUMA = item("NetworkPowRegistrationAllowed"), item("Tempo"), item("Yuma3On")


async def test_a_default_that_moves_without_a_write_moves_the_effective_value(chain: Chain) -> None:
    pow_name = "network_pow_registration_allowed"
    old = FakeRuntime(473, {POW: True, TEMPO: 360})
    new = FakeRuntime(475, {POW: False, TEMPO: 360})
    before = await chain.block(old, [change("NetworksAdded", n, value=True) for n in (1, 2)])
    stored = await chain.block(old, [change(POW.item, 2, value=True)])
    moved = await chain.block(new)
    for block, netuid, expected in (
        (before, 1, (1, True, True)), (before, 2, (1, True, True)), (stored, 2, (1, True, False)),
        (moved, 1, (0, False, True)), (moved, 2, (1, True, False)),
    ):  # fmt: skip
        assert (await chain.parameters(netuid, block))[pow_name] == expected
    history = await chain.sql.fetch(
        "select netuid, block_number, value from hyperparameter_history where name = $1 order by 1, 2", pow_name
    )
    assert [tuple(row) for row in history] == [(1, before, 1), (1, moved, 0), (2, before, 1), (2, stored, 1)]
    rows = await chain.sql.fetch("select name, block_number from hyperparameter_default_history where block_number > 0")
    assert [tuple(row) for row in rows] == [(pow_name, moved)], "only the default that moved is a new row"


async def test_a_stored_value_outlives_its_item_and_an_absent_one_vanishes(chain: Chain) -> None:
    old, new = FakeRuntime(400, {TEMPO: 360, YUMA: False}), FakeRuntime(473, {YUMA: False})
    await chain.block(old, [change("NetworksAdded", n, value=True) for n in (1, 2)])
    before = await chain.block(old, [change("Tempo", 2, value=99)])
    after = await chain.block(new)
    drained = await chain.block(new, [change("Tempo", 2, value=None)])
    assert (await chain.parameters(1, before))["tempo"] == (360, 360, True)
    assert set(await chain.parameters(1, after)) == {"yuma3_enabled", "yuma_version"}
    assert (await chain.parameters(2, after))["tempo"] == (99, 99, False)
    assert "tempo" not in await chain.parameters(2, drained)


async def test_names_that_the_runtime_derives(chain: Chain) -> None:
    with_switch = FakeRuntime(300, {YUMA: False, item("Swap.EnabledUserLiquidity"): False})
    balancer = FakeRuntime(423, {YUMA: False, item("Swap.SwapBalancer"): 5 * 10**17})
    stored = await chain.block(with_switch, [
        change("NetworksAdded", 1, value=True), change("Yuma3On", 1, value=True),
        change("Swap.EnabledUserLiquidity", 1, value=True), change("AlphaValues", 1, value=(7, 9)),
    ])  # fmt: skip
    found = await chain.parameters(1, stored)
    assert found["yuma_version"] == (3, 3, False)
    assert found["user_liquidity_enabled"] == (1, True, False)
    after = await chain.block(balancer)
    assert (await chain.parameters(1, after))["user_liquidity_enabled"] == (0, False, True)


async def test_a_subnets_childkey_take_is_not_below_that_of_the_network(chain: Chain) -> None:
    runtime = FakeRuntime(411, {item("MinChildkeyTakePerSubnet"): 0, item("MinChildkeyTake"): 5})
    first = await chain.block(runtime, [change("NetworksAdded", 1, value=True)])
    above = await chain.block(runtime, [change("MinChildkeyTakePerSubnet", 1, value=8)])
    raised = await chain.block(runtime, [change("MinChildkeyTake", value=9)])
    assert (await chain.parameters(1, first))["min_childkey_take"] == (5, 5, True)
    assert (await chain.parameters(1, above))["min_childkey_take"] == (8, 8, False)
    assert (await chain.parameters(1, raised))["min_childkey_take"] == (9, 9, False)
    assert (await chain.parameters(None, raised))["min_childkey_take"] == (9, 9, False)


async def test_an_optional_parameter_that_is_not_set_is_listed_without_a_value(chain: Chain) -> None:
    runtime = FakeRuntime(475, {item("FirstEmissionBlockNumber"): None})
    await chain.block(runtime, [change("NetworksAdded", 1, value=True)])
    assert await chain.parameters(1, 0) == {"first_emission_block_number": (None, None, True)}


async def test_a_subnet_that_is_gone_has_no_parameters(chain: Chain) -> None:
    runtime = FakeRuntime(475, {TEMPO: 360})
    alive = await chain.block(runtime, [change("NetworksAdded", 1, value=True), change("Tempo", 1, value=9)])
    gone = await chain.block(runtime, [change("NetworksAdded", 1, value=None)])
    assert list(await chain.parameters(1, alive)) == ["tempo"]
    assert await chain.parameters(1, gone) == {}
    last = await chain.sql.fetchrow("select * from hyperparameter_history order by block_number desc limit 1")
    assert (last["name"], last["block_number"], last["exists"]) == ("tempo", gone, False)


async def test_frozen_of_the_old_layout_is_the_larger_of_its_two_locks(chain: Chain) -> None:
    info = {"nonce": 1, "consumers": 0, "providers": 1, "sufficients": 0}
    old = {"free": 50, "reserved": 3, "misc_frozen": 7, "fee_frozen": 9}
    new = {"free": 50, "reserved": 3, "frozen": 4, "flags": 1 << 127}
    before = await chain.block(FakeRuntime(145), [change("System.Account", COLD, value={**info, "data": old})])
    after = await chain.block(FakeRuntime(146), [change("System.Account", COLD, value={**info, "data": new})])
    killed = await chain.block(FakeRuntime(146), [change("System.Account", COLD, value=None)])
    for block, expected in ((before, (50, 3, 9, 1)), (after, (50, 3, 4, 1)), (killed, (0, 0, 0, 0))):
        row = await chain.sql.fetchrow(
            "select free, reserved, frozen, nonce from balance_at($1, $2)", ss58_encode(COLD), block
        )
        assert tuple(row) == expected
