"""What people do on the simulated chain: seeded calls, every kind of them within a few dozen blocks.

Calls are chosen from what the state allows (a holder unstakes, an empty account is funded again), plus
some that must fail. Each block takes the next few kinds from a shuffled round, so no kind is left to
luck, and a few more at random. Pure: seed, parent and salt decide everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from indexer.devchain import accounts, pools
from indexer.devchain.execution import FEE_RAO, SignedCall
from indexer.devchain.genesis import CAST, CONCENTRATED, PLAIN_POOL, ROOT, STABLE, SUDO_KEY, TAO
from indexer.devchain.hyperparameters import HYPERPARAMETERS, Hyperparameter
from indexer.devchain.ledger import Ledger
from indexer.trie import blake2_256

KINDS_PER_BLOCK = 4
_SUBNETS = (ROOT, CONCENTRATED, PLAIN_POOL, STABLE)


class _Scene:
    """The state calls are chosen from, and the dice."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        self.ledger, self.rng = ledger, rng

    def position(self) -> tuple[bytes, bytes, int, int] | None:
        """Someone's stake: (hotkey, coldkey, netuid, alpha); None if the dice find none."""
        for _ in range(20):
            coldkey = self.rng.choice(CAST.coldkeys)
            hotkeys = self.ledger.get("StakingHotkeys", coldkey)
            if hotkeys:
                hotkey, netuid = self.rng.choice(hotkeys), self.rng.choice(_SUBNETS)
                alpha = pools.value_of(self.ledger, hotkey, coldkey, netuid)
                if alpha > 1_000:
                    return hotkey, coldkey, netuid, alpha
        return None


def choose(seed: int, ledger: Ledger, number: int, salt: int, parent_hash: bytes) -> list[SignedCall]:
    """The calls of block ``number``; ``ledger`` shows its parent's state."""
    order = list(_KINDS)
    random.Random(f"order {seed}").shuffle(order)
    scene = _Scene(ledger, random.Random(f"{seed} {number} {salt} {parent_hash.hex()}"))
    first = number * KINDS_PER_BLOCK
    kinds = [order[(first + at) % len(order)] for at in range(KINDS_PER_BLOCK)]
    kinds += scene.rng.choices(order, k=scene.rng.randrange(3))
    calls = [call for kind in kinds if (call := kind(scene)) is not None]
    return calls + _reopen_pool(scene)


def choose_one(seed: int, ledger: Ledger, number: int, salt: int, parent_hash: bytes) -> list[SignedCall]:
    """A single call, of a kind that lets the state stay as large as it is; else as ``choose``."""
    scene = _Scene(ledger, random.Random(f"{seed} {number} {salt} {parent_hash.hex()}"))
    call = scene.rng.choice(_LASTING_KINDS)(scene)
    return [] if call is None else [call]


def _call(signer: bytes, pallet: str, name: str, **arguments: Any) -> SignedCall:
    return SignedCall(signer, {pallet: {name: arguments}})


def _own(signer: bytes, name: str, **arguments: Any) -> SignedCall:
    return _call(signer, "SubtensorModule", name, **arguments)


def _sudo(pallet: str, name: str, **arguments: Any) -> SignedCall:
    return _call(SUDO_KEY, "Sudo", "sudo", call={pallet: {name: arguments}})


def _transfer(scene: _Scene) -> SignedCall | None:
    source, target = scene.rng.sample(CAST.coldkeys, 2)
    value = scene.rng.randrange(1_000, 5 * TAO)
    return _call(source, "Balances", "transfer_keep_alive", dest={"Id": target}, value=value)


def _fund_mortal(scene: _Scene) -> SignedCall | None:
    source, target = scene.rng.choice(CAST.coldkeys), scene.rng.choice(CAST.mortals)
    value = scene.rng.randrange(TAO, 3 * TAO)
    return _call(source, "Balances", "transfer_allow_death", dest={"Id": target}, value=value)


def _living_mortal(scene: _Scene) -> tuple[bytes, int] | None:
    """An account that may die now, and its free balance."""
    living = [(who, accounts.free(scene.ledger, who)) for who in CAST.mortals]
    living = [(who, rao) for who, rao in living if rao > 2 * FEE_RAO]
    return scene.rng.choice(living) if living else None


def _die(scene: _Scene) -> SignedCall | None:
    mortal = _living_mortal(scene)
    dest = {"Id": scene.rng.choice(CAST.coldkeys)}
    return mortal and _call(mortal[0], "Balances", "transfer_all", dest=dest, keep_alive=False)


