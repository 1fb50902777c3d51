"""The functions of the database as Postgres lists them, and arguments for them, derived from their signatures.

So that a test of all functions holds also for those that nobody has written yet: what cannot be derived is an
error that says what to add here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

LISTED = """
select p.proname as name, p.provolatile = 'i' as pure, p.proretset as many, obj_description(p.oid) as comment,
    (select array_agg(coalesce(a.name, '') order by a.n)
        from unnest(p.proargnames, p.proargmodes) with ordinality a (name, mode, n)
        where a.mode is null or a.mode in ('i', 'b', 'v')) as names,
    (select array_agg(format_type(t.type, null) order by t.n) from unnest(p.proargtypes) with ordinality t (type, n))
        as types
from pg_proc p
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
order by p.proname, p.oid
"""

TEXTS = {
    "dataset": "stake", "parameter": "tempo", "name": "tempo", "of_name": "tempo", "of_pallet": "Balances",
    "of_item": "SubtensorModule.Tempo",
    "hash": "0x" + "00" * 32,
}  # fmt: skip
"""Arguments of type text that are no address, with a value each. Every other text is an address."""

BLOCKS = ("block", "from_block", "to_block")

VALUES = {
    "netuid": 7, "of_netuid": 7, "scope": 7, "uid": 0, "of_uid": 0, "mechanism": 0, "of_mechanism": 0, "of_key": "[7]",
}  # fmt: skip

OTHERS = {
    "timestamp with time zone": datetime(2200, 1, 1, tzinfo=UTC),
    "integer": 1, "bigint": 1, "numeric": 1, "double precision": 1.0, "boolean": True, "bytea": b"\x01", "jsonb": "{}",
}  # fmt: skip
"""A value by type, where the name does not tell."""


@dataclass(frozen=True)
class Function:
    """A function: the names and types of its arguments in order."""

    name: str
    arguments: Mapping[str, str]
    pure: bool
    many: bool
    comment: str

    @property
    def blocks(self) -> list[str]:
        """The arguments that are blocks it answers as of, or the ends of a range of blocks."""
        return [name for name in BLOCKS if self.arguments.get(name) == "bigint"]

    @property
    def checks_block(self) -> bool:
        """Whether it refuses a block that is not indexed: all do but those that say so, for use in others."""
        return bool(self.blocks) and not self.name.endswith("_as_of") and "not checked" not in self.comment

    @property
    def addresses(self) -> list[str]:
        """The arguments that are addresses, or arrays of them."""
        return [n for n, kind in self.arguments.items() if kind in ("text", "text[]") and n not in TEXTS]

    @property
    def arrays(self) -> list[str]:
        """The arguments that are arrays."""
        return [name for name, kind in self.arguments.items() if kind.endswith("[]")]

    def given(self, *, block: int, address: str) -> dict[str, Any]:
        """Arguments that are all right."""
        return {name: _value(name, kind, block, address) for name, kind in self.arguments.items()}

    async def call(self, connection: asyncpg.Connection[Any], given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Its rows, in no order that matters."""
        places = ", ".join(f"${n}::{kind}" for n, kind in enumerate(self.arguments.values(), 1))
        values = [given[name] for name in self.arguments]
        rows = await connection.fetch(f'select * from "{self.name}"({places})', *values)
        return sorted((tuple(row) for row in rows), key=repr)


def _value(name: str, kind: str, block: int, address: str) -> Any:
    if name in BLOCKS:
        return block
    bare = kind.removesuffix("[]")
    value = TEXTS.get(name, address) if bare == "text" else VALUES.get(name, OTHERS.get(bare))
    assert value is not None, f"no value for an argument {name} {kind}: add one to OTHERS"
    return [value] if kind.endswith("[]") else value


async def functions(connection: asyncpg.Connection[Any]) -> list[Function]:
    """Every function of the product."""
    return [*_functions(await connection.fetch(LISTED))]


def _functions(rows: list[Any]) -> Iterator[Function]:
    for row in rows:
        names, types = row["names"] or [], row["types"] or []
        assert len(names) == len(types), f"{row['name']}: arguments without a name"
        yield Function(
            row["name"], dict(zip(names, types, strict=True)), row["pure"], row["many"], row["comment"] or ""
        )
