"""From rows back to storage: the exact keys and values of the chain, rebuilt from the tables as of a block.

Written from MODEL.md 1.1, 2.1, 2.5 and the TSV lists, sharing no code with the indexer: if the bytes come
out as the chain has them, the tables have lost nothing.
"""

from __future__ import annotations

import csv
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
from storage_bytes import accounts, bits, counted, json_vec_struct, ss58, text, u, u16
from tape import blake, identity, prefix, twox

Pairs = Iterator[tuple[bytes, bytes]]
Row = Mapping[str, Any]

HISTORIES = {
    "balances": ("balance_history", ("account",)),
    "issuance": ("issuance_history", ("name",)),
    "stake_shares": ("stake_shares_history", ("netuid", "hotkey", "coldkey")),
    "hotkey_pools": ("hotkey_pools_history", ("netuid", "hotkey")),
    "delegates": ("delegate_history", ("hotkey",)),
    "coldkey_stakes": ("coldkey_stake_history", ("coldkey",)),
    "subnet_pools": ("subnet_pool_history", ("netuid",)),
    "subnet_info": ("subnet_info_history", ("netuid",)),
    "stored_hyperparameters": ("stored_hyperparameter_history", ("netuid", "name")),
    "identities": ("identity_history", ("coldkey",)),
    "uids": ("uid_history", ("netuid", "uid")),
    "registrations": ("registration_history", ("hotkey", "netuid")),
    "neuron_vectors": ("neuron_vector_history", ("netuid", "mechanism", "name")),
    "axons": ("axon_history", ("netuid", "hotkey")),
    "childkeys": ("childkey_history", ("netuid", "hotkey")),
    "account_proxies": ("account_proxy_history", ("account",)),
    "weight_rows": ("weight_row_history", ("netuid", "mechanism", "uid")),
    "bond_rows": ("bond_row_history", ("netuid", "mechanism", "uid")),
    "coldkey_hotkeys": ("coldkey_hotkey_history", ("coldkey",)),
    "chain_values": ("chain_value_history", ("name",)),
    "dividends": ("dividend_history", ("netuid", "hotkey")),
}
"""Tables that hold storage, their histories and keys."""


def account_info(row: Row) -> bytes:
    """AccountInfo, 56 bytes, or 48 in the layout before spec ~146."""
    head = struct.pack("<IIII", *(row[name] for name in ("nonce", "consumers", "providers", "sufficients")))
    head += struct.pack("<QQ", row["free"], row["reserved"])
    if row["flags"] is None:
        return head + struct.pack("<QQ", row["misc_frozen"], row["fee_frozen"])
    return head + struct.pack("<Q", row["frozen"]) + u(16)(row["flags"])


def balances(row: Row) -> Pairs:
    """System.Account."""
    assert row["other"] is None
    yield prefix("System.Account") + blake(row["account"]), account_info(row)


ISSUANCE = {
    "total_issuance": "SubtensorModule.TotalIssuance",
    "total_stake": "SubtensorModule.TotalStake",
    "balances_total_issuance": "Balances.TotalIssuance",
    "balances_inactive_issuance": "Balances.InactiveIssuance",
}


def issuance(row: Row) -> Pairs:
    """The totals."""
    yield prefix(ISSUANCE[row["name"]]), u(8)(row["amount"])


def stake_shares(row: Row) -> Pairs:
    """Stake, Alpha, AlphaV2, AlphaShareEpoch."""
    netuid, hotkey, coldkey = row["netuid"], row["hotkey"], row["coldkey"]
    position = blake(hotkey) + blake(coldkey) + u16(netuid)
    if row["stake"] is not None:
        assert netuid == 0
        yield prefix("SubtensorModule.Stake") + blake(hotkey) + coldkey, u(8)(row["stake"])
    if row["share_bits"] is not None:
        yield prefix("SubtensorModule.Alpha") + position, u(16)(row["share_bits"])
    if row["share_mantissa"] is not None:
        yield prefix("SubtensorModule.AlphaV2") + position, safe_float(row)
    if row["share_epoch"] is not None:
        yield prefix("SubtensorModule.AlphaShareEpoch") + position, u(8)(row["share_epoch"])


def safe_float(row: Row) -> bytes:
    """SafeFloat: mantissa u128, exponent i64."""
    return u(16)(row["share_mantissa"]) + struct.pack("<q", row["share_exponent"])


