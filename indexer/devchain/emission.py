"""What the chain does by itself in every block: emission into pools, epochs, prices that drift.

None of it is asked for by an extrinsic, and nearly all of it without an event: dividends raise one pool
total per hotkey, takes and incentives write share rows, Burn and Difficulty decay (MODEL.md 2.4, 3, 4).
"""

from __future__ import annotations

from indexer.devchain import accounts, baskets, pools, staking
from indexer.devchain.accounts import Emitter
from indexer.devchain.ledger import Ledger

ALPHA_PER_BLOCK_RAO = 1_000_000_000
_FRACTION = 65_535
_ROOT_SHARE_PERCENT = 20
_MINER_SHARE_PERCENT = 41
_I96F32_ONE = 1 << 32


def run(ledger: Ledger, emit: Emitter, number: int) -> None:
    """One block's share of all of it."""
    netuids = dynamic_subnets(ledger)
    for netuid in netuids:
        _emit_into_pool(ledger, emit, netuid, ledger.get("BlockEmission") // len(netuids))
    for netuid in netuids:
        _drift(ledger, netuid, number)
    for netuid in netuids:
        if _epoch_due(ledger, netuid, number):
            _epoch(ledger, netuid, number)
        else:
            ledger.add("BlocksSinceLastStep", netuid, amount=1)
    if ledger.runtime.new and ledger.rows("PendingBasketDeposits"):
        baskets.flush_one(ledger, emit)


def dynamic_subnets(ledger: Ledger) -> list[int]:
    """Netuids of the running subnets with a pool, root left out."""
    added = [netuid for (netuid,), is_added in ledger.rows("NetworksAdded") if is_added]
    return [netuid for netuid in added if ledger.get("SubnetMechanism", netuid)]


def _emit_into_pool(ledger: Ledger, emit: Emitter, netuid: int, tao: int) -> None:
    reserve, alpha_reserve = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
    alpha = min(ALPHA_PER_BLOCK_RAO, alpha_reserve * tao // reserve if reserve else 0)
    ledger.put("SubnetTAO", netuid, value=reserve + tao)
    ledger.put("SubnetAlphaIn", netuid, value=alpha_reserve + alpha)
    ledger.put("SubnetTaoInEmission", netuid, value=tao)
    ledger.put("SubnetAlphaInEmission", netuid, value=alpha)
    ledger.put("SubnetAlphaOutEmission", netuid, value=ALPHA_PER_BLOCK_RAO)
    ledger.add("SubnetAlphaOut", netuid, amount=ALPHA_PER_BLOCK_RAO)
    ledger.add(_pending(ledger), netuid, amount=ALPHA_PER_BLOCK_RAO)
    ledger.add("TotalStake", amount=tao)
    ledger.add("TotalIssuance", amount=tao)
    staking.note_price(ledger, netuid)
    if ledger.runtime.new:
        emit("Balances", "Issued", amount=tao)
        accounts.issue(ledger, emit, staking.subnet_account(netuid), tao)


def _drift(ledger: Ledger, netuid: int, number: int) -> None:
    """The moving price, and the prices of registration."""
    tao, alpha = ledger.get("SubnetTAO", netuid), ledger.get("SubnetAlphaIn", netuid)
    if alpha:
        spot, moving = tao * _I96F32_ONE // alpha, ledger.get("SubnetMovingPrice", netuid)
        weight = ledger.get("SubnetMovingAlpha")
        ledger.put("SubnetMovingPrice", netuid, value=moving + ((spot - moving) * weight >> 32))
        if ledger.runtime.new:
            ledger.put("SubnetFastMovingPrice", netuid, value=(tao << 64) // alpha)
    burn, low, high = (ledger.get(name, netuid) for name in ("Burn", "MinBurn", "MaxBurn"))
    if ledger.runtime.new:
        half_life = ledger.get("BurnHalfLife", netuid)
        # 0.693 / half-life is the first-order decay of one block.
        ledger.put("Burn", netuid, value=min(high, max(low, burn - burn * 693 // (1000 * half_life))))
        difficulty = ledger.get("Difficulty", netuid)
        decayed = difficulty - difficulty * 693 // (1000 * half_life)
        ledger.put("Difficulty", netuid, value=max(ledger.get("MinDifficulty", netuid), decayed))
    elif number % max(1, ledger.get("AdjustmentInterval", netuid)) == 0:
        wanted, got = (ledger.get(n, netuid) for n in ("TargetRegistrationsPerInterval", "RegistrationsThisInterval"))
        ledger.put("Burn", netuid, value=min(high, max(low, burn * (got + wanted) // max(1, 2 * wanted))))
        ledger.put("RegistrationsThisInterval", netuid, value=0)


def _epoch_due(ledger: Ledger, netuid: int, number: int) -> bool:
    tempo = ledger.get("Tempo", netuid)
    if ledger.runtime.new:
        return bool(number - ledger.get("LastEpochBlock", netuid) >= tempo)
    return bool((number + netuid + 1) % (tempo + 1) == tempo)


def _epoch(ledger: Ledger, netuid: int, number: int) -> None:
    """Pay out what gathered since the last epoch: owner's cut, miners, validators and who stands behind them."""
    pending = ledger.get(_pending(ledger), netuid)
    ledger.put(_pending(ledger), netuid, value=0)
    ledger.put("BlocksSinceLastStep", netuid, value=0)
    ledger.put("LastMechansimStepBlock", netuid, value=number)
    if ledger.runtime.new:
        ledger.put("LastEpochBlock", netuid, value=number)
    cut = pending * ledger.get("SubnetOwnerCut") // _FRACTION
    pools.put_in(ledger, ledger.get("SubnetOwnerHotkey", netuid), ledger.get("SubnetOwner", netuid), netuid, cut)
    hotkeys = [hotkey for (_, _), hotkey in ledger.rows("Keys", netuid)]
    miners = (pending - cut) * _MINER_SHARE_PERCENT // 100
    for hotkey in hotkeys:
        pools.put_in(ledger, hotkey, ledger.get("Owner", hotkey), netuid, miners // max(1, len(hotkeys)))
    ledger.put("Emission", netuid, value=[miners // max(1, len(hotkeys)) for _ in hotkeys])
    _dividends(ledger, netuid, hotkeys, pending - cut - miners)


def _dividends(ledger: Ledger, netuid: int, hotkeys: list[bytes], alpha: int) -> None:
    """Split among validators by the alpha behind them; the list of the last epoch's dividends is rewritten whole."""
    for (_, hotkey), _ in ledger.rows("AlphaDividendsPerSubnet", netuid):
        ledger.remove("AlphaDividendsPerSubnet", netuid, hotkey)
    stakes = {hotkey: ledger.get("TotalHotkeyAlpha", hotkey, netuid) for hotkey in hotkeys}
    validators = {hotkey: stake for hotkey, stake in stakes.items() if stake and ledger.has("Delegates", hotkey)}
    for hotkey, stake in validators.items():
        dividend = alpha * stake // sum(validators.values())
        if ledger.get("TotalHotkeyAlpha", hotkey, baskets.ROOT_NETUID):
            to_root = dividend * _ROOT_SHARE_PERCENT // 100
            _pay_root(ledger, hotkey, netuid, to_root)
            dividend -= to_root
        take = dividend * ledger.get("Delegates", hotkey) // _FRACTION
        pools.pay_pool(ledger, hotkey, netuid, dividend - take)
        pools.put_in(ledger, hotkey, ledger.get("Owner", hotkey), netuid, take)
        ledger.put("AlphaDividendsPerSubnet", netuid, hotkey, value=dividend)
        ledger.put("TotalHotkeyAlphaLastEpoch", hotkey, netuid, value=ledger.get("TotalHotkeyAlpha", hotkey, netuid))


def _pay_root(ledger: Ledger, hotkey: bytes, netuid: int, alpha: int) -> None:
    """The part for those who stake TAO on root: queued for the fund, or sold at once in the older runtime."""
    if ledger.runtime.new:
        baskets.queue(ledger, hotkey, netuid, alpha)
        return
    tao, _ = staking.sell_alpha(ledger, netuid, alpha)
    bought, _ = staking.buy_alpha(ledger, baskets.ROOT_NETUID, tao)
    pools.pay_pool(ledger, hotkey, baskets.ROOT_NETUID, bought)


def _pending(ledger: Ledger) -> str:
    return "PendingValidatorEmission" if ledger.runtime.new else "PendingEmission"
