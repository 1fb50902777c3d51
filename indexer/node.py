"""JSON-RPC over WebSocket to one of several endpoints: requests matched to replies, time-outs, fail-over.

A request that fails with its connection is sent again over the next endpoint; one that the node
itself refuses is not. Every block is asked for by hash, and a header is only believed if it hashes
to what was asked. This module knows methods and bytes, never tables or SCALE types.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio
import structlog
from anyio.abc import TaskGroup

from indexer.errors import ConfigError, NodeError, ProofError, backoff
from indexer.link import Link, RpcRefused, open_link
from indexer.model import BlockRef, Header
from indexer.trie import blake2_256, by_hash

log = structlog.get_logger()

METHOD_NOT_FOUND = -32601

Observe: TypeAlias = Callable[[str, str, float, int], None]
"""(method, outcome, seconds, bytes received) of each request."""


class Node:
    """The endpoints as one node. Made by ``open_node``; every method may be called by many tasks at once."""

    def __init__(
        self,
        endpoints: Sequence[str],
        group: TaskGroup,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        concurrency: int,
        observe: Observe,
        archive: Node | None = None,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._group = group
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._limiter = anyio.Semaphore(concurrency)
        self._observe = observe
        self._archive = archive
        self._connecting = anyio.Lock()
        self._link: Link | None = None
        self._turn = 0

    @property
    def endpoint(self) -> str:
        """The endpoint in use, or the next one to be tried."""
        return self._endpoints[self._turn % len(self._endpoints)]

    async def _connected(self) -> Link:
        """The open link; connects to the next endpoint that answers, each tried once."""
        async with self._connecting:
            if self._link is not None and not self._link.lost:
                return self._link
            failures: list[str] = []
            for _ in self._endpoints:
                url = self.endpoint
                try:
                    self._link = await open_link(url, self._connect_timeout_s)
                    self._group.start_soon(self._link.read, name=f"node link {url}")
                except NodeError as error:
                    failures.append(str(error))
                    self._turn += 1
                else:
                    log.info("node_connected", endpoint=url)
                    return self._link
            raise NodeError("no endpoint can be reached: " + "; ".join(failures))

    def _drop(self, link: Link, reason: str) -> None:
        """Give a link up after a failure: the next request goes to the next endpoint."""
        if self._link is link:
            log.warning("node_lost", endpoint=link.url, reason=reason)
            self._link = None
            self._turn += 1
        link.end(reason)
        self._group.start_soon(link.close, name=f"close {link.url}")

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one request."""
        return (await self.call_named(method, *params))[0]

    async def call_named(self, method: str, *params: Any) -> tuple[Any, str]:
        """The result of one request and the endpoint that gave it.

        A lost or silent endpoint is left for the next one, each tried twice. Raises ``NodeError`` when
        all have failed, ``RpcRefused`` when the node itself refuses.
        """
        async with self._limiter:
            delays = backoff(0.1, 2.0)
            for attempt in range(2 * len(self._endpoints)):
                link = await self._connected()
                started = time.perf_counter()
                try:
                    result, size = await link.request(method, params, self._timeout_s)
                except RpcRefused:
                    self._observe(method, "refused", time.perf_counter() - started, 0)
                    raise
                except NodeError as error:
                    self._observe(method, "failed", time.perf_counter() - started, 0)
                    self._drop(link, str(error))
                    if attempt + 1 == 2 * len(self._endpoints):
                        raise
                    await anyio.sleep(next(delays))
                else:
                    self._observe(method, "ok", time.perf_counter() - started, size)
                    return result, link.url
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _state(self, method: str, *params: Any) -> tuple[Any, str]:
        """A request about the state of a block; what the endpoints refuse, an archive node is asked for."""
        try:
            return await self.call_named(method, *params)
        except RpcRefused as refusal:
            if self._archive is None or refusal.code == METHOD_NOT_FOUND:
                raise
            try:
                return await self._archive.call_named(method, *params)
            except NodeError as error:
                log.debug("archive_no_help", method=method, reason=str(error))
                raise refusal from None

    async def close(self) -> None:
        """Close the open link, if there is one."""
        if self._link is not None:
            await self._link.close()

    async def subscribe(self, method: str) -> AsyncGenerator[Any, None]:
        """Notifications of a subscription until the connection ends; then raises ``NodeError``."""
        link = await self._connected()
        subscription, _ = await link.request(method, [], self._timeout_s)
        with link.stream(str(subscription)) as notifications:
            async for notification in notifications:
                yield notification
        raise NodeError(f"{link.url} {link.lost or 'ended the subscription'}")

    async def chain(self) -> tuple[str, int]:
        """The chain's name and the SS58 prefix of its addresses (42 where the node does not tell)."""
        name = await self.call("system_chain")
        properties = await self.call("system_properties") or {}
        prefix = properties.get("ss58Format", 42) if isinstance(properties, dict) else 42
        return str(name), prefix if isinstance(prefix, int) else 42

    async def block_hash(self, number: int) -> bytes | None:
        """Hash of the node's block at a height on its best chain; None if it has none (yet)."""
        return _bytes(await self.call("chain_getBlockHash", number))

    async def finalized(self) -> BlockRef:
        """The last finalized block the node knows."""
        head = _bytes(await self.call("chain_getFinalizedHead")) or b""
        return (await self.header(head)).ref

    async def best(self) -> BlockRef:
        """The head of the node's best chain, a hint: a load-balanced endpoint may go backwards."""
        header, endpoint = await self.call_named("chain_getHeader")
        return parse_header(header, None, endpoint).ref

    async def header(self, block_hash: bytes) -> Header:
        """The header of a block.

        Raises ``NodeError`` if the node lacks it, ``ProofError`` if it does not hash to ``block_hash``.
        """
        result, endpoint = await self.call_named("chain_getHeader", _hex(block_hash))
        if result is None:
            raise NodeError(f"{endpoint} does not know block 0x{block_hash.hex()}")
        return parse_header(result, block_hash, endpoint)

    async def read_proof(self, keys: Iterable[bytes], block_hash: bytes) -> tuple[dict[bytes, bytes], str]:
        """Trie nodes on the paths of ``keys``, each under its own hash, and the endpoint that sent them."""
        result, endpoint = await self._state("state_getReadProof", [_hex(key) for key in keys], _hex(block_hash))
        try:
            return by_hash(bytes.fromhex(node[2:]) for node in result["proof"]), endpoint
        except (KeyError, TypeError, ValueError):
            raise ProofError(f"{endpoint} answered state_getReadProof with something that is no proof") from None

    async def state_call(self, function: str, arguments: bytes, block_hash: bytes) -> bytes:
        """Result of a runtime API function at a block, SCALE encoded."""
        result, _ = await self._state("state_call", function, _hex(arguments), _hex(block_hash))
        return _bytes(result) or b""

    async def runtime_apis(self, block_hash: bytes) -> dict[bytes, int]:
        """Version by id of the runtime APIs that the code in a block's state has (``RuntimeVersion.apis``)."""
        version, endpoint = await self._state("state_getRuntimeVersion", _hex(block_hash))
        try:
            return {bytes.fromhex(name[2:]): int(number) for name, number in version["apis"]}
        except (KeyError, TypeError, ValueError):
            raise NodeError(f"{endpoint} answered state_getRuntimeVersion with something that is none") from None

    async def legacy_metadata(self, block_hash: bytes) -> bytes:
        """``state_getMetadata`` at a block: what runtimes before versioned metadata have."""
        result, _ = await self._state("state_getMetadata", _hex(block_hash))
        return _bytes(result) or b""


