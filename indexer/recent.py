"""Current rows that the last transactions of a session read or wrote, so that the next need not ask for them.

Owns no truth: the database does. Only what this writer itself has committed may stay, so whoever writes rows in any
other way than ``Store.write``, or fails to, forgets all of it. Bounded: what was not wanted for long is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from indexer.merge import Key, Values

ROWS_KEPT_MAX = 60_000
"""Some tens of megabytes. A block of the main network changes about a thousand rows, and often the same ones."""


class Recent:
    """Rows by table and key, as ``merge`` has them: the values, all None for a key that does not exist.

    Two generations: a row that is wanted again moves to the younger one; when that is half of what may be kept, the
    older one goes.
    """

    def __init__(self, most: int = ROWS_KEPT_MAX) -> None:
        self._most = most
        self._young: dict[str, dict[Key, Values]] = {}
        self._old: dict[str, dict[Key, Values]] = {}

    def __len__(self) -> int:
        return sum(len(rows) for half in (self._young, self._old) for rows in half.values())

    def find(self, table: str, keys: Collection[Key]) -> tuple[dict[Key, Values], list[Key]]:
        """The rows that are known, and the keys of which nothing is."""
        young, old = self._young.get(table, {}), self._old.get(table, {})
        found = {key: values for key in keys if (values := young.get(key) or old.get(key)) is not None}
        return found, [key for key in keys if key not in found]

    def keep(self, table: str, rows: Mapping[Key, Values]) -> None:
        """Rows as they are after the transaction under way."""
        if len(rows) > self._most // 2:  # nothing else would fit, and little of it is wanted again
            self.forget()
            return
        self._young.setdefault(table, {}).update(rows)
        if sum(map(len, self._young.values())) > self._most // 2:
            self._old, self._young = self._young, {}

    def forget(self) -> None:
        """Know nothing."""
        self._young, self._old = {}, {}
