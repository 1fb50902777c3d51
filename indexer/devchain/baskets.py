"""Root dividends as fund shares ("beta"): the newer runtime's baskets.

A root validator's fund is ordinary stake of one escrow coldkey behind the validator's hotkey. Deposits
raise the rate of shares per root TAO; what a staker owns is ``rate * root stake - claimed``, so every
change of root stake moves the claimed mark by a row, without an event (MODEL_2026-10.md 2).
"""

from __future__ import annotations

from indexer.devchain import accounts, pools, staking
from indexer.devchain.accounts import Emitter
from indexer.devchain.ledger import Ledger

ROOT_NETUID = 0
ESCROW_COLDKEY = bytes.fromhex("6d6f646c73756274656e7372626574612f657363").ljust(32, b"\0")
_RATE_ONE = 1 << 32
"""BasketRate is I96F32."""


def queue(ledger: Ledger, hotkey: bytes, netuid: int, alpha: int) -> None:
    """Set alpha aside for a validator's fund; no event."""
    if alpha > 0:
        ledger.add("PendingBasketDeposits", hotkey, netuid, amount=alpha)


def flush_one(ledger: Ledger, emit: Emitter) -> None:
    """Deposit what is queued for the first hotkey in line: alpha to the escrow's stake, shares to its stakers."""
    queued = ledger.rows("PendingBasketDeposits")
    for (hotkey, netuid), alpha in [row for row in queued if row[0][0] == queued[0][0][0]]:
        ledger.remove("PendingBasketDeposits", hotkey, netuid)
        pools.put_in(ledger, hotkey, ESCROW_COLDKEY, netuid, alpha)
        root_stake = _root_stake(ledger, hotkey)
        if root_stake == 0:
            continue
        tao, reserve = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
        minted = alpha * tao // reserve if reserve else alpha
        ledger.add("BasketShares", hotkey, amount=minted)
        ledger.add("BasketRate", hotkey, amount=minted * _RATE_ONE // root_stake)
        ledger.add("BasketDepositedTao", hotkey, amount=minted)
        emit("SubtensorModule", "BasketDeposited", hotkey=hotkey, netuid=netuid, alpha=alpha, shares=minted)


def owed(ledger: Ledger, hotkey: bytes, coldkey: bytes) -> int:
    """Fund shares a staker owns and has not claimed."""
    earned = ledger.get("BasketRate", hotkey) * pools.value_of(ledger, hotkey, coldkey, ROOT_NETUID) // _RATE_ONE
    return int(max(0, earned - ledger.get("BasketClaimed", hotkey, coldkey)))


def rebase(ledger: Ledger, hotkey: bytes, coldkey: bytes, stake_before: int) -> None:
    """After a change of root stake: move the claimed mark so that what is owed stays as it was; no event."""
    stake, rate = pools.value_of(ledger, hotkey, coldkey, ROOT_NETUID), ledger.get("BasketRate", hotkey)
    moved = rate * stake // _RATE_ONE - rate * stake_before // _RATE_ONE
    if moved:
        ledger.add("BasketClaimed", hotkey, coldkey, amount=moved)


def claim(ledger: Ledger, emit: Emitter, coldkey: bytes) -> None:
    """Redeem what ``coldkey`` is owed by every validator it staked to; the TAO becomes root stake."""
    for hotkey in ledger.get("StakingHotkeys", coldkey):
        beta, supply = owed(ledger, hotkey, coldkey), ledger.get("BasketShares", hotkey)
        if coldkey == ESCROW_COLDKEY or not beta or not supply:
            continue
        beta = min(beta, supply)
        tao = sum(_redeem(ledger, emit, hotkey, netuid, beta, supply) for netuid in _holdings(ledger, hotkey))
        ledger.take_away("BasketShares", hotkey, amount=beta)
        ledger.add("BasketClaimed", hotkey, coldkey, amount=beta)
        before = pools.value_of(ledger, hotkey, coldkey, ROOT_NETUID)
        alpha, _ = staking.buy_alpha(ledger, ROOT_NETUID, tao)
        pools.put_in(ledger, hotkey, coldkey, ROOT_NETUID, alpha)
        rebase(ledger, hotkey, coldkey, before)
        ledger.add("BasketRedeemedTao", hotkey, amount=tao)
        emit("SubtensorModule", "BasketClaimed", hotkey=hotkey, coldkey=coldkey, shares=beta, tao=tao)


def _redeem(ledger: Ledger, emit: Emitter, hotkey: bytes, netuid: int, beta: int, supply: int) -> int:
    """Sell the slice ``beta / supply`` of one holding; its TAO, moved to the root subnet's account."""
    slice_alpha = pools.value_of(ledger, hotkey, ESCROW_COLDKEY, netuid) * beta // supply
    if not slice_alpha:
        return 0
    pools.take_out(ledger, hotkey, ESCROW_COLDKEY, netuid, slice_alpha)
    tao, _ = staking.sell_alpha(ledger, netuid, slice_alpha)
    accounts.transfer(ledger, emit, staking.subnet_account(netuid), staking.subnet_account(ROOT_NETUID), tao)
    return tao


def _holdings(ledger: Ledger, hotkey: bytes) -> list[int]:
    return [netuid for (_, _, netuid), _ in ledger.rows("AlphaV2", hotkey, ESCROW_COLDKEY)]


def _root_stake(ledger: Ledger, hotkey: bytes) -> int:
    return int(ledger.get("TotalHotkeyAlpha", hotkey, ROOT_NETUID))
