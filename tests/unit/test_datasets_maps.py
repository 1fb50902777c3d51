"""Datasets of plain storage maps: the rows that values of the chain give, and the values those rows give back."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from indexer.datasets import DATASETS
from indexer.datasets.base import Dataset
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef
from indexer.scale import Runtime, ss58_encode
from indexer.schema import KEYED

BLOCK = Block(1, b"", b"", b"", b"", (), 0, 0, True, False, False, {}, {})
ALICE, BOB, CAROL = (bytes([n]) * 32 for n in (1, 2, 3))
A, B, C = (ss58_encode(account) for account in (ALICE, BOB, CAROL))


class AnyRuntime:
    """Row functions of storage maps ask the runtime nothing."""

    spec_version = 475

    def has(self, item: ItemRef) -> bool:
        raise AssertionError(item)

    def default(self, item: ItemRef) -> object | None:
        raise AssertionError(item)

    def constants(self) -> tuple[tuple[str, str, object], ...]:
        raise AssertionError


def row(item: str, key: tuple[object, ...], value: object) -> tuple[Dataset, str, tuple[object, ...], dict[str, Any]]:
    """The one row of a change, in whichever dataset has the item."""
    ref = ItemRef(*item.split("."))
    (dataset,) = [d for d in DATASETS.values() if ref in d.items]
    (found,) = dataset.rows(BLOCK, [Change(ref, key, value, b"")], AnyRuntime())
    assert found.values is not None
    return dataset, found.table, found.key, dict(found.values)


def told(item: str, key: tuple[object, ...], value: object) -> tuple[str, tuple[object, ...], dict[str, Any]]:
    """Table, key and columns that are not NULL; the value and its key come back from them."""
    ref = ItemRef(*item.split("."))
    dataset, table, at, columns = row(item, key, value)
    whole = {**dict.fromkeys(KEYED[table].values), **columns, **dict(zip(KEYED[table].keys, at, strict=True))}
    back = {
        (source.item, place): dataset.value(source, whole)
        for source, place in dataset.places(table, at)
        if dataset.value(source, whole) is not None
    }
    assert back == {(ref, key): value}
    return table, at, {name: part for name, part in columns.items() if part is not None}


HALF = 2**63
LOCK = {"locked_mass": 5, "conviction": 3 << 63, "last_update": 8}


@pytest.mark.parametrize(
    ("item", "key", "value", "table", "row_key", "columns"),
    [
        (
            "SubtensorModule.ChildKeys", (ALICE, 7), [(HALF, BOB), (1, CAROL)],
            "childkeys", (7, ALICE), {"children": [{"proportion": HALF, "child": B}, {"proportion": 1, "child": C}]},
        ),
        (
            "SubtensorModule.ParentKeys", (BOB, 7), [(HALF, ALICE)],
            "childkeys", (7, BOB), {"parents": [{"proportion": HALF, "parent": A}]},
        ),
        (
            "SubtensorModule.PendingChildKeys", (7, ALICE), ([], 7300),
            "childkeys", (7, ALICE), {"pending_children": [], "cooldown_block": 7300},
        ),
        ("SubtensorModule.ChildkeyTake", (ALICE, 7), 0, "childkeys", (7, ALICE), {"take": 0}),
        (
            "SubtensorModule.ChildkeyThresholdSuspended", (ALICE,), (),
            "childkey_suspensions", (ALICE,), {"suspended": True},
        ),
        (
            "Proxy.Proxies", (ALICE,), ([{"delegate": BOB, "proxy_type": "Staking", "delay": 3}], 9),
            "account_proxies", (ALICE,),
            {"delegates": [{"delegate": B, "proxy_type": "Staking", "delay": 3}], "deposit": 9},
        ),
        (
            "Proxy.Proxies", (BOB,), ([{"delegate": ALICE, "proxy_type": "Any", "delay": 0, "later": b"x"}], 1),
            "account_proxies", (BOB,),
            {"delegates": [{"delegate": A, "proxy_type": "Any", "delay": 0, "later": "x"}], "deposit": 1},
        ),
        (
            "Proxy.Announcements", (BOB,), ([{"real": ALICE, "call_hash": b"\xff" * 32, "height": 3}], 0),
            "account_proxies", (BOB,),
            {
                "announcements": [{"real": A, "call_hash": "0x" + "ff" * 32, "height": 3}],
                "announcement_deposit": 0,
            },
        ),
        (
            "Multisig.Multisigs", (ALICE, b"h" * 32),
            {"when": {"height": 4, "index": 1}, "deposit": 6, "depositor": BOB, "approvals": [BOB, CAROL]},
            "multisigs", (ALICE, b"h" * 32),
            {"opened": {"height": 4, "index": 1}, "deposit": 6, "depositor": BOB, "approvals": [B, C]},
        ),
        (
            "SubtensorModule.ColdkeySwapAnnouncements", (ALICE,), (99, b"n" * 32),
            "coldkey_swaps", (ALICE,), {"execute_block": 99, "new_coldkey_hash": b"n" * 32},
        ),
        ("SubtensorModule.ColdkeySwapDisputes", (ALICE,), 88, "coldkey_swaps", (ALICE,), {"dispute_block": 88}),
        ("SubtensorModule.ColdkeySwapScheduled", (ALICE,), (), "coldkey_swaps", (ALICE,), {"scheduled": True}),
        (
            "SubtensorModule.ColdkeySwapScheduled", (ALICE,), (77, BOB),
            "coldkey_swaps", (ALICE,), {"scheduled": True, "scheduled_block": 77, "scheduled_coldkey": BOB},
        ),
        ("SubtensorModule.HotkeySuccessor", (7, ALICE), BOB, "hotkey_successors", (7, ALICE), {"successor": BOB}),
        ("SubtensorModule.HotkeyRoot", (7, BOB), ALICE, "hotkey_successors", (7, BOB), {"root": ALICE}),
        ("SubtensorModule.ColdkeySuccessor", (ALICE,), BOB, "coldkey_successors", (ALICE,), {"successor": BOB}),
        ("SubtensorModule.ColdkeyRoot", (BOB,), ALICE, "coldkey_successors", (BOB,), {"root": ALICE}),
        ("SubtensorModule.AccountFlags", (ALICE,), 2**100 + 1, "account_flags", (ALICE,), {"flags": 2**100 + 1}),
        (
            "SubtensorModule.AssociatedEvmAddress", (7, 3), (b"e" * 20, 5),
            "evm_associations", (7, 3), {"evm_address": b"e" * 20, "associated_block": 5},
        ),
        ("SubtensorModule.AutoStakeDestination", (ALICE, 7), BOB, "auto_stake", (ALICE, 7), {"hotkey": BOB}),
        ("SubtensorModule.StakingHotkeys", (ALICE,), [CAROL, BOB], "coldkey_hotkeys", (ALICE,), {"staking": [C, B]}),
        (
            "Commitments.CommitmentOf", (7, ALICE),
            {
                "deposit": 0,
                "block": 12,
                "info": [
                    "None",
                    {"Raw2": b"hi"},
                    {"Raw2": b"\xff\x00"},
                    {"TimelockEncrypted": {"encrypted": b"\xfe", "reveal_round": 9}},
                ],
            },
            "commitment_records", (7, ALICE),
            {
                "deposit": 0,
                "committed_block": 12,
                "fields": [
                    "None",
                    {"Raw2": "hi"},
                    {"Raw2": {"hex": "ff00"}},
                    {"TimelockEncrypted": {"encrypted": {"hex": "fe"}, "reveal_round": 9}},
                ],
            },
        ),
        (
            "Commitments.RevealedCommitments", (7, ALICE), [(b"\x08hi", 13)],
            "commitment_records", (7, ALICE), {"revealed": [{"data": "\x08hi", "block": 13}]},
        ),
        (
            "Commitments.UsedSpaceOf", (7, ALICE), {"last_epoch": 3, "used_space": 100},
            "commitment_records", (7, ALICE), {"used_space_epoch": 3, "used_space": 100},
        ),
        (
            "SubtensorModule.SubnetLeases", (1,),
            {
                "beneficiary": ALICE, "coldkey": BOB, "hotkey": CAROL, "emissions_share": 30, "end_block": None,
                "netuid": 7, "cost": 10**12,
            },
            "leases", (1,),
            {
                "beneficiary": ALICE, "coldkey": BOB, "hotkey": CAROL, "emissions_share": 30, "netuid": 7,
                "cost": 10**12,
            },
        ),
        (
            "SubtensorModule.SubnetLeaseShares", (1, ALICE), 1 << 62,
            "lease_shares", (1, ALICE), {"share": Decimal("0.25")},
        ),
        ("Crowdloan.Contributions", (1, ALICE), 10, "crowdloan_contributions", (1, ALICE), {"amount": 10}),
        (
            "SubtensorModule.MinerCollateral", (7, ALICE, BOB),
            {"locked": 10, "drain_ratio": 3 << 63, "min_locked": 4, "earned": 2, "later": b"x"},
            "miner_collateral", (7, ALICE, BOB),
            {"locked": 10, "drain_ratio": Decimal("1.5"), "min_locked": 4, "earned": 2, "other": {"later": "x"}},
        ),
        (
            "SubtensorModule.ColdkeyCollateralHotkeys", (7, BOB), [ALICE],
            "coldkey_collateral", (7, BOB), {"hotkeys": [A]},
        ),
        (
            "SubtensorModule.Lock", (ALICE, 7, BOB), LOCK,
            "lock_records", (7, ALICE, BOB), {"locked_mass": 5, "conviction": Decimal("1.5"), "last_update": 8},
        ),
        ("SubtensorModule.LockingColdkeys", (7, BOB, ALICE), (), "lock_records", (7, ALICE, BOB), {"indexed": True}),
        (
            "SubtensorModule.DecayingHotkeyLock", (7, BOB), LOCK,
            "hotkey_locks", (7, BOB),
            {"decaying_locked_mass": 5, "decaying_conviction": Decimal("1.5"), "decaying_last_update": 8},
        ),
        (
            "SubtensorModule.OwnerLock", (7,), LOCK,
            "owner_locks", (7,), {"locked_mass": 5, "conviction": Decimal("1.5"), "last_update": 8},
        ),
        ("SubtensorModule.DecayingLock", (ALICE, 7), False, "lock_modes", (ALICE, 7), {"decaying": False}),
        ("SubtensorModule.BasketShares", (ALICE,), 2**63, "basket_funds", (ALICE,), {"shares": 2**63}),
        ("SubtensorModule.BasketRate", (ALICE,), -3 << 31, "basket_funds", (ALICE,), {"rate": Decimal("-1.5")}),
        (
            "SubtensorModule.BetaBaseline", (ALICE,),
            {"price_divisor": 1 << 64, "rate0": 1 << 31, "tr_splice": 1 << 63, "first_block": 6},
            "basket_funds", (ALICE,),
            {
                "baseline_price_divisor": 1, "baseline_rate0": Decimal("0.5"), "baseline_tr_splice": Decimal("0.5"),
                "baseline_first_block": 6,
            },
        ),
        (
            "SubtensorModule.BasketTradeBucket", (ALICE,), (5, 6),
            "basket_funds", (ALICE,), {"trade_tao_available": 5, "trade_block": 6},
        ),
        ("SubtensorModule.BasketTradingFrozen", (ALICE,), (), "basket_funds", (ALICE,), {"frozen": True}),
        ("SubtensorModule.BasketClaimed", (ALICE, BOB), -5, "basket_claims", (ALICE, BOB), {"claimed": -5}),
        ("SubtensorModule.PendingBasketDeposits", (ALICE, 7), 5, "basket_slots", (ALICE, 7), {"pending": 5}),
        (
            "SubtensorModule.BasketLiquidityUsed", (ALICE, 7), (5, 6),
            "basket_slots", (ALICE, 7), {"liquidity_used": 5, "liquidity_block": 6},
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)  # fmt: skip
def test_a_value_gives_its_row_and_comes_back(
    item: str, key: tuple[object, ...], value: object, table: str, row_key: tuple[object, ...], columns: dict[str, Any]
) -> None:
    assert told(item, key, value) == (table, row_key, columns)


def test_a_key_that_is_gone_leaves_every_column_of_its_item_empty() -> None:
    for item, key in (
        ("SubtensorModule.ChildKeys", (ALICE, 7)),
        ("Proxy.Proxies", (ALICE,)),
        ("SubtensorModule.MinerCollateral", (7, ALICE, BOB)),
        ("SubtensorModule.ColdkeySwapScheduled", (ALICE,)),
    ):
        _, _, _, columns = row(item, key, None)
        assert columns
        assert set(columns.values()) == {None}


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("item", "key", "value"),
    [
        ("Crowdloan.Crowdloans", (1,), {
            "creator": ALICE, "deposit": 10, "min_contribution": 1, "end": 100, "cap": 1000, "funds_account": BOB,
            "raised": 10, "target_address": None, "call": {"Inline": b"\x00\x01"}, "finalized": False,
            "contributors_count": 1,
        }),
        ("Crowdloan.Crowdloans", (2,), {
            "creator": ALICE, "deposit": 10, "min_contribution": 1, "end": 100, "cap": 1000, "funds_account": BOB,
            "raised": 10, "target_address": CAROL, "call": None, "finalized": True, "contributors_count": 1,
        }),
        ("SubtensorModule.SubnetLeases", (1,), {
            "beneficiary": ALICE, "coldkey": BOB, "hotkey": CAROL, "emissions_share": 30, "end_block": 5, "netuid": 7,
            "cost": 1,
        }),
        ("SubtensorModule.Lock", (ALICE, 7, BOB), LOCK),
        ("SubtensorModule.LockingColdkeys", (7, BOB, ALICE), ()),
        ("Proxy.Proxies", (ALICE,), ([{"delegate": BOB, "proxy_type": "SudoUncheckedSetCode", "delay": 3}], 9)),
    ],
    ids=["crowdloan with call", "crowdloan with target", "lease", "lock", "lock index", "proxy"],
)  # fmt: skip
def test_what_the_newest_real_runtime_stores_is_what_the_rows_tell(
    realdata: Path, item: str, key: tuple[object, ...], value: object
) -> None:
    """The hand-made values above are of the chain's types: its metadata encodes and decodes them unchanged."""
    stored = Runtime.from_metadata((realdata / "metadata/spec424.v16.scale").read_bytes()).item(
        ItemRef(*item.split("."))
    )
    assert stored is not None
    assert stored.split_key(stored.key(*key)) == key
    assert stored.decode(stored.encode(value)) == value
    told(item, key, value)


