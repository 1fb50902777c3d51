"""The chain's JSON-RPC methods, over a pool of endpoints that stand in for one another.

Every block is asked for by hash, a header is only believed if it hashes to what was asked, and a
proof only if it leads to what its reader wants: an endpoint whose answer does not is named and left
alone, and the next one is asked. This module knows methods and bytes, never tables or SCALE types.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup

from indexer.block import body_of, is_body_of, parse_header
from indexer.endpoints import Endpoint
from indexer.errors import ConfigError, NodeError, ProofError
from indexer.health import Footing
from indexer.inquiry import Check, ProofAsked, header_of, headers_of, hexed, proofs_of, unhexed
from indexer.link import Link, RpcRefused
from indexer.metrics import Metrics
from indexer.model import BlockRef, Header
from indexer.pool import METHOD_NOT_FOUND, Missing, Pool
from indexer.redaction import printable, redact, shown_names

__all__ = ["METHOD_NOT_FOUND", "Check", "Node", "ProofAsked", "open_node"]

PROBE_S = 6.0
"""Seconds between two looks at an endpoint: what a silent one costs at most, with the probe's own time-out."""
HEADERS_KEPT = 2048
SS58_PREFIXES = 1 << 14
CHAIN_NAME_MAX = 100
NO_BODY = 0
"""Our own code for the refusal of a node that answers with no block: JSON-RPC knows none for it."""
CUTS_MAX = 12
"""Cuts of the connection after which a proof's keys, halved each time, are down to one."""


