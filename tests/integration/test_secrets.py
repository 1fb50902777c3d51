"""Passwords and keys go in by every way there is, against servers good and bad; none comes out anywhere."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import anyio.to_thread
import asyncpg
import pytest
import structlog
from running import command, committed, wait_for

from indexer import cli, redaction
from indexer.devchain.rpc import RpcError
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.errors import root_cause
from indexer.node import open_node

pytestmark = pytest.mark.anyio

PASSWORD = 'pa/ss"w@rd-zqxj'
KEY, TOKEN, QUERY = "k3y-zqxj", "t0ken-zqxj", "qu3ry-zqxj"
MARK = "zqxj"
"""Ends every secret, so that a part of one is found too."""


def node_url(port: int, scheme: str = "ws") -> str:
    return f"{scheme}://user:{TOKEN}@127.0.0.1:{port}/v2/{KEY}?apikey={QUERY}"


def with_login(dsn: str, role: str, password: str) -> str:
    parts = urlsplit(dsn)
    return f"postgresql://{role}:{quote(password, safe='')}@{parts.hostname}:{parts.port}{parts.path}"


async def said(*arguments: str, **env: str) -> tuple[int, str]:
    """Exit code of a command, run as a process, and all that it wrote."""
    done = await anyio.run_process(command(*arguments), check=False, env={**os.environ, **env})
    return done.returncode, (done.stdout + done.stderr).decode()


async def said_here(*arguments: str, **env: str) -> tuple[int | str | None, str]:
    """The same in this process, which costs no start; for commands that end by themselves."""
    return await anyio.to_thread.run_sync(_say, arguments, env)


def _say(arguments: tuple[str, ...], env: dict[str, str]) -> tuple[int | str | None, str]:
    written = io.StringIO()
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(written), redirect_stderr(written):
        patch.setattr(sys, "argv", ["indexer", *arguments])
        patch.setattr(redaction, "_known", set())  # nothing is known from the command before
        for name, value in env.items():
            patch.setenv(name, value)
        try:
            cli.main()
            code: int | str | None = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            structlog.reset_defaults()
            root.handlers[:], sys.excepthook = handlers, hook
            root.setLevel(level)
    return code, written.getvalue()


@pytest.fixture
async def login(database: str) -> AsyncIterator[str]:
    """URL of the database for a role whose password has to be percent-encoded."""
    admin = await asyncpg.connect(database)
    role = f"role_{os.getpid()}"
    await admin.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    yield with_login(database, role, PASSWORD)
    await admin.execute(f"DROP ROLE {role}")
    await admin.close()


async def all_texts(dsn: str) -> str:
    """Every row of every table and view, and what the server shows of sessions."""
    connection = await asyncpg.connect(dsn)
    names = await connection.fetch(
        "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'"
    )
    rows = [row for (name,) in names for row in await connection.fetch(f"SELECT x::text FROM {name} x")]
    rows += await connection.fetch(
        "SELECT application_name || ' ' || query FROM pg_stat_activity WHERE application_name = 'bittensor-indexer'"
    )
    await connection.close()
    assert len(rows) > 100
    return "\n".join(str(text) for (text,) in rows)


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


async def test_a_run_shows_no_secret_in_log_metrics_health_status_or_tables(
    database: str, login: str, tmp_path: Path
) -> None:
    chain = simulated_chain(7)
    chain.grow(6)
    chain.finalize(6)

    async def quote_the_key(method: str, _params: object, result: Any) -> Any:
        if method == "state_getReadProof" and node.requests[method] in (1, 4):
            raise RpcError(-32005, f"over the quota of {KEY}, see https://node.example/v2/{KEY}")
        return result

    async with DevNode(chain, tamper=quote_the_key) as node:
        good, gone = node_url(node.port), node_url(9, "wss")
        settings = {
            "INDEXER_NETWORK": f"{gone},{good}",
            "INDEXER_ARCHIVE": f"ws://127.0.0.1:9/v1/{KEY}",
            "INDEXER_DATABASE_URL": login,
        }
        options = ["--start", "genesis", "--log-format", "json", "--log-level", "debug"]
        log = tmp_path / "log"
        with log.open("wb") as file:
            process = await anyio.open_process(
                command("run", *options, "--metrics-address", "127.0.0.1:0"),
                stdout=file, stderr=file, env={**os.environ, **settings},
            )  # fmt: skip
            try:
                await wait_for(database, 6)
                told = [json.loads(line) for line in log.read_text().splitlines()]
                port = next(line["port"] for line in told if line["event"] == "metrics")
                pages = [
                    await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/{page}")
                    for page in ("metrics", "readyz", "healthz")
                ]
                commands = [
                    await said_here(*line, **settings)
                    for line in (["status"], ["status", "--json"], ["check"], ["verify", "--json"])
                ]
                tables = await all_texts(database)
            finally:
                process.terminate()
                assert await process.wait() == 0
                await process.aclose()
    assert [code for code, _ in commands] == [0, 0, 0, 0], commands
    shown = f"ws://***@127.0.0.1:{node.port}/v2/***?apikey=***"
    assert f'endpoint="{shown}"' in pages[0]
    assert shown in log.read_text()
    assert "over the quota of ***" in log.read_text()
    for text in (log.read_text(), *pages, *(text for _, text in commands), tables):
        assert MARK not in text


async def test_psql_gets_no_password_on_its_command_line(login: str, tmp_path: Path) -> None:
    """Anyone may list the processes of a machine."""
    (tmp_path / "psql").write_text('#!/bin/sh\necho "$@"\n[ "$PGPASSWORD" = "$EXPECTED" ] || exit 9\n')
    (tmp_path / "psql").chmod(0o755)
    parts = urlsplit(login)
    in_query = f"postgresql://{parts.hostname}:{parts.port}{parts.path}?user=u&password={quote(PASSWORD, safe='')}"
    for url in (login, in_query):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "EXPECTED": PASSWORD, "INDEXER_DATABASE_URL": url}
        code, text = await said("psql", **env)
        assert (code, MARK in text) == (0, False)
    assert "user=u" in text


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Port of a server that gives every connection one answer."""

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_one, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("answer", "scheme"),
    [
        (f"HTTP/1.1 401 No {KEY}\r\nContent-Length: 10\r\n\r\n{TOKEN}".encode(), "ws"),
        (f"HTTP/1.1 403 No\r\nX-Key: {KEY}\r\nContent-Length: 0\r\n\r\n".encode(), "ws"),
        (redirect(f"http://127.0.0.1/v2/{KEY}"), "ws"),
        (redirect(f"ws://{TOKEN}@127.0.0.1:no-port/v2/{KEY}"), "ws"),
        (redirect(f"wss://[{KEY}"), "ws"),
        (redirect(f"ws://127.0.0.1:9/{KEY}"), "ws"),
        (f"{KEY} {TOKEN}\r\n\r\n".encode(), "ws"),
        (b"no TLS at all", "wss"),
        (b"", "ws"),
    ],
    ids=["401", "403", "to http", "to a bad port", "to no address", "to nobody", "no HTTP", "no TLS", "nothing"],
)
async def test_a_node_that_lets_nobody_in_does_not_make_us_tell_the_key(answer: bytes, scheme: str) -> None:
    async with answering(answer) as port:
        env = {"INDEXER_NETWORK": node_url(port, scheme), "INDEXER_DATABASE_URL": "postgresql://h.invalid/d"}
        code, text = await said_here("check", "--rpc-timeout-s", "2", **env)
    assert code == 2
    assert f"{scheme}://***@127.0.0.1:{port}/v2/***?apikey=***" in text
    assert "Traceback" not in text
    assert MARK not in text


