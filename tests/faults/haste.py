"""The product's times made short, for this process and for one of its own: ``python haste.py run ...``.

Seconds become tenths: what is tested is that there is an end, not how long it takes. The rest of a liar
stays as it is: nobody is to come back within a story.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from indexer import (
    cli,
    daemon,
    errors,
    fallback,
    gate,
    heads,
    heal,
    health,
    leader,
    migrate,
    node,
    recover,
    session,
    store,
)

TIME_OUTS: tuple[tuple[Any, str, Any], ...] = (
    (session, "CONNECT_TIMEOUT_S", 1.0),
    (session, "CALL_TIMEOUT_S", 1.5),
    (migrate, "CONNECT_TIMEOUT_S", 1.0),
    (migrate, "CHECK_TIMEOUT_S", 1.5),
    (store, "PING_TIMEOUT_S", 1.5),
    (leader, "PING_S", 0.3),
    (leader, "SLOW_S", 0.5),
)
PAUSES: tuple[tuple[Any, str, Any], ...] = (
    (leader, "POLL_S", 0.2),
    (leader, "SILENT_S", 2.0),
    (heads, "POLL_S", 0.5),
    (heads, "backoff", lambda *_: errors.backoff(0.05, 0.5)),
    (recover, "backoff", lambda *_: errors.backoff(0.05, 0.5)),
    (daemon, "FIRST_CONTACT_TRIES", 1000),  # three tries in haste are over before any outage
    (daemon, "backoff", lambda: errors.backoff(0.05, 0.5)),
    (daemon, "open_node", partial(node.open_node, probe_s=0.5)),
    (heal, "backoff", lambda *_: errors.backoff(0.05, 0.5)),
    (fallback, "backoff", lambda *_: errors.backoff(0.05, 0.5)),
    (gate, "PAUSE_FIRST_S", 0.1),
    (gate, "PAUSE_MAX_S", 1.0),
    *((health.REST_S, cause, (0.1, 0.5)) for cause in ("unreachable", "lost", "silent")),
)


def hasten(set_attribute: Callable[[Any, str, Any], None], set_item: Callable[[Any, Any, Any], None]) -> None:
    """Apply all, by ``monkeypatch`` or for good."""
    for owner, name, value in (*TIME_OUTS, *PAUSES):
        (set_item if isinstance(owner, dict) else set_attribute)(owner, name, value)


if __name__ == "__main__":
    tries = daemon.FIRST_CONTACT_TRIES
    hasten(setattr, dict.__setitem__)
    if "NOTIFY_SOCKET" in os.environ:  # a service is not to give up, however few tries a person would wait for
        daemon.FIRST_CONTACT_TRIES = tries
    cli.main()
