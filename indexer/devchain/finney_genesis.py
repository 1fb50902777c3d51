"""The first state of a chain the size of the main network, from the seed, map by map.

Who owns which hotkey, which hotkeys have a pool on which subnet, and who has a share in it: half of all choices fall
on few of them (log-uniform by rank), as on the chain, where some accounts move in every block and most hardly ever.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from indexer.devchain import shares
from indexer.devchain.blocks import CODE_KEY
from indexer.devchain.finney_state import (
    POOL_EPOCH,
    ROOT,
    RUNTIME,
    STAKING_HOTKEYS,
    TAO,
    TOTAL_ISSUANCE,
    TOTAL_STAKE,
    Changes,
    Holdings,
    Pool,
    prefix,
)
from indexer.devchain.genesis import SUDO_KEY
from indexer.devchain.pallet import blake2_128_concat
from indexer.devchain.runtimes import SPEC_NAME
from indexer.devchain.scale_encode import compact, u16, u64

_ACCOUNTS_AT_ONCE = 50_000
_REOPENED_EVERY = 14
"""One pool in so many was closed and opened again, so that its share rows carry its epoch."""
_HYPERPARAMETERS: dict[str, tuple[Any, ...]] = {
    "MaxAllowedUids": (256,),
    "SubtokenEnabled": (True,),
    "NetworkRegistrationAllowed": (True, True, False),
    "ImmunityPeriod": (4096, 5000, 7200),
    "MinAllowedWeights": (1, 8, 64),
    "MaxAllowedValidators": (64, 128),
    "WeightsSetRateLimit": (100, 0),
    "ServingRateLimit": (50, 10),
    "BondsMovingAverage": (900_000, 975_000),
    "LiquidAlphaOn": (False, True),
    "Kappa": (32767,),
    "MinBurn": (500_000,),
}


def heavy(rng: random.Random, count: int) -> int:
    """A rank below ``count``: every other time of a heavy-tailed choice, else any."""
    return int(count ** rng.random()) - 1 if rng.random() < 0.5 else rng.randrange(count)


def stored(item: str, *key: Any, value: Any, pallet: str = "SubtensorModule") -> tuple[bytes, bytes]:
    """A key and its value, encoded by the runtime's declaration."""
    declared = RUNTIME.item(pallet, item)
    return declared.key(pallet, *key), declared.value.encode(value)


def genesis(holdings: Holdings) -> Iterator[Changes]:
    """The whole first state, in parts that hold no key twice."""
    rng = random.Random(f"finney genesis {holdings.seed}")
    yield dict(_plain(holdings))
    for first in range(0, holdings.sizes.accounts, _ACCOUNTS_AT_ONCE):
        for number in range(first, min(first + _ACCOUNTS_AT_ONCE, holdings.sizes.accounts)):
            holdings.note_account(number)
        yield from holdings.take()
    for netuid in range(holdings.sizes.subnets):
        yield dict(_subnet(netuid, rng, holdings))
    yield dict(_hotkeys(holdings, _pools(holdings, rng), rng))
    _shares(holdings, rng)
    yield from holdings.take()


def _plain(holdings: Holdings) -> Iterator[tuple[bytes, Any]]:
    yield CODE_KEY, RUNTIME.code
    last = {"spec_version": RUNTIME.spec_version, "spec_name": SPEC_NAME}
    authors = [holdings.account(holdings.author(number)) for number in range(12)]
    for item, value in {"Number": 0, "LastRuntimeUpgrade": last}.items():
        yield stored(item, value=value, pallet="System")
    yield stored("Authorities", value=authors, pallet="Aura")
    yield stored("Key", value=SUDO_KEY, pallet="Sudo")
    yield stored("TotalIssuance", value=holdings.issuance, pallet="Balances")
    yield stored("TotalNetworks", value=holdings.sizes.subnets)
    yield TOTAL_ISSUANCE, u64(holdings.issuance)
    yield TOTAL_STAKE, u64(holdings.total_stake)


def _subnet(netuid: int, rng: random.Random, holdings: Holdings) -> Iterator[tuple[bytes, Any]]:
    yield stored("NetworksAdded", netuid, value=True)
    yield stored("NetworkRegisteredAt", netuid, value=0)
    subnet = holdings.subnets[netuid]
    yield stored("SubnetTAO", netuid, value=subnet.tao)
    yield stored("SubnetAlphaOut", netuid, value=subnet.alpha_out)
    if netuid == ROOT:
        return
    yield stored("SubnetAlphaIn", netuid, value=subnet.alpha_in)
    yield stored("SubnetMechanism", netuid, value=1)
    yield stored("FirstEmissionBlockNumber", netuid, value=1)
    yield stored("Tempo", netuid, value=holdings.sizes.tempo)
    yield stored("TokenSymbol", netuid, value=f"S{netuid}".encode())
    for item, choices in _HYPERPARAMETERS.items():
        yield stored(item, netuid, value=rng.choice(choices))


