"""Reads a Dockerfile and a .dockerignore, as far as ours go: what the file says is what the tests do.

Pure; ``image`` carries the instructions out. An instruction or flag that is not understood is an error, never
passed over.
"""

from __future__ import annotations

import fnmatch
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNDERSTOOD = {
    *("ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "VOLUME", "USER", "EXPOSE"),
    *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, and the rest of its line with continuations joined."""

    name: str
    rest: str

    def words(self) -> list[str]:
        """The rest as an exec form, if it is one; else its words."""
        if self.rest.startswith("["):
            return [str(word) for word in json.loads(self.rest)]
        return self.rest.split()


def instructions(text: str) -> list[Instruction]:
    """The instructions in order; comments are left out, also those between continued lines."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            assert name in UNDERSTOOD, f"not understood: {line}"
            found.append(Instruction(name, rest.strip()))
    return found


def stages(text: str) -> tuple[dict[str, str], list[list[Instruction]]]:
    """The arguments before the first FROM with their defaults, and each stage from its FROM on."""
    arguments: dict[str, str] = {}
    found: list[list[Instruction]] = []
    for step in instructions(text):
        if step.name == "FROM":
            found.append([step])
        elif found:
            found[-1].append(step)
        else:
            assert step.name == "ARG"
            name, _, value = step.rest.partition("=")
            arguments[name] = value
    return arguments, found


def expand(text: str, variables: dict[str, str]) -> str:
    """``${NAME}`` and ``$NAME`` replaced; an unknown one is an error."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables[found[1] or found[2]], text)


def assignments(rest: str) -> dict[str, str]:
    """``A=1 B="two words"`` of ENV, LABEL or ARG."""
    return {name: bare or quoted for name, quoted, bare in re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S+))', rest)}


def option(rest: str, name: str) -> str | None:
    """The value of a flag such as ``--from=build``."""
    found = re.search(rf"--{name}=(\S+)", rest)
    return found[1] if found else None


def in_context(path: PurePosixPath, ignore: str) -> bool:
    """Whether a path of the context goes to the builder; the last pattern that matches it, or a parent, decides."""
    kept = True
    names = [path, *list(path.parents)[:-1]]
    for line in ignore.splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if any(_matches(str(name), pattern) for name in names):
                kept = line.startswith("!")
    return kept


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in PurePosixPath(name).parts)
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)


def context_files(root: Path, ignore: str, source: str) -> list[Path]:
    """Files of the context at or below ``source``, relative to ``root``."""
    start = root / source
    below = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
    found = [path.relative_to(root) for path in below]
    return [path for path in found if in_context(PurePosixPath(path.as_posix()), ignore)]
