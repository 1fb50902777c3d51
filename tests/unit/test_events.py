"""docs/EVENTS.md lists every log event with its levels and fields, and none that nobody logs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from logged_events import Place, Source

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "EVENTS.md").read_text("utf-8")
ROWS = {
    name: (frozenset(levels.split(", ")), frozenset(re.findall(r"`(\w+)`", fields)), means, do)
    for name, levels, fields, means, do in re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|(.*?)\|(.*?)\|(.*)\|$", PAGE, re.M)
    if name not in ("debug", "info", "warning", "error")
}
RESERVED = {"event", "level", "timestamp", "logger", "exception"}
"""Fields of every line: an event's own of that name would be lost."""


@pytest.fixture(scope="module")
def logged() -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in Source(REPOSITORY / "indexer").places():
        found.setdefault(place.event, []).append(place)
    return found


def test_every_event_has_its_row_and_no_row_is_of_the_past(logged: dict[str, list[Place]]) -> None:
    assert len(logged) > 50
    missing = [
        f"| `{name}` | {', '.join(sorted(places[0].levels))} | "
        f"{', '.join(f'`{field}`' for field in sorted(places[0].fields))} | ? | ? |   ({places[0].where})"
        for name, places in logged.items()
        if name not in ROWS
    ]
    assert missing == []
    assert set(ROWS) - set(logged) == set()


def test_levels_and_fields_are_those_of_the_code(logged: dict[str, list[Place]]) -> None:
    for name, places in logged.items():
        where = f"{name}, {places[0].where}"
        levels, fields, means, _ = ROWS[name]
        assert levels == frozenset().union(*(place.levels for place in places)), where
        told = frozenset().union(*(place.fields for place in places))
        assert told <= fields if any(place.is_open for place in places) else told == fields, where
        assert means.strip().endswith((".", ".)")), where


def test_no_field_takes_the_name_of_one_that_every_line_has(logged: dict[str, list[Place]]) -> None:
    assert [place.where for places in logged.values() for place in places if place.fields & RESERVED] == []


def test_what_a_person_has_to_look_at_says_what_to_do() -> None:
    assert [name for name, (levels, _, _, do) in ROWS.items() if "error" in levels and not do.strip()] == []


def test_the_example_is_a_line_as_it_is_logged() -> None:
    (line,) = re.findall(r"```json\n(.*)\n```", PAGE)
    shown = json.loads(line)
    fields = {key: shown[key] for key in shown if key not in RESERVED}
    program = (
        "import structlog, sys; from indexer import logs; logs.set_up('json');"
        f"structlog.get_logger().{shown['level']}({shown['event']!r}, **{fields!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    logged = json.loads(done.stderr)
    assert list(logged) == list(shown)
    assert {**logged, "timestamp": ""} == {**shown, "timestamp": ""}
    assert re.sub(r"\d", "0", logged["timestamp"]) == re.sub(r"\d", "0", shown["timestamp"])
    assert set(fields) <= ROWS[shown["event"]][1]


def test_what_the_reader_of_the_source_can_follow(tmp_path: Path) -> None:
    """Each way to write an event that the package uses, so that the tests above see them."""
    (tmp_path / "a.py").write_text(
        "class A:\n"
        "    def __init__(self, event, n):\n        self._event, self._n = event, n\n"
        "    def put(self):\n        log.info(self._event, **self.fields())\n"
        "def one(event):\n    log.info(event, block=1)\n"
        "def three():\n    name = 'f' if one else 'g'\n    log.info(name)\n"
        "def two(hot):\n"
        "    tell = log.error if hot else log.debug\n    tell('b' if hot else 'c', why=2)\n"
        "    more = {'x': 1} if hot else {}\n    log.warning('d', **more)\n"
        "one('a')\nA('e', 1)\n"
    )
    seen = {(p.event, p.levels, p.fields, p.is_open) for p in Source(tmp_path).places()}
    both = frozenset({"error", "debug"})
    assert seen == {
        ("a", frozenset({"info"}), frozenset({"block"}), False),
        ("b", both, frozenset({"why"}), False),
        ("c", both, frozenset({"why"}), False),
        ("d", frozenset({"warning"}), frozenset({"x"}), False),
        ("e", frozenset({"info"}), frozenset(), True),
        ("f", frozenset({"info"}), frozenset(), False),
        ("g", frozenset({"info"}), frozenset(), False),
    }


def test_an_event_whose_name_cannot_be_found_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("log.info(name())\n")
    with pytest.raises(AssertionError, match=r"a.py:1: the event's name cannot be found"):
        list(Source(tmp_path).places())