def hotkey_pools(row: Row) -> Pairs:
    """TotalHotkeyStake, TotalHotkeyAlpha, TotalHotkeyShares, TotalHotkeySharesV2, AlphaSharePoolEpoch."""
    pool = blake(row["hotkey"]) + u16(row["netuid"])
    if row["stake"] is not None:
        yield prefix("SubtensorModule.TotalHotkeyStake") + row["hotkey"], u(8)(row["stake"])
    if row["alpha"] is not None:
        yield prefix("SubtensorModule.TotalHotkeyAlpha") + pool, u(8)(row["alpha"])
    if row["share_bits"] is not None:
        yield prefix("SubtensorModule.TotalHotkeyShares") + pool, u(16)(row["share_bits"])
    if row["share_mantissa"] is not None:
        yield prefix("SubtensorModule.TotalHotkeySharesV2") + pool, safe_float(row)
    if row["pool_epoch"] is not None:
        yield prefix("SubtensorModule.AlphaSharePoolEpoch") + pool, u(8)(row["pool_epoch"])


def delegates(row: Row) -> Pairs:
    """Owner, Delegates."""
    if row["owner"] is not None:
        yield prefix("SubtensorModule.Owner") + blake(row["hotkey"]), row["owner"]
    if row["take"] is not None:
        yield prefix("SubtensorModule.Delegates") + blake(row["hotkey"]), u(2)(row["take"])


def coldkey_stakes(row: Row) -> Pairs:
    """TotalColdkeyStake."""
    yield prefix("SubtensorModule.TotalColdkeyStake") + row["coldkey"], u(8)(row["stake"])


PASCAL_EXCEPTIONS = {
    "subnet_tao": "SubnetTAO",
    "swap_v3_initialized": "SwapV3Initialized",
    "rao_recycled_for_registration": "RAORecycledForRegistration",
    "ema_price_halving_blocks": "EMAPriceHalvingBlocks",
    "ck_burn": "CKBurn",
}


def pascal(name: str) -> str:
    """A column's storage item."""
    return PASCAL_EXCEPTIONS.get(name) or "".join(part[:1].upper() + part[1:] for part in name.split("_"))


FIXED_32 = {"subnet_moving_price", "root_prop", "miner_burned"}
U128 = {"subnet_volume"}
SWAP = {
    "swap_v3_initialized": u(1), "alpha_sqrt_price": bits(64, 16), "current_tick": u(4), "current_liquidity": u(8),
    "fee_global_tao": bits(64, 16), "fee_global_alpha": bits(64, 16),
    "scrap_reservoir_tao": u(8), "scrap_reservoir_alpha": u(8),
}  # fmt: skip
INFO_VALUES: Mapping[str, Callable[[Any], bytes]] = {
    "networks_added": u(1), "subnet_mechanism": u(2), "subnetwork_n": u(2), "network_modality": u(2),
    "mechanism_count_current": u(1), "subnet_owner": identity, "subnet_owner_hotkey": identity, "token_symbol": text,
    "subnet_name": text,
    **dict.fromkeys(("subnet_identities", "subnet_identities_v2", "subnet_identities_v3"), json_vec_struct),
}  # fmt: skip
INFO_HASHERS = {
    "mechanism_count_current": twox,
    **dict.fromkeys(("subnet_identities", "subnet_identities_v2", "subnet_identities_v3"), blake),
}


def subnet_pools(row: Row) -> Pairs:
    """The items that move in every block."""
    for name, value in row.items():
        if value is None or name in ("netuid", "block_number", "exists"):
            continue
        if name in SWAP:
            yield prefix(f"Swap.{pascal(name)}") + twox(u16(row["netuid"])), SWAP[name](value)
            continue
        encode = bits(32, 16) if name in FIXED_32 else u(16) if name in U128 else u(8)
        yield prefix(f"SubtensorModule.{pascal(name)}") + u16(row["netuid"]), encode(value)


def subnet_info(row: Row) -> Pairs:
    """The items that rarely change."""
    for name, value in row.items():
        if value is None or name in ("netuid", "block_number", "exists"):
            continue
        hashed = INFO_HASHERS.get(name, identity)(u16(row["netuid"]))
        yield prefix(f"SubtensorModule.{pascal(name)}") + hashed, INFO_VALUES.get(name, u(8))(value)


