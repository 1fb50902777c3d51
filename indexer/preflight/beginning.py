"""Where `run` would begin or go on, and whether anybody still has the state it needs for that. Pure.

The rules are those of ``run`` (``_plans``, ``_find_dropped``); the facts are what ``endpoint`` and ``database``
saw, so this asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexer.config import Settings
from indexer.preflight.findings import Beginning, DatabaseFacts, EndpointFacts, StartFacts


def usable(facts: EndpointFacts, genesis: str | None) -> bool:
    """Whether `run` could ask this endpoint: it answered, and follows the chain with this genesis (None: any)."""
    return facts.finalized_block is not None and (genesis is None or facts.genesis_hash == genesis)


def head_of(endpoints: Sequence[EndpointFacts]) -> int:
    """The finalized head; of three or more endpoints one alone cannot make it up."""
    heads = sorted((one.finalized_block for one in endpoints if one.finalized_block is not None), reverse=True)
    return heads[1] if len(heads) > 2 else heads[0]


def holder(endpoints: Sequence[EndpointFacts], number: int) -> str | None:
    """Who has the state of a height: the first of those that `run` would ask."""
    for one in sorted(endpoints, key=lambda one: one.is_archive):
        if one.oldest_state_block is not None and one.oldest_state_block <= number:
            return one.name
    return None


def plan(
    settings: Settings, wanted: Sequence[str], database: DatabaseFacts, endpoints: Sequence[EndpointFacts]
) -> StartFacts:
    """What `run` would do first with ``wanted`` datasets; ``endpoints`` are those that can be asked, at least one."""
    head = head_of(endpoints)
    cursors = {one.dataset: one for one in database.cursors}
    groups: dict[tuple[int, str] | None, list[str]] = {}
    for name in wanted:
        cursor = cursors.get(name)
        groups.setdefault(None if cursor is None else (cursor.block, cursor.block_hash), []).append(name)
    level = max((at[0] for at in groups if at is not None), default=None)
    found = [
        _begins(settings, names, head, level, database, endpoints)
        if at is None
        else _goes_on(names, at[0], head, endpoints)
        for at, names in groups.items()
    ]
    return StartFacts(
        finalized_block=head,
        beginnings=tuple(sorted(found, key=lambda one: one.first_block)),
        added=tuple(name for name in wanted if cursors and name not in cursors),
        left=tuple(name for name in cursors if name not in wanted),
    )


def _begins(
    settings: Settings,
    names: list[str],
    head: int,
    level: int | None,
    database: DatabaseFacts,
    endpoints: Sequence[EndpointFacts],
) -> Beginning:
    """Datasets without a cursor: a whole state, and the parent's for the runtime that executed the block."""
    begun = [
        one
        for one in database.first_states
        if set(names) <= set(one.datasets) and one.block <= head and holder(endpoints, max(0, one.block - 1))
    ]
    if settings.start == "latest" and begun:
        first = begun[0].block
    elif settings.start == "latest":
        first = min(head, settings.stop or head) if level is None else level
    else:
        first = 0 if settings.start == "genesis" else int(settings.start)
    return Beginning(
        datasets=tuple(names),
        after_block=None,
        first_block=first,
        behind_blocks=max(0, head - first + 1),
        endpoint=holder(endpoints, max(0, min(first, head) - 1)),
        gap=None,
        keys_read=next((one.keys_read for one in begun if one.block == first), 0),
    )


def _goes_on(names: list[str], after: int, head: int, endpoints: Sequence[EndpointFacts]) -> Beginning:
    """Datasets with a cursor: the next block needs the states of the two before it; else they go on at the head."""
    behind = max(0, head - after)
    has = holder(endpoints, max(0, after - 1)) if behind else endpoints[0].name
    gap = None if has is not None else (after + 1, head - 1)
    return Beginning(
        datasets=tuple(names),
        after_block=after,
        first_block=after + 1 if gap is None else head,
        behind_blocks=behind if gap is None else 1,
        endpoint=has or holder(endpoints, head - 1),
        gap=gap if gap is None or gap[0] <= gap[1] else None,
    )


def bootstrapped(start: StartFacts) -> Beginning | None:
    """The beginning that takes a whole state, if there is one."""
    return next((one for one in start.beginnings if one.after_block is None), None)
