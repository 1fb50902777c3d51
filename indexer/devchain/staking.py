"""Stake operations: TAO into a subnet's pool, alpha out, and moves between hotkeys, coldkeys and subnets.

A subnet without a mechanism trades one for one; the others hold constant the product of their reserves
(how deep a trade goes is the simulation's choice; what the state then means is the chain's). In the
newer runtime the TAO in a pool lives in the subnet's own account, in the older it leaves all accounts.
"""

from __future__ import annotations

from math import isqrt

from indexer.devchain import accounts, pools
from indexer.devchain.accounts import DispatchFailed, Emitter
from indexer.devchain.ledger import Ledger
from indexer.devchain.pallets_substrate import EXISTENTIAL_DEPOSIT_RAO
from indexer.devchain.scale_encode import u16

SUBTENSOR_PALLET = 7
NO_SUBNET, NO_HOTKEY = 0, 4
NOT_ENOUGH_STAKE, NOT_ENOUGH_BALANCE = 9, 12
_ACCOUNT_SEED = b"modlsubtensr"


def refused(error: int) -> DispatchFailed:
    """An error of SubtensorModule by its index."""
    return DispatchFailed({"Module": {"index": SUBTENSOR_PALLET, "error": bytes([error, 0, 0, 0])}})


def subnet_account(netuid: int) -> bytes:
    """The account that holds a subnet's TAO since spec 411: a sub-account of PalletId ``subtensr``."""
    return (_ACCOUNT_SEED + u16(netuid)).ljust(32, b"\0")


def add_stake(ledger: Ledger, emit: Emitter, coldkey: bytes, hotkey: bytes, netuid: int, tao: int) -> None:
    """Buy alpha for ``tao`` rao and stake it. Raises ``DispatchFailed``."""
    _check(ledger, hotkey, netuid)
    if accounts.free(ledger, coldkey) < tao + EXISTENTIAL_DEPOSIT_RAO:
        raise refused(NOT_ENOUGH_BALANCE)
    _pay_pool(ledger, emit, coldkey, netuid, tao)
    alpha, fee = buy_alpha(ledger, netuid, tao)
    pools.put_in(ledger, hotkey, coldkey, netuid, alpha)
    ledger.put("LastColdkeyHotkeyStakeBlock", coldkey, hotkey, value=ledger.get("System.Number"))
    emit("SubtensorModule", "StakeAdded", coldkey, hotkey, tao, alpha, netuid, fee)


def remove_stake(ledger: Ledger, emit: Emitter, coldkey: bytes, hotkey: bytes, netuid: int, alpha: int) -> int:
    """Unstake ``alpha`` and sell it; the TAO paid out. Raises ``DispatchFailed``."""
    _check(ledger, hotkey, netuid)
    if not 0 < alpha <= pools.value_of(ledger, hotkey, coldkey, netuid):
        raise refused(NOT_ENOUGH_STAKE)
    pools.take_out(ledger, hotkey, coldkey, netuid, alpha)
    tao, fee = sell_alpha(ledger, netuid, alpha)
    _pay_out(ledger, emit, coldkey, netuid, tao)
    emit("SubtensorModule", "StakeRemoved", coldkey, hotkey, tao, alpha, netuid, fee)
    return tao


def move_stake(
    ledger: Ledger,
    emit: Emitter,
    coldkey: bytes,
    hotkey: bytes,
    netuid: int,
    to_hotkey: bytes,
    to_netuid: int,
    alpha: int,
) -> None:
    """Move alpha to another hotkey or subnet of the same coldkey. Raises ``DispatchFailed``."""
    tao = _shift(ledger, emit, (hotkey, coldkey, netuid), (to_hotkey, coldkey, to_netuid), alpha)
    emit("SubtensorModule", "StakeMoved", coldkey, hotkey, netuid, to_hotkey, to_netuid, tao)


def transfer_stake(
    ledger: Ledger,
    emit: Emitter,
    coldkey: bytes,
    to_coldkey: bytes,
    hotkey: bytes,
    netuid: int,
    to_netuid: int,
    alpha: int,
) -> None:
    """Give alpha to another coldkey. Raises ``DispatchFailed``."""
    tao = _shift(ledger, emit, (hotkey, coldkey, netuid), (hotkey, to_coldkey, to_netuid), alpha)
    emit("SubtensorModule", "StakeTransferred", coldkey, to_coldkey, hotkey, netuid, to_netuid, tao)