async def test_a_database_that_lets_nobody_in_does_not_make_us_tell_the_password(database: str, tmp_path: Path) -> None:
    parts = urlsplit(database)
    place = f"{parts.hostname}:{parts.port}{parts.path}"
    password = quote(PASSWORD, safe="")
    refused = f"postgresql://nobody:{password}@{place}"
    for url in (
        refused,
        f"postgresql://{place}?user=nobody&password={password}",
        f"postgresql://nobody:{password}@127.0.0.1:9/d",
        f"postgresql://nobody:{password}@{place}?sslmode=require&sslpassword={KEY}",
        f"postgresql://nobody:{password}@127.0.0.1:no-port/d",
        f"postgresql://nobody:{password}@[{KEY}/d",
        f"postgresql://nobody:{PASSWORD}@{place}",
        f"nobody:{password}@{place}",
    ):
        code, text = await said_here("status", INDEXER_DATABASE_URL=url)
        assert (code, "Traceback" in text) == (2, False), text
        assert MARK not in text, text
    run = ["run", "--network", "ws://127.0.0.1:9", "--metrics-address", "off"]
    code, text = await said(*run, INDEXER_DATABASE_URL=refused)
    assert (code, "Traceback" in text, MARK in text) == (2, False, False), text
    wrong = {"PGPASSWORD": PASSWORD, "INDEXER_DATABASE_URL": f"postgresql://nobody@{place}"}
    code, text = await said_here("status", **wrong)
    assert (code, MARK in text) == (2, False), text
    passfile = tmp_path / "passwords"
    passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
    passfile.chmod(0o600)
    code, text = await said_here("status", PGPASSFILE=str(passfile), INDEXER_DATABASE_URL=wrong["INDEXER_DATABASE_URL"])
    assert (code, MARK in text) == (2, False), text


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", f"postgresql://u:{KEY}@h/d"],
        [f"postgresql://u:{KEY}@h/d"],
        ["rewind", f"wss://h/v2/{KEY}"],
        ["run", "--network", f"node.example/v2/{KEY}"],
        ["run", "--network", f"https://node.example/v2/{KEY}"],
        ["check", "--archive", f"u:{KEY}@node.example"],
        ["check", "--archive", f"wss://{KEY}@node.example"],
        ["check", "--archive", f"wss://node.example:{KEY}/"],
        ["status", "--database-url", f"u:{KEY}@h/d"],
        ["status", "--database-url", f"mysql://u:{KEY}@h/d"],
    ],
)
async def test_a_slip_on_the_command_line_is_not_read_back_with_its_secret(arguments: list[str]) -> None:
    code, text = await said_here(*arguments)
    assert code == 2
    assert MARK not in text


