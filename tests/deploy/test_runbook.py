"""The runbook: a section per alert, and every command, statement and expression in it can be run as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import asyncpg
import pytest
import typer
import yaml
from programs import program
from rules import DEPLOY, alerts, unknown

from indexer import cli

RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text("utf-8")

OTHERS = {"curl", "df", "journalctl", "kubectl", "promtool", "ss", "systemctl"}
"""Programs other than the indexer that its commands may name."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", RUNBOOK, re.M | re.S)


def lines() -> list[str]:
    """Every command line: in blocks, and those of the indexer within the text."""
    within = re.findall(r"`((?:indexer|kubectl|systemctl|journalctl) [^`]+)`", RUNBOOK)
    return [line for block in blocks("sh") for line in block.splitlines() if line] + within


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOK, re.M) == [alert.name for alert in alerts()]
    for section in RUNBOOK.split("\n### ")[1:]:
        parts = re.findall(r"^(?:\*\*(Means\.|Look\.|Do\.|Ends)\*\*)", section, re.M)
        assert parts == ["Means.", "Look.", "Do.", "Ends"], section.partition("\n")[0]


def test_the_index_lists_the_alerts_as_they_are() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| (.*) \|$", RUNBOOK, re.M)
    assert rows == [(one.name, one.name.lower(), one.severity, one.annotations["summary"]) for one in alerts()]


def test_every_link_leads_somewhere() -> None:
    headings = {re.sub(r"[^\w -]", "", line).strip().lower() for line in re.findall(r"^#+ (.*)$", RUNBOOK, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        path, _, anchor = target.partition("#")
        assert (anchor in headings) if not path else (DEPLOY / path).is_file(), target


def test_the_first_five_commands_come_first() -> None:
    assert len(blocks("sh")[0].splitlines()) == 5


@pytest.mark.parametrize("line", sorted(set(lines())))
def test_a_command_is_understood(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "kubectl" and "--" in words:
        words = words[words.index("--") + 1 :]
    if words[0] != "indexer":
        assert words[0] in OTHERS
        return
    command = typer.main.get_command(cli.app).commands[words[1]]  # type: ignore[attr-defined]
    assert command.make_context(words[1], words[2:]).params is not None


@pytest.mark.anyio
async def test_every_statement_runs(database: str) -> None:
    statements = blocks("sql") + re.findall(r"`(SELECT pg_[^`]+)`", RUNBOOK)
    assert len(statements) > 10
    connection = await asyncpg.connect(database)
    try:
        for statement in statements:
            await connection.prepare(statement.replace("(pid)", "(0)") if "terminate" in statement else statement)
            if "terminate" not in statement:
                await connection.fetch(statement)
    finally:
        await connection.close()


def test_every_expression_is_valid_and_names_what_exists(tmp_path: Path) -> None:
    expressions = blocks("promql")
    assert len(expressions) > 20
    asked = [{"record": f"runbook:{at}", "expr": one} for at, one in enumerate(expressions)]
    path = tmp_path / "runbook.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": asked}]}))
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one: wrong for one in expressions if (wrong := unknown(one))} == {}
