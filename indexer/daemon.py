"""The life of the process: database, signals, runs, restarts, health.

Every run begins at ``recover.align`` and ends by a signal, at ``--stop``, or by an error; what that
error's root is decides what follows. This is the only place that waits out a ``Retryable``.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import structlog
from anyio.abc import TaskGroup

from indexer import datasets, embedded, exposition, migrate
from indexer.census import census_for_ever
from indexer.config import Settings
from indexer.datasets.base import Dataset
from indexer.errors import ConfigError, Fatal, IndexerError, NodeError, StoreError, WriterFenced, backoff, root_cause
from indexer.leader import Leader, keep
from indexer.metrics import Metrics
from indexer.node import Node, open_node
from indexer.outage import Outage
from indexer.redaction import redact
from indexer.retention import forget_for_ever
from indexer.run import Run
from indexer.session import lost_copies_told_once
from indexer.stall import Stall
from indexer.store import Store, open_store
from indexer.supervisor import Supervisor
from indexer.trie import NodeCache
from indexer.verify import patrol

log = structlog.get_logger()

NODE_CACHE_BYTES = 256 << 20
GARBAGE_AFTER = 50_000
"""New objects before Python looks among them for cycles. A block makes tens of thousands, nearly all of them freed by
their counts: at Python's own 700 18 % of the processor time went into looking, 4 % now."""
FIRST_CONTACT_TRIES = 3
RECOVERY_POLL_S = 0.25
RECOVERED_AFTER_S = 5.0


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """URL of the configured database; the embedded one runs as long as the context."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with embedded.postgres(settings.data_dir) as url:
        log.info("embedded_postgres", data_dir=str(settings.data_dir))
        yield url


def chosen(settings: Settings) -> tuple[Dataset, ...]:
    """The datasets to keep. ``blocks`` is always among them: its hashes are what a reorg is found by."""
    for name in settings.datasets or ():
        if datasets.is_item(name):
            where = settings.place("datasets")
            raise ConfigError(f"{where}: {name!r} is no dataset: storage items are named with --item")
    named = ["default"] if settings.datasets is None else ["blocks", *settings.datasets]
    try:
        return datasets.load([*named, *settings.item])
    except ConfigError as error:
        raise ConfigError(f"{settings.place('datasets')}: {error}") from None


def run(settings: Settings) -> None:
    """``serve``, as a process of its own."""
    gc.freeze()  # what was imported stays: no need to look through it again
    gc.set_threshold(GARBAGE_AFTER, 10, 10)
    anyio.run(serve, settings)


async def serve(settings: Settings) -> None:
    """Index until a signal or ``settings.stop``. Raises ``Fatal`` if a person has to act."""
    try:
        await _serve(settings)
    except BaseExceptionGroup as bundle:
        cause = root_cause(bundle)
        if isinstance(cause, IndexerError):
            raise cause from None
        raise


async def _serve(settings: Settings) -> None:
    wanted = chosen(settings)
    metrics = Metrics(
        follow=settings.follow, ready_lag_s=settings.ready_lag_s, no_progress_after_s=settings.progress_timeout_s
    )
    stopping = anyio.Event()
    async with AsyncExitStack() as stack:
        supervisor = stack.enter_context(Supervisor())
        stack.enter_context(lost_copies_told_once())
        if settings.metrics_address is not None:
            endpoint = stack.enter_context(exposition.serve(metrics, settings.metrics_address))
            log.info("metrics", address=settings.metrics_address, port=endpoint.port)
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(_watch_signals, stopping, supervisor, name="signals")
        group.start_soon(metrics.beat, name="heartbeat")
        group.start_soon(supervisor.keep_told, metrics, name="supervisor")
        with metrics.granted(group):
            url = await stack.enter_async_context(database(settings))
        log.info(
            "start", datasets=[d.name for d in wanted], database=redact(url), network=settings.redacted()["network"]
        )
        # One for all runs: what is known of the endpoints, above all who lied, outlives a run.
        node = await stack.enter_async_context(
            open_node(
                settings.endpoints,
                archive=settings.archive_endpoints,
                timeout_s=settings.rpc_timeout_s,
                metrics=metrics,
            )
        )
        await _supervise(settings, wanted, url, node, metrics, stopping, is_awaited=not supervisor.is_there)
        group.cancel_scope.cancel()


async def _watch_signals(stopping: anyio.Event, supervisor: Supervisor) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stopping.is_set():
                log.warning("stop_at_once", signal=number.name)
                raise Fatal(f"stopped at once by a second {number.name}")
            log.info("stopping", signal=number.name, consequence="finishing the blocks in hand")
            supervisor.stopping("finishing the blocks in hand")
            stopping.set()


async def _supervise(
    settings: Settings,
    wanted: Sequence[Dataset],
    url: str,
    node: Node,
    metrics: Metrics,
    stopping: anyio.Event,
    *,
    is_awaited: bool,
) -> None:
    """Run after run until one ends as wished; the pause between them grows until a run commits something.

    ``is_awaited``: a person waits for an answer, where nothing has ever worked; a service manager does not.
    """
    delays = backoff()
    cache = NodeCache(NODE_CACHE_BYTES, metrics.progressed)
    leader = Leader(metrics, standby=settings.standby)
    outage, stall = Outage(), Stall(metrics)
    data_dir = settings.data_dir if settings.database_url is None else None
    metrics.verify_every_blocks.set(settings.verify_every_blocks)
    failures = 0
    known_good = schema_checked = False
    run: Run | None = None

    async def once(tries: TaskGroup) -> None:
        """One run, from the look at the schema to the end."""
        nonlocal run, known_good, schema_checked
        if not schema_checked:  # not after each reorg: SQLAlchemy keeps a little memory of each look
            with metrics.granted(tries):
                await migrate.upgrade(url)
            schema_checked = True
        async with open_store(url, commit_timeout_s=settings.commit_timeout_s, progressed=metrics.progressed) as store:
            if not outage.lasts:
                metrics.condition("database", True)
            await leader.take(store)
            run = Run(settings, wanted, node, store, cache, metrics, stall, stopping)
            known_good = known_good or bool(await store.cursors())
            async with anyio.create_task_group() as group:
                group.start_soon(keep, store, metrics, name="writer")
                group.start_soon(_watch_recovery, run, store, metrics, outage, name="recovery")
                group.start_soon(census_for_ever, url, wanted, metrics, data_dir, name="census")
                if settings.verify_every_blocks:
                    every = settings.verify_every_blocks
                    group.start_soon(patrol, node, url, store, wanted, metrics, every, name="verify")
                if settings.retain is not None:
                    group.start_soon(forget_for_ever, store, wanted, settings.retain, metrics, name="retention")
                await run.execute()
                group.cancel_scope.cancel()
            outage.over()

    async def end_when_asked(tries: TaskGroup) -> None:
        """A run that indexes ends by itself when asked; what comes before waits for others, and holds no block."""
        await stopping.wait()
        if run is None or not run.aligned:
            tries.cancel_scope.cancel()

    while True:
        run = None
        try:
            async with anyio.create_task_group() as tries:
                tries.start_soon(end_when_asked, tries, name="stop")
                await once(tries)
                tries.cancel_scope.cancel()
            return
        except (IndexerError, BaseExceptionGroup) as error:
            cause = root_cause(error)
            if not isinstance(cause, IndexerError):
                raise
            if isinstance(cause, Fatal):
                raise cause from None
        if stopping.is_set():
            return
        if isinstance(cause, StoreError | WriterFenced):  # it may be another server by now, or another version's
            schema_checked = False
        known_good = known_good or (run is not None and run.connected)
        failures += 1
        if is_awaited and not known_good and failures >= FIRST_CONTACT_TRIES:
            raise _hopeless(cause)
        if run is not None and run.progressed:
            delays = backoff()
        if isinstance(cause, NodeError | StoreError):
            metrics.condition("node" if isinstance(cause, NodeError) else "database", False, str(cause))
        metrics.restarts.labels(cause=type(cause).__name__).inc()
        metrics.progressed()  # it is waited out: restarting the process would cure neither node nor database
        delay_s = next(delays)
        outage.failed(cause, delay_s)
        with anyio.move_on_after(delay_s):
            await stopping.wait()
            return


async def _watch_recovery(run: Run, store: Store, metrics: Metrics, outage: Outage) -> None:
    """Tell when an outage is over: at the first commit, or once a run that has nothing to write goes on for a while.

    Not earlier: a database whose disk is full lets itself be connected to, and read, and locked.
    """
    quiet_s = 0.0
    while outage.lasts:
        await anyio.sleep(RECOVERY_POLL_S)
        quiet_s += RECOVERY_POLL_S if run.aligned else 0.0
        if store.commits or quiet_s >= RECOVERED_AFTER_S:
            metrics.condition("database", True)
            outage.over()


def _hopeless(cause: IndexerError) -> Fatal:
    """What to tell after the first tries of a new set-up have failed."""
    if isinstance(cause, NodeError):
        return ConfigError(f"{cause}; check --network, or see the indexer at work without a network: make demo")
    return ConfigError(f"{cause}; check --database-url, or leave it out to use the embedded Postgres")
