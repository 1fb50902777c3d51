"""Share pools: who owns how much of the alpha behind a hotkey, in either runtime's way.

Owns every write to share rows, denominators and pool totals. In the newer runtime a row of the old kind
counts as long as it is there and becomes a new one when touched; a pool that opens or closes begins a
new epoch, and rows stamped with another epoch are worth nothing.
"""

from __future__ import annotations

from indexer.devchain import shares
from indexer.devchain.ledger import Ledger
from indexer.devchain.shares import ZERO, SafeFloat


def value_of(ledger: Ledger, hotkey: bytes, coldkey: bytes, netuid: int) -> int:
    """Alpha in rao that ``coldkey`` holds behind ``hotkey`` on a subnet."""
    total = ledger.get("TotalHotkeyAlpha", hotkey, netuid)
    if not ledger.runtime.new:
        share = ledger.get("Alpha", hotkey, coldkey, netuid)
        return shares.v1_value(total, share, ledger.get("TotalHotkeyShares", hotkey, netuid))
    return shares.v2_value(total, _share(ledger, hotkey, coldkey, netuid), _denominator(ledger, hotkey, netuid))


def put_in(ledger: Ledger, hotkey: bytes, coldkey: bytes, netuid: int, alpha: int) -> None:
    """Add ``alpha`` to the pool and give ``coldkey`` the shares for it."""
    if alpha <= 0:
        return
    total = ledger.get("TotalHotkeyAlpha", hotkey, netuid)
    if not ledger.runtime.new:
        denominator = ledger.get("TotalHotkeyShares", hotkey, netuid)
        bought = shares.v1_shares_for(alpha, total, denominator)
        ledger.add("Alpha", hotkey, coldkey, netuid, amount=bought)
        ledger.put("TotalHotkeyShares", hotkey, netuid, value=denominator + bought)
    else:
        held, whole = _share(ledger, hotkey, coldkey, netuid), _denominator(ledger, hotkey, netuid)
        gained = shares.v2_shares_for(alpha, total, whole)
        _set_denominator(ledger, hotkey, netuid, whole, shares.add(whole, gained))
        _set_share(ledger, hotkey, coldkey, netuid, shares.add(held, gained))
    set_total(ledger, hotkey, netuid, total + alpha)
    _note_hotkey(ledger, hotkey, coldkey)


def take_out(ledger: Ledger, hotkey: bytes, coldkey: bytes, netuid: int, alpha: int) -> None:
    """Take ``alpha`` (at most what the coldkey holds) out of the pool; its row goes if less than 1 rao is left."""
    total, value = ledger.get("TotalHotkeyAlpha", hotkey, netuid), value_of(ledger, hotkey, coldkey, netuid)
    everything = alpha >= value
    if not ledger.runtime.new:
        held = ledger.get("Alpha", hotkey, coldkey, netuid)
        denominator = ledger.get("TotalHotkeyShares", hotkey, netuid)
        sold = held if everything else min(held, shares.v1_shares_for(alpha, total, denominator))
        _put_or_remove(ledger, "Alpha", held - sold, hotkey, coldkey, netuid)
        _put_or_remove(ledger, "TotalHotkeyShares", max(0, denominator - sold), hotkey, netuid)
    else:
        share, whole = _share(ledger, hotkey, coldkey, netuid), _denominator(ledger, hotkey, netuid)
        given = share if everything else shares.v2_shares_for(alpha, total, whole)
        _set_denominator(ledger, hotkey, netuid, whole, shares.subtract(whole, given))
        _set_share(ledger, hotkey, coldkey, netuid, shares.subtract(share, given))
    set_total(ledger, hotkey, netuid, max(0, total - min(alpha, value)))


def pay_pool(ledger: Ledger, hotkey: bytes, netuid: int, alpha: int) -> None:
    """A dividend: the total grows, every holder's value with it, and no row of theirs is touched."""
    if alpha > 0:
        set_total(ledger, hotkey, netuid, ledger.get("TotalHotkeyAlpha", hotkey, netuid) + alpha)


def close(ledger: Ledger, hotkey: bytes, netuid: int) -> int:
    """Retire a whole pool at once: total and denominator go, the share rows stay behind. The alpha it held."""
    total = ledger.get("TotalHotkeyAlpha", hotkey, netuid)
    _set_denominator(ledger, hotkey, netuid, _denominator(ledger, hotkey, netuid), ZERO)
    set_total(ledger, hotkey, netuid, 0)
    return int(total)


