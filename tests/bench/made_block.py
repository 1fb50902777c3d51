"""A block the size of the main network's, as it is captured: made from a seed, with the declared runtime's own types.

250 accounts, 400 keys of stake, 17 values of each of 129 subnets, 150 events. Proves nothing and goes nowhere: it is
for what comes behind capturing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from indexer.capture import EVENTS, TIMESTAMP
from indexer.devchain.runtimes import SPEC_475
from indexer.model import BlockRef, Captured, EventRecord, Header, ItemRef, RawChange
from indexer.scale import Runtime, StorageItem, blake2_256

SUBNETS, ACCOUNTS, POSITIONS, EVENTS_OF_A_KIND = 129, 250, 160, 37
TAO = 10**9

_EACH_SUBNET = (
    "SubnetTAO", "SubnetAlphaIn", "SubnetAlphaOut", "SubnetTaoInEmission", "SubnetAlphaInEmission",
    "SubnetAlphaOutEmission", "PendingValidatorEmission", "BlocksSinceLastStep", "Burn", "Difficulty",
    "TotalAlphaStaked", "SubnetVolume",
)  # fmt: skip
_EACH_PRICE = ("SubnetMovingPrice", "SubnetFastMovingPrice")
_EACH_SWAP = ("SwapBalancer", "BalancerTaoReservoir", "BalancerAlphaReservoir")


def made_block(seed: str = "block", *, accounts: int = ACCOUNTS) -> tuple[Runtime, Captured]:
    """The runtime, and a block that it executed."""
    runtime = Runtime.from_metadata(SPEC_475.served().metadata[15])
    chance = random.Random(seed)
    raws = (runtime.encode_events(list(_events(chance))), (1_700_000_000_000).to_bytes(8, "little"))
    header = Header(BlockRef(7, chance.randbytes(32)), bytes(32), bytes(32), bytes(32), ())
    captured = Captured(
        header=header,
        changes=tuple(sorted(_changes(runtime, chance, accounts))),
        reads=dict(zip((EVENTS, TIMESTAMP), raws, strict=True)),
        parent_reads={},
        code_hash=blake2_256(SPEC_475.code),
        runtime_changed=False,
        bootstrap=False,
        calls=2,
    )
    return runtime, captured


def _changes(runtime: Runtime, chance: random.Random, accounts: int) -> Iterator[RawChange]:
    def item(name: str, pallet: str = "SubtensorModule") -> StorageItem:
        found = runtime.item(ItemRef(pallet, name))
        assert found is not None
        return found

    def change(of: StorageItem, *key: object, value: object) -> RawChange:
        return RawChange(of.key(*key), of.encode(value))

    amount = lambda: chance.randrange(10**15)  # noqa: E731
    account = item("Account", "System")
    for _ in range(accounts):
        data = {"free": amount(), "reserved": amount() // 10**6, "frozen": 0, "flags": 1 << 127}
        info = {"nonce": chance.randrange(90), "consumers": 1, "providers": 1, "sufficients": 0, "data": data}
        yield change(account, chance.randbytes(32), value=info)
    share, alpha, shares = item("AlphaV2"), item("TotalHotkeyAlpha"), item("TotalHotkeySharesV2")
    for _ in range(POSITIONS):
        hotkey, netuid = chance.randbytes(32), chance.randrange(SUBNETS)
        safe_float = {"mantissa": chance.randrange(10**21), "exponent": -chance.randrange(12)}
        yield change(share, hotkey, chance.randbytes(32), netuid, value=safe_float)
        yield change(alpha, hotkey, netuid, value=amount())
        if chance.random() < 0.5:
            yield change(shares, hotkey, netuid, value=safe_float)
    for netuid in range(SUBNETS):
        for name in _EACH_SUBNET:
            yield change(item(name), netuid, value=amount())
        for name in _EACH_PRICE:
            yield change(item(name), netuid, value=chance.randrange(1 << 70))
        for name in _EACH_SWAP:
            yield change(item(name, "Swap"), netuid, value=amount())
    for name in ("TotalIssuance", "TotalStake"):
        yield change(item(name), value=amount())


def _events(chance: random.Random) -> Iterator[EventRecord]:
    """Transfers and stake, each the event of an extrinsic with its fee and its end."""
    weight = {"ref_time": 150_000_000, "proof_size": 3_593}
    ended = {"dispatch_info": {"weight": weight, "class": "Normal", "pays_fee": "Yes"}}
    for index in range(EVENTS_OF_A_KIND):
        who, other, rao = chance.randbytes(32), chance.randbytes(32), chance.randrange(TAO)
        moved = (who, other, rao, rao, chance.randrange(SUBNETS), 0)
        told = [
            ("Balances", "Withdraw", {"who": who, "amount": 10_000}),
            ("Balances", "Transfer", {"from": who, "to": other, "amount": rao})
            if index % 2
            else ("SubtensorModule", "StakeAdded", moved),
            ("TransactionPayment", "TransactionFeePaid", {"who": who, "actual_fee": 10_000, "tip": 0}),
            ("System", "ExtrinsicSuccess", ended),
        ]
        for pallet, name, fields in told:
            yield EventRecord("ApplyExtrinsic", index, pallet, name, fields, ())
