"""What a service manager is told: systemd's notify protocol, one datagram per message.

Owns the socket of ``NOTIFY_SOCKET`` and decides when to speak; without one it says nothing. The watchdog is fed by
progress alone (``liveness``): a loop that turns while nothing is got on with is as dead as one that hangs. Nothing here
waits for the manager, and a message that cannot be sent ends nothing.

``READY=1`` comes with the first alignment, or when a standby waits. Until then every progress moves the end of
systemd's ``TimeoutStartSec`` on: a node that is down at the start is waited for, a process that hangs is not.
"""

from __future__ import annotations

import os
import socket
from types import TracebackType

import anyio
import structlog

from indexer.errors import root_cause
from indexer.metrics import Metrics
from indexer.redaction import foreign

log = structlog.get_logger()

LOOKS_S = 1.0
"""Seconds between two looks at the progress, at most."""
LOOKS_PER_WATCHDOG = 4
STATUS_CHARACTERS = 300


class Supervisor:
    """The service manager above this process, if there is one. A context: at its end it is told so."""

    def __init__(self) -> None:
        """Reads and removes its variables: no child may speak for us."""
        address, watchdog_us, watchdog_pid = (
            os.environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        )
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        elif address:
            log.warning("notify_socket_unknown", address=address, consequence="the service manager is told nothing")
        is_ours = watchdog_pid in ("", str(os.getpid()))
        self._watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdecimal() and is_ours else 0.0
        self._status = ""
        self._ready = self._stopping = self._stopping_told = False

    @property
    def is_there(self) -> bool:
        """Whether somebody other than a person at a terminal waits for us to come up."""
        return self._socket is not None

    async def keep_told(self, metrics: Metrics) -> None:
        """Tell of readiness, state and progress as they come, for ever: a task of the daemon's group."""
        if self._socket is None:
            return
        pause_s = min(LOOKS_S, self._watchdog_s / LOOKS_PER_WATCHDOG or LOOKS_S)
        progressed_s = float("-inf")
        while True:
            if metrics.is_started and not self._ready:
                self._ready = self._tell("READY=1")
            latest_s = metrics.progressed_at_s
            if latest_s > progressed_s:
                told = not self._watchdog_s or self._tell("WATCHDOG=1")
                if not self._ready:
                    told &= self._tell(f"EXTEND_TIMEOUT_USEC={metrics.no_progress_after_s * 1e6:.0f}")
                progressed_s = latest_s if told else progressed_s
            if self._stopping:
                self._tell_of_the_end()
            else:
                self.status(_state(metrics))
            await anyio.sleep(pause_s)

    def status(self, text: str) -> None:
        """What `systemctl status` shows from now on, one line."""
        line = foreign(text)[:STATUS_CHARACTERS]
        if line != self._status and self._tell(f"STATUS={line}"):
            self._status = line

    def stopping(self, why: str) -> None:
        """The process is on its way out."""
        self._stopping = True
        self._tell_of_the_end()
        self.status(why)

    def _tell_of_the_end(self) -> None:
        self._stopping_told = self._stopping_told or self._tell("STOPPING=1")

    def _tell(self, message: str) -> bool:
        """Whether the message went out. A few fill the queue of a manager that is busy: they are said again."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping("ended" if error is None else f"error: {root_cause(error)}")
        if self._socket is not None:
            self._socket.close()


def _state(metrics: Metrics) -> str:
    """Where it stands, for a person."""
    _, state = metrics.readiness()
    reasons = state["reasons"]
    assert isinstance(reasons, dict)
    block = "no block yet" if state["committed_block"] is None else f"block {state['committed_block']}"
    text = f"{block}, {state['lag_seconds']:.0f} s behind"
    others = [f"{name}: {reason}" for name, reason in reasons.items() if name != "lag"]
    return "; ".join([text, *others])
