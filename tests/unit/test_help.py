"""What `--help` teaches: every option with its default and its variable, grouped, and readable on any terminal."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from indexer import cli, options
from indexer.config import Settings

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def helped(*arguments: str, columns: int = 200) -> str:
    result = CliRunner().invoke(cli.app, [*arguments, "--help"], env={"COLUMNS": str(columns), "TERM": "dumb"})
    assert result.exit_code == 0
    return result.output


def test_run_shows_each_option_with_its_variable_and_its_default() -> None:
    told = " ".join(helped("run", columns=4000).split())
    for name, field in Settings.model_fields.items():
        assert f"[env: {options.variable(name)}]" in told, "not taken for markup, which would hide it"
        assert options.flag(name) in told
        if isinstance(field.default, int | float | str) and not isinstance(field.default, bool):
            assert f"[default: {field.default}] [env: {options.variable(name)}]" in told


def test_each_option_is_in_one_group() -> None:
    grouped = [name for names in cli.PANELS.values() for name in names]
    assert sorted(grouped) == sorted(Settings.model_fields)


def test_the_commands_come_in_the_order_a_newcomer_needs_them() -> None:
    assert set(cli.ORDER) == set(COMMANDS)
    told = helped()
    places = [told.index(f"\n│ {name} ") for name in cli.ORDER]
    assert places == sorted(places)
    assert "Begin with" in told


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_text_of_a_command_is_not_torn_on_a_narrow_terminal(command: str) -> None:
    """A paragraph's own line breaks are kept: it has none, or is narrow."""
    paragraphs = (COMMANDS[command].help or "").strip().split("\n\n")
    assert paragraphs[0]
    assert [one for one in paragraphs if "\n" in one and max(map(len, one.split("\n"))) > 78] == []
