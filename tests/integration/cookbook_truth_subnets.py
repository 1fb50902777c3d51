"""The same as ``cookbook_truth`` for questions about subnets, neurons, keys and the chain itself."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from cookbook_truth import GINA, H1, Rows, answers, percent
from recorded_state import LAST, RecordedStates, address, rounded, tao
from tape import blake, identity, twox

REVIEWED = {
    "May I trust an answer?",
}
"""Questions whose answer was read by hand: the loader says of all blocks that they are complete."""

WRITTEN = {
    "kappa": ("Kappa", 32767), "rho": ("Rho", 10), "min_burn": ("MinBurn", 500_000),
    "max_burn": ("MaxBurn", 100_000_000_000), "immunity_period": ("ImmunityPeriod", 4096),
    "min_allowed_weights": ("MinAllowedWeights", 1024), "max_validators": ("MaxAllowedValidators", 64),
    "activity_cutoff": ("ActivityCutoff", 5000), "serving_rate_limit": ("ServingRateLimit", 50),
    "bonds_moving_avg": ("BondsMovingAverage", 900_000), "difficulty": ("Difficulty", 10_000_000),
    "max_difficulty": ("MaxDifficulty", 0), "adjustment_alpha": ("AdjustmentAlpha", 0),
    "min_difficulty": ("MinDifficulty", 10_000_000), "tempo": ("Tempo", 360),
    "first_emission_block_number": ("FirstEmissionBlockNumber", None),
}  # fmt: skip
"""Numbers of subnets: storage item and the metadata's default."""
FLAGS = {
    "liquid_alpha_enabled": ("LiquidAlphaOn", False),
    "network_pow_registration_allowed": ("NetworkPowRegistrationAllowed", True),
    "registration_allowed": ("NetworkRegistrationAllowed", True),
    "subnet_is_active": ("SubtokenEnabled", False),
}


def parameters(chain: RecordedStates, block: int, netuid: int) -> dict[str, str | None]:
    """What the statements about hyperparameters show, as JSON text by name."""
    found: dict[str, str | None] = {}
    for name, (item, default) in WRITTEN.items():
        stored = chain.subnet(block, item, netuid)
        value = default if stored is None else stored
        found[name] = None if value is None else str(value)
    for name, (item, flag) in FLAGS.items():
        stored = chain.subnet(block, item, netuid)
        if name == "liquid_alpha_enabled":
            stored = chain.number(block, f"SubtensorModule.{item}", blake(netuid.to_bytes(2, "little")))
        found[name] = json.dumps(flag if stored is None else bool(stored))
    for name, item in (("subnet_owner", "SubnetOwner"), ("subnet_owner_hotkey", "SubnetOwnerHotkey")):
        account = chain.raw(block, f"SubtensorModule.{item}", identity(netuid.to_bytes(2, "little")))
        found[name] = json.dumps(address(bytes(32) if account is None else account))
    return found


@answers("When did a hyperparameter change, from what to what")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in range(31, LAST + 1):
        was, now = (parameters(chain, at, 1) for at in (block - 1, block))
        by = "written" if block <= 84 else "runtime upgrade"
        found += [(block, name, was[name], now[name], by) for name in sorted(now) if was[name] != now[name]]
    return found


@answers("Hyperparameters that were set, not left at their default")
def _(chain: RecordedStates) -> Rows:
    """By the list of HYPERPARAMS.tsv: those with a key in the state."""
    found: Rows = []
    hashers = {"Identity(NetUid)": identity, "Blake2_128Concat(NetUid)": blake, "Twox64Concat(NetUid)": twox}
    with (chain.file.parents[2] / "HYPERPARAMS.tsv").open(encoding="utf-8") as lines:
        for line in csv.DictReader(lines, delimiter="\t"):
            hasher = hashers.get(line["key"])
            stored = hasher and chain.raw(80, f"{line['pallet']}.{line['storage_item']}", hasher(b"\x02\x00"))
            if stored:
                value = str(int.from_bytes(stored, "little")) if len(stored) <= 8 else json.dumps(address(stored))
                if line["value_type"] == "bool":
                    value = json.dumps(stored == b"\x01")
                snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", line["storage_item"]).lower()
                found.append((line["api_name"] or snake, value))
    return sorted(found)


@answers("What differs in the configuration of all subnets between two blocks")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for netuid in (0, 1, 2):
        was, now = (parameters(chain, at, netuid) for at in (80, 88))
        found += [(netuid, name, was[name], now[name]) for name in sorted(now) if was[name] != now[name]]
    return found + [(None, *row[2:]) for row in of_the_upgrade(chain)]