def identities(row: Row) -> Pairs:
    """IdentitiesV2; the tapes have none of the first layout."""
    assert row["first_layout"] is None
    fields = json.loads(row["identity"])
    order = ("name", "url", "github_repo", "image", "discord", "description", "additional")
    assert fields.keys() == set(order)
    told = b"".join(text(json.dumps(fields[name])) for name in order)
    yield prefix("SubtensorModule.IdentitiesV2") + blake(row["coldkey"]), told


def uids(row: Row) -> Pairs:
    """Keys, BlockAtRegistration."""
    place = u16(row["netuid"]) + u16(row["uid"])
    if row["hotkey"] is not None:
        yield prefix("SubtensorModule.Keys") + place, row["hotkey"]
    if row["registered_at"] is not None:
        yield prefix("SubtensorModule.BlockAtRegistration") + place, u(8)(row["registered_at"])


def registrations(row: Row) -> Pairs:
    """Uids, IsNetworkMember: the same key parts in another order."""
    hotkey, netuid = blake(row["hotkey"]), u16(row["netuid"])
    if row["uid"] is not None:
        yield prefix("SubtensorModule.Uids") + netuid + hotkey, u16(row["uid"])
    if row["is_network_member"] is not None:
        yield prefix("SubtensorModule.IsNetworkMember") + hotkey + netuid, u(1)(row["is_network_member"])


VECTOR_BYTES = {"active": 1, "validator_permit": 1, "last_update": 8, "emission": 8}


def neuron_vectors(row: Row) -> Pairs:
    """The vectors: a compact length (few elements only) and the elements, under netuid + 4096 * mechanism."""
    key = prefix(f"SubtensorModule.{pascal(row['name'])}") + u16(row["netuid"] + 4096 * row["mechanism"])
    length, encode = len(row["elements"]), u(VECTOR_BYTES.get(row["name"], 2))
    yield key, bytes([length << 2]) + b"".join(map(encode, row["elements"]))


def axons(row: Row) -> Pairs:
    """Axons, Prometheus; the tapes have no certificates."""
    key = u16(row["netuid"]) + blake(row["hotkey"])
    common = {"block": 8, "version": 4, "ip": 16, "port": 2, "ip_type": 1}
    for item, name, sizes in (
        ("Axons", "axon", {**common, "protocol": 1, "placeholder1": 1, "placeholder2": 1}),
        ("Prometheus", "prometheus", common),
    ):
        if row[f"{name}_block"] is not None:
            assert row[f"{name}_other"] is None
            told = b"".join(u(width)(row[f"{name}_{part}"]) for part, width in sizes.items())
            yield prefix(f"SubtensorModule.{item}") + key, told
    assert row["certificate_public_key"] is None


def relations(value: str, other: str) -> bytes:
    """Vec<(u64, AccountId)>."""
    return counted([u(8)(one["proportion"]) + ss58(one[other]) for one in json.loads(value)])


def childkeys(row: Row) -> Pairs:
    """ChildKeys, ParentKeys, PendingChildKeys, ChildkeyTake."""
    hotkey, netuid = row["hotkey"], u16(row["netuid"])
    if row["children"] is not None:
        yield prefix("SubtensorModule.ChildKeys") + blake(hotkey) + netuid, relations(row["children"], "child")
    if row["parents"] is not None:
        yield prefix("SubtensorModule.ParentKeys") + blake(hotkey) + netuid, relations(row["parents"], "parent")
    if row["cooldown_block"] is not None:
        pending = relations(row["pending_children"], "child") + u(8)(row["cooldown_block"])
        yield prefix("SubtensorModule.PendingChildKeys") + netuid + blake(hotkey), pending
    if row["take"] is not None:
        yield prefix("SubtensorModule.ChildkeyTake") + blake(hotkey) + netuid, u(2)(row["take"])


PROXY_TYPES = {"Any": 0, "Owner": 1, "NonCritical": 2, "NonTransfer": 3, "Senate": 4, "NonFungible": 5}


def account_proxies(row: Row) -> Pairs:
    """Proxy.Proxies."""
    assert row["announcements"] is None
    proxies = [
        ss58(one["delegate"]) + u(1)(PROXY_TYPES[one["proxy_type"]]) + u(4)(one["delay"])
        for one in json.loads(row["delegates"])
    ]
    yield prefix("Proxy.Proxies") + twox(row["account"]), counted(proxies) + u(8)(row["deposit"])


def coldkey_hotkeys(row: Row) -> Pairs:
    """OwnedHotkeys, StakingHotkeys."""
    if row["owned"] is not None:
        yield prefix("SubtensorModule.OwnedHotkeys") + blake(row["coldkey"]), accounts(row["owned"])
    if row["staking"] is not None:
        yield prefix("SubtensorModule.StakingHotkeys") + blake(row["coldkey"]), accounts(row["staking"])


