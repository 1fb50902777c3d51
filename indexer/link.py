"""One WebSocket connection to a node: JSON-RPC requests matched to their replies, and subscriptions.

A link lives until its socket ends or its owner gives it up; then everything that waits on it fails
at once. A subscription that nobody took, since its answer came too late, is ended at its first
notification: the node would go on with it as long as the connection lives. A link never reconnects:
that is the business of ``node``, which knows the other endpoints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from indexer.errors import NodeError
from indexer.redaction import foreign, redact

MAX_REPLY_BYTES = 32 << 20
"""Twice what a node sends at most by default, and some hundred megabytes when parsed, whatever it holds."""
EARLY_MAX = 256
"""Notifications kept for a subscription whose name is not known yet."""
UNSUBSCRIBE_S = 1.0
"""What the reader spends at most on telling the node of a subscription that nobody took."""
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

BUSY_CODES = frozenset({-32999, -32604, -32009, -32005, -32029, 429})
"""Substrate's rate limit; jsonrpsee's "server is busy", old and new; "limit exceeded" of gateways, three ways."""
TOO_LARGE_CODES = frozenset({-32702, -32008, -32701, -32007})
"""jsonrpsee's oversized response, old and new, and oversized request, old and new."""
_BUSY_STATUS = frozenset({429, 503})
_BUSY_CLOSE = frozenset({1008, 1013})
"""Policy violation, as which proxies cut those who ask too much, and "try again later"."""
_TOO_LARGE_CLOSE = 1009


class RpcRefused(NodeError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, endpoint: str, method: str, code: int, message: str) -> None:
        self.endpoint, self.method, self.code = endpoint, method, code
        super().__init__(f"{endpoint} refuses {method}: {message} (code {code})")


class Unreachable(NodeError):
    """No connection could be made."""


class Silent(NodeError):
    """The endpoint took a request and gave no answer in time."""


class Busy(NodeError):
    """The endpoint wants fewer requests; ``retry_after_s`` is 0 where it does not say how long."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class TooLarge(NodeError):
    """The reply (or the request) is over the endpoint's limit: ask for less at once."""


@dataclass(slots=True)
class _Pending:
    """A request under way: the reply arrives in ``reply``; without one, the link has ended."""

    method: str
    done: anyio.Event = field(default_factory=anyio.Event)
    reply: dict[str, Any] | None = None
    size: int = 0