class Node:
    """The endpoints as one node. Made by ``open_node``; every method may be called by many tasks at once."""

    def __init__(self, pool: Pool, group: TaskGroup) -> None:
        self._pool, self._group = pool, group
        self._headers: dict[bytes, Header] = {}

    @property
    def endpoint(self) -> str:
        """The endpoint that is asked first, without its secrets."""
        order = self._pool.order("", by_hash=False)
        return next((one for one in order if one.ready), order[0]).name

    def expect(self, genesis: bytes | None, anchor: BlockRef | None) -> None:
        """Demand this genesis, and this final block, of every endpoint from now on; each is looked at anew.

        None for what is not known. An endpoint of another chain is not asked any more, one on a fork only if
        all are.
        """
        self._pool.footing.genesis, self._pool.footing.anchor = genesis, anchor
        self._pool.footing.version += 1

    def stand_on(self, anchor: BlockRef) -> None:
        """A block is final and committed: if it is a later one, endpoints are held to it when next looked at."""
        known = self._pool.footing.anchor
        if known is None or anchor.number > known.number:  # a dataset that catches up tells of earlier ones
            self._pool.footing.anchor = anchor

    def report_lie(self, endpoint: str, reason: str) -> None:
        """Leave an endpoint alone for long whose answer was found to be false."""
        self._pool.report_lie(endpoint, reason)

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one request."""
        return (await self.call_named(method, *params))[0]

    async def call_named(self, method: str, *params: Any) -> tuple[Any, str]:
        """The result of one request and the endpoint that gave it.

        Raises ``NodeError`` when no endpoint answers, ``RpcRefused`` when those that answer refuse,
        ``WrongChain`` if all follow another chain than expected.
        """

        async def attempt(endpoint: Endpoint) -> tuple[Any, str]:
            return await endpoint.request(method, params), endpoint.name

        return await self._pool.ask(attempt, method)

    async def _state(self, method: str, *params: Any) -> tuple[Any, str]:
        """A request about the state of a block, whose hash is the last parameter; archive nodes are asked last."""

        async def attempt(endpoint: Endpoint) -> tuple[Any, str]:
            return await endpoint.request(method, params), endpoint.name

        number = self._height(bytes.fromhex(params[-1][2:]))
        return await self._pool.ask(attempt, method, by_hash=True, number=number)

    async def subscribe(self, method: str) -> AsyncGenerator[Any, None]:
        """Notifications of a subscription until the connection ends; then raises ``NodeError``."""

        async def attempt(endpoint: Endpoint) -> tuple[Link, str]:
            name = await endpoint.request(method, [])
            if endpoint.link is None:
                raise NodeError(f"{endpoint.name} lost the connection")
            return endpoint.link, str(name)

        link, name = await self._pool.ask(attempt, method)
        try:
            with link.stream(name) as notifications:
                async for notification in notifications:
                    yield notification
            raise NodeError(f"{link.name} {link.lost or 'ended the subscription'}")
        finally:
            link.forget(name)
            if not link.lost:
                self._group.start_soon(_unsubscribe, link, method, name, name=f"unsubscribe {link.name}")

    async def chain(self) -> tuple[str, int]:
        """The chain's name, printable, and the SS58 prefix of its addresses (42 where the node does not tell)."""
        name = await self.call("system_chain")
        properties = await self.call("system_properties") or {}
        prefix = properties.get("ss58Format", 42) if isinstance(properties, dict) else 42
        known = type(prefix) is int and 0 <= prefix < SS58_PREFIXES
        return printable(str(name))[:CHAIN_NAME_MAX], prefix if known else 42

    async def block_hash(self, number: int) -> bytes | None:
        """Hash of the chain's block at a height; None if no endpoint has one (yet)."""

        async def attempt(endpoint: Endpoint) -> bytes:
            found = unhexed(await endpoint.request("chain_getBlockHash", [number]))
            if found is None:
                raise Missing(f"{endpoint.name} has no block {number}")
            return found

        try:
            return await self._pool.ask(attempt, "chain_getBlockHash")
        except Missing:
            self._pool.nobody_knows(number)
            return None

    async def finalized(self) -> BlockRef:
        """The last finalized block that the endpoint in use knows."""

        async def attempt(endpoint: Endpoint) -> BlockRef:
            head = unhexed(await endpoint.request("chain_getFinalizedHead", [])) or b""
            return (await self._header(endpoint, head)).ref

        return await self._pool.ask(attempt, "chain_getFinalizedHead")

    async def is_final(self, block: BlockRef) -> bool | None:
        """Whether the chain that one endpoint says is final has this block; None while that ends below it.

        Both answers are the same endpoint's: a height that another one tells may be of another branch.
        """

        async def attempt(endpoint: Endpoint) -> bool | None:
            head = unhexed(await endpoint.request("chain_getFinalizedHead", [])) or b""
            if (await self._header(endpoint, head)).ref.number < block.number:
                return None
            return unhexed(await endpoint.request("chain_getBlockHash", [block.number])) == block.hash

        return await self._pool.ask(attempt, "chain_getFinalizedHead")

    async def best(self) -> BlockRef:
        """The head of the node's best chain, a hint: a load-balanced endpoint may go backwards."""

        async def attempt(endpoint: Endpoint) -> BlockRef:
            head = self._keep(parse_header(await endpoint.request("chain_getHeader", []), None, endpoint.name))
            endpoint.saw_head(head.ref.number)
            return head.ref

        return await self._pool.ask(attempt, "chain_getHeader")

    async def header(self, block_hash: bytes) -> Header:
        """The header of a block.

        Raises ``NodeError`` if no endpoint has it, ``ProofError`` if none sent one that hashes to ``block_hash``.
        """

        async def attempt(endpoint: Endpoint) -> Header:
            return self._keep(await header_of(endpoint, block_hash))

        known = self._headers.get(block_hash)
        return await self._pool.ask(attempt, "chain_getHeader", by_hash=True) if known is None else known

    async def _header(self, endpoint: Endpoint, block_hash: bytes) -> Header:
        """From memory, else from the endpoint: a header that hashes to its name stays as it is."""
        return self._headers.get(block_hash) or self._keep(await header_of(endpoint, block_hash))

    def _keep(self, header: Header) -> Header:
        self._headers[header.ref.hash] = header
        while len(self._headers) > HEADERS_KEPT:
            self._headers.pop(next(iter(self._headers)))
        return header

    def _height(self, block_hash: bytes) -> int | None:
        header = self._headers.get(block_hash)
        return None if header is None else header.ref.number

    async def body(self, header: Header) -> tuple[bytes, ...] | None:
        """The extrinsics of a block, each with its length prefix; None if every endpoint refuses or has none.

        Raises ``NodeError`` if that cannot be told, ``ProofError`` if those sent are not what the header names.
        """

        async def attempt(endpoint: Endpoint) -> tuple[bytes, ...]:
            result = await endpoint.request("chain_getBlock", [hexed(header.ref.hash)])
            if result is None:
                raise RpcRefused(endpoint.name, "chain_getBlock", NO_BODY, f"has no body of block {header.ref}")
            body = body_of(result, endpoint.name)
            if not is_body_of(header, body):
                raise ProofError(f"{endpoint.name} sent extrinsics that are not those of block {header.ref}")
            return body

        try:
            return await self._pool.ask(attempt, "chain_getBlock", by_hash=True)
        except RpcRefused:
            return None

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Headers of heights that follow one another, as far as one endpoint gives them and each continues the last.

        Two messages for all of them, where the endpoint takes lists and batches. Raises ``NodeError`` if it has none.
        """

        async def attempt(endpoint: Endpoint) -> list[Header]:
            return await headers_of(endpoint, numbers)

        headers = await self._pool.ask(attempt, "chain_getHeader")
        return [self._keep(header) for header in headers]

    async def read_proof(
        self, keys: Iterable[bytes], block_hash: bytes, check: Check = lambda _: None
    ) -> tuple[dict[bytes, bytes], str]:
        """Trie nodes on the paths of ``keys``, each under its own hash, and the endpoint that sent them.

        All come from one endpoint, in as many requests as its limits want. Where ``check`` finds something
        wrong with them, the endpoint lied and the next one is asked. Raises ``ProofError`` if none is left.
        """
        return await self.read_proofs([(list(keys), block_hash, check)])

    async def read_proofs(self, asked: Sequence[ProofAsked]) -> tuple[dict[bytes, bytes], str]:
        """The same for keys of several blocks, in one message where the endpoint takes such."""
        heights = {block_hash: self._height(block_hash) for _, block_hash, _ in asked}
        number = min((height for height in heights.values() if height is not None), default=None)
        asked = sorted(asked, key=lambda one: heights[one[1]] != number)  # the lowest state first

        async def attempt(endpoint: Endpoint) -> tuple[dict[bytes, bytes], str]:
            nodes: dict[bytes, bytes] = {}
            careful = number is not None and not endpoint.surely_has_state(number)
            proofs = await proofs_of(endpoint, asked, first_alone=careful)
            for (_, _, check), proof in zip(asked, proofs, strict=True):
                problem = check(proof)
                if problem is not None:
                    raise ProofError(f"{endpoint.name} {problem}")
                nodes.update(proof)
            return nodes, endpoint.name

        return await self._pool.ask(attempt, "state_getReadProof", by_hash=True, number=number, tries=CUTS_MAX)

    async def storage(self, keys: Iterable[bytes], block_hash: bytes) -> dict[bytes, bytes | None]:
        """Values of keys as of a block, None where absent; nothing proves them."""
        asked = list(keys)
        result, endpoint = await self._state("state_queryStorageAt", [hexed(key) for key in asked], hexed(block_hash))
        try:
            found = {unhexed(key): unhexed(value) for change in result for key, value in change["changes"]}
        except (KeyError, TypeError, ValueError):
            raise NodeError(f"{endpoint} answered state_queryStorageAt with something else than changes") from None
        return {key: found.get(key) for key in asked}

    async def code_hash(self, block_hash: bytes) -> bytes:
        """Hash of the runtime's code in the state of a block; nothing proves it."""
        result, endpoint = await self._state("state_getStorageHash", hexed(b":code"), hexed(block_hash))
        code_hash = unhexed(result)
        if code_hash is None:
            raise NodeError(f"{endpoint} knows no runtime code at block {hexed(block_hash)}")
        return code_hash

    async def keys(self, prefix: bytes, count: int, after: bytes | None, block_hash: bytes) -> list[bytes]:
        """At most ``count`` keys of a block's state that begin with ``prefix``, in order, behind ``after``."""
        start = None if after is None else hexed(after)
        result, endpoint = await self._state("state_getKeysPaged", hexed(prefix), count, start, hexed(block_hash))
        if not isinstance(result, list):
            raise NodeError(f"{endpoint} answered state_getKeysPaged with something else than keys")
        keys = [unhexed(key) or b"" for key in result]
        # Keys that do not go on would be asked for page after page, for ever.
        in_order = all(a < b for a, b in pairwise([after or b"", *keys]))
        if not in_order or not all(key.startswith(prefix) for key in keys):
            raise NodeError(f"{endpoint} answered state_getKeysPaged with keys that do not follow one another")
        return keys

    async def state_call(self, function: str, arguments: bytes, block_hash: bytes) -> bytes:
        """Result of a runtime API function at a block, SCALE encoded."""
        result, _ = await self._state("state_call", function, hexed(arguments), hexed(block_hash))
        return unhexed(result) or b""

    async def runtime_apis(self, block_hash: bytes) -> dict[bytes, int]:
        """Version by id of the runtime APIs that the code in a block's state has (``RuntimeVersion.apis``)."""
        version, endpoint = await self._state("state_getRuntimeVersion", hexed(block_hash))
        try:
            return {bytes.fromhex(name[2:]): int(number) for name, number in version["apis"]}
        except (KeyError, TypeError, ValueError, OverflowError):
            raise NodeError(f"{endpoint} answered state_getRuntimeVersion with something that is none") from None

    async def legacy_metadata(self, block_hash: bytes) -> bytes:
        """``state_getMetadata`` at a block: what runtimes before versioned metadata have."""
        result, _ = await self._state("state_getMetadata", hexed(block_hash))
        return unhexed(result) or b""


