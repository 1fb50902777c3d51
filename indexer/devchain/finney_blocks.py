"""What happens in a block of a chain the size of the main network: emission, epochs, and what people and bots do.

Owns the course of a block: events, extrinsics and the figures that change with them. Most accounts and share rows that
change are named by an event; every value of every subnet changes without one, an epoch writes thousands of stake keys
without one, and a few accounts change in silence (holds), as on the chain (MODEL.md 1.4, 2.4, 4, 6.4). Calls of a bot
that pays or moves many times at once are recorded as one remark: the declared runtime has no contracts or batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from indexer.devchain.blocks import aura_slot
from indexer.devchain.execution import FEE_RAO
from indexer.devchain.finney_genesis import heavy, stored
from indexer.devchain.finney_state import (
    DIVIDENDS,
    ESCROW,
    LAST_EPOCH_ALPHA,
    ROOT,
    RUNTIME,
    TAO,
    TOTAL_ISSUANCE,
    TOTAL_STAKE,
    Holdings,
    Pool,
    Subnet,
    prefix,
)
from indexer.devchain.pallet import blake2_128_concat, twox64_concat
from indexer.devchain.pallets_substrate import SLOT_MS
from indexer.devchain.scale_encode import u16, u64, u128

EPOCHS_AT_ONCE = 3
"""Subnets whose epochs end in the same block: together they write about 3,000 stake keys."""
SILENT_ACCOUNTS_PERCENT = 4
_NORMAL = {"weight": {"ref_time": 150_000_000, "proof_size": 3_593}, "class": "Normal", "pays_fee": "Yes"}
_MANDATORY = {"weight": {"ref_time": 130_000_000, "proof_size": 1_493}, "class": "Mandatory", "pays_fee": "Yes"}
_EVENTS = RUNTIME.item("System", "Events")
_EACH_SUBNET = tuple(
    prefix(item)
    for item in (
        "SubnetTAO", "SubnetAlphaIn", "SubnetAlphaOut", "SubnetTaoInEmission", "SubnetAlphaInEmission",
        "SubnetAlphaOutEmission", "PendingValidatorEmission", "BlocksSinceLastStep", "Burn", "Difficulty",
        "TotalAlphaStaked", "SubnetVolume", "SubnetMovingPrice", "SubnetFastMovingPrice",
    )
)  # fmt: skip
_EACH_SWAP = tuple(prefix(item, "Swap") for item in ("SwapBalancer", "BalancerTaoReservoir", "BalancerAlphaReservoir"))


@dataclass(slots=True)
class Course:
    """A block as it takes its course."""

    holdings: Holdings
    rng: random.Random
    number: int
    events: list[dict[str, Any]] = field(default_factory=list)
    extrinsics: list[bytes] = field(default_factory=list)
    phase: Any = "Initialization"

    def tell(self, pallet: str, name: str, *values: Any, **fields: Any) -> None:
        """Record an event."""
        event = {pallet: {name: fields or values}}
        self.events.append({"phase": self.phase, "event": event, "topics": []})

    def signed(self, signer: int, call: dict[str, Any], act: Callable[[], None]) -> None:
        """An extrinsic: its fee, what it does, its end."""
        holdings, author = self.holdings, self.holdings.author(self.number)
        self.phase = {"ApplyExtrinsic": len(self.extrinsics)}
        who = holdings.account(signer)
        encoded = RUNTIME.call.encode(call)
        self.extrinsics.append(RUNTIME.signed(who, holdings.nonce[signer], who + who, encoded))
        holdings.nonce[signer] += 1
        self.tell("Balances", "Withdraw", who=who, amount=FEE_RAO)
        holdings.pay(signer, author, FEE_RAO)
        self.tell("Balances", "Deposit", who=holdings.account(author), amount=FEE_RAO)
        act()
        self.tell("TransactionPayment", "TransactionFeePaid", who=who, actual_fee=FEE_RAO, tip=0)
        self.tell("System", "ExtrinsicSuccess", dispatch_info=_NORMAL)

    def anybody(self) -> int:
        """An account of some means."""
        holdings = self.holdings
        while True:
            number = holdings.first_coldkey + heavy(self.rng, holdings.sizes.accounts - holdings.first_coldkey)
            if holdings.free[number] > TAO:
                return number

    def row(self) -> int:
        """A share row of somebody who may unstake."""
        while True:
            row = heavy(self.rng, len(self.holdings.rows))
            if self.holdings.rows[row][1] != ESCROW:
                return row


def run(holdings: Holdings, number: int, start_ms: int) -> tuple[tuple[bytes, ...], bytes, int]:
    """Let block ``number`` take place: (extrinsics, digest item, events). What it changed is in ``holdings``."""
    course = Course(holdings, random.Random(f"finney {holdings.seed} {number}"), number)
    now_ms = start_ms + number * SLOT_MS
    for netuid in range(1, holdings.sizes.subnets):
        _emit(course, netuid)
    epochs = len(holdings.stake)
    for netuid in _epochs_due(holdings, number):
        _epoch(course, netuid)
    epochs = len(holdings.stake) - epochs
    _flush_basket(course)
    course.extrinsics.append(RUNTIME.unsigned("Timestamp", "set", now=now_ms))
    course.phase = {"ApplyExtrinsic": 0}
    course.tell("System", "ExtrinsicSuccess", dispatch_info=_MANDATORY)
    _people(course)
    _bots(course, holdings.sizes.changed_stake_keys + epochs)
    for netuid in range(1, holdings.sizes.subnets):
        _note_subnet(holdings, netuid, number)
    slot = now_ms // SLOT_MS
    digest = aura_slot(slot)
    other = holdings.other
    other.update(
        stored(item, value=value, pallet=pallet)
        for pallet, item, value in (
            ("System", "Number", number),
            ("System", "Digest", [{"PreRuntime": (b"aura", u64(slot))}]),
            ("System", "EventCount", len(course.events)),
            ("Aura", "CurrentSlot", slot),
            ("Timestamp", "Now", now_ms),
            ("Balances", "TotalIssuance", holdings.issuance),
        )
    )
    other[_EVENTS.prefix("System")] = _EVENTS.value.encode(course.events)
    other.update([stored("TotalAlphaStaked", ROOT, value=holdings.subnets[ROOT].staked)])
    other[TOTAL_ISSUANCE], other[TOTAL_STAKE] = u64(holdings.issuance), u64(holdings.total_stake)
    return tuple(course.extrinsics), digest, len(course.events)


def _emit(course: Course, netuid: int) -> None:
    """One block's TAO and alpha into a subnet's pool. Its account grows without an event of its own."""
    holdings, subnet = course.holdings, course.holdings.subnets[netuid]
    tao = 2_000_000 + (course.number * 31 + netuid * 17) % 100_000
    subnet.tao += tao
    subnet.alpha_in += tao * subnet.alpha_in // subnet.tao
    subnet.alpha_out += TAO
    subnet.volume += tao
    subnet.pending += TAO
    subnet.since += 1
    spot = (subnet.tao << 32) // subnet.alpha_in
    subnet.moving += (spot - subnet.moving) // 512 or 1
    subnet.burn = subnet.burn - subnet.burn // 519 if subnet.burn > 1_000_000 else 2 * TAO
    subnet.difficulty = subnet.difficulty - subnet.difficulty // 519 if subnet.difficulty > 10**7 else 10**9
    holdings.free[netuid] += tao
    holdings.note_account(netuid)
    holdings.issuance += tao
    holdings.total_stake += tao


def _note_subnet(holdings: Holdings, netuid: int, number: int) -> None:
    """Write every value that a subnet has in a block: all differ from the block before."""
    subnet, key = holdings.subnets[netuid], u16(netuid)
    fast = ((subnet.tao << 64) // subnet.alpha_in) + number
    tao = 2_000_000 + (number * 31 + netuid * 17) % 100_000
    values = (
        *map(u64, (subnet.tao, subnet.alpha_in, subnet.alpha_out, tao, tao * subnet.alpha_in // subnet.tao,
                   TAO - number % 1_000, subnet.pending, subnet.since, subnet.burn, subnet.difficulty, subnet.staked)),
        u128(subnet.volume), u128(subnet.moving), u128(fast),
    )  # fmt: skip
    other = holdings.other
    for item, value in zip(_EACH_SUBNET, values, strict=True):
        other[item + key] = value
    key, jitter = twox64_concat(key), (number * 7_919 + netuid * 104_729) % 1_000_003
    weight = 500_000_000_000_000_000 + jitter
    for item, amount in zip(_EACH_SWAP, (weight, 10_000 + jitter, 20_000 + 3 * jitter), strict=True):
        other[item + key] = u64(amount)


def _epochs_due(holdings: Holdings, number: int) -> list[int]:
    """Subnets whose epoch ends here: a few at once, spread over the tempo."""
    subnets, tempo = holdings.sizes.subnets, holdings.sizes.tempo
    groups = -(-(subnets - 1) // EPOCHS_AT_ONCE)
    return [
        netuid
        for netuid in range(1, subnets)
        if ((netuid - 1) // EPOCHS_AT_ONCE * tempo // groups - number) % tempo == 0
    ]


def _epoch(course: Course, netuid: int) -> None:
    """Pay out what is pending: miners and validators by share rows, nominators by their pool's alpha."""
    holdings, subnet = course.holdings, course.holdings.subnets[netuid]
    pending, subnet.pending, subnet.since = subnet.pending, 0, 0
    other = holdings.other
    for item in ("LastEpochBlock", "LastMechansimStepBlock"):
        other.update([stored(item, netuid, value=course.number)])
    validators = [pool for pool in subnet.pools if pool.hotkey in holdings.root_pools]
    part = pending // (2 * len(subnet.pools)) + 1
    emissions = list[int]()
    for uid, pool in enumerate(subnet.pools):
        earned = part + (uid * 7_919 + course.number) % 1_000
        emissions.append(earned)
        holdings.put_in(pool, pool.owner, earned)
        if pool.hotkey in holdings.root_pools:
            _pay_validator(holdings, netuid, pool, 2 * earned)
        elif validators:
            # A miner whose earnings go on to a validator of the subnet.
            holdings.put_in(validators[uid % len(validators)], pool.owner, earned)
        tail = blake2_128_concat(holdings.hotkey(pool.hotkey)) + u16(netuid)
        holdings.stake[LAST_EPOCH_ALPHA + tail] = u64(pool.alpha)
    other.update([stored("Emission", netuid, value=emissions)])
    other.update(
        [stored("LastUpdate", netuid, value=[max(0, course.number - uid % 50) for uid in range(len(emissions))])]
    )


