"""One decoder set per runtime code: from memory, else the database, else the node.

The metadata of a runtime is read from a state that holds its code, once in the life of a database,
and kept there: a restart needs no node to decode, and an item that left the metadata can still be
decoded by the last type it had.
"""

from __future__ import annotations

import anyio
import structlog

from indexer.errors import DecodeError, NodeError
from indexer.link import RpcRefused
from indexer.model import ItemRef
from indexer.node import Node
from indexer.scale import Runtime, StorageItem
from indexer.store import Store

log = structlog.get_logger()

METADATA_VERSIONS = (16, 15, 14)
"""Those this indexer reads, the best first."""


class Runtimes:
    """The runtimes this database has met. Made anew for each run, from ``store``."""

    def __init__(self, node: Node, store: Store) -> None:
        self._node = node
        self._store = store
        self._turn = anyio.Lock()
        self._by_code: dict[bytes, Runtime] = {}
        self._raw: dict[bytes, bytes] = {}
        self._first_block: dict[bytes, int] = {}

    async def load(self) -> None:
        """Take over what the database knows; metadata is parsed when it is first needed."""
        for code_hash, first_block, raw in await self._store.runtimes():
            self._raw[code_hash], self._first_block[code_hash] = raw, first_block

    async def of(self, code_hash: bytes, number: int, state: bytes) -> Runtime:
        """The runtime with this code, which executed block ``number``.

        ``state`` is the hash of a block whose state holds the code. Raises ``NodeError`` if the node
        cannot give its metadata, ``DecodeError`` if that is none this indexer can read.
        """
        runtime = self._by_code.get(code_hash)
        if runtime is not None and number >= self._first_block[code_hash]:
            return runtime
        async with self._turn:
            runtime = self._parsed(code_hash)
            if runtime is None:
                raw = await self._from_node(state)
                runtime = Runtime.from_metadata(raw)
                self._raw[code_hash] = raw
                log.info(
                    "runtime_loaded", spec_version=runtime.spec_version, metadata=runtime.metadata_version, block=number
                )
            if number < self._first_block.get(code_hash, number + 1):
                await self._store.save_runtime(code_hash, runtime.spec_version, number, self._raw[code_hash])
                self._first_block[code_hash] = number
            self._by_code[code_hash] = runtime
        return runtime

    def last_type(self, item: ItemRef, number: int) -> StorageItem | None:
        """How the last runtime before block ``number`` that listed ``item`` typed it; None if none is known."""
        known = sorted(((first, code) for code, first in self._first_block.items() if first <= number), reverse=True)
        for _, code_hash in known:
            runtime = self._parsed(code_hash)
            if runtime is not None and (kind := runtime.item(item)) is not None:
                return kind
        return None

    def _parsed(self, code_hash: bytes) -> Runtime | None:
        if code_hash not in self._by_code and code_hash in self._raw:
            self._by_code[code_hash] = Runtime.from_metadata(self._raw[code_hash])
        return self._by_code.get(code_hash)

    async def _from_node(self, state: bytes) -> bytes:
        """Metadata of the runtime in the state of block ``state``: the best version both sides know."""
        try:
            offered = await self._node.state_call("Metadata_metadata_versions", b"", state)
        except RpcRefused:
            return await self._node.legacy_metadata(state)  # runtimes before spec 146 have no versioned metadata
        versions = {int.from_bytes(offered[at : at + 4], "little") for at in range(1, len(offered), 4)}
        for version in METADATA_VERSIONS:
            if version in versions:
                argument = version.to_bytes(4, "little")
                answer = await self._node.state_call("Metadata_metadata_at_version", argument, state)
                at = answer.find(b"meta")
                if answer[:1] != b"\1" or not 0 < at <= 6:
                    raise NodeError(f"{self._node.endpoint} offers metadata V{version} but does not give it")
                return answer[at:]
        raise DecodeError(f"the runtime offers metadata {sorted(versions)} only, this indexer reads V14, V15 and V16")
