"""The first state of the simulated chain: accounts, subnets, validators, first stakes. Seeded, pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from indexer.devchain import calls, pools, staking
from indexer.devchain.blocks import CODE_KEY, Body
from indexer.devchain.ledger import Ledger
from indexer.devchain.pallets_substrate import NEW_LOGIC_FLAG
from indexer.devchain.runtimes import SPEC_NAME, RuntimeDeclaration
from indexer.trie import blake2_256

TAO = 1_000_000_000
SUDO_KEY = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")
"""Alice of every Substrate development chain."""
ROOT, CONCENTRATED, PLAIN_POOL, STABLE = 0, 1, 2, 3
"""Netuids: root; a pool with v3 liquidity; one without; a subnet without a pool."""


def _key(kind: str, number: int) -> bytes:
    return blake2_256(f"devchain {kind} {number}".encode())


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part, by role; the same for every seed."""

    coldkeys: tuple[bytes, ...] = tuple(_key("coldkey", n) for n in range(10))
    hotkeys: tuple[bytes, ...] = tuple(_key("hotkey", n) for n in range(6))
    """Hotkey n is owned by coldkey n."""
    mortals: tuple[bytes, ...] = tuple(_key("mortal", n) for n in range(4))
    """Accounts that are emptied and funded again."""
    authors: tuple[bytes, ...] = tuple(_key("author", n) for n in range(3))


CAST = Cast()


def genesis(runtime: RuntimeDeclaration, seed: int) -> Body:
    """Block 0: the whole state as changes. Amounts come from the seed."""
    ledger, rng = Ledger(runtime, None), random.Random(f"genesis {seed}")
    ledger.put_raw(CODE_KEY, runtime.code)
    ledger.put("System.Number", value=0)
    ledger.put("System.LastRuntimeUpgrade", value={"spec_version": runtime.spec_version, "spec_name": SPEC_NAME})
    ledger.put("Aura.Authorities", value=list(CAST.authors))
    ledger.put("Sudo.Key", value=SUDO_KEY)
    for who in (SUDO_KEY, *CAST.coldkeys, *CAST.authors, *CAST.mortals[:2]):
        _endow(ledger, who, rng.randrange(2_000 * TAO, 9_000 * TAO))
    for netuid in (ROOT, CONCENTRATED, PLAIN_POOL, STABLE):
        _add_subnet(ledger, netuid, rng)
    for hotkey, coldkey in zip(CAST.hotkeys, CAST.coldkeys, strict=False):
        for netuid in (CONCENTRATED, PLAIN_POOL):
            calls.register(ledger, netuid, hotkey, coldkey)
        if hotkey in CAST.hotkeys[:4]:
            ledger.put("Delegates", hotkey, value=rng.randrange(2_000, 11_796))
    for hotkey in CAST.hotkeys[:4]:
        for coldkey in rng.sample(CAST.coldkeys, 4):
            for netuid in (ROOT, CONCENTRATED, PLAIN_POOL, STABLE):
                _stake(ledger, hotkey, coldkey, netuid, rng.randrange(TAO, 200 * TAO))
    ledger.put("TotalIssuance", value=ledger.get("Balances.TotalIssuance") + ledger.get("TotalStake"))
    return Body(ledger.changes(), (), ())


def _endow(ledger: Ledger, who: bytes, rao: int) -> None:
    data = {"free": rao, "reserved": 0, "frozen": 0, "flags": NEW_LOGIC_FLAG}
    value = {"nonce": 0, "consumers": 0, "providers": 1, "sufficients": 0, "data": data}
    ledger.put("System.Account", who, value=value)
    ledger.add("Balances.TotalIssuance", amount=rao)


def _add_subnet(ledger: Ledger, netuid: int, rng: random.Random) -> None:
    ledger.put("NetworksAdded", netuid, value=True)
    ledger.add("TotalNetworks", amount=1)
    ledger.put("NetworkRegisteredAt", netuid, value=0)
    ledger.put("SubnetworkN", netuid, value=0)
    if netuid == ROOT:
        return
    ledger.put("SubnetOwner", netuid, value=CAST.coldkeys[netuid])
    ledger.put("SubnetOwnerHotkey", netuid, value=CAST.hotkeys[netuid])
    ledger.put("Tempo", netuid, value=3 + 2 * netuid)
    ledger.put("MaxAllowedUids", netuid, value=256)
    ledger.put("SubtokenEnabled", netuid, value=True)
    ledger.put("Burn", netuid, value=TAO)
    ledger.put("AdjustmentInterval", netuid, value=6)
    ledger.put("FirstEmissionBlockNumber", netuid, value=1)
    if netuid == STABLE:
        return
    ledger.put("SubnetMechanism", netuid, value=1)
    ledger.put("SubnetTAO", netuid, value=rng.randrange(5_000 * TAO, 9_000 * TAO))
    ledger.put("SubnetAlphaIn", netuid, value=rng.randrange(60_000 * TAO, 90_000 * TAO))
    ledger.add("TotalStake", amount=ledger.get("SubnetTAO", netuid))
    if netuid == CONCENTRATED:
        ledger.put("Swap.SwapV3Initialized", netuid, value=True)
    staking.note_price(ledger, netuid)


def _stake(ledger: Ledger, hotkey: bytes, coldkey: bytes, netuid: int, tao: int) -> None:
    alpha, _ = staking.buy_alpha(ledger, netuid, tao)
    pools.put_in(ledger, hotkey, coldkey, netuid, alpha)
