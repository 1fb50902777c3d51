"""What the chain itself says: every transfer and every change of a free balance, and what an indexer has of them.

Reads the simulated chain with the declarations that made it, so it shares no decoder with any of the sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexer.devchain.chain import Chain
from indexer.devchain.runtimes import SPEC_293, SPEC_475
from indexer.devchain.state import State

DECLARED = {one.spec_version: one for one in (SPEC_293, SPEC_475)}
ACCOUNT, POOL = SPEC_293.item("System", "Account"), SPEC_293.item("SubtensorModule", "TotalHotkeyAlpha")
ACCOUNTS, POOLS = ACCOUNT.prefix("System"), POOL.prefix("SubtensorModule")

Balances = Mapping[tuple[int, bytes], int]
"""Free balance in rao by block and account."""
Transfers = list[tuple[int, bytes, bytes, int]]
"""Block, sender, recipient, rao; sorted."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Of the blocks 1 to the last."""

    transfers: Transfers
    balances: Balances
    """Each change: the value after it."""
    unnamed: int
    """Changes of a free balance whose account no event of Balances names in that block."""
    no_transfer: int
    """Those whose account no event Balances.Transfer names."""
    pools: int
    """Changes of a hotkey's stake on a subnet."""
    pools_unnamed: int
    """Those whose hotkey no event of that block names."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one side has, held against the truth."""

    transfers: int
    transfers_wrong: int
    """Missing or too many."""
    rows: int
    """Of balances, from block 1 on."""
    missed: int
    wrong: int
    """Changes that have a row, with another value."""
    unchanged: int
    """Rows for blocks in which the free balance stayed as it was."""


def truth(chain: Chain, last: int) -> Truth:
    """Read every state up to block ``last``."""
    transfers: Transfers = []
    balances: dict[tuple[int, bytes], int] = {}
    unnamed = no_transfer = pools = pools_unnamed = 0
    free, stakes = _free(chain, 0), _values(chain, 0, POOLS)
    for number in range(1, last + 1):
        runtime = DECLARED[chain.executed_by(chain.at(number).hash).spec_version]
        raw = _state(chain, number).get(runtime.item("System", "Events").key("System")) or b"\0"
        events = [record["event"] for record in runtime.item("System", "Events").value.decode(raw)]
        moves = [event["Balances"] for event in events if "Balances" in event]
        sent = [move["Transfer"] for move in moves if "Transfer" in move]
        transfers += [(number, one["from"], one["to"], one["amount"]) for one in sent]
        by_balances, by_transfer, by_any = _accounts(moves), _accounts(sent), _accounts(events)
        before, free = free, _free(chain, number)
        changed = {who for who in {*before, *free} if before.get(who, 0) != free.get(who, 0)}
        balances |= {(number, who): free.get(who, 0) for who in changed}
        unnamed += len(changed - by_balances)
        no_transfer += len(changed - by_transfer)
        older, stakes = stakes, _values(chain, number, POOLS)
        moved = [key for key in {*older, *stakes} if older.get(key) != stakes.get(key)]
        pools += len(moved)
        pools_unnamed += sum(POOL.split(key)[0] not in by_any for key in moved)
    return Truth(sorted(transfers), balances, unnamed, no_transfer, pools, pools_unnamed)


def found(true: Truth, transfers: Transfers, balances: Balances) -> Found:
    """Hold what a side has against the truth."""
    has, should = Counter(transfers), Counter(true.transfers)  # one block may hold the same transfer twice
    return Found(
        len(transfers),
        (has - should).total() + (should - has).total(),
        len(balances),
        len(true.balances.keys() - balances.keys()),
        sum(balances[place] != value for place, value in true.balances.items() if place in balances),
        len(balances.keys() - true.balances.keys()),
    )


def _state(chain: Chain, number: int) -> State:
    return chain.state(chain.at(number).hash)


def _values(chain: Chain, number: int, prefix: bytes) -> dict[bytes, bytes]:
    state = _state(chain, number)
    return {key: state.get(key) or b"" for key in state.keys(prefix)}


def _free(chain: Chain, number: int) -> dict[bytes, int]:
    raws = _values(chain, number, ACCOUNTS)
    return {ACCOUNT.split(key)[0]: ACCOUNT.value.decode(raw)["data"]["free"] for key, raw in raws.items()}


def _accounts(value: Any) -> set[bytes]:
    """Whatever could be an account in a decoded value."""
    if isinstance(value, bytes):
        return {value} if len(value) == 32 else set()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return {account for part in parts for account in _accounts(part)}