@pytest.mark.parametrize(
    ("item", "key", "value", "problem"),
    [
        ("SubtensorModule.ChildKeys", (ALICE, 7), [(1, BOB, 2)], "expected a tuple of 2"),
        ("SubtensorModule.ChildKeys", (ALICE, 7), [(1, b"short")], "5 bytes, not 32"),
        ("SubtensorModule.PendingChildKeys", (7, ALICE), [], "expected a tuple of 2"),
        ("SubtensorModule.ColdkeySwapScheduled", (ALICE,), 5, r"expected \(\) or a pair"),
        ("Proxy.Proxies", (ALICE,), ([(BOB, "Any", 0)], 0), "expected a struct"),
        ("Proxy.Proxies", (ALICE,), ([{"delegate": BOB, "proxy_type": {"New": 1}, "delay": 0}], 0), "expected text"),
        ("Commitments.CommitmentOf", (7, ALICE), {"deposit": 0, "block": 1, "info": [5]}, "a case of Data"),
    ],
)
def test_a_value_of_another_shape_is_refused_and_its_item_named(
    item: str, key: tuple[object, ...], value: object, problem: str
) -> None:
    with pytest.raises(DecodeError, match=problem) as refused:
        row(item, key, value)
    assert refused.value.item == item


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("childkeys", {"children": [{"proportion": 1}]}),
        ("childkeys", {"children": [{"proportion": 1, "child": "nobody"}]}),
        ("childkeys", {"children": [{"proportion": 1, "child": 5}]}),
        ("childkeys", {"children": {}}),
        ("account_proxies", {"delegates": [5], "deposit": 1}),
        ("account_proxies", {"announcements": [{"call_hash": "ff"}], "announcement_deposit": 1}),
        ("account_proxies", {"announcements": [{"call_hash": "0xzz"}], "announcement_deposit": 1}),
        ("coldkey_swaps", {"scheduled": True, "scheduled_block": 5}),
        ("coldkey_swaps", {"scheduled_block": 5, "scheduled_coldkey": BOB}),
    ],
)
def test_a_row_that_no_value_gives_is_refused(table: str, columns: dict[str, Any]) -> None:
    (dataset,) = [d for d in DATASETS.values() if table in {t.name for t in d.tables}]
    whole = {**dict.fromkeys(KEYED[table].values), **columns}
    sources = [source for source in dataset.sources if source.table == table]
    with pytest.raises(DecodeError):
        [dataset.value(source, whole) for source in sources]