def convert_rows(ledger: Ledger, count: int) -> int:
    """Turn at most ``count`` v1 share rows into v2, as the runtime does in idle time; how many it turned.

    Values stay as they are and nothing is stamped: a conversion is no write of the holder's.
    """
    converted = 0
    for (hotkey, coldkey, netuid), bits in ledger.rows("Alpha")[:count]:
        ledger.put("AlphaV2", hotkey, coldkey, netuid, value=shares.from_v1(bits)._asdict())
        ledger.remove("Alpha", hotkey, coldkey, netuid)
        converted += 1
    for (hotkey, netuid), bits in ledger.rows("TotalHotkeyShares")[: count - converted]:
        ledger.put("TotalHotkeySharesV2", hotkey, netuid, value=shares.from_v1(bits)._asdict())
        ledger.remove("TotalHotkeyShares", hotkey, netuid)
        converted += 1
    return converted


def set_total(ledger: Ledger, hotkey: bytes, netuid: int, total: int) -> None:
    """Write a pool's alpha; zero is removed. The newer runtime keeps the sum per subnet in step."""
    if ledger.runtime.new:
        before = ledger.get("TotalHotkeyAlpha", hotkey, netuid)
        ledger.put("TotalAlphaStaked", netuid, value=max(0, ledger.get("TotalAlphaStaked", netuid) + total - before))
    _put_or_remove(ledger, "TotalHotkeyAlpha", total, hotkey, netuid)


def _share(ledger: Ledger, hotkey: bytes, coldkey: bytes, netuid: int) -> SafeFloat:
    """The coldkey's share: the v1 row if there is one, zero if it is of another epoch than the pool."""
    epoch = ledger.get("AlphaSharePoolEpoch", hotkey, netuid)
    if epoch and ledger.get("AlphaShareEpoch", hotkey, coldkey, netuid) != epoch:
        return ZERO
    if ledger.has("Alpha", hotkey, coldkey, netuid):
        return shares.from_v1(ledger.get("Alpha", hotkey, coldkey, netuid))
    return SafeFloat(**ledger.get("AlphaV2", hotkey, coldkey, netuid))


def _denominator(ledger: Ledger, hotkey: bytes, netuid: int) -> SafeFloat:
    if ledger.has("TotalHotkeyShares", hotkey, netuid):
        return shares.from_v1(ledger.get("TotalHotkeyShares", hotkey, netuid))
    return SafeFloat(**ledger.get("TotalHotkeySharesV2", hotkey, netuid))


def _set_share(ledger: Ledger, hotkey: bytes, coldkey: bytes, netuid: int, share: SafeFloat) -> None:
    ledger.remove("Alpha", hotkey, coldkey, netuid)
    if share == ZERO:
        ledger.remove("AlphaV2", hotkey, coldkey, netuid)
        ledger.remove("AlphaShareEpoch", hotkey, coldkey, netuid)
        return
    ledger.put("AlphaV2", hotkey, coldkey, netuid, value=share._asdict())
    epoch = ledger.get("AlphaSharePoolEpoch", hotkey, netuid)
    if epoch:
        ledger.put("AlphaShareEpoch", hotkey, coldkey, netuid, value=epoch)


def _set_denominator(ledger: Ledger, hotkey: bytes, netuid: int, before: SafeFloat, after: SafeFloat) -> None:
    """Write the denominator; a pool that opens or closes begins its next epoch.

    Pools that were open when the newer runtime came and never closed since stay at epoch 0, and their
    rows unstamped.
    """
    ledger.remove("TotalHotkeyShares", hotkey, netuid)
    if after == ZERO:
        ledger.remove("TotalHotkeySharesV2", hotkey, netuid)
    else:
        ledger.put("TotalHotkeySharesV2", hotkey, netuid, value=after._asdict())
    if (before == ZERO) != (after == ZERO):
        ledger.add("AlphaSharePoolEpoch", hotkey, netuid, amount=1)


def _put_or_remove(ledger: Ledger, name: str, value: int, *key: object) -> None:
    if value:
        ledger.put(name, *key, value=value)
    else:
        ledger.remove(name, *key)


def _note_hotkey(ledger: Ledger, hotkey: bytes, coldkey: bytes) -> None:
    """StakingHotkeys lists every hotkey a coldkey ever staked to."""
    hotkeys = ledger.get("StakingHotkeys", coldkey)
    if hotkey not in hotkeys:
        ledger.put("StakingHotkeys", coldkey, value=[*hotkeys, hotkey])
