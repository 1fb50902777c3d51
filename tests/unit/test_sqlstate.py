"""Every SQLSTATE that asyncpg knows has a decided meaning, and those that matter have the right one."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.errors import ConfigError, Fatal, IndexerError, StoreError
from indexer.sqlstate import MEANINGS, mapped, mapped_errors, meaning

KNOWN = {
    error.sqlstate: error
    for error in vars(asyncpg.exceptions).values()
    if isinstance(error, type) and issubclass(error, asyncpg.PostgresError) and vars(error).get("sqlstate")
}


def test_every_class_of_sqlstate_is_in_the_table() -> None:
    assert len(KNOWN) > 200
    assert {code[:2] for code in KNOWN} <= {code for code in MEANINGS if len(code) == 2}


def test_no_entry_of_the_table_is_about_a_code_that_does_not_exist() -> None:
    assert {code for code in MEANINGS if len(code) == 5} <= set(KNOWN)


@pytest.mark.parametrize(
    ("codes", "root"),
    [
        # lost, refused, shut down, crashed, starting; full, out of memory or connections; I/O
        ("08000 08001 08003 08004 08006 08P01 57P01 57P02 57P03 57P05 57014 53100 53200 53300 58000 58030", StoreError),
        # read-only after a fail-over, during recovery; deadlock, serialization; lock not available; suspended
        ("25006 55000 40001 40P01 55P03 55006 25P03 25P04 XX000", StoreError),
        ("28000 28P01 3D000 42501", ConfigError),
        # ours or the schema's fault: no repetition cures it
        ("23505 23502 42601 42P01 42703 22001 22P02 25P02 54000 P0001 XX001 XX002 0A000", Fatal),
    ],
)
def test_what_a_code_means(codes: str, root: type[IndexerError]) -> None:
    for code in codes.split():
        assert meaning(KNOWN[code]("x")) is root, code


@pytest.mark.parametrize(
    ("error", "root"),
    [
        (ConnectionResetError(), StoreError),
        (TimeoutError(), StoreError),
        (asyncpg.InterfaceError("connection is closed"), StoreError),
        (asyncpg.InternalClientError("cut"), StoreError),
        (asyncpg.TargetServerAttributeNotMatched("no primary"), StoreError),
        (asyncpg.InvalidCachedStatementError("changed"), StoreError),
        (asyncpg.ClientConfigurationError("dsn"), ConfigError),
        (asyncpg.DataError("value"), Fatal),
        (asyncpg.UnknownPostgresError("?"), Fatal),
    ],
)
def test_what_the_driver_and_the_system_raise(error: Exception, root: type[IndexerError]) -> None:
    assert meaning(error) is root
    with pytest.raises(root, match="doing this"), mapped_errors("doing this"):
        raise error


def test_a_code_of_no_known_class_needs_a_person() -> None:
    class Odd(asyncpg.PostgresError):
        sqlstate = "ZZ999"

    assert meaning(Odd("?")) is Fatal


def test_an_error_is_one_line_and_says_what_helps() -> None:
    full = mapped("write blocks 1-2", asyncpg.DiskFullError("could not extend file\nmore"))
    assert str(full) == ("write blocks 1-2: DiskFullError: could not extend file more (the database's disk is full)")
    assert "read-only" in str(mapped("x", asyncpg.ReadOnlySQLTransactionError("no")))
