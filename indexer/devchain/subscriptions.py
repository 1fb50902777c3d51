"""What a subscription tells its client when a block comes. Pure; the socket is in ``server``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from indexer.devchain import rpc
from indexer.devchain.blocks import ChainBlock
from indexer.devchain.rpc import header_json, hexed
from indexer.devchain.served import ServedChain

ALL_HEADS, BEST_HEADS, FINALIZED_HEADS = "chain_allHead", "chain_newHead", "chain_finalizedHead"
RUNTIME_VERSION, STORAGE = "state_runtimeVersion", "state_storage"
FOLLOW_BEST = frozenset({BEST_HEADS, RUNTIME_VERSION, STORAGE})


@dataclass(slots=True)
class Subscription:
    """One client's wish to be told of something."""

    id: str
    notification: str
    """The method its notifications carry."""
    keys: tuple[bytes, ...] = ()
    """Of a storage subscription."""
    _told: dict[object, Any] = field(default_factory=dict)

    def first(self, chain: ServedChain) -> Any | None:
        """What a node sends at once: how things stand now."""
        return self.news(chain, chain.finalized if self.notification == FINALIZED_HEADS else chain.best)

    def news(self, chain: ServedChain, block: ChainBlock) -> Any | None:
        """The result to send because of ``block``; None if it changes nothing this client wants."""
        if self.notification == RUNTIME_VERSION:
            version = chain.runtime(block.hash).version_json()
            if self._told.get(RUNTIME_VERSION) == version:
                return None
            self._told[RUNTIME_VERSION] = version
            return version
        if self.notification == STORAGE:
            return self._changes(chain, block)
        return header_json(block)

    def _changes(self, chain: ServedChain, block: ChainBlock) -> Any | None:
        state = chain.state(block.hash)
        values = {key: state.get(key) for key in self.keys}
        changed = [key for key in self.keys if key not in self._told or self._told[key] != values[key]]
        for key, value in values.items():
            self._told[key] = value
        if not changed:
            return None
        changes = [[hexed(key), _hexed_or_none(values[key])] for key in changed]
        return {"block": hexed(block.hash), "changes": changes}


def subscription(number: int, method: str, params: rpc.Params) -> Subscription:
    """Subscription ``number`` of a node, as ``method`` asks for it. Raises ``RpcError``."""
    notification = rpc.SUBSCRIBE[method]
    keys = tuple(rpc.keys_param(params, 0)) if notification == STORAGE else ()
    return Subscription(f"devchain{number:08d}", notification, keys)


def _hexed_or_none(value: bytes | None) -> str | None:
    return None if value is None else hexed(value)
