"""What the cookbook's answers about balances and stake must be, worked out from the recorded states alone.

One function per question, under its title. It names the same accounts and blocks as the statement and
returns the whole answer, row by row; nothing here sees the database or the statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from recorded_state import LAST, Account, RecordedStates, address, rounded, tao

Rows = list[tuple[object, ...]]
TRUTH: dict[str, Callable[[RecordedStates], Rows]] = {}

GINA = "5DRz386UVTUhWzHMwr8GAPxuVAiHD2VC5xTbBvNftknygnCT"
HUGO = "5DvhMMCqcNPVPT9vnifbADvGbZaKeyLSuETFyBVYG7W4v2Kf"
IVY = "5HQcsnBJByTeJpmw9Njxfio9x6HstZJ3G36vKNASpYTeg7Qc"
JACK = "5Ct8vTcGFx7FfhBZB5NwqysKh6WrTHScw8R8GSXTFkTTdyNw"
H1 = "5GpBtdgLTYjZfP8MuzeetgELe62ZTLCCTidhNx3M4n3JA9fC"
H3 = "5CD1kqmn1cr3uEyvVQj7cxrjR4cX9DGcZ5LNvvZT7tajT5vb"
NOBODY = Account(0, 0, 0, 0)


def answers(title: str) -> Callable[[Callable[[RecordedStates], Rows]], Callable[[RecordedStates], Rows]]:
    """Enter a function under the title of its question."""

    def enter(function: Callable[[RecordedStates], Rows]) -> Callable[[RecordedStates], Rows]:
        assert title not in TRUTH, title
        TRUTH[title] = function
        return function

    return enter


def liquid(account: Account) -> int:
    """Free and reserved, in rao."""
    return account.free + account.reserved


def wealth(chain: RecordedStates, block: int) -> Counter[str]:
    """Free, reserved and staked rao of TAO of everybody who has an account or a position."""
    found = Counter({who: liquid(account) for who, account in chain.accounts(block).items()})
    for (_, coldkey, _), worth in chain.worth(block).items():
        found[coldkey] += worth
    return found


def percent(part: Fraction | int, whole: Fraction | int, digits: int = 2) -> Decimal:
    """100 part / whole."""
    return rounded(100 * Fraction(part) / whole, digits)


@answers("Account statement")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in range(40, 61):
        was, now = (chain.accounts(at).get(HUGO, NOBODY) for at in (block - 1, block))
        if was != now:
            change = now.free - was.free
            found.append((block, chain.time(block), now.free, change, tao(change), now.nonce > was.nonce))
    return found


@answers("Who nominates a validator on a subnet")
def _(chain: RecordedStates) -> Rows:
    there = {key[1]: alpha for key, alpha in chain.positions(60).items() if key[0] == H1 and key[2] == 1}
    ranked = sorted(there.items(), key=lambda item: -item[1])
    total = sum(there.values())
    return [
        (rank, coldkey, alpha, tao(int(alpha * chain.price(60, 1))), percent(alpha, total))
        for rank, (coldkey, alpha) in enumerate(ranked, 1)
    ]


@answers("What a coldkey earned by staking, apart from what it put in")
def _(chain: RecordedStates) -> Rows:
    put_in, gained = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for sign, block in ((-1, 46), (1, 88)):
        for (hotkey, coldkey, netuid), alpha in chain.positions(block).items():
            if coldkey == HUGO:
                gained[netuid, hotkey] += sign * alpha
    for _, hotkey, coldkey, netuid, flow, *_ in chain.flows(46, 88):
        if coldkey == HUGO:
            put_in[netuid, hotkey] += flow
            gained[netuid, hotkey] -= flow
    keys = sorted(put_in.keys() | gained.keys())
    rows = [(hotkey, netuid, put_in[netuid, hotkey], gained[netuid, hotkey]) for netuid, hotkey in keys]
    return [row for row in rows if row[2] or row[3]]


@answers("Yield of validators on a subnet over any window")
def _(chain: RecordedStates) -> Rows:
    grown = {}
    for hotkey in {key[0] for key in chain.positions(60) if key[2] == 1}:
        (before, shares), (after, all_shares) = (chain.pool(block, hotkey, 1) for block in (60, 88))
        grown[hotkey] = Fraction(after, all_shares) / Fraction(before, shares) - 1
    return [
        (hotkey, rounded(100 * growth, 4), rounded(100 * growth * 365 * 86400 / 28, 0))
        for hotkey, growth in sorted(grown.items(), key=lambda item: -item[1])
        if growth
    ]


@answers("Biggest moves of stake in the last day")
def _(chain: RecordedStates) -> Rows:
    moves = [move for move in chain.flows(LAST - 60, LAST) if not move[6]]
    moves.sort(key=lambda move: (-abs(move[5]), move[0], move[2], move[1]))
    return [(block, cold, hot, net, flow, tao(worth)) for block, hot, cold, net, flow, worth, _ in moves[:6]]


@answers("Rich list")
def _(chain: RecordedStates) -> Rows:
    accounts = chain.accounts(60)
    return [
        (who, (own := liquid(accounts.get(who, NOBODY))), worth - own, tao(worth))
        for who, worth in wealth(chain, 60).most_common(5)
    ]


@answers("How concentrated wealth is")
def _(chain: RecordedStates) -> Rows:
    ordered = sorted(wealth(chain, 60).values())
    count, total = len(ordered), sum(ordered)
    # Half the mean absolute difference of all pairs, over the mean: another road than that of the statement.
    gini = Fraction(sum(abs(a - b) for a in ordered for b in ordered), 2 * count * total)
    return [(count, tao(total), rounded(gini, 4), percent(sum(ordered[-10:]), total))]


@answers("Does the supply add up")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in range(1, LAST + 1):
        now, was = chain.accounts(block), chain.accounts(block - 1)
        held, counted = sum(map(liquid, now.values())), chain.issuance(block, "Balances")
        missing = counted - held
        if now != was and (not found or found[-1][3] != missing):
            found.append((block, held, counted, missing, chain.issuance(block, "SubtensorModule")))
    return found


@answers("Does the alpha add up")
def _(chain: RecordedStates) -> Rows:
    positions = chain.positions(80)
    found: Rows = []
    for netuid in (1, 2):
        hotkeys = {key[0] for key in chain.shares(80) if key[2] == netuid}
        held = sum(alpha for key, alpha in positions.items() if key[2] == netuid)
        pools = sum(chain.pool(80, hotkey, netuid)[0] for hotkey in hotkeys)
        found.append((netuid, held, pools, chain.subnet(80, "SubnetAlphaOut", netuid)))
    return found


@answers("Biggest moves of balances in the last day")
def _(chain: RecordedStates) -> Rows:
    moves = []
    for block in range(LAST - 59, LAST + 1):
        was, now = chain.accounts(block - 1), chain.accounts(block)
        for who in was.keys() | now.keys():
            change = liquid(now.get(who, NOBODY)) - liquid(was.get(who, NOBODY))
            moves.append((-abs(change), block, who, change))
    return [(block, who, tao(change)) for _, block, who, change in sorted(moves)[:6]]


@answers("Worth of a coldkey over time")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in (8, 28, 48, 68, 88):
        own = liquid(chain.accounts(block).get(IVY, NOBODY))
        staked = sum(worth for key, worth in chain.worth(block).items() if key[1] == IVY)
        found.append((block, own, staked, tao(own + staked)))
    return found


@answers("Dormant accounts")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for who, account in chain.accounts(LAST).items():
        signed = [b for b in range(1, LAST + 1) if chain.accounts(b).get(who, NOBODY).nonce == account.nonce]
        if account.nonce and account.free and signed[0] < 35:
            found.append((who, account.free, signed[0]))
    return sorted(found, key=lambda row: -int(str(row[1])))


@answers("Accounts that were removed, and whether they came back")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in range(1, LAST + 1):
        for who in chain.accounts(block - 1).keys() - chain.accounts(block).keys():
            back = (b for b in range(block, LAST + 1) if who in chain.accounts(b))
            found.append((who, block, chain.accounts(block - 1)[who].free, next(back, None)))
    return found


@answers("New accounts")
def _(chain: RecordedStates) -> Rows:
    firsts: dict[str, int] = {}
    for block in range(LAST + 1):
        for who in chain.accounts(block):
            firsts.setdefault(who, block)
    return [(chain.time(1).replace(second=0), len(firsts), min(firsts.values()), max(firsts.values()))]


@answers("What holds balances that cannot be spent")
def _(chain: RecordedStates) -> Rows:
    proxies = {
        address(key[8:]): int.from_bytes(value[38:46], "little")  # after one proxy of 37 bytes
        for key, value in chain.entries(LAST, "Proxy.Proxies").items()
    }
    held = [(who, one) for who, one in chain.accounts(LAST).items() if one.reserved or one.frozen]
    held.sort(key=lambda item: -item[1].reserved)
    return [(who, one.free, one.reserved, one.frozen, proxies.get(who)) for who, one in held]


@answers("Portfolio of a coldkey")
def _(chain: RecordedStates) -> Rows:
    worth = {key: value for key, value in chain.worth(60).items() if key[1] == IVY}
    total, alpha = sum(worth.values()), chain.positions(60)
    return [
        (key[2], key[0], alpha[key], tao(value), percent(value, total))
        for key, value in sorted(worth.items(), key=lambda item: -item[1])
    ]


@answers("Total stake of several coldkeys")
def _(chain: RecordedStates) -> Rows:
    worth = chain.worth(60)
    found: Rows = []
    for who in (HUGO, JACK):
        own = [value for key, value in worth.items() if key[1] == who]
        found.append((who, len(own), tao(sum(own))))
    return found


@answers("A validator's nominators over time")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for block in (12, 31, 50, 69, 88):
        own = [alpha for key, alpha in chain.positions(block).items() if key[0] == H3 and key[2] == 1]
        found.append((block, len(own), sum(own) or None))
    return found


@answers("Changes of take")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    before: dict[str, int] = {}
    for block in range(LAST + 1):
        now = {
            address(key[16:]): int.from_bytes(value, "little")
            for key, value in chain.entries(block, "SubtensorModule.Delegates").items()
        }
        for hotkey, take in sorted(now.items()):
            if (was := before.get(hotkey)) != take:
                found.append((block, hotkey, None if was is None else percent(was, 65535), percent(take, 65535)))
        before = now
    return found


@answers("Who left a validator, who came")
def _(chain: RecordedStates) -> Rows:
    alpha, worth = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for _, hotkey, coldkey, netuid, flow, value, is_owner in chain.flows(20, 60):
        if hotkey == H1 and not is_owner:
            alpha[coldkey, netuid] += flow
            worth[coldkey, netuid] += value
    return [(*key, alpha[key], tao(value)) for key, value in sorted(worth.items(), key=lambda item: item[1]) if value]


@answers("How concentrated the stake of a subnet is")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    for netuid in (1, 2):
        held = Counter[str]()
        for (hotkey, _, where), alpha in chain.positions(60).items():
            if where == netuid:
                held[hotkey] += alpha
        total = sum(held.values())
        parts = [Fraction(alpha, total) for _, alpha in held.most_common()]
        index = rounded(Fraction(sum(part * part for part in parts)), 4)
        found.append((netuid, len(parts), percent(parts[0], 1), percent(sum(parts[:3]), 1), index))
    return found


@answers("Net flow of stake by subnet")
def _(chain: RecordedStates) -> Rows:
    found: Rows = []
    moves = chain.flows(14, 50)
    for netuid in sorted({move[3] for move in moves}):
        own = [move[5] for move in moves if move[3] == netuid]
        sums = [sum(v for v in own if v > 0), sum(v for v in own if v < 0), sum(own)]
        found.append((netuid, *(rounded(Fraction(part, 10**9), 6) if part else None for part in sums)))
    return found


@answers("Positions that came and are gone again")
def _(chain: RecordedStates) -> Rows:
    seen: dict[tuple[str, str, int], list[int]] = {}
    for block in range(LAST + 1):
        for position in chain.shares(block):
            seen.setdefault(position, []).append(block)
    gone = [(net, hot, cold, at[0], at[-1] + 1) for (hot, cold, net), at in seen.items() if at[-1] < LAST]
    return [tuple(row) for row in sorted(gone, key=lambda row: (row[4], row[0], row[1], row[2]))]