async def test_the_traceback_of_a_bug_hides_what_the_exception_quotes(tmp_path: Path) -> None:
    program = (
        "import logging, structlog\n"
        "from indexer import config, logs\n"
        "config.load()\n"
        "logs.set_up('json')\n"
        "try:\n"
        f"    raise KeyError('{KEY} {TOKEN}')\n"
        "except KeyError:\n"
        "    structlog.get_logger().exception('caught')\n"
        "    logging.getLogger('library').exception('caught')\n"
        f"raise KeyError('{KEY} {TOKEN} {QUERY}')\n"
    )
    script = tmp_path / "bug.py"
    script.write_text(program)
    python = command()[0].replace("/indexer", "/python")
    env = {**os.environ, "INDEXER_NETWORK": node_url(9), "PYTHONPATH": os.getcwd()}
    done = await anyio.run_process([python, str(script)], check=False, env=env)
    text = done.stderr.decode()
    assert text.count("KeyError") == 3 * 1 + text.count("raise KeyError")
    assert "***" in text
    assert MARK not in text


async def test_an_error_of_a_node_has_lost_the_key_before_it_goes_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only in the log: an error's text also becomes a reason against readiness."""
    monkeypatch.setattr(redaction, "_known", set())

    async def quote_the_key(method: str, _params: object, result: Any) -> Any:
        if method == "system_properties":
            return result
        raise RpcError(-32000, f"no such key: {KEY}, {TOKEN}")

    async with DevNode(simulated_chain(7), tamper=quote_the_key) as served:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_node([node_url(served.port)]) as node:
                await node.best()
    text = str(root_cause(caught.value))
    assert "no such key: ***, ***" in text
    assert MARK not in text


async def test_two_keys_of_one_host_are_two_endpoints(database: str) -> None:
    """Their shown names would be the same, and what one did would be held against the other."""
    chain = simulated_chain(7)
    chain.grow(2)
    chain.finalize(2)
    async with DevNode(chain) as node:
        urls = f"ws://127.0.0.1:{node.port}/v2/{KEY},ws://127.0.0.1:{node.port}/v2/{KEY}-b"
        run = ["run", "--start", "genesis", "--stop", "2", "--metrics-address", "off", "--log-format", "json"]
        code, text = await said(*run, INDEXER_NETWORK=urls, INDEXER_DATABASE_URL=database)
    assert code == 0, text
    assert f'"endpoint": "ws://127.0.0.1:{node.port}/v2/*** (1)"' in text
    assert MARK not in text
    assert await committed(database) == 2