def weight_rows(row: Row, item: str = "Weights", values: str = "weights") -> Pairs:
    """Weights."""
    index = row["netuid"] + 4096 * row["mechanism"]
    told = [u16(target) + u16(value) for target, value in zip(row["targets"], row[values], strict=True)]
    yield prefix(f"SubtensorModule.{item}") + u16(index) + u16(row["uid"]), counted(told)


def bond_rows(row: Row) -> Pairs:
    """Bonds."""
    yield from weight_rows(row, "Bonds", "bonds")


SIZES = {"Grandpa.CurrentSetId": 8, "TransactionPayment.NextFeeMultiplier": 16}


def chain_values(row: Row) -> Pairs:
    """Single values: numbers, and bytes in hex."""
    value = json.loads(row["value"])
    yield prefix(row["name"]), u(SIZES[row["name"]])(value) if isinstance(value, int) else bytes.fromhex(value["hex"])


def dividends(row: Row) -> Pairs:
    """AlphaDividendsPerSubnet, TaoDividendsPerSubnet; the tapes have none for root in alpha."""
    key = u16(row["netuid"]) + blake(row["hotkey"])
    assert row["root_alpha_dividends"] is None
    for item, column in (("AlphaDividendsPerSubnet", "alpha_dividends"), ("TaoDividendsPerSubnet", "tao_dividends")):
        if row[column] is not None:
            yield prefix(f"SubtensorModule.{item}") + key, u(8)(row[column])


BLAKE_PARAMETERS = {"SubtensorModule.LiquidAlphaOn", "SubtensorModule.Yuma3On"}
TWOX_PARAMETERS = {"SubtensorModule.RevealPeriodEpochs", "Swap.FeeRate", "Swap.EnabledUserLiquidity"}


class Hyperparameters:
    """Stored parameters back to storage, by the names in HYPERPARAMS_2026-10.tsv."""

    def __init__(self, list_file: Path) -> None:
        with list_file.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        self._items = {row["name"]: re.sub(r"\[.\]$", "", row["storage_item"]) for row in rows}
        derived = {"yuma_version": "Yuma3On", "networks_added": "NetworksAdded", "network_max_stake": "NetworkMaxStake"}
        self._items |= {name: f"SubtensorModule.{item}" for name, item in derived.items()}
        self._items["user_liquidity_enabled"] = "Swap.EnabledUserLiquidity"

    def __call__(self, row: Row) -> Pairs:
        """The one pair behind a stored parameter."""
        netuid, name = row["netuid"], row["name"]
        if netuid == -1:
            yield prefix(f"SubtensorModule.{pascal(name)}"), row["raw"]
            return
        item = self._items[name]
        hasher = blake if item in BLAKE_PARAMETERS else twox if item in TWOX_PARAMETERS else identity
        yield prefix(item) + hasher(u16(netuid)), row["raw"]


async def storage_at(
    connection: asyncpg.Connection[Any], block: int, parameters: Hyperparameters
) -> dict[bytes, bytes]:
    """All storage that the tables tell of, as of a block, from the histories."""
    rebuilt: dict[bytes, bytes] = {}
    for table, (history, keys) in HISTORIES.items():
        rows = await connection.fetch(
            f"select * from (select distinct on ({', '.join(keys)}) * from {history} where block_number <= $1 "
            f'order by {", ".join(keys)}, block_number desc) latest where "exists"',
            block,
        )
        add(rebuilt, table, rows, parameters)
    return rebuilt


async def storage_now(connection: asyncpg.Connection[Any], parameters: Hyperparameters) -> dict[bytes, bytes]:
    """The same from the current tables."""
    rebuilt: dict[bytes, bytes] = {}
    for table in HISTORIES:
        add(rebuilt, table, await connection.fetch(f"select * from {table}"), parameters)
    return rebuilt


def add(rebuilt: dict[bytes, bytes], table: str, rows: list[asyncpg.Record], parameters: Hyperparameters) -> None:
    """Add a table's pairs; two rows may tell of one key, but never differently."""
    pairs_of = parameters if table == "stored_hyperparameters" else globals()[table]
    for row in rows:
        for key, value in pairs_of(row):
            assert rebuilt.setdefault(key, value) == value, (table, key.hex(), value.hex(), rebuilt[key].hex())
