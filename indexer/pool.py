"""Several endpoints as one: whom to ask, whom next, and when somebody is given another chance.

Preference is the order of configuration among endpoints of equal health, so all requests of a block
go to one endpoint as long as it can answer them. Each endpoint is looked at every few seconds, so
work never has to find out by waiting that one has come back, or has fallen silent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import structlog

from indexer.block import height
from indexer.endpoints import Endpoint
from indexer.errors import NodeError, ProofError, WrongChain, backoff
from indexer.health import Cause, Footing
from indexer.link import Busy, RpcRefused, Silent, TooLarge, Unreachable

log = structlog.get_logger()
T = TypeVar("T")

METHOD_NOT_FOUND = -32601
LAG_BLOCKS = 3
"""Blocks behind the others from which an endpoint is asked last; propagation alone makes one or two."""
SLOW_S, SLOW_TIMES = 0.5, 5
"""An endpoint is slow if a header takes it longer than both this and so many times the fastest one's time."""
PROBE_TIMEOUT_S = 5.0
BUSY_PATIENCE_S = 120.0
"""How long a request waits for endpoints that are all at their limits."""
HEAD_PATIENCE_S = 20.0
"""How long a head may be told of whose chain nobody knows."""


class Missing(NodeError):
    """The endpoint does not know the block that is asked for."""


class Pool:
    """The endpoints of one chain. Every method may be called by many tasks at once."""

    def __init__(self, endpoints: Sequence[Endpoint], footing: Footing, probe_s: float) -> None:
        self.endpoints, self.footing, self._probe_s = tuple(endpoints), footing, probe_s
        self._latency_s: dict[Endpoint, float] = {}

    def order(self, method: str, *, by_hash: bool, number: int | None = None) -> list[Endpoint]:
        """The endpoints that may know an answer, the best first, whether they may be asked now or not.

        What is asked ``by_hash`` anybody may answer, an archive node too, as the answer is checked. Heights
        and heads are not asked of an endpoint on a fork, unless all are. ``number`` is the height of the
        state that is asked for. Raises ``WrongChain`` if all endpoints follow another chain.
        """
        ours = [one for one in self.endpoints if not one.foreign and (by_hash or not one.archive)]
        if not ours:
            found = "; ".join(f"{one.name} with genesis 0x{(one.genesis or b'').hex()}" for one in self.endpoints)
            raise WrongChain(
                f"every endpoint follows another chain: {found}; expected is genesis "
                f"0x{(self.footing.genesis or b'').hex()}: check --network"
            )
        if not by_hash and not all(one.forked for one in ours):
            ours = [one for one in ours if not one.forked]

        def rank(one: Endpoint) -> tuple[bool, bool, bool, int, int]:
            pruned = number is not None and number < one.state_floor
            return method in one.lacks, pruned, one.archive, one.health, one.place

        return sorted(ours, key=rank)

    async def ask(
        self,
        attempt: Callable[[Endpoint], Awaitable[T]],
        method: str,
        *,
        by_hash: bool = False,
        number: int | None = None,
        tries: int = 2,
    ) -> T:
        """The first good answer of ``attempt``, which is made with one endpoint after the other.

        One that refuses, does not know or lies is asked once; one that is lost is asked ``tries`` times, one
        that cannot be reached or is silent at most twice; one that is busy is waited for if no other is
        left. Raises what says most about all failures, see ``verdict``.
        """
        errors: dict[Endpoint, NodeError | ProofError] = {}
        failures: dict[Endpoint, int] = {}
        settled: set[Endpoint] = set()
        give_up_s = time.monotonic() + BUSY_PATIENCE_S
        delays = backoff(0.1, 2.0)
        while True:
            refused = bool(errors) and all(isinstance(error, RpcRefused) for error in errors.values())
            order = self.order(method, by_hash=by_hash, number=number)
            endpoint = self._next(order, settled, failures, refused=refused)
            if endpoint is None:
                raise verdict(method, errors)
            if endpoint.gate.shut():
                if time.monotonic() > give_up_s:
                    raise verdict(method, errors) if errors else NodeError(f"{endpoint.name} stays busy")
                await anyio.sleep(min(endpoint.wait_s(), 1.0) + 0.001)
                continue
            if endpoint in failures:
                await anyio.sleep(next(delays))
            forked = endpoint.forked
            try:
                answer = await attempt(endpoint)
                if number is not None:
                    endpoint.has_state(number)
                if by_hash or endpoint.forked == forked:
                    return answer
                # It was found to be on a fork (or no longer) on the way: the answer is not to be relied on.
            except Busy as error:
                errors[endpoint] = error
            except ProofError as error:
                self.report_lie(endpoint.name, str(error))
                errors[endpoint] = error
                settled.add(endpoint)
            except (Missing, RpcRefused) as error:
                _learn(endpoint, method, error, number)
                errors[endpoint] = error
                settled.add(endpoint)
            except NodeError as error:
                errors[endpoint] = error
                failures[endpoint] = failures.get(endpoint, 0) + 1
                # Too large may be an answer to somebody else, over which the connection was lost: it is asked again.
                if failures[endpoint] >= (2 if isinstance(error, Unreachable | Silent | TooLarge) else tries):
                    settled.add(endpoint)

    def _next(
        self, order: Sequence[Endpoint], settled: set[Endpoint], failures: dict[Endpoint, int], *, refused: bool
    ) -> Endpoint | None:
        """The best endpoint that is ready; else one of those that rest, if there is no hope but them.

        ``refused``: whoever was asked up to now said no.
        """
        left = [one for one in order if one not in settled]
        ready = [one for one in left if one.ready]
        if ready:
            return ready[0]
        busy = [one for one in left if one.cause is None]
        if busy:
            return min(busy, key=Endpoint.wait_s)
        nobody = not any(one.cause is None for one in order)
        # Nobody lacks anything before all were asked: one that rests for a moment may be the one that has it.
        resting = [one for one in left if nobody or one in failures or (refused and one.is_hopeful)]
        if not all(one.cause is Cause.LIE for one in order):  # heads and heights cannot be checked as proofs can
            resting = [one for one in resting if one.cause is not Cause.LIE]
        return min(resting, key=lambda one: failures.get(one, 0)) if resting else None

    def report_lie(self, endpoint: str, reason: str) -> None:
        """Leave the endpoint of this name alone for long: what it sent does not hash to what was asked."""
        for one in self.endpoints:
            if one.name == endpoint:
                log.error("endpoint_lied", endpoint=endpoint, reason=reason)
                one.leave(Cause.LIE, reason)

    def nobody_knows(self, number: int) -> None:
        """No endpoint has a block at this height: one that claims a higher head, and keeps to it, is left alone."""
        now_s = time.monotonic()
        for one in self.endpoints:
            if one.head is None or one.head < number or one.cause is not None:
                one.promised = None
            elif one.promised is None or one.promised[0] != number:
                one.promised = number, now_s
            elif now_s - one.promised[1] > HEAD_PATIENCE_S:
                reason = f"told of a head at {one.head}, but has no block {number}"
                one.promised = one.head = None
                one.leave(Cause.FALSE_HEAD, reason)

    # -- looking at them from time to time

    async def watch(self, endpoint: Endpoint) -> None:
        """Probe one endpoint for ever, as often as its state allows. A task of the node's group."""
        while True:
            await anyio.sleep(max(self._probe_s, endpoint.wait_s()))
            if not endpoint.archive or endpoint.link is not None or endpoint.cause is not None:
                await self._probe(endpoint)

    async def _probe(self, endpoint: Endpoint) -> None:
        try:
            link = await endpoint.connected()
        except NodeError:
            return  # noted where it failed
        started_s = time.monotonic()
        try:
            header, _ = await link.request("chain_getHeader", [], PROBE_TIMEOUT_S)
            self._latency_s[endpoint] = time.monotonic() - started_s
            endpoint.saw_head(height(header["number"]))
            await endpoint.check_anchor(link)
        except Silent as error:
            if link.heard_s < started_s:
                endpoint.failed(link, error)
        except (RpcRefused, Busy):
            pass  # it answers
        except NodeError as error:
            endpoint.failed(link, error)
        except (KeyError, TypeError, ValueError):
            endpoint.failed(link, NodeError(f"{endpoint.name} told of a head that is no header"))
        else:
            endpoint.answered()
            endpoint.steady()
            self._compare(endpoint)

    def _compare(self, endpoint: Endpoint) -> None:
        """See how far behind the others and behind our own blocks it is, and how slow."""
        others = [one for one in self.endpoints if one.cause is None and not one.forked and not one.foreign]
        heads = sorted((one.head for one in others if one.head is not None), reverse=True)
        if not heads or endpoint.head is None:
            return
        # Of three or more, one alone cannot make all others look late by telling of a head that is none.
        reference = heads[1] if len(heads) > 2 else heads[0]
        if self.footing.anchor is not None:
            reference = max(reference, self.footing.anchor.number)
        behind = reference - endpoint.head
        if not endpoint.lagging and behind > LAG_BLOCKS:
            endpoint.flag(Cause.LAGGING, True, f"its head {endpoint.head} is {behind} blocks behind {reference}")
            endpoint.drop("is left for another endpoint")  # a subscription there would be of no use
        elif behind <= 1:
            endpoint.flag(Cause.LAGGING, False)
        fastest_s = min(self._latency_s.get(one, 60.0) for one in others) if others else 60.0
        endpoint.slow = self._latency_s[endpoint] > max(SLOW_S, SLOW_TIMES * fastest_s)


