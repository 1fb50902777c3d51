"""One decoder set per runtime code: from memory, else the database, else the node.

The metadata of a runtime is read from a state that holds its code, once in the life of a database,
and committed with the first block that it executed: a restart needs no node to decode, and an item
that left the metadata can still be decoded by the last type it had. The chain has had hundreds of
runtimes: all are kept packed, and few as decoders.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Mapping

import anyio
import structlog

from indexer.errors import DecodeError, NodeError
from indexer.model import ItemRef
from indexer.node import Node
from indexer.scale import Runtime, StorageItem
from indexer.store import Store

log = structlog.get_logger()

METADATA_VERSIONS = (16, 15, 14)
"""Those this indexer reads, the best first."""
METADATA_API = bytes.fromhex("37e397fc7c91f5e4")
"""Id of the runtime API ``Metadata``: blake2b-64 of its name."""
PARSED_MAX = 4
"""Runtimes kept as decoders, some megabytes each: the one that runs, and those around an upgrade."""
VERSIONED_METADATA_API = 2
"""Its version from which on it has ``metadata_versions`` (runtimes before spec ~146 have version 1)."""


class Runtimes:
    """The runtimes this database has met. Made anew for each run, from ``store``."""

    def __init__(self, node: Node, store: Store) -> None:
        self._node = node
        self._store = store
        self._turn = anyio.Lock()
        self._by_code: OrderedDict[bytes, Runtime] = OrderedDict()
        self._packed: dict[bytes, bytes] = {}
        self._first_block: dict[bytes, int] = {}
        self._last_types: dict[tuple[ItemRef, bytes], StorageItem | None] = {}
        self._notes: dict[str, str | None] = {}

    async def load(self) -> None:
        """Take over what the database knows; metadata is parsed when it is first needed."""
        for code_hash, first_block, raw in await self._store.runtimes():
            self._packed[code_hash], self._first_block[code_hash] = zlib.compress(raw, 1), first_block

    async def of(self, code_hash: bytes, number: int, state: bytes) -> Runtime:
        """The runtime with this code, which executed block ``number``.

        ``state`` is the hash of a block whose state holds the code. Raises ``NodeError`` if the node
        cannot give its metadata, ``DecodeError`` if that is none this indexer can read.
        """
        self._first_block[code_hash] = min(number, self._first_block.get(code_hash, number))
        runtime = self._parsed(code_hash)
        if runtime is not None:
            return runtime
        async with self._turn:
            runtime = self._parsed(code_hash)
            if runtime is None:
                raw = await metadata_at(self._node, state)
                runtime = self._keep(code_hash, Runtime.from_metadata(raw))
                self._packed[code_hash] = zlib.compress(raw, 1)
                version = runtime.metadata_version
                log.info("runtime_loaded", spec_version=runtime.spec_version, metadata=version, block=number)
        return runtime

    def known(self, code_hash: bytes) -> Runtime | None:
        """The runtime with this code if it was met before."""
        return self._parsed(code_hash)

    def newest(self) -> Runtime | None:
        """The runtime that executed the last indexed block; None before the first."""
        newest = max(self._first_block, key=self._first_block.__getitem__, default=None)
        return None if newest is None else self._parsed(newest)

    def tell(self, notes: Mapping[str, str | None]) -> None:
        """Log what datasets lack under the runtime that runs now (``Dataset.note``), where that is news."""
        for dataset, note in notes.items():
            if note is not None and self._notes.get(dataset) is None:
                log.warning("item_absent", item=dataset, reason=note)
            elif note is None and self._notes.get(dataset) is not None:
                log.info("item_appeared", item=dataset)
            self._notes[dataset] = note

    async def corrected(self, code_hash: bytes, failed: Runtime, state: bytes) -> Runtime | None:
        """The runtime anew from the node, if that tells other metadata than ``failed`` has; else None.

        Asked for after a failure to decode: a node that once told wrong metadata must not stop us for ever.
        """
        async with self._turn:
            present = self._parsed(code_hash)
            if present is not None and present.raw != failed.raw:
                return present  # another worker was here first
            try:
                raw = await metadata_at(self._node, state)
            except NodeError as error:
                log.debug("metadata_not_checked", reason=str(error))
                return None
            if raw == failed.raw:
                return None
            runtime = Runtime.from_metadata(raw)
            await self._store.correct_runtime(code_hash, runtime.spec_version, raw)
            self._keep(code_hash, runtime)
            self._packed[code_hash] = zlib.compress(raw, 1)
            self._last_types.clear()
            log.warning("metadata_corrected", spec_version=runtime.spec_version, code_hash="0x" + code_hash.hex())
        return runtime

    def last_type(self, item: ItemRef, number: int) -> StorageItem | None:
        """How the last runtime before block ``number`` that listed ``item`` typed it; None if none is known."""
        known = sorted(((first, code) for code, first in self._first_block.items() if first <= number), reverse=True)
        if not known:
            return None
        asked = item, known[0][1]
        if asked not in self._last_types:
            self._last_types[asked] = self._find_last(item, [code_hash for _, code_hash in known])
        return self._last_types[asked]

    def _find_last(self, item: ItemRef, newest_first: list[bytes]) -> StorageItem | None:
        for code_hash in newest_first:
            runtime = self._parsed(code_hash)
            if runtime is not None and (kind := runtime.item(item)) is not None:
                return kind
        return None

    def _parsed(self, code_hash: bytes) -> Runtime | None:
        runtime = self._by_code.get(code_hash)
        if runtime is not None:
            self._by_code.move_to_end(code_hash)
        elif code_hash in self._packed:
            runtime = self._keep(code_hash, Runtime.from_metadata(zlib.decompress(self._packed[code_hash])))
        return runtime

    def _keep(self, code_hash: bytes, runtime: Runtime) -> Runtime:
        self._by_code[code_hash] = runtime
        while len(self._by_code) > PARSED_MAX:
            self._by_code.popitem(last=False)
        return runtime


async def metadata_at(node: Node, state: bytes) -> bytes:
    """Metadata of the runtime in the state of block ``state``: the best version both sides know.

    Raises ``NodeError`` if the node does not give it, ``DecodeError`` if it is of no version that is known here.
    """
    apis = await node.runtime_apis(state)
    if apis.get(METADATA_API, 0) < VERSIONED_METADATA_API:
        return await node.legacy_metadata(state)
    offered = await node.state_call("Metadata_metadata_versions", b"", state)
    versions = {int.from_bytes(offered[at : at + 4], "little") for at in range(1, len(offered), 4)}
    for version in METADATA_VERSIONS:
        if version in versions:
            argument = version.to_bytes(4, "little")
            answer = await node.state_call("Metadata_metadata_at_version", argument, state)
            at = answer.find(b"meta")
            if answer[:1] != b"\1" or not 0 < at <= 6:
                raise NodeError(f"{node.endpoint} offers metadata V{version} but does not give it")
            return answer[at:]
    raise DecodeError(f"the runtime offers metadata {sorted(versions)} only, this indexer reads V14, V15 and V16")
