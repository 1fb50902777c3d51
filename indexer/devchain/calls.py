"""What each call does: one function per call, found by pallet and name, run for a signer.

A call raises ``DispatchFailed`` for whatever the chain refuses; ``execution`` then takes its writes back.
Calls of the root origin are reached through Sudo only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from indexer.devchain import accounts, baskets, pools, staking
from indexer.devchain.accounts import DispatchFailed, Emitter
from indexer.devchain.blocks import CODE_KEY
from indexer.devchain.hyperparameters import HYPERPARAMETERS, Hyperparameter
from indexer.devchain.ledger import Ledger

PROXY_DEPOSIT_RAO = 93_000_000
PREIMAGE_DEPOSIT_RAO = 11_000_000
_PREIMAGE_HOLD = {"Preimage": "Preimage"}
_ALREADY_REGISTERED, _NOT_OWNER = 22, 7


@dataclass(slots=True)
class Origin:
    """Who calls, in which block."""

    ledger: Ledger
    emit: Emitter
    signer: bytes
    root: bool = False


Handler = Callable[..., None]


def dispatch(origin: Origin, call: dict[str, Any]) -> None:
    """Run one decoded call. Raises ``DispatchFailed``."""
    ((pallet, inner),) = call.items()
    ((name, arguments),) = inner.items()
    if pallet == "AdminUtils":
        _set_hyperparameter(origin, name, arguments)
        return
    handler = HANDLERS.get(f"{pallet}.{name}")
    if handler is None:
        raise DispatchFailed("BadOrigin")
    handler(origin, **arguments)


def _sudo(origin: Origin, call: dict[str, Any]) -> None:
    if origin.signer != origin.ledger.get("Sudo.Key"):
        raise DispatchFailed({"Module": {"index": 12, "error": bytes(4)}})
    before = origin.ledger.snapshot()
    result: dict[str, Any] = {"Ok": ()}
    try:
        dispatch(Origin(origin.ledger, origin.emit, origin.signer, root=True), call)
    except DispatchFailed as failed:
        origin.ledger.restore(before)
        result = {"Err": failed.error}
    origin.emit("Sudo", "Sudid", sudo_result=result)


def _need_root(origin: Origin) -> None:
    if not origin.root:
        raise DispatchFailed("BadOrigin")


def _set_code(origin: Origin, code: bytes) -> None:
    _need_root(origin)
    origin.ledger.put_raw(CODE_KEY, code)
    origin.emit("System", "CodeUpdated")


def _remark_with_event(origin: Origin, remark: bytes) -> None:
    origin.emit("System", "Remarked", sender=origin.signer, hash=hashlib.blake2b(remark, digest_size=32).digest())


def _transfer(origin: Origin, dest: dict[str, bytes], value: int, *, keep_alive: bool = False) -> None:
    accounts.transfer(origin.ledger, origin.emit, origin.signer, dest["Id"], value, keep_alive=keep_alive)


def _transfer_keep_alive(origin: Origin, dest: dict[str, bytes], value: int) -> None:
    _transfer(origin, dest, value, keep_alive=True)


def _transfer_all(origin: Origin, dest: dict[str, bytes], keep_alive: bool) -> None:
    _transfer(origin, dest, accounts.transferable(origin.ledger, origin.signer), keep_alive=keep_alive)


def _add_proxy(origin: Origin, delegate: dict[str, bytes], proxy_type: str, delay: int) -> None:
    proxies, deposit = origin.ledger.get("Proxy.Proxies", origin.signer)
    proxy = {"delegate": delegate["Id"], "proxy_type": proxy_type, "delay": delay}
    if proxy in proxies:
        raise DispatchFailed({"Module": {"index": 16, "error": bytes([4, 0, 0, 0])}})
    accounts.reserve(origin.ledger, origin.emit, origin.signer, PROXY_DEPOSIT_RAO)
    origin.ledger.put("Proxy.Proxies", origin.signer, value=([*proxies, proxy], deposit + PROXY_DEPOSIT_RAO))
    _tell_proxy(origin, "ProxyAdded", proxy)


def _remove_proxy(origin: Origin, delegate: dict[str, bytes], proxy_type: str, delay: int) -> None:
    proxies, deposit = origin.ledger.get("Proxy.Proxies", origin.signer)
    proxy = {"delegate": delegate["Id"], "proxy_type": proxy_type, "delay": delay}
    if proxy not in proxies:
        raise DispatchFailed({"Module": {"index": 16, "error": bytes([1, 0, 0, 0])}})
    left = [one for one in proxies if one != proxy]
    accounts.unreserve(origin.ledger, origin.emit, origin.signer, PROXY_DEPOSIT_RAO)
    if left:
        origin.ledger.put("Proxy.Proxies", origin.signer, value=(left, deposit - PROXY_DEPOSIT_RAO))
    else:
        origin.ledger.remove("Proxy.Proxies", origin.signer)
    _tell_proxy(origin, "ProxyRemoved", proxy)


def _tell_proxy(origin: Origin, name: str, proxy: dict[str, Any]) -> None:
    parts = {"delegator": origin.signer, "delegatee": proxy["delegate"]}
    origin.emit("Proxy", name, **parts, proxy_type=proxy["proxy_type"], delay=proxy["delay"])


def _note_preimage(origin: Origin, bytes: bytes) -> None:
    noted = hashlib.blake2b(bytes, digest_size=32).digest()
    if origin.ledger.has("Preimage.RequestStatusFor", noted):
        raise DispatchFailed({"Module": {"index": 14, "error": b"\x01\0\0\0"}})
    accounts.reserve(origin.ledger, None, origin.signer, PREIMAGE_DEPOSIT_RAO)
    status = {"Unrequested": {"ticket": (origin.signer, PREIMAGE_DEPOSIT_RAO), "len": len(bytes)}}
    origin.ledger.put("Preimage.RequestStatusFor", noted, value=status)
    holds = origin.ledger.get("Balances.Holds", origin.signer)
    held = sum(hold["amount"] for hold in holds) + PREIMAGE_DEPOSIT_RAO
    origin.ledger.put("Balances.Holds", origin.signer, value=[{"id": _PREIMAGE_HOLD, "amount": held}])
    origin.emit("Preimage", "Noted", hash=noted)


def _become_delegate(origin: Origin, hotkey: bytes) -> None:
    _need_owner(origin, hotkey)
    if not origin.ledger.has("Delegates", hotkey):
        take = origin.ledger.get("MaxDelegateTake")
        origin.ledger.put("Delegates", hotkey, value=take)
        origin.emit("SubtensorModule", "DelegateAdded", origin.signer, hotkey, take)


def _set_take(origin: Origin, hotkey: bytes, take: int, *, event: str) -> None:
    _need_owner(origin, hotkey)
    before = origin.ledger.get("Delegates", hotkey)
    if (take < before) != (event == "TakeDecreased") or take > origin.ledger.get("MaxDelegateTake"):
        raise staking.refused(_NOT_OWNER)
    origin.ledger.put("Delegates", hotkey, value=take)
    origin.emit("SubtensorModule", event, origin.signer, hotkey, take)


def _decrease_take(origin: Origin, hotkey: bytes, take: int) -> None:
    _set_take(origin, hotkey, take, event="TakeDecreased")


def _increase_take(origin: Origin, hotkey: bytes, take: int) -> None:
    _set_take(origin, hotkey, take, event="TakeIncreased")


def _need_owner(origin: Origin, hotkey: bytes) -> None:
    if origin.ledger.get("Owner", hotkey) != origin.signer:
        raise staking.refused(_NOT_OWNER)


def _burned_register(origin: Origin, netuid: int, hotkey: bytes) -> None:
    ledger = origin.ledger
    if not ledger.get("NetworksAdded", netuid):
        raise staking.refused(staking.NO_SUBNET)
    if ledger.has("Uids", netuid, hotkey):
        raise staking.refused(_ALREADY_REGISTERED)
    burn = ledger.get("Burn", netuid)
    accounts.withdraw(ledger, origin.emit, origin.signer, burn)
    ledger.take_away("TotalIssuance", amount=burn)
    uid = register(ledger, netuid, hotkey, origin.signer)
    ledger.add("RegistrationsThisInterval", netuid, amount=1)
    if ledger.runtime.new:
        raised = burn * ledger.get("BurnIncreaseMult", netuid) >> 64
        ledger.put("Burn", netuid, value=min(ledger.get("MaxBurn", netuid), raised))
    origin.emit("SubtensorModule", "NeuronRegistered", netuid, uid, hotkey)


def register(ledger: Ledger, netuid: int, hotkey: bytes, coldkey: bytes) -> int:
    """Give a hotkey the next uid of a subnet; its uid. A hotkey nobody owns becomes the coldkey's."""
    uid = int(ledger.get("SubnetworkN", netuid))
    ledger.put("SubnetworkN", netuid, value=uid + 1)
    ledger.put("Uids", netuid, hotkey, value=uid)
    ledger.put("Keys", netuid, uid, value=hotkey)
    ledger.put("IsNetworkMember", hotkey, netuid, value=True)
    ledger.put("BlockAtRegistration", netuid, uid, value=ledger.get("System.Number"))
    ledger.put("LastUpdate", netuid, value=[*ledger.get("LastUpdate", netuid), ledger.get("System.Number")])
    if not ledger.has("Owner", hotkey):
        ledger.put("Owner", hotkey, value=coldkey)
        ledger.put("OwnedHotkeys", coldkey, value=[*ledger.get("OwnedHotkeys", coldkey), hotkey])
    return uid