class Link:
    """One open WebSocket connection and the requests and subscriptions that live on it."""

    def __init__(self, url: str, socket: ClientConnection) -> None:
        self.name = redact(url)
        self._url = url
        self._socket = socket
        self._next_id = 0
        self._pending: dict[int, _Pending] = {}
        self._streams: dict[str, MemoryObjectSendStream[Any]] = {}
        self._early: dict[str, list[Any]] = {}
        self._begun: str | None = None
        """The subscription answered last, until ``stream`` takes it."""
        self._untaken: set[str] = set()
        self._unsubscribe = ""
        self._close_code = 0
        self.lost = ""
        self.heard_s = time.monotonic()
        """When the last message came; tells an endpoint that is slow from one that is silent."""

    async def read(self) -> None:
        """Match replies until the connection ends, then fail whatever still waits."""
        try:
            async for message in self._socket:
                size = len(message)
                self.heard_s = time.monotonic()
                content = json.loads(message)
                for reply in content if isinstance(content, list) else [content]:
                    self._deliver(reply, size)
                if self._untaken:
                    await self._end_untaken()
            self.end("closed the connection")
        except (WebSocketException, OSError) as error:
            self._note_close(error)
            self.end(f"lost the connection: {error}")
        except (ValueError, AttributeError, TypeError, LookupError, RecursionError) as error:
            self.end(f"sent something that is not JSON-RPC: {error!r:.200}")
        finally:
            self.end("closed the connection")

    def _note_close(self, error: Exception) -> None:
        """Keep the code with which either side closed: it says whether to ask less often, or for less at once."""
        if isinstance(error, ConnectionClosed):
            codes = [frame.code for frame in (error.rcvd, error.sent) if frame is not None]
            self._close_code = codes[0] if codes else 0

    def failure(self) -> NodeError:
        """Why what waits on this link has failed, as the error that says what to do."""
        if self._close_code == _TOO_LARGE_CLOSE:
            return TooLarge(f"{self.name} {self.lost}")
        if self._close_code in _BUSY_CLOSE:
            return Busy(f"{self.name} {self.lost}")
        return NodeError(f"{self.name} {self.lost}")

    def end(self, reason: str) -> None:
        """Mark the link lost and wake everything that waits on it."""
        if self.lost:
            return
        self.lost = foreign(reason, self._url)
        for pending in self._pending.values():
            pending.done.set()
        for stream in self._streams.values():
            stream.close()

    def _deliver(self, reply: dict[str, Any], size: int) -> None:
        pending = self._pending.pop(reply.get("id", -1), None) if "method" not in reply else None
        if pending is not None:
            pending.reply, pending.size = reply, size
            if _subscribes(pending.method) and "result" in reply:
                self._begun = str(reply["result"])
            pending.done.set()
        elif "params" in reply:
            self._notify(str(reply["params"]["subscription"]), reply["params"]["result"])

    def _notify(self, name: str, result: Any) -> None:
        stream = self._streams.get(name)
        if stream is not None:
            _offer(stream, result)
        elif name == self._begun or any(_subscribes(pending.method) for pending in self._pending.values()):
            if sum(map(len, self._early.values())) < EARLY_MAX:
                self._early.setdefault(name, []).append(result)
        elif self._unsubscribe:  # else nobody ever subscribed, and it makes things up
            self._untaken.add(name)

    async def _end_untaken(self) -> None:
        """Tell the node, without waiting for its answer; if it fails, the next notification comes here again."""
        with anyio.move_on_after(UNSUBSCRIBE_S):
            while self._untaken:
                name = self._untaken.pop()
                self._early.pop(name, None)
                self._next_id += 1
                ended = {"jsonrpc": "2.0", "id": self._next_id, "method": self._unsubscribe, "params": [name]}
                await self._socket.send(json.dumps(ended))

    async def request(self, method: str, params: Sequence[Any], timeout_s: float) -> tuple[Any, int]:
        """The result and the size of its message.

        Raises ``NodeError`` if the link fails, ``Silent`` if nothing comes in time, ``Busy`` or ``TooLarge`` if
        the node says so, ``RpcRefused`` if it refuses for another reason.
        """
        if self.lost:
            raise self.failure()
        self._next_id += 1
        request_id = self._next_id
        if _subscribes(method):
            self._unsubscribe = method.replace("_subscribe", "_unsubscribe")
        pending = self._pending[request_id] = _Pending(method)
        try:
            with anyio.fail_after(timeout_s):
                await self._socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)})
                )
                await pending.done.wait()
        except TimeoutError:
            raise Silent(f"{self.name} did not answer {method} within {timeout_s:g} s") from None
        except WebSocketException as error:
            self._note_close(error)
            self.end(f"lost the connection: {error}")
            raise self.failure() from None
        finally:
            self._pending.pop(request_id, None)
        if pending.reply is None:
            raise self.failure()
        if pending.reply.get("error") is not None:
            raise _refusal(self._url, method, pending.reply["error"])
        return pending.reply.get("result"), pending.size

    def stream(self, subscription: str) -> MemoryObjectReceiveStream[Any]:
        """Notifications of a subscription, from its first one on; ends when the link does."""
        send, receive = anyio.create_memory_object_stream[Any](64)
        for early in self._early.pop(subscription, []):
            _offer(send, early)
        self._begun = None
        self._early.clear()  # of others that were begun and not taken: their next notification ends them
        self._streams[subscription] = send
        if self.lost:
            send.close()
        return receive

    def forget(self, subscription: str) -> None:
        """Take no more notifications of a subscription."""
        stream = self._streams.pop(subscription, None)
        if stream is not None:
            stream.close()
        self._early.pop(subscription, None)

    async def close(self) -> None:
        """Close the socket; the reader then ends by itself. Cut short, it is closed without a farewell."""
        try:
            await self._socket.close()
        finally:
            self._socket.transport.abort()


def _subscribes(method: str) -> bool:
    return "_subscribe" in method


def _offer(stream: MemoryObjectSendStream[Any], item: Any) -> None:
    """Hand over a notification; one that nobody takes is dropped, since a head is only a hint."""
    with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
        stream.send_nowait(item)


def _refusal(url: str, method: str, error: Any) -> NodeError:
    """The error behind the ``error`` member of an answer, whatever its shape. Some quote the key they were given."""
    content = error if isinstance(error, dict) else {"message": error}
    code = content.get("code")
    code = code if isinstance(code, int) else 0
    refused = RpcRefused(redact(url), method, code, foreign(_reason(content), url)[:600])
    if code in BUSY_CODES:
        return Busy(str(refused))
    return TooLarge(str(refused)) if code in TOO_LARGE_CODES else refused


def _reason(content: dict[str, Any]) -> str:
    try:
        return f"{content.get('message', 'no reason given')!s:.2000} {content.get('data') or ''!s:.2000}"
    except RecursionError:
        return "the reason is nested too deeply"


def _retry_after_s(error: InvalidStatus) -> float:
    """The seconds of a ``Retry-After`` header, at most ten minutes; 0 if there is none or it is a date."""
    text = error.response.headers.get("Retry-After", "")
    return min(float(text), 600.0) if text.isascii() and text.isdecimal() else 0.0


async def open_link(url: str, timeout_s: float) -> Link:
    """Connect to ``url``.

    Raises ``Unreachable`` if that fails or takes too long, ``Busy`` if the server refuses for its load.
    """
    name = redact(url)
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
    except InvalidStatus as error:
        text = f"{name} cannot be reached: {foreign(str(error), url)}"
        if error.response.status_code in _BUSY_STATUS:
            raise Busy(text, _retry_after_s(error)) from None
        raise Unreachable(text) from None
    except TimeoutError:
        raise Unreachable(f"{name} cannot be reached: it did not open within {timeout_s:g} s") from None
    except (OSError, WebSocketException, ValueError, LookupError) as error:
        # Not only what is lost: a server may send us on to an address that is none.
        raise Unreachable(f"{name} cannot be reached: {foreign(str(error), url)}") from None
    return Link(url, socket)
