"""The runtime's own answers against the tables: stakes, hyperparameters, prices, balances.

Each function takes a connection to a finished database and returns how many values it compared; it raises
``AssertionError`` with the differences. Decoding is written out here, sharing no code with the indexer.
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_address
from typing import Any

from scalecodec.utils.ss58 import ss58_decode
from tape import State, blake, compact, prefix

Connection = Any  # asyncpg.Connection, without its generics

U16, U64, BOOL, I32F32 = "u16", "u64", "bool", "i32f32"

HYPERPARAMS_V2 = (
    ("rho", U16), ("kappa", U16), ("immunity_period", U16), ("min_allowed_weights", U16), ("max_weights_limit", U16),
    ("tempo", U16), ("min_difficulty", U64), ("max_difficulty", U64), ("weights_version", U64),
    ("weights_rate_limit", U64), ("adjustment_interval", U16), ("activity_cutoff", U16),
    ("registration_allowed", BOOL), ("target_regs_per_interval", U16), ("min_burn", U64), ("max_burn", U64),
    ("bonds_moving_avg", U64), ("max_regs_per_block", U16), ("serving_rate_limit", U64), ("max_validators", U16),
    ("adjustment_alpha", U64), ("difficulty", U64), ("commit_reveal_period", U64),
    ("commit_reveal_weights_enabled", BOOL), ("alpha_high", U16), ("alpha_low", U16), ("liquid_alpha_enabled", BOOL),
    ("alpha_sigmoid_steepness", I32F32), ("yuma_version", U16), ("subnet_is_active", BOOL),
    ("transfers_enabled", BOOL), ("bonds_reset_enabled", BOOL), ("user_liquidity_enabled", BOOL),
)  # fmt: skip
"""Fields of SubnetHyperparamsV2 at specs 293 and 300; numbers are compact but the I32F32."""


def public_key(address: str) -> bytes:
    """The 32 bytes of an SS58 address."""
    return bytes.fromhex(ss58_decode(address))


def stake_info(raw: bytes) -> dict[tuple[bytes, bytes, int], int]:
    """``get_stake_info_for_coldkeys``: alpha by (hotkey, coldkey, netuid), zeros left out."""
    found: dict[tuple[bytes, bytes, int], int] = {}
    coldkeys, at = compact(raw, 0)
    for _ in range(coldkeys):
        positions, at = compact(raw, at + 32)
        for _ in range(positions):
            hotkey, coldkey = raw[at : at + 32], raw[at + 32 : at + 64]
            netuid, at = compact(raw, at + 64)
            stake, at = compact(raw, at)
            for _ in range(4):  # locked, emission, tao_emission, drain
                _, at = compact(raw, at)
            at += 1  # is_registered
            if stake:
                found[hotkey, coldkey, netuid] = stake
    assert at == len(raw)
    return found


def stake_info_coldkeys(raw: bytes) -> set[bytes]:
    """The coldkeys that were asked for, those without any position included."""
    found = set()
    coldkeys, at = compact(raw, 0)
    for _ in range(coldkeys):
        found.add(raw[at : at + 32])
        positions, at = compact(raw, at + 32)
        for _ in range(positions):
            at += 64
            for _ in range(6):
                _, at = compact(raw, at)
            at += 1
    return found


def hyperparams(raw: bytes, fields: tuple[tuple[str, str], ...] = HYPERPARAMS_V2) -> dict[str, int]:
    """``get_subnet_hyperparams_v2``, or v1 with its ``fields``: by name; empty where the subnet does not exist."""
    if raw[0] == 0:
        return {}
    at, found = 1, {}
    for name, kind in fields:
        if kind == BOOL:
            found[name], at = raw[at], at + 1
        elif kind == I32F32:
            bits = struct.unpack_from("<q", raw, at)[0]
            assert bits % (1 << 32) == 0
            found[name], at = bits >> 32, at + 8
        else:
            found[name], at = compact(raw, at)
    assert at == len(raw)
    return found


async def stakes_agree(connection: Connection, block: int, answer: bytes) -> int:
    """``delegations_at(block)`` equals the runtime's stake of every coldkey it was asked for."""
    expected = stake_info(answer)
    asked = stake_info_coldkeys(answer)
    rows = await connection.fetch("select hotkey, coldkey, netuid, alpha_rao from delegations_at($1)", block)
    told = {(public_key(r["hotkey"]), public_key(r["coldkey"]), r["netuid"]): r["alpha_rao"] for r in rows}
    assert len(told) == len(rows)
    found = {position: alpha for position, alpha in told.items() if position[1] in asked}
    assert found == expected, f"block {block}"
    return len(found)


async def hyperparameters_agree(connection: Connection, block: int, netuid: int, answer: bytes) -> int:
    """``hyperparameters_at(netuid, block)`` has every field of the runtime's answer, with its value."""
    expected = hyperparams(answer)
    rows = await connection.fetch("select * from hyperparameters_at($1, $2)", netuid, block)
    found = {row["name"]: row["value"] for row in rows}
    assert bool(rows) == bool(expected), f"block {block}, netuid {netuid}: whether the subnet exists"
    wrong = {name: (found.get(name), value) for name, value in expected.items() if found.get(name) != value}
    assert not wrong, f"block {block}, netuid {netuid}: (table, runtime) {wrong}"
    return len(expected)


