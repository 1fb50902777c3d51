"""Expected size and time in words, with what they were measured on. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.preflight.findings import BackfillFacts, BootstrapFacts, DatabaseFacts, Finding, Level, Topic
from indexer.preflight.words import between, count, duration, size


def of_bootstrap(facts: BootstrapFacts) -> Iterator[Finding]:
    """The first block."""
    how = "counted" if facts.is_exact else "estimated from a part of the trie"
    yield Finding(
        Level.GOOD, Topic.BOOTSTRAP,
        f"the state of block {facts.block} has {between(facts.keys)} keys under {facts.items} items, "
        f"{between(facts.nodes)} trie nodes, {between(facts.bytes, 'size')} "
        f"({how}, {count(facts.requests, 'request')})",
    )  # fmt: skip
    if facts.seconds is None or facts.nodes_per_s is None or facts.measured_s is None:
        text = "how long it takes to read was not measured: nothing had been read when the time was over"
        yield Finding(Level.NOTE, Topic.BOOTSTRAP, text, "give it more --timeout")
        return
    yield Finding(
        Level.GOOD, Topic.BOOTSTRAP,
        f"it takes about {between(facts.seconds, 'duration')} and {between(facts.database_bytes, 'size')} of database "
        f"(reading measured for {duration(facts.measured_s)}: {facts.nodes_per_s:,.0f} nodes/s; decoding and writing "
        "taken as 10,000 to 50,000 rows/s)",
    )  # fmt: skip


def of_backfill(facts: BackfillFacts) -> Iterator[Finding]:
    """The blocks after it."""
    on = f"measured on {count(len(facts.sampled), 'block')} over {duration(facts.measured_s)}"
    per_block = (
        f"a block takes {between(facts.seconds_per_block, 'duration')}, {facts.requests_per_block:g} requests, "
        f"{size(facts.bytes_per_block)} and gives {between(facts.rows_per_block)} rows ({on})"
    )
    yield Finding(Level.GOOD, Topic.BACKFILL, per_block)
    if facts.blocks:
        if facts.sampled_first > facts.first_block:
            yield Finding(
                Level.NOTE, Topic.BACKFILL,
                f"only blocks from {facts.sampled_first} on could be sampled: no endpoint has the state before",
            )  # fmt: skip
        yield Finding(
            Level.GOOD, Topic.BACKFILL,
            f"{count(facts.blocks, 'block')} from {facts.first_block} to the head: "
            f"{between(facts.seconds, 'duration')} with --workers {facts.workers}, "
            f"{between(facts.database_bytes, 'size')} of database",
        )  # fmt: skip
    yield Finding(
        Level.GOOD,
        Topic.BACKFILL,
        f"at the head the database grows by {between(facts.database_bytes_per_day, 'size')} a day",
    )
    if facts.seconds_per_block.likely > facts.block_s * facts.workers:
        yield Finding(
            Level.WARNING, Topic.BACKFILL, "this endpoint is slower than the chain: the head would never be reached",
            "use a faster node, or more --workers",
        )  # fmt: skip


def room(
    database: DatabaseFacts, bootstrap: BootstrapFacts | None, backfill: BackfillFacts | None
) -> Iterator[Finding]:
    """Whether the disk of an embedded database holds what is expected."""
    if database.free_bytes is None:
        return
    high = sum(one.database_bytes.high for one in (bootstrap, backfill) if one is not None)
    if high > database.free_bytes:
        yield Finding(
            Level.WARNING, Topic.DATABASE,
            f"up to {size(high)} are expected, and {size(database.free_bytes)} are free at {database.place}",
            "make room, begin later (--start), or keep less (--retain, --datasets)",
        )  # fmt: skip
