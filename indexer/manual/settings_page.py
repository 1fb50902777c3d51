"""docs/CONFIGURATION.md and the example file: every option, from its declaration in ``config``.

What an option takes is told in the words that a complaint about it has (``options``). The commands that know an
option are read from the command line's own parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import typer
from pydantic.fields import FieldInfo

from indexer import cli, options
from indexer.config import Settings
from indexer.schema_doc import grid

_INTRODUCTION = """\
# Configuration

Written by `make docs` from `indexer/config.py`; do not edit.

An option is given on the command line, in the environment, or in a TOML file; the first of these that has it counts,
and after them the default:

```sh
indexer run --workers 8                              # --name value
INDEXER_WORKERS=8 indexer run                        # INDEXER_NAME; an empty variable is not given
indexer run --config /etc/bittensor-indexer.toml     # name = value, outside of any [table]
```

[indexer.example.toml](../deploy/indexer.example.toml) has them all, commented out. Lists are comma separated or, as
a flag, repeated; in the file they are TOML lists or such a text.

What the indexer does not know stops the start with exit code 2 and one line that names the place:

```text
error: INDEXER_WORKERS 'many': is not a whole number from 1 to 256
error: indexer.toml: netwrok is not an option of the indexer (did you mean network?)
error: indexer.toml, line 3: data_dir: is there twice
error: --stop 8 lies before INDEXER_START 9
```

A password or key belongs into the environment or the file: anyone may list the command lines of a machine. Wherever
it stands in a URL, no log, error, metric or table shows it.

`indexer check` takes the same options and says, without changing anything, whether they work.
"""

_FILE_INTRODUCTION = """\
# Options of the indexer: indexer run --config indexer.toml
#
# Each is commented out, with its default; where there is none, with an example. Flags and INDEXER_* variables
# count before this file. docs/CONFIGURATION.md says more. Written by `make docs`; copy it and edit the copy.
"""

EXAMPLES: Mapping[str, object] = {
    "data_dir": "/var/lib/bittensor-indexer",
    "database_url": "postgresql://indexer:password@db.example:5432/indexer",
    "stop": 9_300_000,
    "archive": "wss://archive.example:443",
    "datasets": ["default", "events"],
    "item": ["SubtensorModule.Tempo"],
    "retain": 216_000,
}
"""Values of options that have no default to show."""


def as_markdown() -> str:
    """The whole document."""
    commands = commands_by_option()
    rows = [
        (f"[`{options.flag(name)}`](#{name})", default_of(name, field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    parts = [_INTRODUCTION, "## All options\n\n" + grid(("option", "default", "meaning"), rows)]
    parts += [_section(name, field, commands[name]) for name, field in Settings.model_fields.items()]
    return "\n".join(parts)


def as_toml() -> str:
    """Every option commented out: uncommented, the file is a valid one."""
    return _FILE_INTRODUCTION + "".join(_lines(name, field) for name, field in _in_file())


def commands_by_option() -> dict[str, list[str]]:
    """Option to the commands that take it, as their parser has them."""
    found: dict[str, list[str]] = {name: [] for name in Settings.model_fields}
    for command, parser in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        for parameter in parser.params:
            if f"[env: {options.variable(parameter.name)}]" in (getattr(parameter, "help", None) or ""):
                found[parameter.name].append(command)
    return found


def default_of(name: str, field: FieldInfo) -> str:
    """A default as a table shows it; empty where unset."""
    default = field.default
    if name == "data_dir":
        return "user's data folder"
    if default is None or default == ():
        return ""
    return f"`{_toml(list(default) if isinstance(default, tuple) else default)}`"


def unit_of(name: str, field: FieldInfo) -> str:
    """What an option's number counts; empty where it takes none."""
    if name.endswith("_s"):
        return "seconds"
    if name in ("start", "stop"):
        return "block height"
    takes_number = "number" in options.takes(field)
    return "blocks" if takes_number else ""


def _section(name: str, field: FieldInfo, commands: list[str]) -> str:
    unit = unit_of(name, field)
    rows = [
        ("command line", f"`{options.flag(name)}`" + (f", `--no-{name}`" if field.annotation is bool else "")),
        ("environment", f"`{options.variable(name)}`"),
        ("file", "" if name == "config" else f"`{name} = {_toml(_value(name, field))}`"),
        ("takes", options.takes(field) + (f"; {unit}" if unit else "")),
        ("default", default_of(name, field)),
        ("commands", ", ".join(f"`{one}`" for one in commands)),
    ]
    return f"### {name}\n\n{field.description}\n\n" + grid(("", ""), [row for row in rows if row[1]])


def _lines(name: str, field: FieldInfo) -> str:
    unit = unit_of(name, field)
    said = [field.description or "", f"Takes {options.takes(field)}{f'; {unit}' if unit else ''}."]
    if name in EXAMPLES:
        said.append("For example:" if name == "data_dir" else "Unset by default; for example:")
    comment = "".join(f"# {line}\n" for part in said for line in _wrapped(part.replace("`", "")))
    return f"\n{comment}# {name} = {_toml(_value(name, field))}\n"


def _in_file() -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for name, field in Settings.model_fields.items() if name != "config")


def _value(name: str, field: FieldInfo) -> object:
    default = EXAMPLES.get(name, field.default)
    return list(default) if isinstance(default, tuple) else default


def _toml(value: object) -> str:
    return json.dumps(value)  # of texts, numbers, truths and lists of texts, TOML's form is JSON's


def _wrapped(text: str, width: int = 110) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line