def _add_stake(origin: Origin, hotkey: bytes, netuid: int, amount_staked: int) -> None:
    with_root = _RootStakes(origin, (hotkey, origin.signer))
    staking.add_stake(origin.ledger, origin.emit, origin.signer, hotkey, netuid, amount_staked)
    with_root.rebase()


def _remove_stake(origin: Origin, hotkey: bytes, netuid: int, amount_unstaked: int) -> None:
    with_root = _RootStakes(origin, (hotkey, origin.signer))
    staking.remove_stake(origin.ledger, origin.emit, origin.signer, hotkey, netuid, amount_unstaked)
    with_root.rebase()


def _move_stake(
    origin: Origin,
    origin_hotkey: bytes,
    destination_hotkey: bytes,
    origin_netuid: int,
    destination_netuid: int,
    alpha_amount: int,
) -> None:
    with_root = _RootStakes(origin, (origin_hotkey, origin.signer), (destination_hotkey, origin.signer))
    source, target = (origin_hotkey, origin_netuid), (destination_hotkey, destination_netuid)
    staking.move_stake(origin.ledger, origin.emit, origin.signer, *source, *target, alpha_amount)
    with_root.rebase()


def _transfer_stake(
    origin: Origin,
    destination_coldkey: bytes,
    hotkey: bytes,
    origin_netuid: int,
    destination_netuid: int,
    alpha_amount: int,
) -> None:
    with_root = _RootStakes(origin, (hotkey, origin.signer), (hotkey, destination_coldkey))
    coldkeys = (origin.signer, destination_coldkey)
    netuids = (origin_netuid, destination_netuid)
    staking.transfer_stake(origin.ledger, origin.emit, *coldkeys, hotkey, *netuids, alpha_amount)
    with_root.rebase()


