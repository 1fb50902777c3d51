"""The command line of the indexer as a deployment writes it: parsed as the program does, with nothing run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import typer

from indexer import cli, config


def parse(arguments: Sequence[str]) -> None:
    """Fail, as the program would, on a command, option or value that it does not know."""
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    name, *rest = arguments
    commands[name].make_context(name, rest)


def settings(env: Mapping[str, str]) -> config.Settings:
    """The settings that these variables give; an unknown name or a value that does not fit is an error."""
    with pytest.MonkeyPatch.context() as given:
        for name, value in env.items():
            given.setenv(name, value)
        return config.load()
