"""The runtime's own answers against the SQL functions: stake, hyperparameters, price.

What is derived from several storage items is right only if the formula is. Roots prove the items; these calls
ask the runtime for the results. They are not proven, so they come beside the roots and not instead of them;
what a runtime or a node does not offer is skipped with a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeGuard

from indexer.errors import DecodeError, Fatal, Retryable
from indexer.link import RpcRefused
from indexer.model import ItemRef
from indexer.scale import ss58_decode
from indexer.sqlstate import mapped_errors
from indexer.verify.report import Difference
from indexer.verify.snapshot import Snapshot
from indexer.verify.truth import Truth

COLDKEYS = 50
"""Coldkeys whose stake is asked for, if the comparison is not a sample of another size."""
ASKED_OF = frozenset({"hyperparameters", "stake", "subnets"})
"""Datasets whose functions are held against the runtime's answers: all have to be there."""
RAO = 10**9
STAKE = ("StakeInfoRuntimeApi", "get_stake_info_for_coldkeys")
HYPERPARAMETERS = ("SubnetInfoRuntimeApi", "get_subnet_hyperparams_v2")
PRICE = ("SwapRuntimeApi", "current_alpha_price")
VERSION = ("Core", "version")
FIXED_POINT = {"alpha_sigmoid_steepness": 32}
"""Fields that the runtime's answer gives as fixed point, and their fraction bits."""
CUTOFF_FACTOR = ItemRef("SubtensorModule", "ActivityCutoffFactorMilli")
NO_WEIGHTS_LIMIT = 65535


@dataclass(slots=True)
class Checked:
    """What the calls gave."""

    differences: list[Difference]
    skipped: list[str]
    values: int
    """How many values were compared."""

    def differs(self, dataset: str, function: str, key: tuple[object, ...], what: str, sql: Any, api: Any) -> None:
        """Note a value that SQL gives otherwise than the runtime."""
        stored, chain = (None if value is None else str(value) for value in (sql, api))
        self.differences.append(Difference(dataset, function, key, what, stored, chain, is_repairable=False))


class _NotOffered(Retryable):
    """The runtime or the node lacks a call."""


async def crosscheck(truth: Truth, snapshot: Snapshot, coldkeys: Sequence[bytes] | int | None = None) -> Checked:
    """Compare as of the truth's block. ``coldkeys``: those to ask for, or how many random ones."""
    checked = Checked([], [], 0)
    number = truth.block.number
    try:
        await _same_runtime(truth)
    except _NotOffered as reason:
        checked.skipped.append(f"runtime API: {reason}")
        return checked
    with mapped_errors("read what the runtime is asked for"):
        if coldkeys is None or isinstance(coldkeys, int):
            found = await snapshot.connection.fetch(
                "SELECT coldkey FROM (SELECT DISTINCT coldkey FROM stake_shares WHERE length(coldkey) = 32) x "
                "ORDER BY random() LIMIT $1",
                COLDKEYS if coldkeys is None else coldkeys,
            )
            coldkeys = [record[0] for record in found]
        subnets = await snapshot.connection.fetch(
            "SELECT netuid, price FROM subnets_at($1) WHERE networks_added ORDER BY netuid", number
        )
    prices = {record["netuid"]: record["price"] for record in subnets}
    for check in (
        partial(_stake, truth, snapshot, coldkeys, checked),
        partial(_hyperparameters, truth, snapshot, list(prices), checked),
        partial(_prices, truth, prices, checked),
    ):
        try:
            async with snapshot.connection.transaction():  # a savepoint: what rows make fail must not end the reading
                await check()
        except (_NotOffered, Fatal) as reason:
            checked.skipped.append(str(reason))
    return checked


async def _same_runtime(truth: Truth) -> None:
    """An upgrade block's state answers with the new runtime, while its rows are those of the old one."""
    version = await _ask(truth, VERSION)
    if not isinstance(version, dict) or version.get("spec_version") != truth.block.spec_version:
        raise _NotOffered(f"block {truth.block.number} upgraded the runtime: ask at another block")