def _pools(holdings: Holdings, rng: random.Random) -> int:
    """Make the pools; how many hotkeys there are. The first of them are validators: with pools on root and half of
    the pools elsewhere."""
    sizes = holdings.sizes
    per_subnet = sizes.pools // sizes.subnets
    validators = max(2, per_subnet // 2)
    hotkeys = max(sizes.pools // 8, validators + per_subnet + 1)
    left = sizes.pools - validators
    made = 0
    for netuid in range(sizes.subnets):
        count = validators if netuid == ROOT else left // (sizes.subnets - netuid)
        left -= 0 if netuid == ROOT else count
        chosen = rng.sample(range(validators), validators if netuid == ROOT else min(validators, count // 2))
        chosen += rng.sample(range(validators, hotkeys), count - len(chosen))
        for hotkey in chosen:
            made += 1
            pool = Pool(hotkey, netuid, holdings.first_coldkey + hotkey, 0 if made % _REOPENED_EVERY else 2)
            holdings.subnets[netuid].pools.append(pool)
            holdings.pools_of.setdefault(hotkey, []).append(pool)
            if netuid == ROOT:
                holdings.root_pools[hotkey] = pool
                holdings.basket_rate[hotkey] = rng.randrange(1 << 30)
    return hotkeys


def _hotkeys(holdings: Holdings, count: int, rng: random.Random) -> Iterator[tuple[bytes, Any]]:
    """Owners, takes and neurons."""
    delegates, owned = prefix("Delegates"), prefix("OwnedHotkeys")
    for number in range(count):
        hotkey, owner = holdings.hotkey(number), holdings.account(holdings.first_coldkey + number)
        yield stored("Owner", hotkey, value=owner)
        yield owned + blake2_128_concat(owner), compact(1) + hotkey
        if number in holdings.root_pools:
            yield delegates + blake2_128_concat(hotkey), u16(rng.randrange(2_000, 11_796))
    for netuid, subnet in enumerate(holdings.subnets[1:], 1):
        neurons = [holdings.hotkey(pool.hotkey) for pool in subnet.pools]
        yield stored("SubnetworkN", netuid, value=len(neurons))
        yield stored("SubnetOwner", netuid, value=holdings.account(subnet.pools[0].owner))
        yield stored("SubnetOwnerHotkey", netuid, value=neurons[0])
        yield stored("Emission", netuid, value=[0] * len(neurons))
        yield stored("LastUpdate", netuid, value=[0] * len(neurons))
        for uid, hotkey in enumerate(neurons):
            yield stored("Uids", netuid, hotkey, value=uid)
            yield stored("Keys", netuid, uid, value=hotkey)
            yield stored("IsNetworkMember", hotkey, netuid, value=True)
            yield stored("BlockAtRegistration", netuid, uid, value=0)


def _shares(holdings: Holdings, rng: random.Random) -> None:
    """Share rows: every pool has its owner's, the rest fall on pools and coldkeys by rank."""
    pools = [pool for subnet in holdings.subnets for pool in subnet.pools]
    amounts = {(pool, pool.owner): rng.randrange(TAO, 5_000 * TAO) for pool in pools}
    ranked = rng.sample(pools, len(pools))
    coldkeys = (holdings.sizes.accounts - holdings.first_coldkey) // 4
    while len(amounts) < holdings.sizes.stakes:
        row = ranked[heavy(rng, len(pools))], holdings.first_coldkey + heavy(rng, coldkeys)
        amounts[row] = int(10 ** rng.uniform(7, 12))
    for (pool, _), alpha in amounts.items():
        pool.alpha += alpha
    for pool in pools:
        pool.shares = shares.normal(pool.alpha, 0)
        holdings.subnets[pool.netuid].staked += pool.alpha
        holdings.note_pool(pool)
        if pool.epoch:
            tail = blake2_128_concat(holdings.hotkey(pool.hotkey)) + u16(pool.netuid)
            holdings.stake[POOL_EPOCH + tail] = u64(pool.epoch)
    holdings.rows = rng.sample(list(amounts), len(amounts))
    for (pool, coldkey), alpha in amounts.items():
        holdings.give_first(pool, coldkey, shares.normal(alpha, 0))
    for coldkey, known in holdings.staking.items():
        listed = compact(len(known)) + b"".join(holdings.hotkey(one) for one in known)
        holdings.stake[STAKING_HOTKEYS + blake2_128_concat(holdings.account(coldkey))] = listed
    for subnet_number, subnet in enumerate(holdings.subnets):
        key, value = stored("TotalAlphaStaked", subnet_number, value=subnet.staked)
        holdings.other[key] = value
