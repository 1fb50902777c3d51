"""The HTTP thread behind /metrics, /healthz and /readyz.

Answers from a thread of its own, so that a hung event loop is seen as growing lag and as a 503 instead of as
silence. It decides nothing: what is healthy and ready says ``metrics``.
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client.exposition import choose_encoder

from indexer.errors import ConfigError
from indexer.metrics import Metrics


def serve(metrics: Metrics, address: str) -> Endpoint:
    """Answer HTTP on ``host:port`` (port 0: any free one) from a thread of its own, until closed.

    :raises ConfigError: the address is in use or not ours.
    """
    host, _, port = address.rpartition(":")
    try:
        server = _server_for(metrics, host.strip("[]"), int(port))
    except OSError as error:
        raise ConfigError(
            f"cannot serve metrics on {address}: {error.strerror}; choose another --metrics-address, or 'off'"
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
    thread.start()
    return Endpoint(server, thread)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running HTTP server; ``close`` frees its port."""

    server: ThreadingHTTPServer
    thread: threading.Thread

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server.server_address[1])

    def close(self) -> None:
        """Stop answering and wait for the thread."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _server_for(metrics: Metrics, host: str, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds; a client that says nothing must not hold a thread for ever

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, content_type, encode(metrics.registry))
            elif path == "/healthz":
                self._state(*metrics.health())
            elif path == "/readyz":
                self._state(*metrics.readiness())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics /healthz /readyz\n")

        def _state(self, good: bool, answer: dict[str, object]) -> None:
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(answer).encode() + b"\n")

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape is no event."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    return Server((host, port), Handler)
