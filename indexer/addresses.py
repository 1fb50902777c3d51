"""The SS58 text of every account that occurs in a table: written once, with the rows that name it first.

Owns the table ``accounts``. Which accounts are there already it remembers for as long as a session lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexer.scale import ss58_encode
from indexer.session import Connection

ACCOUNTS_PER_STATEMENT = 20_000
KNOWN_ACCOUNTS_MAX = 1_000_000

_MISSING = (
    # A subquery per account, not a join: the planner may not read the whole table instead.
    "SELECT account FROM unnest($1::bytea[]) AS asked(account) "
    "WHERE (SELECT true FROM accounts known WHERE known.account = asked.account) IS NULL"
)
_INSERT = "INSERT INTO accounts (account, address) SELECT * FROM unnest($1::bytea[], $2::text[]) ON CONFLICT DO NOTHING"


class Addresses:
    """Writes those of new accounts. ``ss58_prefix`` is that of the chain."""

    def __init__(self) -> None:
        self.ss58_prefix = 42
        self._known: set[bytes] = set()

    async def write(self, connection: Connection, accounts: set[bytes]) -> None:
        """See to it that ``accounts`` are in the table."""
        asked = sorted(accounts - self._known)
        for start in range(0, len(asked), ACCOUNTS_PER_STATEMENT):
            part: Sequence[bytes] = asked[start : start + ACCOUNTS_PER_STATEMENT]
            missing = [record[0] for record in await connection.fetch(_MISSING, part)]
            if missing:
                await connection.execute(_INSERT, missing, [ss58_encode(one, self.ss58_prefix) for one in missing])
        if len(self._known) > KNOWN_ACCOUNTS_MAX:
            self._known.clear()
        self._known.update(asked)

    def forget(self) -> None:
        """Know nothing: what was sent may have been rolled back."""
        self._known.clear()

    async def renew(self, connection: Connection, accounts: Sequence[bytes]) -> None:
        """Write the texts of ``accounts`` anew, and drop those of what is no account."""
        self.ss58_prefix = await connection.fetchval("SELECT ss58_prefix FROM chain")
        await connection.execute("DELETE FROM accounts WHERE account = ANY($1::bytea[])", accounts)
        self._known.difference_update(accounts)
        await self.write(connection, {account for account in accounts if len(account) == 32})
