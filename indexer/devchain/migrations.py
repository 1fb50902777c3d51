"""What the newer runtime does to the state in the first block it executes, and in the idle time after.

The block that sets the code still has the old layout; this runs one block later and makes a large diff.
Shares are not converted here: their rows stay under names the metadata no longer lists, drained a few
per block, and decide stakes until the last is gone.
"""

from __future__ import annotations

from indexer.devchain import accounts, pools, staking
from indexer.devchain.accounts import Emitter
from indexer.devchain.ledger import Ledger
from indexer.devchain.runtimes import SPEC_NAME

ROWS_PER_BLOCK = 1
"""v1 share rows converted in each block's idle time."""
CLOSE_POOL_AFTER_BLOCKS = 6
"""How long after the upgrade one pool is retired with its rows left behind."""
_QUOTE_WEIGHT = 48 * 10**16
"""Quote weight (of 10^18) of a pool that had concentrated liquidity; others keep the default of one half."""
_MARK = b"devchain_upgrade"


def run_if_upgraded(ledger: Ledger, emit: Emitter, number: int) -> None:
    """Migrate if the state was last run by another runtime than the one executing now."""
    last = ledger.get("System.LastRuntimeUpgrade")
    spec_version = ledger.runtime.spec_version
    if last is not None and last["spec_version"] == spec_version:
        return
    ledger.put("System.LastRuntimeUpgrade", value={"spec_version": spec_version, "spec_name": SPEC_NAME})
    if last is not None and ledger.runtime.new:
        _to_new_layout(ledger, emit, number)


def idle(ledger: Ledger, number: int) -> None:
    """What is left for idle time: convert some v1 rows; once, retire a whole pool."""
    if not ledger.runtime.new:
        return
    pools.convert_rows(ledger, ROWS_PER_BLOCK)
    since = ledger.get("AlphaV2Migration")
    if since is not None and number == since + CLOSE_POOL_AFTER_BLOCKS:
        _close_one_pool(ledger)
        ledger.remove("AlphaV2Migration")


def _to_new_layout(ledger: Ledger, emit: Emitter, number: int) -> None:
    for (netuid,), pending in ledger.rows("PendingEmission"):
        ledger.put("PendingValidatorEmission", netuid, value=pending)
        ledger.remove("PendingEmission", netuid)
    for (netuid,), _ in ledger.rows("Swap.SwapV3Initialized"):
        ledger.put("Swap.SwapBalancer", netuid, value=_QUOTE_WEIGHT)
    for item in ("Swap.AlphaSqrtPrice", "Swap.SwapV3Initialized"):
        for (netuid,), _ in ledger.rows(item):
            ledger.remove(item, netuid)
    for (netuid,), _ in ledger.rows("NetworksAdded"):
        ledger.put("LastEpochBlock", netuid, value=ledger.get("LastMechansimStepBlock", netuid))
        tao = ledger.get("SubnetTAO", netuid)
        if tao:
            accounts.issue(ledger, emit, staking.subnet_account(netuid), tao)
    ledger.put("TotalIssuance", value=ledger.get("Balances.TotalIssuance"))
    totals: dict[int, int] = {}
    for (_, netuid), total in ledger.rows("TotalHotkeyAlpha"):
        totals[netuid] = totals.get(netuid, 0) + total
    for netuid, total in totals.items():
        ledger.put("TotalAlphaStaked", netuid, value=total)
    ledger.put("HasMigrationRun", _MARK, value=True)
    ledger.put("AlphaV2Migration", value=number)


def _close_one_pool(ledger: Ledger) -> None:
    """Retire the pool with the most share rows on a subnet: its holders lose what they had there."""
    holders: dict[tuple[bytes, int], int] = {}
    for item in ("Alpha", "AlphaV2"):
        for (hotkey, _, netuid), _ in ledger.rows(item):
            holders[hotkey, netuid] = holders.get((hotkey, netuid), 0) + (netuid != 0)
    hotkey, netuid = max(sorted(holders), key=lambda pool: holders[pool])
    alpha = pools.close(ledger, hotkey, netuid)
    ledger.take_away("SubnetAlphaOut", netuid, amount=alpha)
