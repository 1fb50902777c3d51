"""One endpoint, asked by itself over a connection of its own: what it is, serves and holds.

Nothing is tried elsewhere and nothing is hidden: what a pool would go around is what is wanted here. What it
told before it failed, or before the time was over, is kept.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import anyio

from indexer.block import parse_header
from indexer.capture import EVENTS, TIMESTAMP, item_prefix
from indexer.errors import IndexerError, NodeError, ProofError, backoff, root_cause
from indexer.link import Busy, Link, RpcRefused, TooLarge, open_link
from indexer.model import Header
from indexer.pool import METHOD_NOT_FOUND
from indexer.preflight import horizon
from indexer.preflight.findings import EndpointFacts
from indexer.redaction import foreign, printable, quoted
from indexer.trie import by_hash

CONNECT_TIMEOUT_S = 10.0
LATENCY_CALLS = 5
BURST = 16
"""Requests at once, to see whether the endpoint refuses as many as a backfill makes."""
BUSY_TRIES = 4
NAME_MAX = 100

NEEDED = (
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "state_call",
    "state_getRuntimeVersion",
    "state_queryStorageAt",
    "system_chain",
)
"""Without any of these `run` cannot work."""
WANTED = {
    "state_getReadProof": "blocks cannot be proven complete",
    "chain_subscribeFinalizedHeads": "heads are asked for every 6 s",
    "chain_subscribeNewHeads": "heads are asked for every 6 s",
    "chain_getBlock": "the dataset extrinsics stays incomplete",
    "state_getMetadata": "blocks of runtimes before versioned metadata cannot be decoded",
    "system_properties": "addresses are shown with SS58 prefix 42",
}
"""What is lost without each of these."""


class _Caller:
    """Requests on one link, counted; one that is refused for load is made again a few times."""

    def __init__(self, link: Link, timeout_s: float) -> None:
        self._link, self._timeout_s = link, timeout_s
        self.requests = self.busy = self.largest = 0

    async def ask(self, method: str, *params: Any) -> Any:
        """The result. Raises ``NodeError``."""
        pauses_s = backoff(0.25, 4.0)
        for _ in range(BUSY_TRIES):
            self.requests += 1
            try:
                result, size = await self._link.request(method, params, self._timeout_s)
            except Busy as busy:
                self.busy += 1
                if self._link.lost:
                    raise
                await anyio.sleep(max(next(pauses_s), min(busy.retry_after_s, 5.0)))
                continue
            self.largest = max(self.largest, size)
            return result
        raise NodeError(f"{self._link.name} refuses {method} for its load, {BUSY_TRIES} times in a row")

    async def ask_or_none(self, method: str, *params: Any) -> Any:
        """The result of what an endpoint need not serve; None if it refuses."""
        try:
            return await self.ask(method, *params)
        except RpcRefused:
            return None

    async def block_hash(self, number: int) -> str | None:
        """Hash of the block at a height as hex."""
        found = await self.ask("chain_getBlockHash", number)
        if found is not None and not isinstance(found, str):
            raise NodeError(f"{self._link.name} answered {quoted(found)} where a block hash was expected")
        return found

    async def header(self, block_hash: str) -> Header:
        """A header that hashes to what was asked."""
        found = await self.ask("chain_getHeader", block_hash)
        try:
            return parse_header(found, bytes.fromhex(block_hash.removeprefix("0x")), self._link.name)
        except ValueError:
            raise NodeError(f"{self._link.name} answered {quoted(block_hash)} where a hash was expected") from None

    async def time_ms(self, block_hash: str) -> int | None:
        """The time in a block's state; None if the state cannot be read or has none.

        Raises ``NodeError`` if state cannot be asked for at all.
        """
        key = "0x" + item_prefix(TIMESTAMP).hex()
        try:
            answer = await self.ask("state_queryStorageAt", [key], block_hash)
            value = answer[0]["changes"][0][1]
            return None if value is None else int.from_bytes(bytes.fromhex(value[2:]), "little")
        except RpcRefused as refusal:
            if refusal.code == METHOD_NOT_FOUND:
                raise
            return None
        except (IndexError, KeyError, TypeError, ValueError):
            return None


async def look(url: str, name: str, *, is_archive: bool, timeout_s: float, within_s: float) -> EndpointFacts:
    """What an endpoint is, serves and holds, as far as it told within ``within_s``; never raises ``NodeError``.

    ``timeout_s`` is for one request.
    """
    known: dict[str, Any] = {}
    with anyio.move_on_after(within_s) as scope:
        try:
            link = await open_link(url, min(CONNECT_TIMEOUT_S, timeout_s, within_s))
            async with anyio.create_task_group() as group:
                group.start_soon(link.read, name=f"check {name}")
                caller = _Caller(link, timeout_s)
                try:
                    with _kept_counts(caller, known):
                        await _look(caller, known)
                except IndexerError as error:
                    known["problem"] = foreign(str(error), url)
                finally:
                    with anyio.move_on_after(2, shield=True):
                        await link.close()
                    group.cancel_scope.cancel()
        except IndexerError as error:
            known["problem"] = foreign(str(error), url)
    if scope.cancelled_caught:
        known["problem"] = f"{name} did not tell everything within {within_s:.0f} s"
    return replace(EndpointFacts(name, is_archive), **known)


@contextmanager
def _kept_counts(caller: _Caller, known: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    finally:
        known |= {
            "requests": caller.requests,
            "refused_for_load": caller.busy,
            "largest_answer_bytes": caller.largest,
        }


async def _look(caller: _Caller, known: dict[str, Any]) -> None:
    """Fill ``known``, what matters most first."""
    known["genesis_hash"] = await caller.block_hash(0)
    known["chain"] = printable(str(await caller.ask("system_chain")))[:NAME_MAX]
    known["best_block"] = parse_header(await caller.ask("chain_getHeader"), None, "it").ref.number
    final = await caller.header(str(await caller.ask("chain_getFinalizedHead")))
    final_hash = "0x" + final.ref.hash.hex()
    known["finalized_block"], known["finalized_hash"] = final.ref.number, final_hash
    await _names(caller, known, final_hash)
    await _speed(caller, known)
    await _proofs(caller, known, final)
    now_ms = await caller.time_ms(final_hash)
    known["finalized_age_s"] = None if now_ms is None else round(time.time() - now_ms / 1000, 1)
    await _held(caller, known, final.ref.number, now_ms)


async def _names(caller: _Caller, known: dict[str, Any], block_hash: str) -> None:
    """Runtime, program, prefix and methods."""
    version = await caller.ask_or_none("state_getRuntimeVersion", block_hash)
    if isinstance(version, dict) and isinstance(version.get("specVersion"), int):
        known["spec_version"] = version["specVersion"]
    program = [await caller.ask_or_none(method) for method in ("system_name", "system_version")]
    known["node"] = printable(" ".join(str(part) for part in program if part))[:NAME_MAX] or None
    properties = await caller.ask_or_none("system_properties")
    if isinstance(properties, dict) and type(properties.get("ss58Format")) is int:
        known["ss58_prefix"] = properties["ss58Format"]
    methods = await caller.ask_or_none("rpc_methods")
    if isinstance(methods, dict) and isinstance(methods.get("methods"), list):
        listed = {method for method in methods["methods"] if isinstance(method, str)}
        known["missing_methods"] = tuple(method for method in (*NEEDED, *WANTED) if method not in listed)


async def _speed(caller: _Caller, known: dict[str, Any]) -> None:
    """The latency of a request by itself; then many at once, whose refusals are counted."""
    times = []
    for _ in range(LATENCY_CALLS):
        began_s = time.monotonic()
        await caller.ask("chain_getHeader")
        times.append(time.monotonic() - began_s)
    known["latency_s"] = round(statistics.median(times), 5)

    async def ask() -> None:
        await caller.ask("chain_getHeader")

    try:
        async with anyio.create_task_group() as group:
            for _ in range(BURST):
                group.start_soon(ask, name="burst")
    except BaseExceptionGroup as errors:
        cause = root_cause(errors)
        if not isinstance(cause, IndexerError):
            raise
        raise cause from None


async def _proofs(caller: _Caller, known: dict[str, Any], final: Header) -> None:
    """Whether a proof of a value leads to the state root of its block."""
    keys = ["0x" + item_prefix(EVENTS).hex()]
    try:
        answer = await caller.ask("state_getReadProof", keys, "0x" + final.ref.hash.hex())
        nodes = by_hash(bytes.fromhex(node[2:]) for node in answer["proof"])
        if final.state_root not in nodes:
            raise ProofError("its read proofs do not lead to the state root")
        known["proofs"] = True
    except (RpcRefused, TooLarge, ProofError) as error:
        known["proofs"], known["proofs_problem"] = False, str(error)
    except (KeyError, TypeError, ValueError):
        known["proofs"], known["proofs_problem"] = False, "its read proofs are none"


async def _held(caller: _Caller, known: dict[str, Any], head: int, head_ms: int | None) -> None:
    """How far back state is held."""
    times: dict[int, int | None] = {}

    async def has_state(number: int) -> bool:
        block_hash = await caller.block_hash(number)
        if block_hash is None:
            return False
        if number == 0:  # its time is not set
            return await caller.ask_or_none("state_getRuntimeVersion", block_hash) is not None
        times[number] = await caller.time_ms(block_hash)
        return times[number] is not None

    known["has_head_state"] = await has_state(head)
    if not known["has_head_state"]:
        return
    found = await horizon.find(has_state, head)
    if found is None:  # another node behind the same address
        return
    known["oldest_state_block"], known["is_uneven"] = found.oldest, found.is_uneven
    known["state_blocks"] = head - found.oldest + 1
    oldest_ms = times.get(max(found.oldest, 1))
    if head_ms is not None and oldest_ms is not None:
        known["state_seconds"] = round((head_ms - oldest_ms) / 1000, 1)
