"""The README tells what is so: exit codes, commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from indexer import cli, errors

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^\.venv/bin/indexer (.*?)(?: {2,}#.*)?$", README, re.M)))


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(code) for code in re.findall(r"^\| (\d) \| ", README, re.M)} == codes


def test_there_are_examples_of_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} >= {"run", "check", "status", "psql"}


@pytest.mark.parametrize("line", COMMANDS)
def test_an_example_of_a_command_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = typer.main.get_command(cli.app).commands[name]  # type: ignore[attr-defined]
    assert command.make_context(name, arguments).params is not None