def _learn(endpoint: Endpoint, method: str, error: NodeError, number: int | None) -> None:
    """Remember a refusal that will be the same next time."""
    if not isinstance(error, RpcRefused):
        return
    if error.code == METHOD_NOT_FOUND:
        endpoint.lacks.add(method)
    elif number is not None:
        endpoint.lacks_state(number, str(error))


def verdict(method: str, errors: dict[Endpoint, NodeError | ProofError]) -> NodeError | ProofError:
    """One error for all endpoints' failures: what another try may cure, before a lie, before a refusal.

    Only if *every* endpoint lacks the method, that refusal is what comes out.
    """
    failed = list(errors.values())

    def rank(error: NodeError | ProofError) -> int:
        if isinstance(error, RpcRefused):
            return 4 if error.code == METHOD_NOT_FOUND else 3
        if isinstance(error, Missing):
            return 2
        return 1 if isinstance(error, ProofError) else 0

    worst = min(failed, key=rank, default=NodeError(f"no endpoint may be asked for {method}"))
    alike = [error for error in failed if rank(error) == rank(worst)]
    if rank(worst) == 0 and (len(alike) > 1 or isinstance(worst, Unreachable)):
        reached = "can be reached" if all(isinstance(error, Unreachable) for error in alike) else f"answers {method}"
        return NodeError(f"no endpoint {reached}: " + "; ".join(map(str, alike)))
    return worst
