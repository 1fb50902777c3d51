"""What a node says no with: the errors a request can come to, and how they are told apart.

By code or class, never by message. Knows nothing of sockets; whoever asked decides what to do next.
"""

from __future__ import annotations

from typing import Any

from indexer.errors import NodeError
from indexer.redaction import foreign, redact

BUSY_CODES = frozenset({-32999, -32604, -32009, -32005, -32029, 429})
"""Substrate's rate limit; jsonrpsee's "server is busy", old and new; "limit exceeded" of gateways, three ways."""
TOO_LARGE_CODES = frozenset({-32702, -32008, -32701, -32007})
"""jsonrpsee's oversized response, old and new, and oversized request, old and new."""
BATCH_TOO_LARGE_CODES = TOO_LARGE_CODES | {-32010, -32011}
"""And jsonrpsee's batch of too many requests, and its batch of too large an answer."""


class RpcRefused(NodeError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, endpoint: str, method: str, code: int, message: str) -> None:
        self.endpoint, self.method, self.code = endpoint, method, code
        super().__init__(f"{endpoint} refuses {method}: {message} (code {code})")


class Unreachable(NodeError):
    """No connection could be made."""


class GivenUp(NodeError):
    """The connection was given up on our side, for what befell another request on it."""


class Silent(NodeError):
    """The endpoint took a request and gave no answer in time."""


class Busy(NodeError):
    """The endpoint wants fewer requests; ``retry_after_s`` is 0 where it does not say how long."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class TooLarge(NodeError):
    """The reply (or the request) is over the endpoint's limit: ask for less at once."""


class BatchRefused(NodeError):
    """The endpoint takes no batches, or none ``too_large`` like this one: what was in it was not answered."""

    def __init__(self, text: str, *, too_large: bool) -> None:
        self.too_large = too_large
        super().__init__(text)


class LeftOut(NodeError):
    """Others of the same batch were answered, this request was not."""


def refusal(url: str, method: str, error: Any) -> NodeError:
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
