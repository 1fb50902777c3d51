"""The indexers that are compared: how each is started on a database of its own, and how its rows are read.

Each indexes blocks 1 to the last and ends by itself. What a side is set to, and why, is said in README.md.
"""

from __future__ import annotations

import os
import shutil
import string
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from truth import Balances, Transfers

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
INSTALLED = REPOSITORY / "build/peers"
"""Where `make bench-peers` puts the npm packages."""

SQUID_TABLES = """
CREATE TABLE transfer (id text PRIMARY KEY, block int NOT NULL, "from" text NOT NULL, "to" text NOT NULL,
                       amount numeric NOT NULL);
CREATE TABLE balance (id text PRIMARY KEY, block int NOT NULL, account text NOT NULL, free numeric NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What one run is to do, and where."""

    database_url: str
    """Of an empty database."""
    node_url: str
    genesis: str
    """Hash of block 0, as 0x and hex."""
    last: int
    folder: Path
    """Empty, removed afterwards."""


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start."""

    arguments: list[str]
    folder: Path
    environment: Mapping[str, str]


Rows = tuple[Transfers, Balances]


@dataclass(frozen=True, slots=True)
class Side:
    """One indexer. What it expects to be there is made beforehand: our migrations, or the statements ``tables``."""

    name: str
    command: Callable[[Task], Command]
    rows: Callable[[asyncpg.Connection[Any]], Awaitable[Rows]]
    tables: str = ""
    migrated: bool = False


def _indexer(task: Task, *options: str) -> Command:
    arguments = [sys.executable, "-c", "from indexer.cli import main; main()", "run", "--network", task.node_url]
    arguments += ["--database-url", task.database_url, "--start", "genesis", "--stop", str(task.last)]
    arguments += ["--metrics-address", "off", "--log-level", "warning", *options]
    return Command(arguments, task.folder, {"PYTHONPATH": str(REPOSITORY)})


def _same_data(task: Task) -> Command:
    return _indexer(task, "--datasets", "blocks,balances,transfers")


async def _own_rows(database: asyncpg.Connection[Any]) -> Rows:
    """Block 0 is the first state, which the others do not read."""
    transfers = await database.fetch(
        "SELECT block_number, account_id(sender), account_id(recipient), amount FROM transfers WHERE block_number > 0"
    )
    balances = await database.fetch(
        "SELECT block_number, account, coalesce(free, 0) FROM balance_history WHERE block_number > 0"
    )
    return sorted(map(tuple, transfers)), {(at, account): free for at, account, free in balances}


def _subql(task: Task) -> Command:
    source, project = HERE / "subql", task.folder
    filled = string.Template((source / "project.yaml").read_text(encoding="utf-8")).substitute(
        genesis=task.genesis, url=task.node_url, last=task.last
    )
    (project / "project.yaml").write_text(filled, encoding="utf-8")
    for name in ("schema.graphql", "mapping.js"):
        shutil.copy(source / name, project)
    parts = urlsplit(task.database_url)
    # Historical state needs btree_gist, which the embedded Postgres lacks; without it there is less to do.
    arguments = ["node", str(_installed("subql") / "node_modules/@subql/node/bin/run"), "-f", str(project)]
    arguments += ["--db-schema=app", "--historical=false", "--log-level=error"]
    return Command(
        arguments,
        project,
        {
            "NODE_ENV": "production",
            "TZ": "UTC",
            "DB_HOST": str(parts.hostname),
            "DB_PORT": str(parts.port),
            "DB_USER": str(parts.username),
            "DB_PASS": str(parts.password),
            "DB_DATABASE": parts.path[1:],
        },
    )


def _squid(task: Task) -> Command:
    installed = _installed("squid")
    shutil.copytree(HERE / "squid/lib", installed / "lib", dirs_exist_ok=True)
    return Command(
        ["node", "lib/main.js"],
        installed,
        {
            "NODE_ENV": "production",
            "NODE_URL": task.node_url,
            "LAST_BLOCK": str(task.last),
            "DB_URL": task.database_url,
        },
    )


def _peers_rows(transfers: str, balances: str) -> Callable[[asyncpg.Connection[Any]], Awaitable[Rows]]:
    async def rows(database: asyncpg.Connection[Any]) -> Rows:
        sent = await database.fetch(f'SELECT block, "from", "to", amount FROM {transfers}')
        held = await database.fetch(f"SELECT block, account, free FROM {balances}")
        return (
            sorted((at, _account(sender), _account(to), int(amount)) for at, sender, to, amount in sent),
            {(at, _account(account)): int(free) for at, account, free in held},
        )

    return rows


def _account(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _installed(name: str) -> Path:
    folder = INSTALLED / name
    if not (folder / "node_modules").is_dir():
        raise SystemExit(f"{folder} has no node_modules: `make bench-peers` installs them")
    return folder


def environment(command: Command) -> dict[str, str]:
    """What the process sees: ours, without what would change its settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INDEXER_", "DB_"))}
    return {**kept, **command.environment}


OURS = Side("same data", _same_data, _own_rows, migrated=True)
OURS_ALL = Side("all default data", _indexer, _own_rows, migrated=True)
SUBQL = Side("subql", _subql, _peers_rows("app.transfers", "app.balances"))
SQUID = Side("squid", _squid, _peers_rows("transfer", "balance"), SQUID_TABLES)
SIDES = (OURS, OURS_ALL, SUBQL, SQUID)