def _leave_dust(scene: _Scene) -> SignedCall | None:
    """All but 100 rao goes; the rest is under the existential deposit and lost."""
    mortal = _living_mortal(scene)
    dest = {"Id": scene.rng.choice(CAST.coldkeys)}
    return mortal and _call(mortal[0], "Balances", "transfer_allow_death", dest=dest, value=mortal[1] - FEE_RAO - 100)


def _add_stake(scene: _Scene) -> SignedCall | None:
    hotkey, netuid = scene.rng.choice(CAST.hotkeys), scene.rng.choice(_SUBNETS)
    amount = scene.rng.randrange(TAO, 20 * TAO)
    return _own(scene.rng.choice(CAST.coldkeys), "add_stake", hotkey=hotkey, netuid=netuid, amount_staked=amount)


def _add_root_stake(scene: _Scene) -> SignedCall | None:
    hotkey, amount = scene.rng.choice(CAST.hotkeys[:4]), scene.rng.randrange(TAO, 20 * TAO)
    return _own(scene.rng.choice(CAST.coldkeys), "add_stake", hotkey=hotkey, netuid=ROOT, amount_staked=amount)


def _remove_some(scene: _Scene) -> SignedCall | None:
    found = scene.position()
    if found is None:
        return None
    hotkey, coldkey, netuid, alpha = found
    part = scene.rng.randrange(1, alpha)
    return _own(coldkey, "remove_stake", hotkey=hotkey, netuid=netuid, amount_unstaked=part)


def _remove_all(scene: _Scene) -> SignedCall | None:
    found = scene.position()
    if found is None:
        return None
    hotkey, coldkey, netuid, alpha = found
    return _own(coldkey, "remove_stake", hotkey=hotkey, netuid=netuid, amount_unstaked=alpha)


def _remove_too_much(scene: _Scene) -> SignedCall | None:
    """Must fail: nobody holds that much."""
    hotkey, coldkey = scene.rng.choice(CAST.hotkeys), scene.rng.choice(CAST.coldkeys)
    return _own(coldkey, "remove_stake", hotkey=hotkey, netuid=CONCENTRATED, amount_unstaked=2**63)


