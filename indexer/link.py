"""One WebSocket connection to a node: JSON-RPC requests matched to their replies, and subscriptions.

A link lives until its socket ends or its owner gives it up; then everything that waits on it fails
at once. It never reconnects: that is the business of ``node``, which knows the other endpoints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException

from indexer.errors import ConfigError, NodeError

MAX_REPLY_BYTES = 128 << 20
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class RpcRefused(NodeError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, endpoint: str, method: str, code: int, message: str) -> None:
        self.endpoint, self.method, self.code = endpoint, method, code
        super().__init__(f"{endpoint} refuses {method}: {message} (code {code})")


@dataclass(slots=True)
class _Pending:
    """A request under way: the reply arrives in ``reply``, or the link's end in ``error``."""

    method: str
    done: anyio.Event = field(default_factory=anyio.Event)
    reply: dict[str, Any] | None = None
    size: int = 0
    error: str = ""


class Link:
    """One open WebSocket connection and the requests and subscriptions that live on it."""

    def __init__(self, url: str, socket: ClientConnection) -> None:
        self.url = url
        self._socket = socket
        self._next_id = 0
        self._pending: dict[int, _Pending] = {}
        self._streams: dict[str, MemoryObjectSendStream[Any]] = {}
        self._early: dict[str, list[Any]] = {}
        self.lost = ""

    async def read(self) -> None:
        """Match replies until the connection ends, then fail whatever still waits."""
        try:
            async for message in self._socket:
                size = len(message)
                content = json.loads(message)
                for reply in content if isinstance(content, list) else [content]:
                    self._deliver(reply, size)
            self.end("closed the connection")
        except (WebSocketException, OSError) as error:
            self.end(f"lost the connection: {error}")
        except (ValueError, AttributeError, TypeError) as error:
            self.end(f"sent something that is not JSON-RPC: {error}")
        finally:
            self.end("closed the connection")

    def end(self, reason: str) -> None:
        """Mark the link lost and wake everything that waits on it."""
        if self.lost:
            return
        self.lost = reason
        for pending in self._pending.values():
            pending.error = reason
            pending.done.set()
        for stream in self._streams.values():
            stream.close()

    def _deliver(self, reply: dict[str, Any], size: int) -> None:
        pending = self._pending.pop(reply.get("id", -1), None) if "method" not in reply else None
        if pending is not None:
            pending.reply, pending.size = reply, size
            pending.done.set()
        elif "params" in reply:
            name = str(reply["params"]["subscription"])
            stream = self._streams.get(name)
            if stream is None:
                self._early.setdefault(name, []).append(reply["params"]["result"])
            else:
                _offer(stream, reply["params"]["result"])

    async def request(self, method: str, params: Sequence[Any], timeout_s: float) -> tuple[Any, int]:
        """The result and the size of its message.

        Raises ``NodeError`` if the link fails or is silent, ``RpcRefused`` if the node refuses.
        """
        self._next_id += 1
        request_id = self._next_id
        pending = self._pending[request_id] = _Pending(method)
        try:
            with anyio.fail_after(timeout_s):
                await self._socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)})
                )
                await pending.done.wait()
        except TimeoutError:
            raise NodeError(f"{self.url} did not answer {method} within {timeout_s:g} s") from None
        except WebSocketException as error:
            raise NodeError(f"{self.url} lost the connection: {error}") from None
        finally:
            self._pending.pop(request_id, None)
        if pending.reply is None:
            raise NodeError(f"{self.url} {pending.error}")
        if "error" in pending.reply:
            error_object = pending.reply["error"] or {}
            detail = f"{error_object.get('message', 'no reason given')} {error_object.get('data') or ''}".strip()
            raise RpcRefused(self.url, method, int(error_object.get("code", 0)), detail)
        return pending.reply.get("result"), pending.size

    def stream(self, subscription: str) -> MemoryObjectReceiveStream[Any]:
        """Notifications of a subscription, from its first one on; ends when the link does."""
        send, receive = anyio.create_memory_object_stream[Any](64)
        for early in self._early.pop(subscription, []):
            _offer(send, early)
        self._streams[subscription] = send
        if self.lost:
            send.close()
        return receive

    async def close(self) -> None:
        """Close the socket; the reader then ends by itself."""
        await self._socket.close()


def _offer(stream: MemoryObjectSendStream[Any], item: Any) -> None:
    """Hand over a notification; one that nobody takes is dropped, since a head is only a hint."""
    with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
        stream.send_nowait(item)


async def open_link(url: str, timeout_s: float) -> Link:
    """Connect to ``url``. Raises ``NodeError`` if it cannot be reached in time, ``ConfigError`` if it is no address."""
    local = urlsplit(url).hostname in _LOCAL_HOSTS
    try:
        with anyio.fail_after(timeout_s):
            socket = await connect(
                url,
                max_size=MAX_REPLY_BYTES,
                compression=None if local else "deflate",
                proxy=None if local else True,
                open_timeout=None,
                close_timeout=2,
            )
    except InvalidURI as error:
        raise ConfigError(f"{url} is no WebSocket address: give a network's name, ws://… or wss://…") from error
    except TimeoutError:
        raise NodeError(f"{url} did not open within {timeout_s:g} s") from None
    except (OSError, WebSocketException) as error:
        raise NodeError(f"{url} cannot be reached: {error}") from None
    return Link(url, socket)
