"""The runtime's own answers against the functions that bear the SDK's names: delegates, subnets, stake, parameters.

As ``oracle``: each function returns how many values it compared, raises ``AssertionError`` with the differences,
and decodes by hand, sharing no code with the indexer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from oracle import HYPERPARAMS_V2, hyperparams, public_key, stake_info_coldkeys
from scalecodec.utils.ss58 import ss58_encode
from tape import compact

Connection = Any  # asyncpg.Connection, without its generics

NOBODY = bytes(32)
"""What the runtime tells where it knows no account; SQL tells NULL."""

_DYNAMIC = (
    "tempo", "last_step", "blocks_since_last_step", "emission", "alpha_in", "alpha_out", "tao_in",
    "alpha_out_emission", "alpha_in_emission", "tao_in_emission", "pending_alpha_emission", "pending_root_emission",
    "subnet_volume", "network_registered_at",
)  # fmt: skip
"""The compact fields of DynamicInfo (specs 293 and 300) between symbol and identity, in their order."""

NAMES_OF_THE_RUNTIME = {0: "root", 1: "apex", 2: "omron"}
"""Names that the runtime's code holds for subnets whose owner has given none: no storage tells them."""


def _compacts(raw: bytes, at: int) -> tuple[list[int], int]:
    count, at = compact(raw, at)
    found = []
    for _ in range(count):
        one, at = compact(raw, at)
        found.append(one)
    return found, at


def delegates(raw: bytes) -> list[dict[str, Any]]:
    """``get_delegates``: one after the other; stakes of nominators by (coldkey, netuid)."""
    found = []
    count, at = compact(raw, 0)
    for _ in range(count):
        one: dict[str, Any] = {"hotkey": raw[at : at + 32]}
        one["take"], at = compact(raw, at + 32)
        one["stakes"], one["nominators"] = {}, 0
        nominators, at = compact(raw, at)
        for _ in range(nominators):
            coldkey, (positions, at) = raw[at : at + 32], compact(raw, at + 32)
            one["nominators"] += 1
            for _ in range(positions):
                netuid, at = compact(raw, at)
                one["stakes"][coldkey, netuid], at = compact(raw, at)
        one["owner"] = raw[at : at + 32]
        one["registrations"], at = _compacts(raw, at + 32)
        one["validator_permits"], at = _compacts(raw, at)
        one["return_per_1000"], at = compact(raw, at)
        one["total_daily_return"], at = compact(raw, at)
        found.append(one)
    assert at == len(raw)
    return found


def dynamic(raw: bytes) -> list[dict[str, Any]]:
    """``get_all_dynamic_info``: one subnet after the other, with the columns' names."""
    found = []
    count, at = compact(raw, 0)
    for _ in range(count):
        assert raw[at] == 1, "a subnet that is not told of"
        one: dict[str, Any] = {}
        one["netuid"], at = compact(raw, at + 1)
        one["owner_hotkey"], one["owner_coldkey"] = raw[at : at + 32], raw[at + 32 : at + 64]
        name, at = _compacts(raw, at + 64)
        symbol, at = _compacts(raw, at)
        one["subnet_name"], one["token_symbol"] = bytes(name).decode(), bytes(symbol).decode()
        for field in _DYNAMIC:
            one[field], at = compact(raw, at)
        assert raw[at] == 0, "the tape has no identity of a subnet"
        one["subnet_identity"] = None
        one["moving_price"] = Decimal(int.from_bytes(raw[at + 1 : at + 17], "little", signed=True)) / 2**32
        at += 17
        found.append(one)
    assert at == len(raw)
    return found


async def delegates_agree(connection: Connection, block: int, answer: bytes) -> int:
    """``delegates_at`` and the positions on these hotkeys equal ``get_delegates`` in every field."""
    expected = sorted(delegates(answer), key=lambda one: one["hotkey"])
    rows = await connection.fetch("select * from delegates_at($1)", block)
    positions = await connection.fetch("select * from delegations_at($1)", block)
    found = []
    for row in rows:
        one = {name: row[name] for name in expected[0] if name not in ("hotkey", "owner", "stakes")}
        found.append(one | {"hotkey": public_key(row["hotkey"]), "owner": public_key(row["owner"])})
        found[-1]["stakes"] = {
            (public_key(position["coldkey"]), position["netuid"]): position["alpha_rao"]
            for position in positions
            if position["hotkey"] == row["hotkey"]
        }
    assert sorted(found, key=lambda one: one["hotkey"]) == expected, f"block {block}"
    return sum(len(one) - 1 + len(one["stakes"]) for one in found)


