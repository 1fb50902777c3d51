"""systemd's unit files as tests read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
_UNIT_S = {"": 1, "s": 1, "min": 60, "h": 3600}


def read(name: str) -> Mapping[str, list[str]]:
    """Values by key, in the order of the file; sections share no key that is asked for here."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / name).read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def seconds(span: str) -> int:
    """A time span of one unit."""
    number, unit = re.fullmatch(r"(\d+)(\w*)", span).groups()  # type: ignore[union-attr]
    return int(number) * _UNIT_S[unit]


def variables(text: str) -> dict[str, str]:
    """NAME=value lines of an environment file."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}
