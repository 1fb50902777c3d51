"""One WebSocket connection to a node: JSON-RPC requests, alone or in batches, matched to their replies; subscriptions.

A link lives until its socket ends or its owner gives it up; then everything that waits on it fails
at once. A subscription that nobody took, since its answer came too late, is ended at its first
notification: the node would go on with it as long as the connection lives. A link never reconnects:
that is the business of ``node``, which knows the other endpoints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus, WebSocketException

from indexer.errors import NodeError
from indexer.redaction import foreign, redact
from indexer.refusals import (
    BATCH_TOO_LARGE_CODES,
    BUSY_CODES,
    TOO_LARGE_CODES,
    BatchRefused,
    Busy,
    GivenUp,
    LeftOut,
    RpcRefused,
    Silent,
    TooLarge,
    Unreachable,
    refusal,
)

__all__ = [
    "BUSY_CODES",
    "TOO_LARGE_CODES",
    "BatchRefused",
    "Busy",
    "Call",
    "GivenUp",
    "LeftOut",
    "Link",
    "RpcRefused",
    "Silent",
    "TooLarge",
    "Unreachable",
    "open_link",
]

MAX_REPLY_BYTES = 32 << 20
"""Twice what a node sends at most by default, and some hundred megabytes when parsed, whatever it holds."""
EARLY_MAX = 256
"""Notifications kept for a subscription whose name is not known yet."""
UNSUBSCRIBE_S = 1.0
"""What the reader spends at most on telling the node of a subscription that nobody took."""
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

_BUSY_STATUS = frozenset({429, 503})
_BUSY_CLOSE = frozenset({1008, 1013})
"""Policy violation, as which proxies cut those who ask too much, and "try again later"."""
_TOO_LARGE_CLOSE = 1009
Call: TypeAlias = "tuple[str, Sequence[Any]]"
"""A method and its parameters."""


@dataclass(slots=True)
class _Batch:
    """The requests of one message that wait for their replies; ``refused`` is the error that came for all of them."""

    waiting: set[int]
    done: anyio.Event = field(default_factory=anyio.Event)
    refused: Any = None


@dataclass(slots=True)
class _Pending:
    """A request under way: the reply arrives in ``reply``; without one, the link has ended."""

    method: str
    done: anyio.Event = field(default_factory=anyio.Event)
    reply: dict[str, Any] | None = None
    size: int = 0
    batch: _Batch | None = None


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
        self._is_given_up = False
        self.lost = ""
        self.heard_s = time.monotonic()
        """When the last message came; tells an endpoint that is slow from one that is silent."""

    async def read(self) -> None:
        """Match replies until the connection ends, then fail whatever still waits."""
        try:
            while True:
                message = await self._socket.recv(decode=False)
                size = len(message)
                self.heard_s = time.monotonic()
                content = _parsed(message)
                if isinstance(content, list):
                    self._deliver_all(content, size)
                else:
                    self._deliver(content, size)
                if self._untaken:
                    await self._end_untaken()
        except ConnectionClosedOK as error:
            self._note_close(error)
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
        return (GivenUp if self._is_given_up else NodeError)(f"{self.name} {self.lost}")

    def give_up(self, reason: str) -> None:
        """``end`` a link that may be open still: what waits on it is ``GivenUp``, as nothing is known against it."""
        self._is_given_up = not self.lost
        self.end(reason)

    def end(self, reason: str) -> None:
        """Mark the link lost and wake everything that waits on it."""
        if self.lost:
            return
        self.lost = foreign(reason, self._url)
        for pending in self._pending.values():
            (pending.batch or pending).done.set()
        for stream in self._streams.values():
            stream.close()

    def _deliver_all(self, replies: list[Any], size: int) -> None:
        """The answer to a batch, in any order; who is left out of it need not wait for another one."""
        batches = {id(batch): batch for reply in replies if (batch := self._deliver(reply, size)) is not None}
        if not replies:  # of a batch of which nothing is answered; which one is not told
            batches = {id(one.batch): one.batch for one in self._pending.values() if one.batch is not None}
        for batch in batches.values():
            batch.done.set()

    def _deliver(self, reply: dict[str, Any], size: int) -> _Batch | None:
        """Hand a message on; gives the batch that it answers a part of."""
        pending = self._pending.pop(reply.get("id", -1), None) if "method" not in reply else None
        if pending is None:
            if "params" in reply:
                self._notify(str(reply["params"]["subscription"]), reply["params"]["result"])
            elif reply.get("id") is None and reply.get("error") is not None:
                self._refuse_batches(reply["error"])
            return None
        pending.reply, pending.size = reply, size
        if _subscribes(pending.method) and "result" in reply:
            self._begun = str(reply["result"])
        batch = pending.batch
        if batch is None:
            pending.done.set()
            return None
        batch.waiting.discard(reply["id"])
        if not batch.waiting:
            batch.done.set()
        return batch

    def _refuse_batches(self, error: Any) -> None:
        """An error without an id is about a message that was not understood: nothing tells which, if there are more."""
        for pending in self._pending.values():
            if pending.batch is not None:
                pending.batch.refused = error
                pending.batch.done.set()

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
                await self._socket.send(_text(ended))

    async def request(self, method: str, params: Sequence[Any], timeout_s: float) -> tuple[Any, int]:
        """The result and the size of its message.

        Raises ``NodeError`` if the link fails, ``Silent`` if nothing comes in time, ``Busy`` or ``TooLarge`` if
        the node says so, ``RpcRefused`` if it refuses for another reason.
        """
        if _subscribes(method):
            self._unsubscribe = method.replace("_subscribe", "_unsubscribe")
        request = self._request(method, params)
        pending = self._pending[request["id"]] = _Pending(method)
        await self._exchange(request, [request["id"]], pending.done, method, timeout_s)
        result = self._outcome(pending)
        if isinstance(result, NodeError):
            raise result
        return result, pending.size

    async def batch(self, calls: Sequence[Call], timeout_s: float) -> tuple[list[Any], int]:
        """The results of some calls that go in one message, each its own ``NodeError`` if it came to one; and the size.

        One that the endpoint left out of its answer is ``LeftOut``. Raises ``BatchRefused`` if it refuses the whole,
        ``NodeError`` and ``Silent`` as ``request`` does, if nothing was answered.
        """
        requests = [self._request(method, params) for method, params in calls]
        batch = _Batch({request["id"] for request in requests})
        members = [_Pending(method, batch=batch) for method, _ in calls]
        self._pending.update((request["id"], one) for request, one in zip(requests, members, strict=True))
        try:
            await self._exchange(requests, list(batch.waiting), batch.done, f"a batch of {len(calls)}", timeout_s)
        except Silent:
            if len(batch.waiting) == len(calls):
                raise
        if batch.refused is not None:
            error = refusal(self._url, f"a batch of {len(calls)} requests", batch.refused)
            code = batch.refused.get("code") if isinstance(batch.refused, dict) else None
            raise BatchRefused(str(error), too_large=isinstance(code, int) and code in BATCH_TOO_LARGE_CODES)
        if self.lost and batch.waiting:
            raise self.failure()
        left_out = f"{self.name} left {{}} out of the answer to a batch"
        outcomes = [
            LeftOut(left_out.format(one.method)) if one.reply is None else self._outcome(one) for one in members
        ]
        return outcomes, max((one.size for one in members), default=0)

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._next_id += 1
        return {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}

    async def _exchange(
        self, message: Any, ids: Collection[int], done: anyio.Event, what: str, timeout_s: float
    ) -> None:
        """Send a message and wait until what waits for its answer is done."""
        try:
            if self.lost:
                raise self.failure()
            with anyio.fail_after(timeout_s):
                await self._socket.send(_text(message))
                await done.wait()
        except TimeoutError:
            raise Silent(f"{self.name} did not answer {what} within {timeout_s:g} s") from None
        except WebSocketException as error:
            self._note_close(error)
            self.end(f"lost the connection: {error}")
            raise self.failure() from None
        finally:
            for request_id in ids:
                self._pending.pop(request_id, None)

    def _outcome(self, pending: _Pending) -> Any:
        """The result of a request that is done, or the error it came to."""
        if pending.reply is None:
            return self.failure()
        if pending.reply.get("error") is not None:
            return refusal(self._url, pending.method, pending.reply["error"])
        return pending.reply.get("result")

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


def _parsed(message: bytes) -> Any:
    """What a message says. Names of anything may hold half a surrogate pair, which the faster parser refuses."""
    try:
        return msgspec.json.decode(message)
    except ValueError:
        return json.loads(message)


def _text(message: Any) -> str:
    return msgspec.json.encode(message).decode()  # a text frame: many servers take no other


def _subscribes(method: str) -> bool:
    return "_subscribe" in method


def _offer(stream: MemoryObjectSendStream[Any], item: Any) -> None:
    """Hand over a notification; one that nobody takes is dropped, since a head is only a hint."""
    with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
        stream.send_nowait(item)


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