@answers("What an upgrade of the runtime changed")
def of_the_upgrade(chain: RecordedStates) -> Rows:
    """Its migrations wrote two values of the network; both were at their defaults before."""
    defaults = {"network_min_lock_cost": 10**12, "tao_weight": 971718665099567868}
    items = {"network_min_lock_cost": "NetworkMinLockCost", "tao_weight": "TaoWeight"}
    found: Rows = []
    for name, item in items.items():
        was, now = (chain.number(block, f"SubtensorModule.{item}") for block in (84, 85))
        assert was in (None, defaults[name])
        found.append((85, 300, name, str(defaults[name]), str(now)))
    return found


@answers("Price candles and volume of a subnet")
def _(chain: RecordedStates) -> Rows:
    bins: dict[datetime, list[int]] = {}
    for block in range(1, LAST + 1):
        time = chain.time(block)
        bins.setdefault(time.replace(second=time.second // 30 * 30), []).append(block)
    found: Rows = []
    traded = 0
    for begin, blocks in bins.items():
        prices = [chain.price(block, 1) for block in blocks]
        volume = chain.subnet(blocks[-1], "SubnetVolume", 1) or 0
        told = (prices[0], max(prices), min(prices), prices[-1])
        found.append((begin, *(rounded(price, 9) for price in told), tao(volume - traded)))
        traded = volume
    return found


@answers("Deepest fall of a price")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for netuid in (1, 2):
        prices = [chain.price(block, netuid) for block in range(LAST + 1)]
        first = next(block for block in range(LAST + 1) if chain.subnet(block, "SubnetAlphaIn", netuid))
        falls = [(1 - prices[at] / (peak := max(prices[first : at + 1])), -at, peak) for at in range(first, LAST + 1)]
        fall, at, peak = max(falls)
        if fall > 0:
            found.append((netuid, -at, rounded(prices[-at], 9), rounded(peak, 9), rounded(100 * fall, 2)))
    return found


@answers("Which subnet was netuid 2 at that time")
def _(chain: RecordedStates) -> Rows:
    part = identity((2).to_bytes(2, "little"))
    owner, symbol = (chain.raw(30, f"SubtensorModule.{item}", part) for item in ("SubnetOwner", "TokenSymbol"))
    assert owner
    assert symbol
    known = (chain.subnet(30, item, 2) for item in ("NetworkRegisteredAt", "SubnetworkN"))
    registered_at, neurons = known
    return [(registered_at, address(owner), symbol[1:].decode(), None, neurons)]


@answers("Subnets by market value")
def _(chain: RecordedStates) -> Rows:
    found = []
    for netuid in (1, 2):
        issued = sum(chain.subnet(60, item, netuid) or 0 for item in ("SubnetAlphaIn", "SubnetAlphaOut"))
        price, pool = chain.price(60, netuid), chain.subnet(60, "SubnetTAO", netuid) or 0
        found.append((netuid, rounded(price, 9), issued, rounded(price * issued / 10**9, 3), tao(pool)))
    return [tuple(row) for row in sorted(found, key=lambda row: -row[3])]


@answers("Winners and losers between two blocks")
def _(chain: RecordedStates) -> Rows:
    prices = {netuid: (chain.price(50, netuid), chain.price(80, netuid)) for netuid in (1, 2)}
    grown = sorted(prices.items(), key=lambda item: -item[1][1] / item[1][0])
    return [(net, rounded(a, 9), rounded(b, 9), percent(b - a, a)) for net, (a, b) in grown]


@answers("New subnets, and what they cost")
def _(chain: RecordedStates) -> Rows:
    owner = chain.raw(LAST, "SubtensorModule.SubnetOwner", identity((2).to_bytes(2, "little")))
    assert owner
    cost = chain.number(10, "SubtensorModule.NetworkLastLockCost") or 0
    return [(2, chain.subnet(LAST, "NetworkRegisteredAt", 2), address(owner), tao(cost))]


@answers("What miners earned, against what their registration cost")
def _(chain: RecordedStates) -> Rows:
    epochs = sorted({chain.subnet(block, "LastMechansimStepBlock", 1) or 0 for block in range(71, LAST + 1)})
    earned: dict[tuple[int, str], list[Fraction]] = {}
    for epoch in (block for block in epochs if block > 70):
        for uid, emission in enumerate(chain.vector(epoch, "Emission", 1, 8)):
            sums = earned.setdefault((uid, chain.uids(epoch)[1, uid]), [Fraction(0), Fraction(0)])
            sums[0] += emission
            sums[1] += emission * chain.price(epoch, 1)
    found = []
    for (uid, hotkey), (alpha, worth) in earned.items():
        registered_at = chain.registered_at(LAST, 1, uid)
        burn = chain.subnet(registered_at - 1, "Burn", 1) if registered_at else None
        cost = tao(100_000_000 if burn is None else burn) if registered_at else None
        if alpha:
            found.append((uid, hotkey, int(alpha), tao(worth), cost))
    return [tuple(row) for row in sorted(found, key=lambda row: -row[2])]


@answers("Who held a uid, from when to when")
def _(chain: RecordedStates) -> Rows:
    held: dict[str, list[int]] = {}
    for block in range(LAST + 1):
        if hotkey := chain.uids(block).get((1, 6)):
            held.setdefault(hotkey, []).append(block)
    return [
        (hotkey, chain.registered_at(at[0], 1, 6), at[0], None if at[-1] == LAST else at[-1])
        for hotkey, at in held.items()
    ]


@answers("Registrations per subnet and day")
def _(chain: RecordedStates) -> Rows:
    first = chain.uids(0)
    seen = {(net, uid, chain.registered_at(b, net, uid)) for b in range(1, LAST + 1) for net, uid in chain.uids(b)}
    new = {one for one in seen if one[:2] not in first or one[2] != chain.registered_at(0, *one[:2])}
    day = chain.time(1).replace(second=0)
    return [
        (day, netuid, len(own), len(own) - len({uid for _, uid, _ in own}))
        for netuid in (0, 1, 2)
        if (own := [one for one in new if one[0] == netuid])
    ]


@answers("One hotkey through its swaps")
def _(chain: RecordedStates) -> Rows:
    hotkey, line = chain.uids(51)[1, 6], []
    since: int | None = None
    line.append((hotkey, since))
    for block in range(1, LAST + 1):
        was, now = chain.owners(block - 1), chain.owners(block)
        if hotkey in was and hotkey not in now:
            (hotkey,) = (key for key in now.keys() - was.keys() if now[key] == was[hotkey])
            line.append((hotkey, block))
    return [tuple(row) for row in line]


@answers("How long validators let their weights stand")
def _(chain: RecordedStates) -> Rows:
    updates: dict[int, set[int]] = {}
    for block in range(LAST + 1):
        for uid, updated in enumerate(chain.vector(block, "LastUpdate", 1, 8)):
            updates.setdefault(uid, set()).add(updated)
    found = []
    for uid, at in updates.items():
        times = [*sorted(at), LAST]
        longest = max(b - a for a, b in pairwise(times))
        found.append((uid, len(at) - 1, longest, LAST - max(at)))
    return [tuple(row) for row in sorted(found, key=lambda row: (-row[2], row[0]))]


@answers("The best of a subnet")
def _(chain: RecordedStates) -> Rows:
    incentive, dividends = (chain.vector(88, item, 1, 2) for item in ("Incentive", "Dividends"))
    emission, keys = chain.vector(88, "Emission", 1, 8), chain.uids(88)
    order = sorted(range(len(incentive)), key=lambda uid: (-incentive[uid], uid))[:5]
    return [
        (
            uid,
            keys[1, uid],
            rounded(Fraction(incentive[uid], 65535), 5),
            rounded(Fraction(dividends[uid], 65535), 5),
            chain.pool(88, keys[1, uid], 1)[0],
            emission[uid],
        )
        for uid in order
    ]


@answers("Dividends of validators over time")
def _(chain: RecordedStates) -> Rows:
    told = {block: chain.vector(block, "Dividends", 1, 2) for block in range(20, LAST + 1)}
    return [
        (block, 2, rounded(Fraction(told[block][2], 65535), 5))
        for block in range(21, LAST + 1)
        if told[block] != told[block - 1]
    ]


@answers("Who may be replaced next")
def _(chain: RecordedStates) -> Rows:
    scores, immunity = chain.vector(88, "PruningScores", 1, 2), chain.subnet(88, "ImmunityPeriod", 1) or 0
    since = [chain.registered_at(88, 1, uid) for uid in range(len(scores))]
    mortal = [uid for uid in range(len(scores)) if since[uid] + immunity <= 88]
    order = sorted(mortal, key=lambda uid: (scores[uid], since[uid], uid))[:4]
    return [(uid, chain.uids(88)[1, uid], scores[uid], since[uid] + immunity) for uid in order]


@answers("Permits that were gained and lost")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    had: list[int] = []
    for block in range(LAST + 1):
        now = chain.vector(block, "ValidatorPermit", 1, 1)
        old = had + [0] * (len(now) - len(had))
        found += [(block, uid, bool(permit)) for uid, permit in enumerate(now) if permit != old[uid]]
        had = now
    return found


@answers("Validators that have stopped setting weights")
def _(chain: RecordedStates) -> Rows:
    permits, updated = chain.vector(88, "ValidatorPermit", 1, 1), chain.vector(88, "LastUpdate", 1, 8)
    idle = sorted((updated[uid] - 88, uid) for uid, permit in enumerate(permits) if permit and 88 - updated[uid] > 70)
    return [(uid, chain.uids(88)[1, uid], -blocks) for blocks, uid in idle]


@answers("Coldkeys with several neurons")
def _(chain: RecordedStates) -> Rows:
    owners = chain.owners(88)
    by_coldkey: dict[str, list[tuple[int, str]]] = {}
    for (netuid, _), hotkey in chain.uids(88).items():
        by_coldkey.setdefault(owners[hotkey], []).append((netuid, hotkey))
    many = [(who, len(own), len({n for n, _ in own}), len({h for _, h in own})) for who, own in by_coldkey.items()]
    return [tuple(row) for row in sorted(many, key=lambda row: (-row[1], row[0])) if row[1] > 1]


@answers("Where neurons serve, and since when")
def _(chain: RecordedStates) -> Rows:
    ((key, value),) = chain.entries(88, "SubtensorModule.Axons").items()
    hotkey, netuid = address(key[-32:]), int.from_bytes(key[:2], "little")
    assert hotkey == H1
    (uid,) = (uid for (net, uid), holder in chain.uids(88).items() if holder == hotkey and net == netuid)
    ip = ".".join(str(part) for part in value[12:16][::-1])
    return [(netuid, hotkey, uid, ip, int.from_bytes(value[28:30], "little"), int.from_bytes(value[:8], "little"), 1)]


@answers("Child keys of a validator over time")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    was: tuple[bytes | None, bool] = (None, False)
    for block in range(LAST + 1):
        stored = [value for key, value in chain.entries(block, "SubtensorModule.ChildKeys").items() if key[-2] == 1]
        waits = bool(chain.entries(block, "SubtensorModule.PendingChildKeys"))
        now = (next((value for value in stored if len(value) > 1), None), waits)
        if now != was:
            children = now[0]
            child = None if children is None else address(children[9:41])
            part = None if children is None else int.from_bytes(children[1:9], "little")
            share = None if part is None else rounded(Fraction(part, 2**64 - 1), 4)
            found.append((block, child, share, waits))
        was = now
    return found


@answers("For whom may an account act")
def _(chain: RecordedStates) -> Rows:
    ((key, value),) = chain.entries(LAST, "Proxy.Proxies").items()
    since = next(block for block in range(LAST + 1) if chain.entries(block, "Proxy.Proxies"))
    assert value[0] == 4, "one proxy"
    assert value[33] == 0, "ProxyType::Any"
    delay, deposit = int.from_bytes(value[34:38], "little"), int.from_bytes(value[38:46], "little")
    return [(address(key[8:]), "Any", delay, deposit, since)]


@answers("Hotkeys of a coldkey over time")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    before = (b"", b"")
    for block in range(LAST + 1):
        lists = []
        for item in ("OwnedHotkeys", "StakingHotkeys"):
            every = chain.entries(block, f"SubtensorModule.{item}").items()
            lists.append(next((value for key, value in every if address(key[16:]) == GINA), b""))
        now = (lists[0], lists[1])
        if now != before:
            found.append((block, now[0][0] >> 2, now[1][0] >> 2))
        before = now
    return found


@answers("Blocks that took long, and how full they are")
def _(chain: RecordedStates) -> Rows:
    bins: dict[datetime, list[int]] = {}
    for block in range(1, LAST + 1):
        time = chain.time(block)
        bins.setdefault(time.replace(second=time.second // 30 * 30), []).append(block)
    return [
        (
            begin,
            len(blocks),
            sum(len(chain.lines[block]["extrinsics"]) for block in blocks),
            max((chain.time(b) - chain.time(b - 1) for b in blocks if b > 1), default=timedelta()),
        )
        for begin, blocks in bins.items()
    ]
