"""What ``indexer check`` found: facts that were measured, and what each of them means for a start.

Values only, and the contract of ``check --json`` (docs/CHECK.md lists every field). Facts are numbers and
names; a ``Finding`` is one judgement on them, in words. Who looks is ``endpoint``, ``database`` and ``sampling``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a finding means for `run`."""

    GOOD = "good"
    NOTE = "note"
    """Worth knowing; nothing to do."""
    WARNING = "warning"
    """`run` works, but worse than it could, or not for everything."""
    BAD = "bad"
    """`run` would end, or write nothing."""


class Topic(StrEnum):
    """What a finding is about, in the order in which people read them."""

    CONFIGURATION = "configuration"
    ENDPOINT = "endpoint"
    START = "start"
    ITEM = "item"
    DATABASE = "database"
    BOOTSTRAP = "bootstrap"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement."""

    level: Level
    topic: Topic
    text: str
    advice: str | None = None
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate: the likely value, and what it lies between in about nine of ten cases."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> Range:
        """The same of another unit."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def plus(self, low: float, likely: float, high: float) -> Range:
        """With something added that is itself between two values."""
        return Range(self.low + low, self.likely + likely, self.high + high)


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One endpoint, asked by itself. What is None was not told, or not before the time was over."""

    name: str
    """Its address without secrets."""
    is_archive: bool
    """Whether it is only asked for state that the others have dropped."""
    problem: str | None = None
    """Why it could not be asked, or not to the end."""
    latency_s: float | None = None
    """Median of a few requests for a header."""
    chain: str | None = None
    genesis_hash: str | None = None
    spec_version: int | None = None
    node: str | None = None
    """Name and version of the node's program."""
    ss58_prefix: int | None = None
    best_block: int | None = None
    finalized_block: int | None = None
    finalized_hash: str | None = None
    finalized_age_s: float | None = None
    """This machine's clock minus the time in the finalized block."""
    lag_blocks: int | None = None
    """Blocks behind the head that the others tell."""
    missing_methods: tuple[str, ...] | None = None
    """Methods we call that ``rpc_methods`` does not list."""
    proofs: bool | None = None
    """Whether read proofs are served and lead to the state root."""
    proofs_problem: str | None = None
    has_head_state: bool | None = None
    """Whether the state of the finalized block can be read."""
    oldest_state_block: int | None = None
    """The first block whose state can be read, as can that of all later ones."""
    state_blocks: int | None = None
    """Blocks up to the finalized one whose state is held."""
    state_seconds: float | None = None
    """Time that these blocks span on the chain."""
    is_uneven: bool = False
    """Whether the same question about old state was answered in two ways: several nodes behind one address."""
    refused_for_load: int = 0
    """Requests refused as too many, of all that were made."""
    requests: int = 0
    largest_answer_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of Postgres that is worth changing."""

    level: Level
    name: str
    value: str
    suggested: str
    reason: str


@dataclass(frozen=True, slots=True)
class CursorFacts:
    """How far one dataset of the database is."""

    dataset: str
    start_block: int
    block: int
    block_hash: str
    finalized_block: int | None


@dataclass(frozen=True, slots=True)
class FirstStateFacts:
    """A whole state of which a part is read."""

    block: int
    datasets: tuple[str, ...]
    keys_read: int


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The database as it is. What is None was not told."""

    place: str
    """URL without secrets, or the folder of the embedded one."""
    is_embedded: bool
    exists: bool = True
    """False: an embedded one that `run` would make."""
    problem: str | None = None
    """Why `run` could not use it."""
    version: str | None = None
    role: str | None = None
    can_migrate: bool | None = None
    """Whether the role may create and change our tables."""
    can_write: bool | None = None
    """Whether the role may write rows; None while there are no tables."""
    encoding: str | None = None
    is_replica: bool | None = None
    revision: str | None = None
    """Revision of the schema; None: no tables yet."""
    wanted_revision: str | None = None
    """The one this version needs."""
    migrations: tuple[str, ...] = ()
    """What `run` would do to the schema, line by line."""
    writer: str | None = None
    """The instance that writes to it now."""
    size_bytes: int | None = None
    free_bytes: int | None = None
    """Free space of the embedded one's disk."""
    bytes_per_row: float | None = None
    """Bytes on disk per row of history, everything counted; None while there are too few rows to tell."""
    clock_ahead_s: float | None = None
    """The database's clock minus this machine's."""
    free_connections: int | None = None
    genesis_hash: str | None = None
    """Of the chain it is bound to."""
    cursors: tuple[CursorFacts, ...] = ()
    first_states: tuple[FirstStateFacts, ...] = ()
    """Whole states that were begun and are not committed."""
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where datasets that are equally far would begin or go on."""

    datasets: tuple[str, ...]
    after_block: int | None
    """The last committed block; None: they begin with a whole state."""
    first_block: int
    behind_blocks: int
    """Blocks from the first one up to the finalized head."""
    endpoint: str | None
    """Who has the state that is needed for the first block."""
    gap: tuple[int, int] | None
    """(first, last) block that would be left out, as nobody has their state."""
    keys_read: int = 0
    """Keys of the first block's state that an earlier run has read: `run` would go on behind them."""


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What `run` would do first."""

    finalized_block: int
    beginnings: tuple[Beginning, ...]
    added: tuple[str, ...]
    """Datasets that an existing database does not have yet."""
    left: tuple[str, ...]
    """Datasets of the database that are no longer configured."""


@dataclass(frozen=True, slots=True)
class BootstrapFacts:
    """The first block: the whole state under the tracked items."""

    block: int
    items: int
    """Storage items whose sub-tries were looked at."""
    keys: Range
    nodes: Range
    """Trie nodes and large values to be read."""
    bytes: Range
    """Of these nodes and values."""
    is_exact: bool
    """Whether all was counted, nothing estimated."""
    requests: int
    """Requests the estimate took."""
    nodes_per_s: float | None
    """Measured: nodes read per second by the indexer's own capture."""
    measured_s: float | None
    seconds: Range | None
    database_bytes: Range


@dataclass(frozen=True, slots=True)
class SampledBlock:
    """One block that was captured and decoded as `run` would, and not written."""

    number: int
    seconds: float
    requests: int
    rows: int


@dataclass(frozen=True, slots=True)
class BackfillFacts:
    """From the first block to the head."""

    first_block: int
    last_block: int
    blocks: int
    """Blocks to be read from the first to the head; 0: it begins at the head."""
    sampled_first: int
    """The first block that was in reach of the sample: state before it is held by no endpoint."""
    sampled: tuple[SampledBlock, ...]
    measured_s: float
    workers: int
    seconds_per_block: Range
    """Of one block, while as many as there are workers are read at once."""
    requests_per_block: float
    bytes_per_block: float
    """Bytes received per block."""
    rows_per_block: Range
    block_s: float
    """Seconds between two blocks of the chain."""
    seconds: Range
    """Until the backfill is at the head."""
    database_bytes: Range
    """Of the backfill."""
    database_bytes_per_day: Range
    """At the head."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that ``check`` says."""

    version: str
    network: tuple[str, ...]
    took_s: float
    endpoints: tuple[EndpointFacts, ...]
    database: DatabaseFacts
    start: StartFacts | None
    bootstrap: BootstrapFacts | None
    backfill: BackfillFacts | None
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether `run` would work."""
        return not any(finding.level is Level.BAD for finding in self.findings)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among findings."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.GOOD)
