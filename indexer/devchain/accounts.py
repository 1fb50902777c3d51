"""Accounts and their balances: transfers, fees, reserves, birth and death, with the events the chain emits.

Owns System.Account and Balances. Below the existential deposit an account dies: its key goes, what was
left is lost. Holds move free to reserved without any Balances event; that silence is the point.
"""

from __future__ import annotations

from typing import Any, Protocol

from indexer.devchain.ledger import Ledger
from indexer.devchain.pallets_substrate import EXISTENTIAL_DEPOSIT_RAO


class DispatchFailed(Exception):
    """A call the chain refuses: its writes are taken back, its fee is kept."""

    def __init__(self, error: str | dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error
        """As ``sp_runtime::DispatchError``."""


class Emitter(Protocol):
    """Takes an event into the block."""

    def __call__(self, pallet: str, name: str, *values: Any, **fields: Any) -> None:
        """``values`` for unnamed fields, ``fields`` for named ones."""
        ...


NO_FUNDS = {"Token": "FundsUnavailable"}


def free(ledger: Ledger, who: bytes) -> int:
    """Free balance in rao; 0 if there is no such account."""
    return int(ledger.get("System.Account", who)["data"]["free"])


def issue(ledger: Ledger, emit: Emitter, who: bytes, rao: int, *, event: bool = True) -> None:
    """Create ``rao`` and give it to ``who``."""
    ledger.add("Balances.TotalIssuance", amount=rao)
    _credit(ledger, emit, who, rao)
    if event:
        emit("Balances", "Deposit", who=who, amount=rao)


def withdraw(ledger: Ledger, emit: Emitter, who: bytes, rao: int) -> None:
    """Take ``rao`` from ``who`` out of existence. Raises ``DispatchFailed``."""
    _debit(ledger, emit, who, rao, keep_alive=True)
    ledger.take_away("Balances.TotalIssuance", amount=rao)
    emit("Balances", "Withdraw", who=who, amount=rao)


def transfer(
    ledger: Ledger, emit: Emitter, source: bytes, target: bytes, rao: int, *, keep_alive: bool = False
) -> None:
    """Move free balance. Raises ``DispatchFailed`` where funds lack or the target would stay below the deposit."""
    if rao == 0 or source == target:
        return
    if not ledger.has("System.Account", target) and rao < EXISTENTIAL_DEPOSIT_RAO:
        raise DispatchFailed({"Token": "BelowMinimum"})
    _debit(ledger, emit, source, rao, keep_alive=keep_alive)
    _credit(ledger, emit, target, rao)
    emit("Balances", "Transfer", **{"from": source, "to": target, "amount": rao})


def transferable(ledger: Ledger, who: bytes) -> int:
    """What ``who`` may send away: all of it unless something is reserved, which keeps the account alive."""
    data = ledger.get("System.Account", who)["data"]
    return int(max(0, data["free"] - (EXISTENTIAL_DEPOSIT_RAO if data["reserved"] else 0)))


def reserve(ledger: Ledger, emit: Emitter | None, who: bytes, rao: int) -> None:
    """Move free to reserved; without ``emit`` silently, as a hold. Raises ``DispatchFailed``."""
    account = ledger.get("System.Account", who)
    if account["data"]["free"] < rao + EXISTENTIAL_DEPOSIT_RAO:
        raise DispatchFailed(NO_FUNDS)
    account["data"]["free"] -= rao
    account["data"]["reserved"] += rao
    account["consumers"] += 1
    ledger.put("System.Account", who, value=account)
    if emit is not None:
        emit("Balances", "Reserved", who=who, amount=rao)


def unreserve(ledger: Ledger, emit: Emitter | None, who: bytes, rao: int) -> None:
    """The reverse of ``reserve``."""
    account = ledger.get("System.Account", who)
    moved = min(rao, account["data"]["reserved"])
    account["data"]["reserved"] -= moved
    account["data"]["free"] += moved
    account["consumers"] = max(0, account["consumers"] - 1)
    ledger.put("System.Account", who, value=account)
    if emit is not None:
        emit("Balances", "Unreserved", who=who, amount=moved)


def charge_fee(ledger: Ledger, emit: Emitter, who: bytes, author: bytes, fee_rao: int) -> None:
    """Raise the signer's nonce and move the fee to the author. Raises ``DispatchFailed`` if it cannot be paid."""
    account = ledger.get("System.Account", who)
    if account["data"]["free"] < fee_rao + EXISTENTIAL_DEPOSIT_RAO:
        raise DispatchFailed(NO_FUNDS)
    account["nonce"] += 1
    account["data"]["free"] -= fee_rao
    ledger.put("System.Account", who, value=account)
    emit("Balances", "Withdraw", who=who, amount=fee_rao)
    _credit(ledger, emit, author, fee_rao)
    emit("Balances", "Deposit", who=author, amount=fee_rao)


def _credit(ledger: Ledger, emit: Emitter, who: bytes, rao: int) -> None:
    born = not ledger.has("System.Account", who)
    account = ledger.get("System.Account", who)
    account["data"]["free"] += rao
    if born:
        account["providers"] = 1
        emit("System", "NewAccount", account=who)
        emit("Balances", "Endowed", account=who, free_balance=rao)
    ledger.put("System.Account", who, value=account)


def _debit(ledger: Ledger, emit: Emitter, who: bytes, rao: int, *, keep_alive: bool) -> None:
    account = ledger.get("System.Account", who)
    left = account["data"]["free"] - rao
    if left < 0:
        raise DispatchFailed(NO_FUNDS)
    if left >= EXISTENTIAL_DEPOSIT_RAO:
        account["data"]["free"] = left
        ledger.put("System.Account", who, value=account)
        return
    if keep_alive or account["data"]["reserved"]:
        raise DispatchFailed({"Token": "NotExpendable"})
    ledger.remove("System.Account", who)
    emit("System", "KilledAccount", account=who)
    if left:
        ledger.take_away("Balances.TotalIssuance", amount=left)
        emit("Balances", "DustLost", account=who, amount=left)