async def price_agrees(connection: Connection, block: int, netuid: int, answer: bytes) -> int:
    """The price of ``subnets_at(block)`` is within 1 rao of the runtime's; 0 if the table has no such subnet."""
    expected = struct.unpack("<Q", answer)[0]
    price = await connection.fetchval(
        "select price from subnets_at($1) where netuid = $2 and networks_added", block, netuid
    )
    if price is None:
        return 0
    assert abs(int(price * 10**9) - expected) <= 1, f"block {block}, netuid {netuid}: {price} against {expected} rao"
    return 1


async def balances_agree(connection: Connection, block: int, state: State, accounts: list[bytes]) -> int:
    """``balance_at`` equals AccountInfo in the state, for accounts that exist and for those that do not."""
    for account in accounts:
        info = state.get(prefix("System.Account") + blake(account))
        expected: tuple[int, ...] = (0, 0, 0, 0)
        if info is not None:
            nonce, free, reserved, frozen = struct.unpack_from("<I12xQQQ", info)
            if len(info) == 48:
                frozen = max(struct.unpack_from("<QQ", info, 32))
            expected = (free, reserved, frozen, nonce)
        row = await connection.fetchrow(
            "select free, reserved, frozen, nonce from balance_at($1, $2)", f"0x{account.hex()}", block
        )
        assert tuple(row) == expected, f"block {block}, 0x{account.hex()}"
    return len(accounts)


async def plain_stakes_agree(connection: Connection, block: int, state: State) -> int:
    """Before dTAO ``delegations_at(block)`` is the map Stake itself, alpha and TAO alike."""
    stakes = prefix("SubtensorModule.Stake")
    expected = {
        (key[48:80], key[80:112]): struct.unpack("<Q", value)[0]
        for key, value in state.items()
        if key[:32] == stakes and value != bytes(8)
    }
    rows = await connection.fetch("select hotkey, coldkey, netuid, alpha_rao, tao_rao from delegations_at($1)", block)
    assert all(row["netuid"] == 0 and row["alpha_rao"] == row["tao_rao"] for row in rows)
    found = {(public_key(row["hotkey"]), public_key(row["coldkey"])): row["alpha_rao"] for row in rows}
    assert found == expected, f"block {block}"
    return len(found)


NEURON_LITE = (
    "rank", "emission", "incentive", "consensus", "trust", "validator_trust", "dividends", "last_update",
)  # fmt: skip
"""The compact fields of NeuronInfoLite (specs 293 and 300) after the stake, in their order."""


def neurons_lite(raw: bytes) -> list[dict[str, Any]]:
    """``get_neurons_lite``: one neuron after the other, with the columns' names; what is not told is None."""
    found = []
    count, at = compact(raw, 0)
    for _ in range(count):
        one: dict[str, Any] = {"hotkey": raw[at : at + 32], "coldkey": raw[at + 32 : at + 64]}
        one["uid"], at = compact(raw, at + 64)
        one["netuid"], at = compact(raw, at)
        one["active"], at = bool(raw[at]), at + 1
        block, version, low, high, port, kind, protocol, *placeholders = struct.unpack_from("<QIQQHBBBB", raw, at)
        one |= served("axon", block, version, low | high << 64, port, kind)
        assert placeholders == [0, 0]
        one["axon_protocol"], at = protocol if kind else None, at + 34
        block, version, low, high, port, kind = struct.unpack_from("<QIQQHB", raw, at)
        one |= served("prometheus", block, version, low | high << 64, port, kind)
        stakes, at = compact(raw, at + 31)
        assert stakes == 1
        assert raw[at : at + 32] == one["coldkey"]
        one["stake_alpha"], at = compact(raw, at + 32)
        for name in NEURON_LITE:
            one[name], at = compact(raw, at)
        one["validator_permit"] = bool(raw[at])
        one["pruning_score"], at = compact(raw, at + 1)
        found.append(one)
    assert at == len(raw)
    return found


def served(name: str, block: int, version: int, ip: int, port: int, kind: int) -> dict[str, Any]:
    """An axon's or prometheus' columns; the runtime tells zeros where there is none."""
    told = [ip_address(ip) if kind == 4 else IPv6Address(ip), port, version, block] if kind else [None] * 4
    assert kind or not (block or version or ip or port)
    return dict(zip((f"{name}_ip", f"{name}_port", f"{name}_version", f"{name}_block"), told, strict=True))


async def neurons_agree(connection: Connection, block: int, netuid: int, answer: bytes) -> int:
    """``neurons_at(block)`` has every neuron of the runtime's answer and no other, equal in every field."""
    expected = neurons_lite(answer)
    rows = await connection.fetch("select * from neurons_at($1, array[$2::integer]) order by uid", block, netuid)
    found = [dict(row) for row in rows]
    for row in found:
        row["hotkey"] = public_key(row["hotkey"])
        row["coldkey"] = bytes(32) if row["coldkey"] is None else public_key(row["coldkey"])
        del row["registered_at"]  # the only column that the runtime does not tell here
    assert found == expected, f"block {block}, netuid {netuid}"
    return sum(map(len, found))


async def author_agrees(connection: Connection, block: int, line: dict[str, Any], authorities: bytes) -> int:
    """``blocks.author`` is the authority, of the parent's list, whose slot the digest names."""
    slot = int.from_bytes(bytes.fromhex(line["digest"][0][2:])[6:14], "little")
    count, at = compact(authorities, 0)
    at += slot % count * 32
    author = await connection.fetchval("select author from blocks where block_number = $1", block)
    assert author == authorities[at : at + 32], f"block {block}"
    return 1
