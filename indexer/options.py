"""An option as a person meets it: what it is called where, what it takes, and what is wrong with a value, in one line.

Knows no option by name: all it says comes from the declarations in ``config``, so that the reference and the
complaints cannot differ. Reads the TOML file and the environment's names, as that is where mistakes are made.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from indexer.errors import ConfigError
from indexer.redaction import foreign, redact

ENV_PREFIX = "INDEXER_"

# Kubernetes gives every pod such variables for a Service called "indexer"; they are not options.
_SERVICE_LINK = re.compile(r"INDEXER_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
_LINE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_KEY = re.compile(r"\s*([\w-]+)\s*=")

Fields = Mapping[str, FieldInfo]


class Conflict(ValueError):
    """Two options that do not go together: the value of ``name`` ``relation`` that of ``other``."""

    def __init__(self, name: str, relation: str, other: str) -> None:
        self.name, self.relation, self.other = name, relation, other
        super().__init__(f"{name} {relation} {other}")


@dataclass(frozen=True, slots=True)
class Given:
    """What was given where: flags, variables (field to the name it has in the environment), and the file's keys."""

    flags: Mapping[str, object]
    variables: Mapping[str, str]
    in_file: Mapping[str, object]
    file: Path | None

    def place(self, name: str) -> str:
        """Where a person has to change ``name``; for one that is not given, where it could be."""
        if name in self.flags:
            return flag(name)
        if name in self.variables:
            return self.variables[name]
        return f"{self.file}: {name}" if name in self.in_file else flag(name)

    def knows(self, name: str) -> bool:
        """Whether ``name`` is given at all."""
        return name in self.flags or name in self.variables or name in self.in_file

    def complaint(self, error: Any, fields: Fields, values: Mapping[str, object]) -> str:
        """One of pydantic's errors as a person would say it, with the place to change. Shows no secret."""
        raised = error.get("ctx", {}).get("error")
        if isinstance(raised, Conflict):
            return f"{self._told(raised.name, values)} {raised.relation} {self._told(raised.other, values)}"
        name, value = str(error["loc"][0]), error.get("input")
        problem = str(raised) if raised is not None else _problem(value, fields[name])
        return f"{self.place(name)}{_shown(value, is_secret=not fields[name].repr)}: {problem}"

    def _told(self, name: str, values: Mapping[str, object]) -> str:
        return f"{self.place(name)} {values[name]}{'' if self.knows(name) else ' (the default)'}"


def flag(name: str) -> str:
    """An option's name on the command line."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """An option's name in the environment."""
    return f"{ENV_PREFIX}{name.upper()}"


def takes(field: FieldInfo) -> str:
    """What an option's value has to be: ``a whole number from 1 to 256``."""
    kinds = [kind for kind in _kinds(field.annotation) if kind is not NoneType]
    words = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            words += [f"`{choice}`" for choice in get_args(kind)]
        elif kind is int:
            words.append(f"a whole number{_range(field)}")
        elif kind is float:
            words.append(f"a number{_range(field)}")
        elif kind is bool:
            words.append("`true` or `false`")
        elif kind is Path:
            words.append("a path")
        elif get_origin(kind) is tuple:
            words.append("a list of texts")
        else:
            words.append("a text")
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def metavar(field: FieldInfo) -> str:
    """What an option takes, in one word for a line of help."""
    kinds = [kind for kind in _kinds(field.annotation) if kind is not NoneType]
    words = {int: "N", float: "SECONDS", Path: "PATH", str: "TEXT" if field.repr else "URL"}
    parts = [words.get(kind, "") for kind in kinds if get_origin(kind) is not Literal] + choices(field)
    return "|".join(part or "LIST" for part in parts)


def help_text(name: str, field: FieldInfo) -> str:
    """An option's meaning, default and variable for a line of help."""
    default = field.default
    has_none = default is None or default == () or default is PydanticUndefined or isinstance(default, bool)
    shown = ",".join(default) if isinstance(default, tuple) else default
    return f"{field.description}{'' if has_none else f' [default: {shown}]'} [env: {variable(name)}]"


