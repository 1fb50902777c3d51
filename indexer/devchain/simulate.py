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
from indexer.devchain.runtimes import SPEC_293, SPEC_475
from indexer.devchain.state import State
from indexer.model import Header
from indexer.trie import blake2_256

UPGRADE_AT = 20
"""Default height of the block that sets the new code; the block after it is the first the new runtime executes."""
START_MS = 1_760_000_000_000
"""Default time of the genesis block, fixed so that the same seed gives the same chain on any day."""


class SimulatedProducer:
    """Makes blocks from a seed. Everything else it knows is in the parent's state."""

    name = "Devchain"
    length: int | None = None

    def __init__(self, seed: int, upgrade_at: int | None, start_ms: int, block_ms: int) -> None:
        self._seed, self._upgrade_at = seed, upgrade_at
        self._start_ms, self._block_ms = start_ms, block_ms
        self._declared = {blake2_256(one.code): one for one in (SPEC_293, SPEC_475)}
        self._served = {code_hash: one.served() for code_hash, one in self._declared.items()}

    def genesis(self) -> Body:
        """The first state, with runtime 293."""
        return genesis(SPEC_293, self._seed)

    def produce(self, parent: Header, state: State, salt: int) -> Body | None:
        """The next block; there always is one."""
        runtime, number = self._declared[state.code_hash()], parent.ref.number + 1
        calls = activity.choose(self._seed, Ledger(runtime, state), number, salt, parent.ref.hash)
        if number == self._upgrade_at:
            calls.append(_upgrade())
        now_ms = self._start_ms + number * self._block_ms
        slot = now_ms // self._block_ms
        return execute(runtime, parent, state, BlockTime(now_ms, slot, CAST.authors[slot % len(CAST.authors)]), calls)

    def runtime(self, code_hash: bytes) -> ServedRuntime:
        """Raises ``KeyError`` for any code but the two runtimes'."""
        return self._served[code_hash]


def simulated_chain(
    seed: int = 0,
    *,
    upgrade_at: int | None = UPGRADE_AT,
    start_ms: int = START_MS,
    block_ms: int = SLOT_MS,
    keep_states: int | None = None,
) -> Chain:
    """A fresh chain at its genesis block; ``Chain.grow`` makes it live.

    ``upgrade_at`` None keeps runtime 293 for ever. ``keep_states``: see ``Chain``.
    """
    return Chain(SimulatedProducer(seed, upgrade_at, start_ms, block_ms), keep_states=keep_states)


def _upgrade() -> SignedCall:
    return SignedCall(SUDO_KEY, {"Sudo": {"sudo": {"call": {"System": {"set_code": {"code": SPEC_475.code}}}}}})
