"""A chain that lives by itself: seeded activity, two runtimes, an upgrade between them on the way."""

from __future__ import annotations

from indexer.devchain import activity
from indexer.devchain.blocks import Body
from indexer.devchain.chain import Chain
from indexer.devchain.execution import BlockTime, SignedCall, execute
from indexer.devchain.genesis import CAST, SUDO_KEY, genesis
from indexer.devchain.ledger import Ledger
from indexer.devchain.pallets_substrate import SLOT_MS
from indexer.devchain.runtime_file import ServedRuntime
from indexer.devchain.runtimes import SPEC_293, SPEC_475, RuntimeDeclaration
from indexer.devchain.state import State
from indexer.model import Header
from indexer.trie import blake2_256

UPGRADE_AT = 20
"""Default height of the block that sets the new code; the block after it is the first the new runtime executes."""
START_MS = 1_760_000_000_000
"""Default time of the genesis block, fixed so that the same seed gives the same chain on any day."""
QUIET_EMISSION_EVERY = 20
"""Blocks between two in which a quiet chain emits: emission is most of what a block costs to make."""


class SimulatedProducer:
    """Makes blocks from a seed. Everything else it knows is in the parent's state."""

    name = "Devchain"
    length: int | None = None

    def __init__(
        self,
        seed: int,
        upgrade_at: int | None,
        start_ms: int,
        block_ms: int,
        *,
        quiet_from: int | None = None,
        upgrade_every: int | None = None,
    ) -> None:
        self._seed, self._upgrade_at, self._upgrade_every = seed, upgrade_at, upgrade_every
        self._start_ms, self._block_ms = start_ms, block_ms
        self._quiet_from = quiet_from
        self._declared = {blake2_256(one.code): one for one in (SPEC_293, SPEC_475)}
        self._served = {code_hash: one.served() for code_hash, one in self._declared.items()}

    def genesis(self) -> Body:
        """The first state, with runtime 293."""
        return genesis(SPEC_293, self._seed)

    def produce(self, parent: Header, state: State, salt: int) -> Body | None:
        """The next block; there always is one."""
        runtime, number = self._declared[state.code_hash()], parent.ref.number + 1
        quiet = self._quiet_from is not None and number >= self._quiet_from
        choose = activity.choose_one if quiet else activity.choose
        calls = choose(self._seed, Ledger(runtime, state), number, salt, parent.ref.hash)
        if number == self._upgrade_at:
            calls.append(_upgrade(SPEC_475))
        elif self._upgrade_every is not None and number % self._upgrade_every == 0 and runtime.new:
            calls.append(_upgrade(self._next(runtime)))
        emits = not quiet or number % QUIET_EMISSION_EVERY == 0
        now_ms = self._start_ms + number * self._block_ms
        slot = now_ms // self._block_ms
        time = BlockTime(now_ms, slot, CAST.authors[slot % len(CAST.authors)])
        return execute(runtime, parent, state, time, calls, emits=emits)

    def runtime(self, code_hash: bytes) -> ServedRuntime:
        """Raises ``KeyError`` for any code that this chain never set."""
        return self._served[code_hash]

    def _next(self, runtime: RuntimeDeclaration) -> RuntimeDeclaration:
        """A runtime of the same shape with the next version."""
        made = RuntimeDeclaration(runtime.spec_version + 1, new=True)
        code_hash = blake2_256(made.code)
        if code_hash not in self._declared:
            self._declared[code_hash], self._served[code_hash] = made, made.served()
        return self._declared[code_hash]


def simulated_chain(
    seed: int = 0,
    *,
    upgrade_at: int | None = UPGRADE_AT,
    start_ms: int = START_MS,
    block_ms: int = SLOT_MS,
    quiet_from: int | None = None,
    upgrade_every: int | None = None,
    keep_states: int | None = None,
    keep_blocks: int | None = None,
) -> Chain:
    """A fresh chain at its genesis block; ``Chain.grow`` makes it live.

    ``upgrade_at`` None keeps runtime 293 for ever; ``upgrade_every`` so many blocks the newer one is followed by a
    next version of itself. From block ``quiet_from`` on little happens, and the state stops growing: for long
    chains. ``keep_states``, ``keep_blocks``: see ``Chain``.
    """
    producer = SimulatedProducer(
        seed, upgrade_at, start_ms, block_ms, quiet_from=quiet_from, upgrade_every=upgrade_every
    )
    return Chain(producer, keep_states=keep_states, keep_blocks=keep_blocks)


def _upgrade(runtime: RuntimeDeclaration) -> SignedCall:
    return SignedCall(SUDO_KEY, {"Sudo": {"sudo": {"call": {"System": {"set_code": {"code": runtime.code}}}}}})
