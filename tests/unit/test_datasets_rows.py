"""Row functions: decoded changes to patches, one dataset after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.datasets import _values, balances, blocks, hyperparameters, stake, subnets
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import KEYED

HOT, COLD = bytes([1] * 32), bytes([2] * 32)


@dataclass(frozen=True)
class FakeRuntime:
    """Lists the items in ``defaults``; None stands for an optional one."""

    spec_version: int = 475
    defaults: Mapping[ItemRef, object] = field(default_factory=dict)

    def has(self, item: ItemRef) -> bool:
        return item in self.defaults

    def default(self, item: ItemRef) -> object | None:
        return self.defaults.get(item)

    def constants(self) -> Iterable[tuple[str, str, object]]:
        return ()


BLOCK = Block(
    number=7, hash=bytes([7] * 32), parent_hash=bytes([6] * 32), state_root=bytes([5] * 32),
    extrinsics_root=bytes([4] * 32), digest=(), spec_version=475, extrinsic_count=2, complete=True, bootstrap=False,
    runtime_changed=False, reads={}, parent_reads={},
)  # fmt: skip


def subtensor(item: str, *key: object, value: object, raw: bytes | None = b"raw") -> Change:
    return Change(ItemRef("SubtensorModule", item), key, value, raw)


def test_a_blocks_row_says_what_header_and_state_say() -> None:
    authorities = [bytes([n] * 32) for n in range(3)]
    slot = 0x6325_0001
    digest = (b"\x00other", b"\x06aura\x20" + slot.to_bytes(8, "little"), b"\x05aura\x01\x02")
    block = replace(
        BLOCK, digest=digest, reads={blocks.NOW: 1_700_000_000_250, blocks.EVENT_COUNT: 9},
        parent_reads={blocks.AUTHORITIES: authorities},
    )  # fmt: skip
    (row,) = blocks.rows(block, (), FakeRuntime())
    assert (row.table, row.key) == ("blocks", ())
    assert row.values is not None
    assert set(row.values) == set(blocks.BLOCKS.values)
    assert row.values["timestamp"] == datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)
    assert row.values["author"] == authorities[slot % 3]
    assert (row.values["event_count"], row.values["extrinsic_count"], row.values["complete"]) == (9, 2, True)


@pytest.mark.parametrize(
    ("digest", "authorities"),
    [
        ((), [HOT]),
        ((b"\x06aura\x20" + bytes(8),), None),
        ((b"\x06aura\x20" + bytes(8),), []),
        ((b"\x06BABE\x20" + bytes(8),), [HOT]),
        ((b"\x06aura\x20" + bytes(7),), [HOT]),
    ],
)
def test_an_author_that_is_not_told_is_none(digest: tuple[bytes, ...], authorities: object) -> None:
    assert blocks.author(digest, authorities) is None


def test_genesis_has_no_timestamp() -> None:
    (row,) = blocks.rows(replace(BLOCK, reads={blocks.NOW: 0}), (), FakeRuntime())
    assert row.values is not None
    assert row.values["timestamp"] is None


NEW = {"nonce": 1, "consumers": 2, "providers": 3, "sufficients": 4}


def test_account_info_of_both_layouts_names_every_column() -> None:
    new = balances.account_info({**NEW, "data": {"free": 5, "reserved": 6, "frozen": 7, "flags": 1 << 127}})
    old = balances.account_info({**NEW, "data": {"free": 5, "reserved": 6, "misc_frozen": 7, "fee_frozen": 8}})
    assert set(new) == set(old) == set(balances.BALANCES.values)
    assert (new["frozen"], new["flags"], new["misc_frozen"], new["fee_frozen"], new["other"]) == (
        7,
        1 << 127,
        None,
        None,
        None,
    )
    assert (old["frozen"], old["flags"], old["misc_frozen"], old["fee_frozen"], old["other"]) == (
        None,
        None,
        7,
        8,
        None,
    )


def test_a_field_that_a_later_runtime_adds_to_accounts_is_kept() -> None:
    data = {"free": 5, "reserved": 6, "frozen": 7, "flags": 0, "held": {"by": b"abc"}}
    assert balances.account_info({**NEW, "data": data})["other"] == {"held": {"by": "abc"}}


def test_removed_accounts_and_totals() -> None:
    changes = [
        Change(balances.ACCOUNT, (HOT,), None, None),
        subtensor("TotalStake", value=9),
        Change(ItemRef("Balances", "TotalIssuance"), (), None, None),
    ]
    assert list(balances.rows(BLOCK, changes, FakeRuntime())) == [
        Row("balances", (HOT,), None),
        Row("issuance", ("total_stake",), {"amount": 9}),
        Row("issuance", ("balances_total_issuance",), {"amount": None}),
    ]


def test_every_generation_of_stake_goes_to_its_own_columns() -> None:
    v2 = {"mantissa": 10**21, "exponent": -9}
    changes = [
        subtensor("Stake", HOT, COLD, value=1),
        subtensor("Alpha", HOT, COLD, 3, value=2 << 64),
        subtensor("AlphaV2", HOT, COLD, 3, value=v2),
        subtensor("AlphaShareEpoch", HOT, COLD, 3, value=4),
        subtensor("AlphaV2", HOT, COLD, 3, value=None),
        subtensor("TotalHotkeyStake", HOT, value=5),
        subtensor("TotalHotkeyAlpha", HOT, 3, value=6),
        subtensor("TotalHotkeyShares", HOT, 3, value=7),
        subtensor("TotalHotkeySharesV2", HOT, 3, value=v2),
        subtensor("AlphaSharePoolEpoch", HOT, 3, value=8),
        subtensor("Owner", HOT, value=COLD),
        subtensor("Delegates", HOT, value=9),
        subtensor("TotalColdkeyStake", COLD, value=10),
    ]
    assert list(stake.rows(BLOCK, changes, FakeRuntime())) == [
        Row("stake_shares", (0, HOT, COLD), {"stake": 1}),
        Row("stake_shares", (3, HOT, COLD), {"share_bits": 2 << 64}),
        Row("stake_shares", (3, HOT, COLD), {"share_mantissa": 10**21, "share_exponent": -9}),
        Row("stake_shares", (3, HOT, COLD), {"share_epoch": 4}),
        Row("stake_shares", (3, HOT, COLD), {"share_mantissa": None, "share_exponent": None}),
        Row("hotkey_pools", (0, HOT), {"stake": 5}),
        Row("hotkey_pools", (3, HOT), {"alpha": 6}),
        Row("hotkey_pools", (3, HOT), {"share_bits": 7}),
        Row("hotkey_pools", (3, HOT), {"share_mantissa": 10**21, "share_exponent": -9}),
        Row("hotkey_pools", (3, HOT), {"pool_epoch": 8}),
        Row("delegates", (HOT,), {"owner": COLD}),
        Row("delegates", (HOT,), {"take": 9}),
        Row("coldkey_stakes", (COLD,), {"stake": 10}),
    ]


def test_patches_name_only_columns_and_keys_their_tables_have() -> None:
    changes = [subtensor("Alpha", HOT, COLD, 3, value=1), subtensor("Owner", HOT, value=COLD)]
    for row in stake.rows(BLOCK, changes, FakeRuntime()):
        assert row.values is not None
        assert set(row.values) <= set(KEYED[row.table].values)
        assert len(row.key) == len(KEYED[row.table].keys)


def test_subnet_fields_become_columns_and_keep_every_bit() -> None:
    identity = {"subnet_name": b"Apex", "github_repo": b"\xff", "additional": b"a\x00b"}
    kept = {"subnet_name": "Apex", "github_repo": {"hex": "ff"}, "additional": {"hex": "610062"}}
    changes = [
        subtensor("SubnetTAO", 4, value=10),
        subtensor("SubnetMovingPrice", 4, value=3 << 31),
        subtensor("SubnetEmaTaoFlow", 4, value=(99, -(1 << 63))),
        subtensor("SubnetEmaTaoFlow", 4, value=None),
        Change(ItemRef("Swap", "SwapBalancer"), (4,), 5 * 10**17, b""),
        subtensor("TokenSymbol", 4, value="τ".encode()),
        subtensor("SubnetIdentitiesV3", 4, value=identity),
    ]
    assert list(subnets.DATASET.rows(BLOCK, changes, FakeRuntime())) == [
        Row("subnet_pools", (4,), {"subnet_tao": 10}),
        Row("subnet_pools", (4,), {"subnet_moving_price": Decimal("1.5")}),
        Row("subnet_pools", (4,), {"subnet_ema_tao_flow": Decimal("-0.5"), "subnet_ema_tao_flow_block": 99}),
        Row("subnet_pools", (4,), {"subnet_ema_tao_flow": None, "subnet_ema_tao_flow_block": None}),
        Row("subnet_pools", (4,), {"swap_balancer": 5 * 10**17}),
        Row("subnet_info", (4,), {"token_symbol": "τ"}),
        Row(
            "subnet_info", (4,),
            {"subnet_identities_v3": kept},
        ),
    ]  # fmt: skip


def test_one_storage_item_may_give_several_names() -> None:
    changes = [
        subtensor("AlphaValues", 2, value=(3, 8)),
        subtensor("Yuma3On", 2, value=True),
        subtensor("BurnIncreaseMult", 2, value=5 << 62),
        subtensor("SubnetOwner", 2, value=bytes(32)),
        subtensor("RecycleOrBurn", 2, value="Recycle"),
        subtensor("RecycleOrBurn", 2, value="Later"),
        subtensor("MechanismEmissionSplit", 2, value=[1, 2]),
        subtensor("TaoWeight", value=5),
        subtensor("Tempo", 2, value=None),
    ]
    found = [
        (*row.key, row.values["value"], row.values["value_json"]) if row.values else row.key
        for row in hyperparameters.rows(BLOCK, changes, FakeRuntime())
    ]
    assert found == [
        (2, "alpha_high", 8, 8),
        (2, "alpha_low", 3, 3),
        (2, "yuma3_enabled", 1, True),
        (2, "yuma_version", 3, 3),
        (2, "burn_increase_mult", Decimal("1.25"), {"bits": 5 << 62}),
        (2, "subnet_owner", None, "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"),
        (2, "recycle_or_burn", 1, "Recycle"),
        (2, "recycle_or_burn", None, "Later"),
        (2, "mechanism_emission_split", None, [1, 2]),
        (-1, "tao_weight", 5, 5),
        (2, "tempo"),
    ]


def test_stored_values_keep_the_bytes_of_the_chain() -> None:
    (row,) = hyperparameters.rows(BLOCK, [subtensor("Kappa", 2, value=7, raw=b"\x07\x00")], FakeRuntime())
    assert row.values == {"value": 7, "value_json": 7, "raw": b"\x07\x00"}


def test_defaults_are_rows_only_where_the_runtime_changed() -> None:
    tempo = ItemRef("SubtensorModule", "Tempo")
    runtime = FakeRuntime(defaults={tempo: 360})
    assert list(hyperparameters.rows(BLOCK, (), runtime)) == []
    changed = list(hyperparameters.rows(replace(BLOCK, runtime_changed=True), (), runtime))
    key = ("tempo", False)
    assert [row.values for row in changed if row.key == key] == [
        {"value": 360, "value_json": 360, "is_constant": False}
    ]
    assert all(row.values is None for row in changed if row.key != key), "what the runtime lacks is removed"
    first = list(hyperparameters.rows(replace(BLOCK, runtime_changed=True, bootstrap=True), (), runtime))
    assert [row.key for row in first] == [key]


def test_a_value_of_another_type_is_an_error_that_names_the_item() -> None:
    for rows, change in (
        (stake.rows, subtensor("TotalHotkeyAlpha", HOT, 3, value={"new": "struct"})),
        (stake.rows, subtensor("AlphaV2", HOT, COLD, 3, value=5)),
        (subnets.DATASET.rows, subtensor("SubnetTAO", 3, value=True)),
        (hyperparameters.rows, subtensor("Tempo", 3, value="fast")),
        (balances.rows, Change(balances.ACCOUNT, (HOT,), 5, b"")),
    ):
        with pytest.raises(DecodeError) as caught:
            list(rows(BLOCK, [change], FakeRuntime()))
        assert str(change.item) in str(caught.value)


@given(st.integers(-(2**127), 2**128 - 1), st.sampled_from([32, 64]))
def test_fixed_point_decimals_are_exact(bits: int, fraction: int) -> None:
    assert int(_values._EXACT.multiply(_values.fixed(bits, fraction), 1 << fraction)) == bits


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("SubnetTAO", "subnet_tao"), ("SwapV3Initialized", "swap_v3_initialized"), ("CKBurn", "ck_burn"),
        ("RAORecycledForRegistration", "rao_recycled_for_registration"), ("Tempo", "tempo"),
        ("EMAPriceHalvingBlocks", "ema_price_halving_blocks"), ("SubnetIdentitiesV3", "subnet_identities_v3"),
    ],
)  # fmt: skip
def test_snake_case_of_items(item: str, name: str) -> None:
    assert _values.snake(item) == name
