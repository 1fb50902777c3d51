"""The README and the documents tell what is so: exit codes, commands, promises and their tests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from indexer import cli, errors

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:\w+=\S+ )*(?:\.venv/bin/)?indexer ([a-z].*?)(?: +#.*)?$", re.M)
COMMANDS = sorted(
    {
        command
        for document in DOCUMENTS
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.S)
        for command in COMMAND.findall(block)
    }
)
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    operating = (REPOSITORY / "docs" / "OPERATING.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d) \| ", operating, re.M)} == codes


def test_there_are_examples_of_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} >= {"run", "check", "status", "psql"}


@pytest.mark.parametrize("line", COMMANDS)
def test_an_example_of_a_command_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = typer.main.get_command(cli.app).commands[name]  # type: ignore[attr-defined]
    assert command.make_context(name, arguments).params is not None


def test_every_promise_names_a_test_that_is_there() -> None:
    table = README.partition("## What it promises")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \*\*(.*?)\*\*.*\|(.*)\|$", table, re.M)
    assert len(rows) >= 15
    for promise, shown_by in rows:
        files = [path for path in re.findall(r"\]\((\S+?)\)", shown_by) if path.startswith("tests/")]
        assert files, promise
        for file in files:
            assert re.search(r"^(?:async )?def test_", (REPOSITORY / file).read_text(encoding="utf-8"), re.M), file


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.M))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.M))
        assert named <= targets, document.name


def test_a_newcomer_is_not_given_more_than_can_be_read() -> None:
    assert len(README.splitlines()) <= 180
