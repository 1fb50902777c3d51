"""roles.sh on a Postgres of its own: each role can do its work and no more; and the servers' settings exist."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest
import yaml
from running import index

from indexer import embedded, migrate
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
SCRIPT = DEPLOY / "postgres" / "roles.sh"
ODD = "a'b\"c\\d $e/%@:"
"""Any character may be in a password."""


@dataclass(frozen=True, slots=True)
class Server:
    """A cluster as the official image has it before its scripts run: nothing in it but the superuser."""

    host: str
    port: int
    user: str
    password: str

    def url(self, role: str) -> str:
        return f"postgresql://indexer_{role}@{self.host}:{self.port}/indexer"

    async def script(self) -> None:
        programs = f"{embedded.psql_binary().parent}:{os.environ['PATH']}"
        passwords = {f"{role.upper()}_PASSWORD": ODD + role for role in ("owner", "writer", "reader")}
        reached = {"PGHOST": self.host, "PGPORT": str(self.port), "PGPASSWORD": self.password}
        env = {"PATH": programs, "POSTGRES_USER": self.user, **reached, **passwords}
        done = await anyio.run_process(["sh", str(SCRIPT)], env=env, check=False)
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[Server]:
    async with embedded.postgres(data_dir, options={"fsync": "off"}) as url:
        parts = urlsplit(url)
        admin = await asyncpg.connect(url, database="postgres")
        await admin.execute("ALTER DATABASE indexer RENAME TO another")  # the image's cluster has none of this name
        await admin.close()
        assert parts.hostname is not None
        assert parts.port is not None
        yield Server(parts.hostname, parts.port, str(parts.username), str(parts.password))


async def test_each_role_can_do_its_work_and_no_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.script()
    chain = simulated_chain(7)
    chain.grow(6)
    chain.finalize(6)
    monkeypatch.setenv("PGPASSWORD", ODD + "owner")  # as compose.yaml gives it, beside a URL without one
    await migrate.upgrade(server.url("owner"))
    monkeypatch.setenv("PGPASSWORD", ODD + "writer")
    async with DevNode(chain) as node:
        await index(server.url("writer"), node.url, stop=6)
    writer = await asyncpg.connect(server.url("writer"))
    for statement in ("CREATE TABLE t (x int)", "TRUNCATE balances", "CREATE TEMPORARY TABLE t (x int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute(statement)
    await writer.close()
    monkeypatch.setenv("PGPASSWORD", ODD + "reader")
    reader = await asyncpg.connect(server.url("reader"))
    assert await reader.fetchval("SELECT max(committed_block) FROM status") == 6
    assert await reader.fetchval("SHOW statement_timeout") == "30s"
    for statement in ("DELETE FROM balances", "CREATE TABLE t (x int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    await reader.close()


def test_the_script_makes_what_the_manual_says() -> None:
    manual = (REPOSITORY / "docs" / "OPERATING.md").read_text(encoding="utf-8")
    (documented,) = [text for text in re.findall(r"```pgsql\n(.*?)```", manual, re.S) if "CREATE ROLE" in text]
    before = documented.partition("-- and after it")[0]
    ours = SCRIPT.read_text(encoding="utf-8").partition("<<'SQL'\n")[2].rpartition("SQL")[0]
    ours = re.sub(r":'\w+'", "'...'", ours)

    def statements(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if not line.startswith(("--", "\\"))]
        return [" ".join(one.split()) for one in " ".join(lines).split(";") if one.strip()]

    assert statements(ours) == statements(before)


async def test_the_settings_that_servers_are_started_with_exist(postgres_url: str) -> None:
    compose = (DEPLOY / "docker" / "compose.yaml").read_text(encoding="utf-8")
    dev = (DEPLOY / "kubernetes" / "overlays" / "dev" / "database.yaml").read_text(encoding="utf-8")
    commands = [yaml.safe_load(compose)["services"]["postgres"]["command"][1:]]
    commands += [
        next(yaml.safe_load_all(dev))["spec"]["template"]["spec"]["containers"][0]["args"],
    ]
    connection = await asyncpg.connect(postgres_url)
    for arguments in commands:
        assert set(arguments[::2]) == {"-c"}
        for name, _, value in (one.partition("=") for one in arguments[1::2]):
            value = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value)
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")  # refuses what the server would
            await connection.execute(f"ALTER SYSTEM RESET {name}")
    await connection.close()