def _pay_validator(holdings: Holdings, netuid: int, pool: Pool, dividend: int) -> None:
    holdings.add_alpha(pool, dividend)
    holdings.stake[DIVIDENDS + u16(netuid) + blake2_128_concat(holdings.hotkey(pool.hotkey))] = u64(dividend)
    holdings.queue_basket(pool, dividend // 5 + 1)


def _flush_basket(course: Course) -> None:
    """Deposit what waits for the validator first in line, one per block."""
    holdings = course.holdings
    hotkey = next(iter(holdings.waiting), None)
    if hotkey is None:
        return
    del holdings.waiting[hotkey]
    for pool in holdings.pools_of[hotkey]:
        if pool.queued:
            alpha, minted = holdings.deposit_basket(pool)
            told = {"hotkey": holdings.hotkey(hotkey), "netuid": pool.netuid, "alpha": alpha, "shares": minted}
            course.tell("SubtensorModule", "BasketDeposited", **told)


def _people(course: Course) -> None:
    """Single calls: transfers, stakes and unstakes, now and then a hyperparameter."""
    holdings, rng = course.holdings, course.rng
    for _ in range(max(1, holdings.sizes.changed_accounts // 60)):
        source, target, rao = course.anybody(), course.anybody(), rng.randrange(1_000, TAO // 2)
        transfer = {"dest": {"Id": holdings.account(target)}, "value": rao}
        act = partial(_transfer, course, source, target, rao)
        course.signed(source, {"Balances": {"transfer_keep_alive": transfer}}, act)
    for _ in range(max(1, holdings.sizes.changed_stake_keys // 200)):
        _stake(course)
        _unstake(course)
    if rng.random() < 0.05:
        netuid, value = rng.randrange(1, holdings.sizes.subnets), rng.randrange(1_000, 8_000)

        def set_it() -> None:
            holdings.other.update([stored("ImmunityPeriod", netuid, value=value)])
            course.tell("SubtensorModule", "ImmunityPeriodSet", netuid, value)

        call = {"netuid": netuid, "value": value}
        course.signed(course.anybody(), {"AdminUtils": {"sudo_set_immunity_period": call}}, set_it)


def _bots(course: Course, stake_keys: int) -> None:
    """Two calls that do many things at once fill the block up to its sizes; then come the changes without a trace."""
    holdings, wanted = course.holdings, course.holdings.sizes.changed_accounts
    silent = wanted * SILENT_ACCOUNTS_PERCENT // 100

    def pay_many() -> None:
        while len(holdings.accounts) < wanted - silent - 1:
            _transfer(course, course.anybody(), course.anybody(), course.rng.randrange(1_000, TAO // 4))

    def move_many() -> None:
        while len(holdings.stake) < stake_keys:
            _move(course)

    for name, act in (("payments", pay_many), ("moves of stake", move_many)):
        call: dict[str, Any] = {"System": {"remark": {"remark": f"a bot's {name}".encode()}}}
        course.signed(course.anybody(), call, act)
    while len(holdings.accounts) < wanted:
        number = course.anybody()
        held = holdings.reserved.pop(number, 0)
        if not held:
            held = -TAO // 100
            holdings.reserved[number] = -held
        holdings.free[number] += held
        holdings.note_account(number)


def _transfer(course: Course, source: int, target: int, rao: int) -> None:
    if source == target:
        return
    holdings = course.holdings
    moved = holdings.pay(source, target, rao)
    course.tell(
        "Balances", "Transfer", **{"from": holdings.account(source), "to": holdings.account(target), "amount": moved}
    )


def _stake(course: Course) -> None:
    """Buy alpha with TAO: a new share row or more of one."""
    holdings, rng = course.holdings, course.rng
    coldkey, subnet = course.anybody(), holdings.subnets[heavy(rng, holdings.sizes.subnets)]
    pool = subnet.pools[heavy(rng, len(subnet.pools))]
    tao = rng.randrange(TAO // 1000, TAO // 2)

    def act() -> None:
        _transfer(course, coldkey, pool.netuid, tao)
        alpha = tao if pool.netuid == ROOT else subnet.alpha_in * tao // (subnet.tao + tao)
        _trade(holdings, subnet, pool.netuid, tao, alpha)
        holdings.put_in(pool, coldkey, alpha)
        who, hotkey = holdings.account(coldkey), holdings.hotkey(pool.hotkey)
        if pool.netuid == ROOT:
            holdings.note_root_stake(pool, coldkey, course.number)
        course.tell("SubtensorModule", "StakeAdded", who, hotkey, tao, alpha, pool.netuid, 0)

    call = {"hotkey": holdings.hotkey(pool.hotkey), "netuid": pool.netuid, "amount_staked": tao}
    course.signed(coldkey, {"SubtensorModule": {"add_stake": call}}, act)


def _unstake(course: Course) -> None:
    """Sell alpha for TAO: one in three sells all of it."""
    holdings, rng, row = course.holdings, course.rng, course.row()
    pool, coldkey = holdings.rows[row]
    subnet = holdings.subnets[pool.netuid]
    value = holdings.stake_of(pool, coldkey)
    asked = max(1, value if rng.random() < 0.34 else value // 10)

    def act() -> None:
        alpha = holdings.take_out(row, asked)
        tao = alpha if pool.netuid == ROOT else subnet.tao * alpha // (subnet.alpha_in + alpha)
        tao = max(1, min(tao, subnet.tao // 100))
        _trade(holdings, subnet, pool.netuid, -tao, -alpha)
        _transfer(course, pool.netuid, coldkey, tao)
        who, hotkey = holdings.account(coldkey), holdings.hotkey(pool.hotkey)
        if pool.netuid == ROOT:
            holdings.note_root_stake(pool, coldkey, course.number)
        course.tell("SubtensorModule", "StakeRemoved", who, hotkey, tao, alpha, pool.netuid, 0)

    call = {"hotkey": holdings.hotkey(pool.hotkey), "netuid": pool.netuid, "amount_unstaked": asked}
    course.signed(coldkey, {"SubtensorModule": {"remove_stake": call}}, act)


def _move(course: Course) -> None:
    """Alpha to another hotkey of the same subnet, or to another coldkey behind the same hotkey."""
    holdings, rng, row = course.holdings, course.rng, course.row()
    pool, coldkey = holdings.rows[row]
    subnet = holdings.subnets[pool.netuid]
    value = holdings.stake_of(pool, coldkey)
    to_hotkey = rng.random() < 0.75
    target = subnet.pools[heavy(rng, len(subnet.pools))] if to_hotkey else pool
    receiver = coldkey if to_hotkey else course.anybody()
    if (target, receiver) == (pool, coldkey):
        return
    alpha = holdings.take_out(row, max(1, value if rng.random() < 0.2 else value // 3))
    if alpha:
        holdings.put_in(target, receiver, alpha)
    who, hotkey, netuid = holdings.account(coldkey), holdings.hotkey(pool.hotkey), pool.netuid
    tao = alpha if netuid == ROOT else alpha * subnet.tao // subnet.alpha_in
    if to_hotkey:
        course.tell("SubtensorModule", "StakeMoved", who, hotkey, netuid, holdings.hotkey(target.hotkey), netuid, tao)
    else:
        course.tell("SubtensorModule", "StakeTransferred", who, holdings.account(receiver), hotkey, netuid, netuid, tao)


def _trade(holdings: Holdings, subnet: Subnet, netuid: int, tao: int, alpha: int) -> None:
    """TAO into the reserves and alpha out of them, or the reverse if negative. Root has no alpha in reserve."""
    subnet.tao += tao
    subnet.volume += abs(tao)
    subnet.alpha_out = max(0, subnet.alpha_out + alpha)
    holdings.total_stake += tao
    if netuid != ROOT:
        subnet.alpha_in -= alpha
    else:
        for item, value in (
            ("SubnetTAO", subnet.tao),
            ("SubnetAlphaOut", subnet.alpha_out),
            ("SubnetVolume", subnet.volume),
        ):
            holdings.other.update([stored(item, ROOT, value=value)])