async def _ask(truth: Truth, call: tuple[str, str], *given: object) -> Any:
    runtime = truth.runtime
    if call not in runtime.apis:
        raise _NotOffered(f"{'.'.join(call)}: metadata V{runtime.metadata_version} does not list it")
    arguments = runtime.encode_api_args(*call, *given)
    try:
        answer = await truth.node.state_call("_".join(call), arguments, truth.header.ref.hash)
        return runtime.decode_api(*call, answer)
    except RpcRefused as refusal:
        raise _NotOffered(f"{'.'.join(call)}: the node refuses: {refusal}") from None
    except DecodeError as error:
        raise _NotOffered(f"{'.'.join(call)}: the answer is none: {error}") from None


async def _stake(truth: Truth, snapshot: Snapshot, coldkeys: Sequence[bytes], checked: Checked) -> None:
    """``delegations_at`` of each coldkey: the same positions with the same alpha."""
    answer = await _ask(truth, STAKE, list(coldkeys))
    wanted = {
        (bytes(info["hotkey"]), coldkey, info["netuid"]): info["stake"]
        for coldkey, infos in answer
        for info in infos
        if info["stake"]
    }
    found: dict[tuple[bytes, bytes, int], int] = {}
    for coldkey in coldkeys:
        with mapped_errors("read delegations"):
            rows = await snapshot.connection.fetch(
                "SELECT hotkey, netuid, alpha_rao FROM delegations_at($1, of_coldkey => $2)",
                truth.block.number, f"0x{coldkey.hex()}",
            )  # fmt: skip
        found.update({(ss58_decode(row["hotkey"]), coldkey, row["netuid"]): row["alpha_rao"] for row in rows})
    for hotkey, coldkey, netuid in sorted(wanted.keys() | found.keys()):
        sql, api = found.get((hotkey, coldkey, netuid)), wanted.get((hotkey, coldkey, netuid))
        if sql != api:
            checked.differs("stake", "delegations_at", (netuid, hotkey, coldkey), ".".join(STAKE), sql, api)
    checked.values += len(wanted)


async def _hyperparameters(truth: Truth, snapshot: Snapshot, netuids: Sequence[int], checked: Checked) -> None:
    """``hyperparameters_at`` of each subnet: every field of the answer, by its name."""
    for netuid in netuids:
        answer = await _ask(truth, HYPERPARAMETERS, netuid)
        with mapped_errors("read hyperparameters"):
            rows = await snapshot.connection.fetch(
                "SELECT name, value FROM hyperparameters_at($1, $2)", netuid, truth.block.number
            )
        found = _in_force({row["name"]: row["value"] for row in rows}, truth)
        for name, value in (answer or {}).items():
            wanted = Decimal(value) / (1 << FIXED_POINT.get(name, 0))
            if found.get(name) != wanted:
                what = ".".join(HYPERPARAMETERS)
                checked.differs("hyperparameters", "hyperparameters_at", (netuid, name), what, found.get(name), wanted)
        checked.values += len(answer or {})


def _in_force(found: dict[str, Decimal | None], truth: Truth) -> dict[str, Decimal | None]:
    """Values as the runtime's answer has them, which derives two that it once read (MODEL.md 3)."""
    factor, tempo = found.get("activity_cutoff_factor"), found.get("tempo")
    if not truth.runtime.has(CUTOFF_FACTOR) or not _is_number(factor) or not _is_number(tempo):
        return found
    cutoff = max(Decimal(1), factor * tempo // 1000)
    return {**found, "activity_cutoff": cutoff, "max_weights_limit": Decimal(NO_WEIGHTS_LIMIT)}


async def _prices(truth: Truth, prices: dict[int, Decimal | None], checked: Checked) -> None:
    """The price of ``subnets_at`` within 1 rao of the runtime's, which rounds its own way."""
    for netuid, price in prices.items():
        wanted = await _ask(truth, PRICE, netuid)
        if not _is_number(price) or abs(int(price * RAO) - wanted) > 1:
            checked.differs("subnets", "subnets_at", (netuid,), ".".join(PRICE), price, Decimal(wanted) / RAO)
        checked.values += 1


def _is_number(value: Decimal | None) -> TypeGuard[Decimal]:
    """Not NULL, nor one of the values of ``numeric`` that are none."""
    return value is not None and value.is_finite()
