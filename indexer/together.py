"""Proof requests that several tasks make at the same moment, sent as one message.

Blocks that were read ahead together are walked together: what one of them lacks, others lack in the same turn of the
loop. Knows nothing of what is asked for; a failure is the own one of each task, which then asks for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from indexer.errors import IndexerError
from indexer.node import Check, Node, ProofAsked

KEYS_TOGETHER = 4000
"""Keys in one message at most; whoever asks for more asks alone."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """What one task asked for: ``nodes`` once it is answered, None if it has to ask for itself."""

    asked: Sequence[ProofAsked]
    done: anyio.Event = field(default_factory=anyio.Event)
    nodes: dict[bytes, bytes] | None = None
    share: float = 1.0


class Together:
    """One for all tasks that may share messages."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._waiting: list[_Waiting] = []

    async def read_proofs(self, asked: Sequence[ProofAsked]) -> tuple[dict[bytes, bytes], float]:
        """Nodes, at least those that ``Node.read_proofs`` gives, and the part of a message that they took."""
        own = _Waiting(asked)
        self._waiting.append(own)
        if len(self._waiting) == 1:
            await self._lead()
        else:
            await own.done.wait()
        if own.nodes is not None:
            return own.nodes, own.share
        return (await self._node.read_proofs(asked))[0], 1.0

    async def _lead(self) -> None:
        """Ask for all that wait by now; whatever happens, none of them is left waiting."""
        party: list[_Waiting] = []
        try:
            await anyio.lowlevel.checkpoint()  # every task that can run now asks before this one goes on
            party, total = [], 0
            for one in self._waiting:
                total += sum(len(keys) for keys, _, _ in one.asked)
                if total <= KEYS_TOGETHER:
                    party.append(one)
            everybody, self._waiting = self._waiting, []
            for one in everybody:
                if one not in party:
                    one.done.set()
            if len(party) > 1:
                nodes, _ = await self._node.read_proofs(_merged(party))
                for one in party:
                    one.nodes, one.share = nodes, 1.0 / len(party)
        except IndexerError:
            pass  # the own error of each comes of its own request
        finally:
            for one in party or self._waiting:
                one.done.set()
            if not party:
                self._waiting = []


def _merged(party: Sequence[_Waiting]) -> list[ProofAsked]:
    """Each block's keys once, with the checks of all who ask for some of them."""
    keys: dict[bytes, set[bytes]] = {}
    checks: dict[bytes, list[Check]] = {}
    for one in party:
        for wanted, block_hash, check in one.asked:
            keys.setdefault(block_hash, set()).update(wanted)
            checks.setdefault(block_hash, []).append(check)
    return [(sorted(wanted), block_hash, _all(checks[block_hash])) for block_hash, wanted in keys.items()]


def _all(checks: Sequence[Check]) -> Check:
    return lambda proof: next((problem for check in checks if (problem := check(proof)) is not None), None)
