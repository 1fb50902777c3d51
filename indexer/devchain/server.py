"""A node's WebSocket on top of a simulated chain: requests, batches, subscriptions, heartbeat.

Owns sockets and time, nothing else of the chain. A ``Tamper`` sees every answer before it leaves and
may change it, delay it or cut the connection: that is how tests make a lagging or a lying node.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed

from indexer.devchain import rpc
from indexer.devchain.blocks import ChainBlock
from indexer.devchain.rpc import RpcError
from indexer.devchain.served import Listener, ServedChain
from indexer.devchain.subscriptions import ALL_HEADS, FINALIZED_HEADS, FOLLOW_BEST, Subscription, subscription

MAX_REQUEST_BYTES = MAX_RESPONSE_BYTES = 15 * 1024 * 1024
"""A Substrate node's defaults."""
_MAX_QUEUED = 8192

Tamper = Callable[[str, rpc.Params, Any], Awaitable[Any]]
"""(method, parameters, result) -> result to send; may wait, which holds up the requests behind it on that connection,
or raise ``RpcError``, ``DropConnection`` or ``NoAnswer``."""


class DropConnection(Exception):
    """Raised by a ``Tamper`` to cut the connection instead of answering."""


class NoAnswer(Exception):
    """Raised by a ``Tamper`` to leave a request without an answer, while others are answered."""


@dataclass(slots=True, eq=False)
class _Client:
    socket: ServerConnection
    serving: asyncio.Task[None]
    outbox: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(_MAX_QUEUED))
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    asked: list[Subscription] = field(default_factory=list)
    """Subscriptions whose answer has not left yet: nothing may be told under an id the client does not know."""


class DevNode:
    """One listening node. ``async with DevNode(chain) as node: ... node.url``."""

    def __init__(
        self, chain: ServedChain, host: str = "127.0.0.1", port: int = 0, *, tamper: Tamper | None = None
    ) -> None:
        """Port 0 takes a free one; ``port`` tells which after the start."""
        self.chain, self.host, self.port, self.tamper = chain, host, port, tamper
        self.requests: dict[str, int] = {}
        """How often each method was called since the start."""
        self._clients: set[_Client] = set()
        self._server: Server | None = None
        self._subscribed = 0
        self._listener = Listener(self._imported, self._best, self._finalized)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """Sockets that clients hold open."""
        return len(self._clients)

    @property
    def subscriptions(self) -> int:
        """Subscriptions that clients have not ended."""
        return sum(len(client.subscriptions) for client in self._clients)

    async def __aenter__(self) -> DevNode:
        self._server = await listen(
            self._serve, self.host, self.port, max_size=MAX_REQUEST_BYTES, compression=None, ping_interval=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        self.chain.listeners.append(self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.chain.listeners.remove(self._listener)
        if self._server is not None:
            self._server.close()
            for client in self._clients:
                client.serving.cancel()  # it may be held up in ``tamper``
            await self._server.wait_closed()

    def drop_connections(self) -> None:
        """Cut every connection without a goodbye; clients may connect again."""
        for client in self._clients:
            client.socket.transport.abort()

    async def _serve(self, socket: ServerConnection) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        client = _Client(socket, serving)
        self._clients.add(client)
        sender = asyncio.create_task(_send_all(client), name="devchain-sender")
        try:
            async for message in socket:
                answer = await self._answer(client, message)
                if answer is not None:
                    await client.outbox.put(answer)
                self._begin(client)
        except (ConnectionClosed, DropConnection):
            socket.transport.abort()
        finally:
            self._clients.discard(client)
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender

    async def _answer(self, client: _Client, message: str | bytes) -> str | None:
        """The answer to one message: a call, a notification (none) or a batch of both."""
        try:
            request = json.loads(message)
        except ValueError:
            return _error(None, RpcError(rpc.PARSE_ERROR, "Parse error"))
        if not isinstance(request, list):
            return await self._answer_one(client, request)
        if not request:
            return _error(None, RpcError(rpc.INVALID_REQUEST, "Invalid request"))
        answers = [await self._answer_one(client, one) for one in request]
        return "[" + ",".join(answer for answer in answers if answer is not None) + "]"

    async def _answer_one(self, client: _Client, request: object) -> str | None:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, RpcError(rpc.INVALID_REQUEST, "Invalid request"))
        method, params = request["method"], request.get("params") or []
        self.requests[method] = self.requests.get(method, 0) + 1
        try:
            if not isinstance(params, list):
                raise RpcError(rpc.INVALID_PARAMS, "Invalid params: expected a sequence")
            result = self._call(client, method, params)
            if self.tamper is not None:
                result = await self.tamper(method, params, result)
        except RpcError as error:
            return _error(request.get("id"), error) if "id" in request else None
        except NoAnswer:
            return None
        if "id" not in request:
            return None
        # Whatever a ``Tamper`` made of a result may need escaping.
        text = json.dumps(result) if self.tamper is not None else rpc.as_text(result)
        answer = f'{{"jsonrpc": "2.0", "id": {json.dumps(request["id"])}, "result": {text}}}'
        if len(answer) > MAX_RESPONSE_BYTES:
            return _error(request["id"], RpcError(-32702, "Response is too big"))
        return answer

    def _call(self, client: _Client, method: str, params: rpc.Params) -> Any:
        if method in rpc.SUBSCRIBE:
            return self._subscribe(client, method, params)
        if method in rpc.UNSUBSCRIBE:
            return client.subscriptions.pop(str(rpc.param(params, 0)), None) is not None
        return rpc.call(self.chain, method, params)

    def _subscribe(self, client: _Client, method: str, params: rpc.Params) -> str:
        self._subscribed += 1
        client.asked.append(subscription(self._subscribed, method, params))
        return client.asked[-1].id

    def _begin(self, client: _Client) -> None:
        """Start the subscriptions just answered, each with what holds now, as a node does."""
        for begun in client.asked:
            client.subscriptions[begun.id] = begun
            _tell(client, begun, begun.first(self.chain))
        client.asked.clear()

    def _imported(self, block: ChainBlock) -> None:
        self._tell_all(block, {ALL_HEADS})

    def _best(self, block: ChainBlock) -> None:
        self._tell_all(block, FOLLOW_BEST)

    def _finalized(self, block: ChainBlock) -> None:
        self._tell_all(block, {FINALIZED_HEADS})

    def _tell_all(self, block: ChainBlock, notifications: Collection[str]) -> None:
        for client in tuple(self._clients):
            for begun in tuple(client.subscriptions.values()):
                if begun.notification in notifications:
                    _tell(client, begun, begun.news(self.chain, block))


def _tell(client: _Client, begun: Subscription, news: Any | None) -> None:
    """Queue a notification; a client too slow to take thousands of them is cut off."""
    if news is None:
        return
    params = {"subscription": begun.id, "result": news}
    message = json.dumps({"jsonrpc": "2.0", "method": begun.notification, "params": params})
    try:
        client.outbox.put_nowait(message)
    except asyncio.QueueFull:
        client.socket.transport.abort()


async def _send_all(client: _Client) -> None:
    with suppress(ConnectionClosed):
        while True:
            await client.socket.send(await client.outbox.get())


def _error(request_id: object, error: RpcError) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error.as_json()})
