"""Current rows made what the histories say after some blocks: of all tables in one round trip.

The rows were sent once, to the history; the server takes the current ones from there, so they are neither encoded
nor sent a second time. The statements are prepared once a session, and their plans with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexer import statements
from indexer.schema import Keyed
from indexer.session import Connection


class Upkeep:
    """The statements that a session has prepared."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._made = 0

    async def renew(self, connection: Connection, tables: Sequence[Keyed], first: int, last: int) -> None:
        """Take over, in each of ``tables``, what blocks ``first`` to ``last``, just appended, changed: rows that hold
        after them, and the end of those that do not.
        """
        new: dict[str, str] = {}
        orders: list[str] = []
        for table in tables:
            statement = statements.renew_of_block(table) if first == last else statements.renew_of_run(table)
            name = self._names.get(statement)
            if name is None:
                self._made += 1  # never used again, even if this transaction fails half-way
                name = new[statement] = f"renew_{self._made}"
                orders.append(f"PREPARE {name} (bigint, bigint) AS {statement}")
            orders.append(f"EXECUTE {name} ({first:d}, {last:d})")
        if orders:
            await connection.execute("; ".join([statements.PLAN_ONCE, *orders, statements.PLAN_AS_EVER]))
            self._names.update(new)
