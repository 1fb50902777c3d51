"""What an error of Postgres means to us: one table of SQLSTATE classes, and what asyncpg itself raises.

Decided by code and class, never by message. Each class that Postgres documents is listed, so that
nothing becomes ``Fatal`` by oversight; a code of its own stands before its class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg

from indexer.errors import ConfigError, Fatal, IndexerError, StoreError
from indexer.redaction import foreign

PASSING, CONFIGURATION, BUG = StoreError, ConfigError, Fatal

MEANINGS: Mapping[str, type[IndexerError]] = {
    "01": BUG,  # warning
    "02": BUG,  # no data
    "03": BUG,  # statement not complete
    "08": PASSING,  # connection lost
    "09": BUG,  # triggered action
    "0A": BUG,  # feature not supported
    "0B": BUG,  # transaction initiation
    "0F": BUG,  # locator
    "0L": CONFIGURATION,  # grantor
    "0P": CONFIGURATION,  # role
    "0Z": BUG,  # diagnostics
    "10": BUG,  # XQuery
    "20": BUG,  # case not found
    "21": BUG,  # cardinality
    "22": BUG,  # data
    "23": BUG,  # constraint
    "24": BUG,  # cursor state
    "25": BUG,  # transaction state
    "25006": PASSING,  # read-only: the server has become a replica, the primary is elsewhere or not yet chosen
    "25P03": PASSING,  # idle in a transaction for too long: this process was suspended
    "25P04": PASSING,  # a transaction for too long
    "26": BUG,  # statement name
    "27": BUG,  # triggered data change
    "28": CONFIGURATION,  # user or password
    "2B": BUG,  # dependent privileges
    "2D": BUG,  # transaction termination
    "2F": BUG,  # SQL routine
    "34": BUG,  # cursor name
    "38": BUG,  # external routine
    "39": BUG,  # external routine invocation
    "3B": BUG,  # savepoint
    "3D": CONFIGURATION,  # no such database
    "3F": BUG,  # no such schema
    "40": PASSING,  # serialization, deadlock, rolled back
    "42": BUG,  # syntax, unknown name
    "42501": CONFIGURATION,  # privilege
    "44": BUG,  # check option
    "53": PASSING,  # disk full, out of memory, too many connections
    "54": BUG,  # limit of the program
    "55": BUG,  # object not in prerequisite state
    "55000": PASSING,  # not possible during recovery
    "55006": PASSING,  # object in use
    "55P03": PASSING,  # lock not available in time
    "57": PASSING,  # shutdown, crash, cancelled, cannot connect now
    "58": PASSING,  # I/O and other errors of the system below
    "72": PASSING,  # snapshot too old
    "F0": CONFIGURATION,  # the server's configuration file
    "HV": BUG,  # foreign data
    "P0": BUG,  # PL/pgSQL
    "XX": PASSING,  # internal: mostly a race with somebody's DDL; if it stays, every try is logged
    "XX001": BUG,  # corrupted data: a person has to look
    "XX002": BUG,  # corrupted index
}
"""Root by SQLSTATE, or by its first two characters."""

_PASSING = (
    asyncpg.InvalidCachedStatementError,  # 0A000 after somebody's DDL: a new session plans anew
    asyncpg.TargetServerAttributeNotMatched,  # none of several hosts is the primary just now
    asyncpg.InternalClientError,  # what asyncpg raises for a connection that was cut between two statements
    OSError,
    TimeoutError,
)
_BUG = (asyncpg.DataError, asyncpg.UnsupportedClientFeatureError, asyncpg.UnsupportedServerFeatureError)

FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a call of asyncpg may raise."""

_HINTS = {
    "25006": "the server is read-only, as after a fail-over",
    "42501": "the role lacks a privilege that the indexer needs",
    "53100": "the database's disk is full",
}


def meaning(error: BaseException) -> type[IndexerError]:
    """The root that one of ``FOREIGN`` stands for; ``Fatal`` if the code is of no known class."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return CONFIGURATION
    if isinstance(error, _BUG):
        return BUG
    if isinstance(error, _PASSING):
        return PASSING
    if isinstance(error, asyncpg.InterfaceError):
        return PASSING  # a connection that is closed, or being closed
    code = getattr(error, "sqlstate", None) or ""
    return MEANINGS.get(code) or MEANINGS.get(code[:2], BUG)


def mapped(what: str, error: BaseException) -> IndexerError:
    """One of ``FOREIGN`` as ours, in one line that says what was being done."""
    root = meaning(error)
    code = getattr(error, "sqlstate", None)
    text = foreign(str(error)) or "no answer"
    if code in _HINTS:
        text += f" ({_HINTS[code]})"
    if root is BUG:
        return Fatal(f"{what}: Postgres refuses what should be right ({code or type(error).__name__}): {text}")
    return root(f"{what}: {text}" if root is CONFIGURATION else f"{what}: {type(error).__name__}: {text}")


@contextmanager
def mapped_errors(what: str) -> Iterator[None]:
    """Postgres' errors as ours: what may pass is ``StoreError``, what needs a person is ``Fatal``."""
    try:
        yield
    except FOREIGN as error:
        raise mapped(what, error) from error