def _move(scene: _Scene) -> SignedCall | None:
    found = scene.position()
    if found is None:
        return None
    hotkey, coldkey, netuid, alpha = found
    return _own(
        coldkey,
        "move_stake",
        origin_hotkey=hotkey,
        destination_hotkey=scene.rng.choice([one for one in CAST.hotkeys if one != hotkey]),
        origin_netuid=netuid,
        destination_netuid=scene.rng.choice(_SUBNETS),
        alpha_amount=max(1, alpha // scene.rng.randrange(2, 5)),
    )


def _give(scene: _Scene) -> SignedCall | None:
    found = scene.position()
    if found is None:
        return None
    hotkey, coldkey, netuid, alpha = found
    return _own(
        coldkey,
        "transfer_stake",
        destination_coldkey=scene.rng.choice([one for one in CAST.coldkeys if one != coldkey]),
        hotkey=hotkey,
        origin_netuid=netuid,
        destination_netuid=netuid,
        alpha_amount=max(1, alpha // 3),
    )


def _register(scene: _Scene) -> SignedCall | None:
    netuid = scene.rng.choice((CONCENTRATED, PLAIN_POOL))
    hotkey = blake2_256(b"devchain newcomer" + scene.rng.randbytes(8))
    return _own(scene.rng.choice(CAST.coldkeys), "burned_register", netuid=netuid, hotkey=hotkey)


def _become_delegate(scene: _Scene) -> SignedCall | None:
    at = scene.rng.randrange(len(CAST.hotkeys))
    return _own(CAST.coldkeys[at], "become_delegate", hotkey=CAST.hotkeys[at])


def _take(scene: _Scene) -> SignedCall | None:
    at = scene.rng.randrange(4)
    before, after = scene.ledger.get("Delegates", CAST.hotkeys[at]), scene.rng.randrange(11_796)
    name = "decrease_take" if after < before else "increase_take"
    return _own(CAST.coldkeys[at], name, hotkey=CAST.hotkeys[at], take=after)


def _setting(scene: _Scene, *, silent: bool) -> tuple[str, dict[str, Any]]:
    """A hyperparameter call with an event, or one without, and new values for it."""
    fit = [one for one in HYPERPARAMETERS if one.call and one.known(scene.ledger.runtime.new)]
    one = scene.rng.choice([one for one in fit if (one.event is None) == silent and one.item != "Tempo"])
    netuid = scene.rng.choice((CONCENTRATED, PLAIN_POOL, STABLE))
    name = one.call[0] if one.call else ""
    if one.item == "AlphaValues":
        low = scene.rng.randrange(1, 50_000)
        return name, {"netuid": netuid, "alpha_low": low, "alpha_high": low + 10_000}
    return name, {"netuid": netuid, "value": _new_value(scene, one, netuid)}


def _new_value(scene: _Scene, one: Hyperparameter, netuid: int) -> Any:
    """A value near the present one, of the same type, that keeps the simulation running."""
    now = scene.ledger.get(one.item, netuid)
    if isinstance(now, bool):
        return not now
    if now is None:
        return [32_768, 32_767]
    if isinstance(now, str):
        return "Recycle" if now == "Burn" else "Burn"
    if isinstance(now, list):
        return list(reversed(now))
    half_range = 1 << (8 * len(one.type.encode(now)) - 1)
    step = scene.rng.randrange(1, 10)
    return now + step if now + step < half_range else now - step


def _set_with_event(scene: _Scene) -> SignedCall | None:
    name, arguments = _setting(scene, silent=False)
    return _sudo("AdminUtils", name, **arguments)


def _set_silently(scene: _Scene) -> SignedCall | None:
    name, arguments = _setting(scene, silent=True)
    return _sudo("AdminUtils", name, **arguments)


def _owner_sets(scene: _Scene) -> SignedCall | None:
    name, arguments = _setting(scene, silent=True)
    return _call(CAST.coldkeys[arguments["netuid"]], "AdminUtils", name, **arguments)


def _stranger_sets(scene: _Scene) -> SignedCall | None:
    """Must fail: neither root nor owner."""
    name, arguments = _setting(scene, silent=False)
    return _call(CAST.coldkeys[9], "AdminUtils", name, **arguments)


def _proxy(scene: _Scene) -> SignedCall | None:
    who = scene.rng.choice(CAST.coldkeys)
    proxies, _ = scene.ledger.get("Proxy.Proxies", who)
    delegate = proxies[0]["delegate"] if proxies else scene.rng.choice([one for one in CAST.coldkeys if one != who])
    name = "remove_proxy" if proxies else "add_proxy"
    return _call(who, "Proxy", name, delegate={"Id": delegate}, proxy_type="Any", delay=0)


def _preimage(scene: _Scene) -> SignedCall | None:
    return _call(scene.rng.choice(CAST.coldkeys), "Preimage", "note_preimage", bytes=scene.rng.randbytes(40))


def _remark(scene: _Scene) -> SignedCall | None:
    return _call(scene.rng.choice(CAST.coldkeys), "System", "remark_with_event", remark=scene.rng.randbytes(12))


def _fee_rate(scene: _Scene) -> SignedCall | None:
    netuid = scene.rng.choice((CONCENTRATED, PLAIN_POOL))
    return _sudo("Swap", "set_fee_rate", netuid=netuid, rate=scene.rng.randrange(10, 300))


def _claim(scene: _Scene) -> SignedCall | None:
    if not scene.ledger.runtime.new:
        return None
    return _own(scene.rng.choice(CAST.coldkeys), "claim_root", subnets=[CONCENTRATED, PLAIN_POOL])


def _reopen_pool(scene: _Scene) -> list[SignedCall]:
    """Someone stakes into a pool that was closed: it opens in a new epoch, and the old rows stay retired."""
    if not scene.ledger.runtime.new:
        return []
    for (hotkey, netuid), epoch in scene.ledger.rows("AlphaSharePoolEpoch"):
        if epoch and not scene.ledger.get("TotalHotkeyAlpha", hotkey, netuid):
            signer = scene.rng.choice(CAST.coldkeys)
            return [_own(signer, "add_stake", hotkey=hotkey, netuid=netuid, amount_staked=3 * TAO)]
    return []


_KINDS: tuple[Callable[[_Scene], SignedCall | None], ...] = (
    _transfer,
    _fund_mortal,
    _die,
    _leave_dust,
    _add_stake,
    _add_root_stake,
    _remove_some,
    _remove_all,
    _remove_too_much,
    _move,
    _give,
    _register,
    _become_delegate,
    _take,
    _set_with_event,
    _set_silently,
    _owner_sets,
    _stranger_sets,
    _proxy,
    _preimage,
    _remark,
    _fee_rate,
    _claim,
)

_LASTING_KINDS = (_transfer, _add_stake, _remove_some, _take, _set_with_event, _set_silently)
"""Kinds that only write keys there are, or of which there are few: a chain of any length can be made of them."""