def buy_alpha(ledger: Ledger, netuid: int, tao: int) -> tuple[int, int]:
    """Put TAO into the reserves: (alpha that comes out, fee in TAO)."""
    ledger.add("TotalStake", amount=tao)
    ledger.add("SubnetVolume", netuid, amount=tao)
    tao_reserve, alpha_reserve = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
    ledger.put("SubnetTAO", netuid, value=tao_reserve + tao)
    if ledger.get("SubnetMechanism", netuid) == 0:
        ledger.add("SubnetAlphaOut", netuid, amount=tao)
        return tao, 0
    fee = _fee(ledger, netuid, tao)
    alpha = alpha_reserve * (tao - fee) // (tao_reserve + tao - fee)
    ledger.put("SubnetAlphaIn", netuid, value=alpha_reserve - alpha)
    ledger.add("SubnetAlphaOut", netuid, amount=alpha)
    note_price(ledger, netuid)
    return alpha, fee


def sell_alpha(ledger: Ledger, netuid: int, alpha: int) -> tuple[int, int]:
    """Put alpha into the reserves: (TAO that comes out, fee in alpha)."""
    tao_reserve, alpha_reserve = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
    ledger.take_away("SubnetAlphaOut", netuid, amount=alpha)
    if ledger.get("SubnetMechanism", netuid) == 0:
        tao, fee = min(alpha, tao_reserve), 0
    else:
        fee = _fee(ledger, netuid, alpha)
        tao = tao_reserve * (alpha - fee) // (alpha_reserve + alpha - fee)
        ledger.put("SubnetAlphaIn", netuid, value=alpha_reserve + alpha)
    ledger.put("SubnetTAO", netuid, value=tao_reserve - tao)
    ledger.take_away("TotalStake", amount=tao)
    ledger.add("SubnetVolume", netuid, amount=tao)
    note_price(ledger, netuid)
    return tao, fee


def note_price(ledger: Ledger, netuid: int) -> None:
    """The older runtime stores the square root of the price, as U64F64; the newer derives it from the reserves."""
    if ledger.runtime.new or not ledger.get("SubnetMechanism", netuid):
        return
    tao, alpha = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
    if ledger.get("Swap.SwapV3Initialized", netuid) and alpha:
        ledger.put("Swap.AlphaSqrtPrice", netuid, value=isqrt((tao << 128) // alpha))


def _shift(
    ledger: Ledger, emit: Emitter, source: tuple[bytes, bytes, int], target: tuple[bytes, bytes, int], alpha: int
) -> int:
    """Move stake from one position to another; its TAO worth. Within a subnet the alpha moves as it is."""
    hotkey, coldkey, netuid = source
    _check(ledger, hotkey, netuid)
    _check(ledger, target[0], target[2])
    if not 0 < alpha <= pools.value_of(ledger, hotkey, coldkey, netuid):
        raise refused(NOT_ENOUGH_STAKE)
    pools.take_out(ledger, hotkey, coldkey, netuid, alpha)
    if netuid == target[2]:
        pools.put_in(ledger, *target, alpha)
        tao, alpha_in = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
        return alpha * tao // alpha_in if alpha_in and ledger.get("SubnetMechanism", netuid) else alpha
    tao, _ = sell_alpha(ledger, netuid, alpha)
    if ledger.runtime.new:
        accounts.transfer(ledger, emit, subnet_account(netuid), subnet_account(target[2]), tao)
    bought, _ = buy_alpha(ledger, target[2], tao)
    pools.put_in(ledger, *target, bought)
    return tao


def _pay_pool(ledger: Ledger, emit: Emitter, coldkey: bytes, netuid: int, tao: int) -> None:
    if ledger.runtime.new:
        accounts.transfer(ledger, emit, coldkey, subnet_account(netuid), tao, keep_alive=True)
    else:
        accounts.withdraw(ledger, emit, coldkey, tao)


def _pay_out(ledger: Ledger, emit: Emitter, coldkey: bytes, netuid: int, tao: int) -> None:
    if ledger.runtime.new:
        accounts.transfer(ledger, emit, subnet_account(netuid), coldkey, tao)
    else:
        accounts.issue(ledger, emit, coldkey, tao)


def _fee(ledger: Ledger, netuid: int, amount: int) -> int:
    return int(amount * ledger.get("Swap.FeeRate", netuid) // 65_535)


def _check(ledger: Ledger, hotkey: bytes, netuid: int) -> None:
    if not ledger.get("NetworksAdded", netuid):
        raise refused(NO_SUBNET)
    if not ledger.has("Owner", hotkey):
        raise refused(NO_HOTKEY)
