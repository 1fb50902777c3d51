"""The three roots every error of the indexer descends from, and the back-off between tries.

An error says what to do next, not where it came from: try again (``Retryable``), find the common
ancestor (``Reorg``) or stop and tell a person (``Fatal``). Foreign exceptions are mapped to these
at the edge that raised them (``node``, ``store``), by class or code, never by message.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

EXIT_OK = 0
EXIT_DIFFERENT = 1
EXIT_USAGE = 2
EXIT_WRONG_CHAIN = 3
EXIT_LOCKED = 4
EXIT_UNDECODABLE = 5


RAW_SHOWN = 64
"""Bytes of an undecodable value that a message shows."""


class IndexerError(Exception):
    """Base of every error raised on purpose; its text is one line a person can act on."""


class Retryable(IndexerError):
    """The same call may succeed later: the run ends, aligns and starts again after a back-off."""


class Reorg(IndexerError):
    """A block does not continue what is stored: the run ends and ``recover.align`` looks for the ancestor."""


class Fatal(IndexerError):
    """A person has to act. The process ends with ``exit_code``."""

    exit_code: int = 1


class NodeError(Retryable):
    """The endpoint failed, timed out, or answered with an error that another try may cure."""


class ProofError(Retryable):
    """An endpoint's bytes do not hash to what was asked; the text names the endpoint."""


class StoreError(Retryable):
    """Postgres refused or was lost in a way that may pass."""


class WriterFenced(Retryable):
    """Another instance became the writer while this one still thought it was: nothing was written."""


class ConfigError(Fatal):
    """Wrong usage or configuration, a database that is not ours, an endpoint that lacks a needed method."""

    exit_code = EXIT_USAGE


class WrongChain(Fatal):
    """The endpoint's genesis hash is not the one this database was started with."""

    exit_code = EXIT_WRONG_CHAIN


class WriterLocked(Fatal):
    """Another instance holds the writer lock."""

    exit_code = EXIT_LOCKED


class DeepReorg(Fatal):
    """The chain would have to be rewound below a finalized block: the node follows another chain."""

    exit_code = EXIT_WRONG_CHAIN


class DecodeError(Fatal):
    """Bytes do not fit their type: truncated, trailing, an unknown variant or an absurd length.

    ``path`` is the type path from the outermost type inwards, ``offset`` the byte where it failed;
    ``where`` is filled in by whoever knows the block, pallet and item; so are ``item``, the storage item
    as ``Pallet.Item``, ``raw``, the bytes, ``block``, the height, and ``datasets``, the names of those that
    cannot go on without.
    """

    exit_code = EXIT_UNDECODABLE

    def __init__(self, problem: str, *, path: str = "", offset: int | None = None, where: str = "") -> None:
        self.problem, self.path, self.offset, self.where = problem, path, offset, where
        self.item, self.raw = "", b""
        self.block: int | None = None
        self.datasets: tuple[str, ...] = ()
        super().__init__(problem)

    def __str__(self) -> str:
        parts = [self.where, self.problem]
        if self.path:
            parts.append(f"in {self.path}")
        if self.offset is not None:
            parts.append(f"at byte {self.offset}")
        if self.raw:
            parts.append(f"of 0x{self.raw[:RAW_SHOWN].hex()}{'…' if len(self.raw) > RAW_SHOWN else ''}")
        return " ".join(part for part in parts if part)


def backoff(first_s: float = 0.2, cap_s: float = 30.0) -> Iterator[float]:
    """Delays in seconds: doubling from ``first_s`` to ``cap_s``, each with up to 25 % of jitter."""
    delay_s = first_s
    while True:
        yield delay_s * (0.75 + 0.5 * random.random())
        delay_s = min(cap_s, delay_s * 2)


def root_cause(error: BaseException) -> BaseException:
    """The error that decides what happens next, out of a task group's bundle.

    A ``Fatal`` before a ``Reorg`` before a ``Retryable``; anything else is a bug and comes first of all.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    rank = {Fatal: 1, Reorg: 2, Retryable: 3}

    def order(inner: BaseException) -> int:
        return next((place for root, place in rank.items() if isinstance(inner, root)), 0)

    return min((root_cause(inner) for inner in error.exceptions), key=order)