async def dynamic_agrees(connection: Connection, block: int, answer: bytes) -> int:
    """``dynamic_info_at`` equals ``get_all_dynamic_info`` in every field but the names the runtime itself gives."""
    expected = dynamic(answer)
    for one in expected:
        assert one["subnet_name"] == NAMES_OF_THE_RUNTIME[one["netuid"]]
        one["subnet_name"] = None
    rows = await connection.fetch("select * from dynamic_info_at($1) order by netuid", block)
    found = [{name: row[name] for name in expected[0]} for row in rows]
    for one in found:
        for field in ("owner_hotkey", "owner_coldkey"):
            one[field] = NOBODY if one[field] is None else public_key(one[field])
    assert found == expected, f"block {block}"
    return sum(len(one) - 1 for one in found)


def stake_infos(raw: bytes) -> dict[tuple[bytes, bytes, int], tuple[int, int, int, bool]]:
    """``get_stake_info_for_coldkeys``: (stake, dividends in alpha, in TAO, registered) by (hotkey, coldkey, netuid)."""
    found = {}
    coldkeys, at = compact(raw, 0)
    for _ in range(coldkeys):
        positions, at = compact(raw, at + 32)
        for _ in range(positions):
            hotkey, coldkey = raw[at : at + 32], raw[at + 32 : at + 64]
            netuid, at = compact(raw, at + 64)
            numbers = []
            for _ in range(5):
                number, at = compact(raw, at)
                numbers.append(number)
            stake, locked, emission, tao_emission, drain = numbers
            assert locked == drain == 0, "the chain tells zeros in both"
            found[hotkey, coldkey, netuid] = (stake, emission, tao_emission, raw[at] == 1)
            at += 1
    assert at == len(raw)
    return found


async def stakes_for_coldkeys_agree(connection: Connection, block: int, answer: bytes) -> int:
    """``stake_for_coldkeys`` and ``dividends_at`` equal ``get_stake_info_for_coldkeys`` of all coldkeys at once."""
    told = stake_infos(answer)
    coldkeys = [ss58_encode(coldkey.hex()) for coldkey in stake_info_coldkeys(answer)]
    rows = await connection.fetch("select * from stake_for_coldkeys($1, $2)", coldkeys, block)
    paid = {
        (public_key(row["hotkey"]), row["netuid"]): (row["alpha_dividends"] or 0, row["tao_dividends"] or 0)
        for row in await connection.fetch("select * from dividends_at($1)", block)
    }
    found = {}
    for row in rows:
        hotkey, coldkey = public_key(row["hotkey"]), public_key(row["coldkey"])
        dividends = paid.get((hotkey, row["netuid"]), (0, 0))
        found[hotkey, coldkey, row["netuid"]] = (row["alpha_rao"], *dividends, row["is_registered"])
    assert found == {position: values for position, values in told.items() if values[0]}, f"block {block}"
    assert len(rows) == len(found)
    return 4 * len(found)


async def subnet_hyperparameters_agree(connection: Connection, block: int, answers: dict[int, dict[str, bytes]]) -> int:
    """``subnet_hyperparameters_at`` has every field of both of the runtime's answers for every subnet, v1 and v2."""
    rows = await connection.fetch("select * from subnet_hyperparameters_at($1)", block)
    compared = 0
    for netuid, given in answers.items():
        found = {row["name"]: row["value"] for row in rows if row["netuid"] == netuid}
        for expected in (hyperparams(given["v2"]), hyperparams(given["v1"], HYPERPARAMS_V2[:27])):
            assert {name: found.get(name) for name in expected} == expected, f"block {block}, netuid {netuid}"
            assert bool(found) == bool(expected)
            compared += len(expected)
    return compared