def choices(field: FieldInfo) -> list[str]:
    """The words that an option takes; empty where it takes others too."""
    kinds = _kinds(field.annotation)
    return [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing if no known name is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def variables(fields: Collection[str]) -> dict[str, str]:
    """Which options the environment gives, each with its variable's name there. An empty one is not given.

    :raises ConfigError: a variable that is none of ours, or one that is there twice.
    """
    known = {variable(name): name for name in fields}
    found: dict[str, str] = {}
    for name in sorted(os.environ):
        if not name.upper().startswith(ENV_PREFIX) or _SERVICE_LINK.fullmatch(name):
            continue
        if name.upper() not in known:
            raise ConfigError(f"{name} is not a variable of the indexer{did_you_mean(name.upper(), known)}")
        if os.environ[name]:
            field = known[name.upper()]
            if field in found:
                raise ConfigError(f"{found[field]} and {name} are the same variable: leave one out")
            found[field] = name
    return found


def read_file(path: Path, fields: Collection[str]) -> dict[str, object]:
    """The options that a TOML file gives.

    :raises ConfigError: it cannot be read, is no TOML, or names something that is no option.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # an editor's byte order mark is no mistake
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_no_toml(path, text, str(error), fields)) from None
    for name, value in values.items():
        if name == "config":
            raise ConfigError(f"{path}: config cannot name a further file")
        if name not in fields:
            raise ConfigError(f"{path}: {_unknown_key(name, value, fields)}")
    return values


def _unknown_key(name: str, value: object, fields: Collection[str]) -> str:
    if isinstance(value, dict):
        return f"[{foreign(name)}] is a table; options stand at the top of the file, outside of any table"
    plain = name.lower().lstrip("-").replace("-", "_").removeprefix(ENV_PREFIX.lower())
    return f"{foreign(name)} is not an option of the indexer{did_you_mean(plain, [f for f in fields if f != 'config'])}"


def _no_toml(path: Path, text: str, problem: str, fields: Collection[str]) -> str:
    """What TOML's parser found, with line and option; the line itself may hold a secret."""
    found, lines = _LINE.search(problem), text.splitlines() or [""]
    line = int(found["line"]) if found and found["line"] else len(lines)
    said = problem[: found.start()] if found else problem
    if said == "Invalid value":
        said = "no value that TOML knows; a text stands in quotes, true and false in small letters"
    elif said == "Cannot overwrite a value":
        said = "is there twice"
    key = _KEY.match(lines[min(line, len(lines)) - 1])
    named = f": {key[1]}" if key and key[1] in fields else ""
    return f"{path}, line {line}{named}: {said}"


def _problem(value: object, field: FieldInfo) -> str:
    words = choices(field)
    hint = did_you_mean(value.lower(), words) if isinstance(value, str) else ""
    form = "a table, " if isinstance(value, dict) else "a list, " if isinstance(value, list | tuple) else ""
    return f"is {form}not {takes(field)}{hint}"


def _shown(value: object, *, is_secret: bool) -> str:
    """`` 'value'``, or nothing where it is no single value or may be a secret, whatever is wrong with it."""
    if isinstance(value, bool):
        return f" {str(value).lower()}"
    if not isinstance(value, str | int | float) or "://" in str(value) or "@" in str(value):
        return ""
    if is_secret and not all(redact(part) == part for part in re.split(r"[,\s]", str(value))):
        return ""
    return f" {value!r:.80}"


def _kinds(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else [annotation]


def _range(field: FieldInfo) -> str:
    bounds = {name: getattr(one, name) for one in field.metadata for name in ("ge", "gt", "le") if hasattr(one, name)}
    if "ge" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}" if "le" in bounds else f" from {bounds['ge']} on"
    above = f" above {bounds['gt']}" if "gt" in bounds else ""
    return above + (f" up to {bounds['le']}" if "le" in bounds else "")
