"""What the chain itself would answer: stakes and prices of any block, worked out from its raw state.

Reads bytes at fixed offsets and follows the rule of the runtime that executed the block, from plain TAO
stakes (before 233) to SafeFloat shares with epochs (since 459). It uses neither the product's codec nor
the simulation's ledger, so that the indexer's SQL, the simulation and this are three opinions.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from indexer.devchain.pallet import blake2_128_concat, twox64_concat, twox128
from indexer.devchain.served import ServedState
from indexer.devchain.shares import ZERO, SafeFloat, from_v1, mul_div, normal, to_u64, v1_value

RAO_PER_TAO = 10**9
DYNAMIC_TAO, SWAP_V3, SHARES_V2, BALANCER, CAPPED, EPOCHS = 233, 283, 397, 423, 458, 459
"""First spec_versions of the rules (MODEL.md 2, MODEL_2026-10.md 1.4)."""
_ROOT_NETUID, _KEY_LENGTH = 0, 32
_HALF_PERQUINTILL, _PERQUINTILL = 5 * 10**17, 10**18


class Position(NamedTuple):
    """One row of stake."""

    hotkey: bytes
    coldkey: bytes
    netuid: int


def stake_at(state: ServedState, spec_version: int) -> dict[Position, int]:
    """Alpha in rao of every stored share row; rows of a retired epoch are 0.

    ``spec_version`` is of the runtime that executed the block. Before dTAO (spec < 233): the stored
    TAO of every (hotkey, coldkey), as netuid 0.
    """
    if spec_version < DYNAMIC_TAO:
        # Stake: Blake2_128Concat(hotkey), then Identity(coldkey).
        rows = _rows(state, "Stake")
        return {Position(key[48:80], key[80:112], _ROOT_NETUID): _int(value) for key, value in rows}
    keys = {_position(key): key[32:] for item in ("AlphaV2", "Alpha") for key, _ in _rows(state, item)}
    worth = _value_v1 if spec_version < SHARES_V2 else _value_v2
    return {position: worth(state, tail, spec_version) for position, tail in keys.items()}


def stake_of(state: ServedState, spec_version: int, coldkey: bytes) -> dict[Position, int]:
    """The same of one coldkey (spec 233 and later), by the hotkeys that the chain lists for it."""
    listed = state.get(_prefix("StakingHotkeys") + blake2_128_concat(coldkey)) or b""
    worth = _value_v1 if spec_version < SHARES_V2 else _value_v2
    found: dict[Position, int] = {}
    # Before the hotkeys stands their number, in less than the length of one.
    for at in range(len(listed) % _KEY_LENGTH, len(listed), _KEY_LENGTH):
        pair = blake2_128_concat(listed[at : at + _KEY_LENGTH]) + blake2_128_concat(coldkey)
        for item in ("AlphaV2", "Alpha"):
            for key in state.keys(_prefix(item) + pair):
                found[_position(key)] = worth(state, key[32:], spec_version)
    return found


def prices_at(state: ServedState, spec_version: int) -> dict[int, int]:
    """Price of one alpha in rao, rounded down, of every subnet (spec 233 and later)."""
    netuids = [_int(key[32:34]) for key, added in _rows(state, "NetworksAdded") if added == b"\x01"]
    return {netuid: int(_price(state, netuid, spec_version) * RAO_PER_TAO) for netuid in netuids}


def _price(state: ServedState, netuid: int, spec_version: int) -> Fraction:
    key = netuid.to_bytes(2, "little")
    if netuid == _ROOT_NETUID or _number(state, "SubnetMechanism", key) == 0:
        return Fraction(1)
    tao, alpha = _number(state, "SubnetTAO", key), _number(state, "SubnetAlphaIn", key)
    reserves = Fraction(tao, alpha) if alpha else Fraction(0)
    swap_key = twox64_concat(key)
    if spec_version >= BALANCER:
        quote = _number(state, "SwapBalancer", swap_key, pallet="Swap") or _HALF_PERQUINTILL
        return reserves * Fraction(_PERQUINTILL - quote, quote)
    if spec_version >= SWAP_V3 and _number(state, "SwapV3Initialized", swap_key, pallet="Swap"):
        root_bits = _number(state, "AlphaSqrtPrice", swap_key, pallet="Swap")
        return Fraction(root_bits * root_bits >> 64, 1 << 64)
    return reserves


def _value_v1(state: ServedState, tail: bytes, spec_version: int) -> int:  # noqa: ARG001
    total, denominator = (_number(state, item, _pool(tail)) for item in ("TotalHotkeyAlpha", "TotalHotkeyShares"))
    return v1_value(total, _number(state, "Alpha", tail), denominator)


def _value_v2(state: ServedState, tail: bytes, spec_version: int) -> int:
    pool_epoch = _number(state, "AlphaSharePoolEpoch", _pool(tail))
    retired = pool_epoch != 0 and _number(state, "AlphaShareEpoch", tail) != pool_epoch
    if spec_version >= EPOCHS and retired:
        return 0
    share = _float(state, "Alpha", "AlphaV2", tail)
    denominator = _float(state, "TotalHotkeyShares", "TotalHotkeySharesV2", _pool(tail))
    total = _number(state, "TotalHotkeyAlpha", _pool(tail))
    value = to_u64(mul_div(normal(total, 0), share, denominator))
    return min(value, total) if spec_version >= CAPPED else value


def _float(state: ServedState, v1: str, v2: str, tail: bytes) -> SafeFloat:
    """A share or denominator: the v1 row if there is one, else the v2 row, else zero."""
    bits = state.get(_prefix(v1) + tail)
    if bits is not None:
        return from_v1(_int(bits))
    raw = state.get(_prefix(v2) + tail)
    return ZERO if raw is None else SafeFloat(_int(raw[:16]), int.from_bytes(raw[16:24], "little", signed=True))


def _position(key: bytes) -> Position:
    """Blake2_128Concat(hotkey), Blake2_128Concat(coldkey), Identity(netuid)."""
    return Position(key[48:80], key[96:128], _int(key[128:130]))


def _pool(tail: bytes) -> bytes:
    """The key of a position's pool: its hotkey and netuid."""
    return blake2_128_concat(tail[16:48]) + tail[96:98]


def _rows(state: ServedState, item: str) -> Iterator[tuple[bytes, bytes]]:
    for key in state.keys(_prefix(item)):
        yield key, state.get(key) or b""


def _number(state: ServedState, item: str, tail: bytes, *, pallet: str = "SubtensorModule") -> int:
    return _int(state.get(_prefix(item, pallet) + tail) or b"")


def _prefix(item: str, pallet: str = "SubtensorModule") -> bytes:
    return twox128(pallet) + twox128(item)


def _int(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
