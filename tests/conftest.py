"""What tests share: a real Postgres with a database per test, the real data, and a clean surrounding."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal

from indexer import embedded

SIZED_SCALE = 0.01
REPOSITORY = Path(__file__).resolve().parents[1]

for _name in [name for name in os.environ if name.startswith("INDEXER_")]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncpg and websockets know no other."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that was run in this process has set up its log, on a stream that is closed by now."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _no_leaked_task(request: pytest.FixtureRequest) -> None:
    """A test that leaves a task behind fails (async tests only: others have no loop)."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_tasks_end")


@pytest.fixture
async def _tasks_end() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(10):  # what was cancelled may need a few turns to end
        leaked = [task for task in asyncio.all_tasks() - before if not _is_the_runner(task)]
        if not leaked:
            return
        await asyncio.sleep(0.01)
    for task in leaked:
        task.cancel()
    pytest.fail(f"tasks left behind: {', '.join(sorted(task.get_name() for task in leaked))}")


def _is_the_runner(task: asyncio.Task[object]) -> bool:
    """anyio's plugin enters each fixture and test through a task of its own."""
    return task is asyncio.current_task() or "_call_in_runner_task" in getattr(task.get_coro(), "__qualname__", "")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real data beside the repository; a run that should have it (CI) fails without."""
    folder = REPOSITORY.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if os.environ.get("CI") == "true":
        pytest.fail(f"the real data are missing: {folder}")
    pytest.skip("needs the real data in ../shared/data")


@pytest.fixture(scope="session")
def new_data_dir() -> Iterator[Callable[[], Path]]:
    """Makes folders that Postgres' unprivileged user can reach; pytest's own tmp_path is closed to it."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="indexer-test-")).resolve())
        made[-1].chmod(0o711)
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data_dir(new_data_dir: Callable[[], Path]) -> Iterator[Path]:
    """A new --data-dir, removed afterwards."""
    folder = new_data_dir()
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _portal() -> Iterator[BlockingPortal]:
    """A loop of its own for what lives as long as the session."""
    with start_blocking_portal("asyncio", name="session-fixtures") as portal:
        yield portal


@pytest.fixture(scope="session")
def postgres_url(_portal: BlockingPortal, new_data_dir: Callable[[], Path]) -> Iterator[str]:
    """URL of one Postgres for the whole session, as superuser."""
    folder = new_data_dir()
    # Nothing here has to survive a power failure.
    server = embedded.postgres(folder, options={"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"})
    with _portal.wrap_async_context_manager(server) as url:
        yield url


@pytest.fixture(scope="session")
def _template(_portal: BlockingPortal, postgres_url: str) -> str:
    """Name of a database migrated once; copies of it take milliseconds."""
    from indexer import migrate  # not at the top: tests without a database must not need it

    name = "template_migrated"
    _portal.call(_execute, postgres_url, f"CREATE DATABASE {name}")
    _portal.call(migrate.upgrade, _with_database(postgres_url, name))
    return name


@pytest.fixture
def database(_portal: BlockingPortal, postgres_url: str, _template: str) -> Iterator[str]:
    """URL of a fresh, migrated database."""
    with _new_database(_portal, postgres_url, _template) as url:
        yield url


@pytest.fixture(scope="module")
def shared_database(_portal: BlockingPortal, postgres_url: str, _template: str) -> Iterator[str]:
    """A migrated database that the tests of one file share: filled once, then only read."""
    with _new_database(_portal, postgres_url, _template) as url:
        yield url


@pytest.fixture
def another_database(_portal: BlockingPortal, postgres_url: str, _template: str) -> Iterator[str]:
    """A second fresh, migrated database, to compare the first one with."""
    with _new_database(_portal, postgres_url, _template) as url:
        yield url


@pytest.fixture
def empty_database(_portal: BlockingPortal, postgres_url: str) -> Iterator[str]:
    """URL of a fresh database without any table."""
    with _new_database(_portal, postgres_url, "template0") as url:
        yield url


@pytest.fixture(scope="session")
def sized_database(_portal: BlockingPortal, postgres_url: str, _template: str) -> Iterator[str]:
    """URL of a database as the full chain's, at a hundredth of its size, with statistics; nobody may change it."""
    from bench.load import load
    from bench.world import Size

    with _new_database(_portal, postgres_url, _template) as url:
        _portal.call(load, url, Size(SIZED_SCALE))
        yield url


@contextmanager
def _new_database(portal: BlockingPortal, server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    # Copying files without fsync takes a third of the time that logging every page does.
    portal.call(_execute, server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield _with_database(server_url, name)
    portal.call(_execute, server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