class _RootStakes:
    """Root stakes before a call; afterwards the claimed marks of those that changed are moved along."""

    def __init__(self, origin: Origin, *pairs: tuple[bytes, bytes]) -> None:
        self._ledger = origin.ledger
        self._before = {pair: pools.value_of(origin.ledger, *pair, baskets.ROOT_NETUID) for pair in pairs}

    def rebase(self) -> None:
        if self._ledger.runtime.new:
            for pair, stake in self._before.items():
                baskets.rebase(self._ledger, *pair, stake)


def _claim_root(origin: Origin, subnets: list[int]) -> None:  # noqa: ARG001 (baskets are claimed whole)
    baskets.claim(origin.ledger, origin.emit, origin.signer)


def _set_fee_rate(origin: Origin, netuid: int, rate: int) -> None:
    _need_root(origin)
    origin.ledger.put("Swap.FeeRate", netuid, value=rate)
    origin.emit("Swap", "FeeRateSet", netuid=netuid, rate=rate)


_BY_CALL: dict[str, Hyperparameter] = {one.call[0]: one for one in HYPERPARAMETERS if one.call is not None}


def _set_hyperparameter(origin: Origin, name: str, arguments: dict[str, Any]) -> None:
    """Any ``AdminUtils.sudo_set_*``: root or the subnet's owner."""
    parameter, netuid = _BY_CALL[name], arguments["netuid"]
    if not origin.ledger.get("NetworksAdded", netuid):
        raise DispatchFailed({"Module": {"index": 19, "error": bytes(4)}})
    if not origin.root and origin.signer != origin.ledger.get("SubnetOwner", netuid):
        raise DispatchFailed("BadOrigin")
    pair = (arguments.get("alpha_low"), arguments.get("alpha_high"))
    value = arguments.get("value", pair)
    origin.ledger.put(parameter.item, netuid, value=value)
    if parameter.item == "Yuma3On":
        origin.emit("AdminUtils", "Yuma3EnableToggled", netuid=netuid, enabled=value)
    elif parameter.event is not None:
        origin.emit("SubtensorModule", parameter.event[0], netuid, value)


HANDLERS: dict[str, Handler] = {
    "System.remark": lambda _origin, **_remark: None,
    "System.remark_with_event": _remark_with_event,
    "System.set_code": _set_code,
    "Balances.transfer_allow_death": _transfer,
    "Balances.transfer_keep_alive": _transfer_keep_alive,
    "Balances.transfer_all": _transfer_all,
    "Sudo.sudo": _sudo,
    "Preimage.note_preimage": _note_preimage,
    "Proxy.add_proxy": _add_proxy,
    "Proxy.remove_proxy": _remove_proxy,
    "Swap.set_fee_rate": _set_fee_rate,
    "SubtensorModule.add_stake": _add_stake,
    "SubtensorModule.become_delegate": _become_delegate,
    "SubtensorModule.burned_register": _burned_register,
    "SubtensorModule.claim_root": _claim_root,
    "SubtensorModule.decrease_take": _decrease_take,
    "SubtensorModule.increase_take": _increase_take,
    "SubtensorModule.move_stake": _move_stake,
    "SubtensorModule.remove_stake": _remove_stake,
    "SubtensorModule.transfer_stake": _transfer_stake,
}
