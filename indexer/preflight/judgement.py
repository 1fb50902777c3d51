"""From facts to findings: what each of them means for `run`, and what to do about it. Pure.

A finding is bad only where `run` would end or write nothing; what merely costs time, rows or proof is a
warning. Sizes and times are in ``outlook``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from indexer.config import Settings
from indexer.preflight.beginning import usable
from indexer.preflight.endpoint import NEEDED, WANTED
from indexer.preflight.findings import (
    CursorFacts,
    DatabaseFacts,
    EndpointFacts,
    Finding,
    Level,
    StartFacts,
    Topic,
)
from indexer.preflight.words import count, duration, listed, size

LAG_BLOCKS = 3
"""Blocks behind the others from which `run` asks an endpoint last."""
OLD_HEAD_S = 120.0
"""Age of a finalized block that speaks for a node that syncs, or finality that stands still."""
CLOCKS_APART_S = 5.0
CONNECTIONS = 4
"""Sessions that `run` has at once: writer, verification, migration, and one to spare."""
LITTLE_SPACE_BYTES = 20 << 30


def of_endpoints(endpoints: Sequence[EndpointFacts], genesis: str | None) -> Iterator[Finding]:
    """What the endpoints are good for; ``genesis`` is the hash of block 0 that they must have, None if any will do."""
    good = [one for one in endpoints if usable(one, genesis)]
    is_served = any(not one.is_archive and _serves(one) for one in good)
    for one in endpoints:
        failure = Level.WARNING if is_served else Level.BAD
        yield from _of_endpoint(one, genesis, failure)
    if not is_served:
        yield Finding(
            Level.BAD, Topic.ENDPOINT, "no endpoint of --network can be followed",
            "check --network, or see the indexer at work without a network: make demo",
        )  # fmt: skip
        return
    if not any(one.proofs for one in good):
        yield Finding(
            Level.WARNING, Topic.ENDPOINT,
            "no endpoint serves read proofs: completeness cannot be proven, and blocks between two full scans are "
            "incomplete",
            "use a node that serves state_getReadProof, such as one of your own",
        )  # fmt: skip


def _serves(one: EndpointFacts) -> bool:
    """Whether `run` could work with this endpoint alone, as far as it told."""
    return one.has_head_state is not False and not any(method in NEEDED for method in one.missing_methods or ())


def _of_endpoint(one: EndpointFacts, genesis: str | None, failure: Level) -> Iterator[Finding]:
    if one.finalized_block is None:
        problem = one.problem or "it told of no finalized block"
        yield Finding(failure, Topic.ENDPOINT, problem if one.name in problem else f"{one.name}: {problem}")
        return
    who = f"{one.name} is {one.chain}, genesis {one.genesis_hash}"
    if genesis is not None and one.genesis_hash != genesis:
        yield Finding(failure, Topic.ENDPOINT, f"{who}: another chain, expected is genesis {genesis}", "leave it out")
        return
    yield Finding(Level.GOOD, Topic.ENDPOINT, f"{who}, SS58 prefix {_known(one.ss58_prefix)}")
    yield Finding(
        Level.GOOD, Topic.ENDPOINT,
        f"{one.name}: runtime {_known(one.spec_version)}, node {_known(one.node)}, answers in "
        f"{_known(one.latency_s and duration(one.latency_s))}",
    )  # fmt: skip
    yield _heads(one)
    yield from _methods(one, failure)
    if one.proofs is not None:
        level = Level.GOOD if one.proofs else Level.WARNING
        text = "served, lead to the state root" if one.proofs else one.proofs_problem
        yield Finding(level, Topic.ENDPOINT, f"{one.name}: read proofs: {text}")
    if one.has_head_state is False:
        text = f"{one.name}: the state of its finalized block {one.finalized_block} cannot be read"
        yield Finding(failure, Topic.ENDPOINT, text)
    if one.oldest_state_block is not None:
        yield _state(one)
    if one.is_uneven:
        yield Finding(
            Level.NOTE, Topic.ENDPOINT,
            f"{one.name} answered the same question about old state in two ways: several nodes stand behind it",
        )  # fmt: skip
    yield _limits(one)
    if one.problem is not None:
        yield Finding(Level.WARNING, Topic.ENDPOINT, one.problem if one.name in one.problem else
                      f"{one.name}: {one.problem}")  # fmt: skip


def _heads(one: EndpointFacts) -> Finding:
    text = f"{one.name}: heads: best {one.best_block}, finalized {one.finalized_block}"
    if one.finalized_age_s is not None:
        text += f", which is {duration(max(0.0, one.finalized_age_s))} old"
    if one.lag_blocks is not None and one.lag_blocks > LAG_BLOCKS:
        return Finding(
            Level.WARNING, Topic.ENDPOINT, f"{text}: {count(one.lag_blocks, 'block')} behind the others",
            "`run` asks it last; is it still syncing?",
        )  # fmt: skip
    if one.finalized_age_s is not None and one.finalized_age_s > OLD_HEAD_S:
        return Finding(
            Level.WARNING, Topic.ENDPOINT, text,
            "the node is syncing or cut off, finality stands still, or this machine's clock is wrong",
        )  # fmt: skip
    if one.finalized_age_s is not None and one.finalized_age_s < -CLOCKS_APART_S:
        ahead = f"{text}: its time is {duration(-one.finalized_age_s)} ahead of this machine's clock"
        return Finding(Level.WARNING, Topic.ENDPOINT, ahead, "set this machine's clock (NTP)")
    return Finding(Level.GOOD, Topic.ENDPOINT, text)


def _methods(one: EndpointFacts, failure: Level) -> Iterator[Finding]:
    if one.missing_methods is None:
        yield Finding(Level.NOTE, Topic.ENDPOINT, f"{one.name} does not list its methods (rpc_methods)")
        return
    needed = [method for method in one.missing_methods if method in NEEDED]
    if needed:
        yield Finding(failure, Topic.ENDPOINT, f"{one.name} lacks {', '.join(needed)}, without which nothing works")
    for method in one.missing_methods:
        if method in WANTED:
            yield Finding(Level.WARNING, Topic.ENDPOINT, f"{one.name} lacks {method}: {WANTED[method]}")
    if not one.missing_methods:
        yield Finding(Level.GOOD, Topic.ENDPOINT, f"{one.name}: serves every method that is needed")


def _state(one: EndpointFacts) -> Finding:
    if one.oldest_state_block is not None and one.oldest_state_block <= 1:
        return Finding(Level.GOOD, Topic.ENDPOINT, f"{one.name} keeps the state of all blocks: an archive node")
    span = "" if one.state_seconds is None else f" = {duration(one.state_seconds)}"
    text = (
        f"{one.name} keeps about {count(one.state_blocks or 0, 'block')} of state{span}: from block "
        f"{one.oldest_state_block} on"
    )
    advice = "away for longer than that, the indexer leaves a gap, which an archive node fills in (--archive)"
    return Finding(Level.NOTE, Topic.ENDPOINT, text, advice)


def _limits(one: EndpointFacts) -> Finding:
    largest = f"the largest answer had {size(one.largest_answer_bytes)}"
    if not one.refused_for_load:
        text = f"{one.name}: {count(one.requests, 'request')}, none refused for load; {largest}"
        return Finding(Level.GOOD, Topic.ENDPOINT, text)
    return Finding(
        Level.WARNING, Topic.ENDPOINT,
        f"{one.name} refused {one.refused_for_load} of {count(one.requests, 'request')} as too many; {largest}",
        "`run` slows down by itself; for a long backfill use a node of your own",
    )  # fmt: skip


def of_start(settings: Settings, start: StartFacts, database: DatabaseFacts) -> Iterator[Finding]:
    """What `run` would do first."""
    other = "" if settings.start == "latest" else ", or begin with --start latest"
    for one in start.beginnings:
        who = listed(one.datasets)
        if one.after_block is not None:
            yield _continued(one.after_block, one.behind_blocks, one.endpoint, one.gap, who)
        elif one.endpoint is None:
            yield Finding(
                Level.BAD, Topic.START, f"no endpoint has the state of block {one.first_block} any more, where {who} "
                "would begin", "name an archive node with --archive" + other,
            )  # fmt: skip
        else:
            why = f"--start {settings.start}"
            if start.added and settings.start == "latest":
                why = "where the others are"
            ahead = one.first_block - start.finalized_block
            waits = f", {count(ahead, 'block')} from now" if ahead > 0 else f"; its state is at {one.endpoint}"
            text = f"{who} would begin at block {one.first_block} ({why}){waits}"
            if one.keys_read:
                text = f"{who} would go on with the first state of block {one.first_block}, of which {one.keys_read:,} "
                text += f"keys are read{waits}"
            if one.behind_blocks > 1:
                text += f"; then {count(one.behind_blocks - 1, 'block')} up to the head"
            yield Finding(Level.GOOD, Topic.START, text)
    if start.left:
        text = f"{listed(start.left)} in this database would no longer be kept up"
        yield Finding(Level.NOTE, Topic.START, text, "they keep their rows; named again, they go on where they stopped")
    if database.cursors and settings.start != "latest" and not start.added:
        yield Finding(Level.NOTE, Topic.START, f"--start {settings.start} is ignored: the database has data")


def _continued(after: int, behind: int, endpoint: str | None, gap: tuple[int, int] | None, who: str) -> Finding:
    if gap is not None:
        return Finding(
            Level.WARNING, Topic.START,
            f"{who} would leave blocks {gap[0]}-{gap[1]} out: no endpoint has the state after block {after} any more",
            "name an archive node with --archive; the gap is filled in whenever one is named later, too",
        )  # fmt: skip
    if not behind:
        return Finding(Level.GOOD, Topic.START, f"{who} would go on after block {after}, the finalized head or beyond")
    text = f"{who} would go on after block {after}, {count(behind, 'block')} behind; the state is at {endpoint}"
    return Finding(Level.GOOD, Topic.START, text)


def of_tip(tip: CursorFacts, found: bytes | None) -> Iterator[Finding]:
    """Whether the chain still has the last committed block; ``found`` is the hash at its height, None if unknown."""
    if found is None or "0x" + found.hex() == tip.block_hash:
        return
    if tip.finalized_block is not None and tip.finalized_block >= tip.block:
        yield Finding(
            Level.BAD, Topic.START, f"block {tip.block} of this database is final, and the nodes have another there",
            "check --network: this database was filled from another chain, or from a false one",
        )  # fmt: skip
    else:
        text = f"the chain has another block {tip.block} by now: `run` would rewind to the last one in common"
        yield Finding(Level.NOTE, Topic.START, text)


def of_database(facts: DatabaseFacts, genesis: str | None, *, standby: bool) -> Iterator[Finding]:
    """Whether the database can be used, and what could be better; ``genesis`` is that of the chain to be followed."""
    if facts.genesis_hash is not None and genesis not in (None, facts.genesis_hash):
        yield Finding(
            Level.BAD, Topic.DATABASE, f"it holds the chain with genesis {facts.genesis_hash}, not {genesis}",
            "check --network, or give this chain a database of its own",
        )  # fmt: skip
    if facts.problem is not None:
        yield Finding(Level.BAD, Topic.DATABASE, f"{facts.place}: {facts.problem}")
    if facts.is_embedded and facts.free_bytes is not None:
        low = facts.free_bytes < LITTLE_SPACE_BYTES
        advice = "a month of the main network takes several gigabytes: see docs/SIZE.md" if low else None
        level = Level.WARNING if low else Level.GOOD
        yield Finding(level, Topic.DATABASE, f"{size(facts.free_bytes)} free at {facts.place}", advice)
    if not facts.exists and facts.problem is None:
        yield Finding(Level.GOOD, Topic.DATABASE, f"an embedded Postgres would be made at {facts.place}")
    if facts.version is None:
        return
    yield Finding(
        Level.GOOD, Topic.DATABASE,
        f"{facts.place}: Postgres {facts.version}, role {facts.role}, {size(facts.size_bytes or 0)}",
    )  # fmt: skip
    yield from _schema(facts)
    yield from _server(facts, standby)
    for setting in facts.settings:
        yield Finding(
            setting.level, Topic.DATABASE, f"{setting.name} is {setting.value}: {setting.reason}",
            f"set it to {setting.suggested}",
        )  # fmt: skip


def _schema(facts: DatabaseFacts) -> Iterator[Finding]:
    state = "empty" if facts.revision is None else f"at revision {facts.revision}"
    if facts.revision == facts.wanted_revision:
        yield Finding(Level.GOOD, Topic.DATABASE, f"the schema is {state}, as this version needs it")
    elif facts.can_migrate:
        revisions = sum(not line.startswith(" ") for line in facts.migrations)
        text = f"the schema is {state}; `run` would bring it to {facts.wanted_revision}: {count(revisions, 'revision')}"
        plan = None if facts.revision is None else "`indexer migrate --plan` tells what it locks, and for how long"
        yield Finding(Level.GOOD if facts.revision is None else Level.NOTE, Topic.DATABASE, text, plan)
    elif facts.can_migrate is not None:
        yield Finding(
            Level.BAD, Topic.DATABASE,
            f"the schema is {state}, {facts.wanted_revision} is needed, and role {facts.role} may not change it",
            "run `indexer migrate` as the owner of the tables; see Roles in the README",
        )  # fmt: skip
    if facts.can_write is False:
        yield Finding(
            Level.BAD, Topic.DATABASE, f"role {facts.role} may not write rows to every table",
            "give it SELECT, INSERT, UPDATE and DELETE on all of them; see Roles in the README",
        )  # fmt: skip
    elif facts.can_write and facts.can_migrate is False:
        yield Finding(Level.GOOD, Topic.DATABASE, f"role {facts.role} may write rows, and leaves the schema alone")
    elif facts.can_write:
        yield Finding(Level.GOOD, Topic.DATABASE, f"role {facts.role} may write rows and change the schema")


def _server(facts: DatabaseFacts, standby: bool) -> Iterator[Finding]:
    if facts.writer is not None:
        then = "`run` would wait to take over" if standby else "`run` would end with exit code 4"
        advice = None if standby else "stop it first, or start with --standby to wait"
        text = f"another instance writes to it: {facts.writer}; {then}"
        yield Finding(Level.NOTE if standby else Level.WARNING, Topic.DATABASE, text, advice)
    if facts.is_replica:
        yield Finding(
            Level.BAD, Topic.DATABASE, "it is a replica: nothing can be written",
            "name the primary, or all hosts with ?target_session_attrs=read-write",
        )  # fmt: skip
    if facts.encoding != "UTF8":
        yield Finding(
            Level.BAD, Topic.DATABASE, f"its encoding is {facts.encoding}: not every text of the chain fits",
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )  # fmt: skip
    if facts.free_connections is not None and facts.free_connections < CONNECTIONS:
        yield Finding(
            Level.WARNING, Topic.DATABASE,
            f"only {count(max(0, facts.free_connections), 'session')} left of max_connections; `run` has up to "
            f"{CONNECTIONS}",
            "raise max_connections, or end others",
        )  # fmt: skip
    if facts.clock_ahead_s is not None and abs(facts.clock_ahead_s) > CLOCKS_APART_S:
        way = "ahead of" if facts.clock_ahead_s > 0 else "behind"
        yield Finding(
            Level.WARNING, Topic.DATABASE,
            f"its clock is {duration(abs(facts.clock_ahead_s))} {way} this machine's: lags in SQL are wrong by that",
            "set both clocks (NTP)",
        )  # fmt: skip


def _known(value: object | None) -> object:
    return "unknown" if value is None else value