async def _unsubscribe(link: Link, method: str, name: str) -> None:
    """End a subscription whose reader went away; whether that works no longer matters."""
    with suppress(NodeError):
        await link.request(method.replace("subscribe", "unsubscribe"), [name], 5.0)
    link.forget(name)  # once more: what was told until now looked like the beginning of another one


@asynccontextmanager
async def open_node(
    endpoints: Sequence[str],
    *,
    archive: Sequence[str] = (),
    timeout_s: float = 30.0,
    connect_timeout_s: float = 10.0,
    concurrency: int = 32,
    probe_s: float = PROBE_S,
    metrics: Metrics | None = None,
) -> AsyncIterator[Node]:
    """A node over ``endpoints``, with ``archive`` endpoints for state they no longer have.

    Nothing is connected before the first request. Raises ``ConfigError`` for an address that is none.
    """
    urls = dict.fromkeys((*endpoints, *archive))
    for url in urls:
        if urlsplit(url).scheme not in ("ws", "wss") or not urlsplit(url).hostname:
            raise ConfigError(f"{redact(url)} is no WebSocket address: give a network's name, ws://… or wss://…")
    async with anyio.create_task_group() as group:
        footing, measured = Footing(), metrics or Metrics()
        members = [
            Endpoint(
                url,
                group,
                footing,
                measured,
                name=name,
                place=place,
                archive=url not in endpoints,
                timeout_s=timeout_s,
                connect_timeout_s=connect_timeout_s,
                concurrency=concurrency,
            )
            for place, (url, name) in enumerate(shown_names(urls).items())
        ]
        pool = Pool(members, footing, probe_s)
        if len(members) > 1:
            for member in members:
                group.start_soon(pool.watch, member, name=f"watch {member.name}")
        try:
            yield Node(pool, group)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(3):
                for member in members:
                    if member.link is not None:
                        await member.link.close()
            group.cancel_scope.cancel()