def parse_header(header: Any, block_hash: bytes | None, endpoint: str) -> Header:
    """A checked header from its JSON form; ``block_hash = None`` takes the hash it has."""
    try:
        parent, state, body = (bytes.fromhex(header[key][2:]) for key in ("parentHash", "stateRoot", "extrinsicsRoot"))
        number = int(header["number"], 16)
        digest = tuple(bytes.fromhex(entry[2:]) for entry in header["digest"]["logs"])
    except (KeyError, TypeError, ValueError):
        raise ProofError(f"{endpoint} sent a header that is none") from None
    own_hash = header_hash(parent, number, state, body, digest)
    if block_hash is not None and own_hash != block_hash:
        raise ProofError(f"{endpoint} sent a header for 0x{block_hash.hex()} that hashes to 0x{own_hash.hex()}")
    return Header(BlockRef(number, own_hash), parent, state, body, digest)


def header_hash(
    parent: bytes, number: int, state_root: bytes, extrinsics_root: bytes, digest: Sequence[bytes]
) -> bytes:
    """blake2b-256 of the SCALE encoded header (``sp_runtime::generic::Header``)."""
    encoded = parent + _compact(number) + state_root + extrinsics_root + _compact(len(digest)) + b"".join(digest)
    return blake2_256(encoded)


def _compact(number: int) -> bytes:
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    if number < 1 << 30:
        return (number << 2 | 2).to_bytes(4, "little")
    body = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return bytes([(len(body) - 4) << 2 | 3]) + body


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: Any) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str) or not text.startswith("0x"):
        raise NodeError(f"the node answered {text!r:.60} where a hex string was expected")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise NodeError(f"the node answered {text!r:.60} where a hex string was expected") from None


def _unobserved(method: str, outcome: str, seconds: float, size: int) -> None:
    """The observer of those who measure nothing."""


@asynccontextmanager
async def open_node(
    endpoints: Sequence[str],
    *,
    archive: Sequence[str] = (),
    timeout_s: float = 30.0,
    connect_timeout_s: float = 10.0,
    concurrency: int = 32,
    observe: Observe = _unobserved,
) -> AsyncIterator[Node]:
    """A node over ``endpoints``, with ``archive`` endpoints for state they no longer have.

    Nothing is connected before the first request. Raises ``ConfigError`` for an address that is none.
    """
    for url in (*endpoints, *archive):
        if urlsplit(url).scheme not in ("ws", "wss") or not urlsplit(url).hostname:
            raise ConfigError(f"{url} is no WebSocket address: give a network's name, ws://… or wss://…")
    async with anyio.create_task_group() as group:

        def over(urls: Sequence[str], behind: Node | None) -> Node:
            return Node(
                urls,
                group,
                timeout_s=timeout_s,
                connect_timeout_s=connect_timeout_s,
                concurrency=concurrency,
                observe=observe,
                archive=behind,
            )

        old = over(archive, None) if archive and tuple(archive) != tuple(endpoints) else None
        node = over(endpoints, old)
        try:
            yield node
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(3):
                for one in (node, old):
                    if one is not None:
                        await one.close()
            group.cancel_scope.cancel()
