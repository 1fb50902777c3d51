"""Every query of a board's JSON, and what Grafana makes of it before it asks: for tests and pictures.

It knows what Grafana knows when it asks: the time range, how many points fit, the values of variables. It reads the
JSON and not the code, as the JSON is what people import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Language = Literal["promql", "labels", "sql"]

_PIXELS_PER_COLUMN = 50
_STEPS_MS = (
    1, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000,
    600_000, 900_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000,
)  # fmt: skip
"""The steps to which Grafana rounds the time between two points."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a board."""

    where: str
    """Title of the panel, or ``variable x``, ``annotation x``."""
    letter: str
    language: Language
    text: str
    form: Literal["range", "instant", "time_series", "table"]
    legend: str = ""
    points: int = 100
    """How many points fit."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What Grafana knows when it asks: Unix seconds, and a value or several per variable."""

    begin_s: float
    end_s: float
    scrape_s: float
    variables: Mapping[str, str | Sequence[str]]

    def step_s(self, query: Query) -> float:
        """Seconds between two points."""
        wanted_ms = (self.end_s - self.begin_s) * 1000 / query.points
        rounded_ms = min(_STEPS_MS, key=lambda step_ms: abs(step_ms - wanted_ms))
        return max(rounded_ms / 1000, self.scrape_s)

    def text(self, query: Query) -> str:
        """The query as it goes out. Raises ``ValueError`` for a variable or macro that nobody replaced."""
        step_s = self.step_s(query)
        range_s = round(self.end_s - self.begin_s)
        text = query.text
        for name, value in (
            ("__rate_interval", f"{round(max(step_s + self.scrape_s, 4 * self.scrape_s) * 1000)}ms"),
            ("__interval_ms", f"{round(step_s * 1000)}"),
            ("__interval", f"{round(step_s * 1000)}ms"),
            ("__range", f"{range_s}s"),
        ):
            text = re.sub(rf"\${name}\b", value, text)
        if query.language == "sql":
            text = self._macros(text)
        text = re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$([a-z]\w*)", lambda found: self._value(query, found), text)
        if "$" in text:
            raise ValueError(f"{query.where}: not replaced: {text[text.index('$') :][:40]}")
        return text

    def _macros(self, text: str) -> str:
        begin, end = (
            f"'{datetime.fromtimestamp(at_s, UTC).isoformat().replace('+00:00', 'Z')}'"
            for at_s in (self.begin_s, self.end_s)
        )
        text = re.sub(r"\$__timeFilter\(([^()]*)\)", rf"\1 BETWEEN {begin} AND {end}", text)
        text = text.replace("$__timeFrom()", begin).replace("$__timeTo()", end)
        return re.sub(
            r"\$__timeGroup\(([^(),]*), *(\d+)ms\)",
            lambda found: "floor(extract(epoch from {0})/{1:g})*{1:g}".format(found[1], int(found[2]) / 1000),
            text,
        )

    def _value(self, query: Query, found: re.Match[str]) -> str:
        name, form = found[1] or found[3], found[2]
        if name not in self.variables:
            raise ValueError(f"{query.where}: no variable {name}")
        value = self.variables[name]
        if form == "sqlstring":
            values = [value] if isinstance(value, str) else value
            return ",".join("'" + one.replace("'", "''") + "'" for one in values)
        if form == "csv":
            return value if isinstance(value, str) else ",".join(value)
        if form is not None or query.language == "sql":
            raise ValueError(f"{query.where}: this format of {name} is not known here")
        if isinstance(value, str):
            return value
        escaped = [re.sub(r"([\\^$*+?.()|{}\[\]])", r"\\\\\1", one) for one in value]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def queries(board: Mapping[str, Any]) -> list[Query]:
    """All queries of panels, annotations and variables."""
    return [*_of_variables(board), *(query for query, _, _ in marks(board)), *_of_panels(board)]


def panels(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All panels but rows, in their order."""
    found = [*board["panels"], *(inner for panel in board["panels"] for inner in panel.get("panels") or ())]
    return [panel for panel in found if panel["type"] != "row"]


def of_panel(panel: Mapping[str, Any]) -> list[Query]:
    """The queries of one panel."""
    points = int(panel.get("maxDataPoints") or panel["gridPos"]["w"] * _PIXELS_PER_COLUMN)
    return [_query(panel["title"], target, points) for target in panel["targets"]]


def marks(board: Mapping[str, Any]) -> list[tuple[Query, str, Sequence[int]]]:
    """The queries of annotations, the colours of their marks, and the numbers of the panels that show them."""
    return [
        (_query(f"annotation {one['name']}", one["target"], 100), one["iconColor"], one["filter"]["ids"])
        for one in board["annotations"].get("list", ())
    ]


def _of_panels(board: Mapping[str, Any]) -> Iterator[Query]:
    for panel in panels(board):
        yield from of_panel(panel)


def _of_variables(board: Mapping[str, Any]) -> Iterator[Query]:
    for one in board["templating"]["list"]:
        if one["type"] == "query":
            language: Language = "labels" if one["query"].startswith("label_values(") else "sql"
            yield Query(f"variable {one['name']}", "", language, one["query"], "table")


def _query(where: str, target: Mapping[str, Any], points: int) -> Query:
    if "rawSql" in target:
        return Query(where, target["refId"], "sql", target["rawSql"], target["format"], points=points)
    form: Literal["range", "instant"] = "instant" if target.get("instant") else "range"
    return Query(where, target["refId"], "promql", target["expr"], form, target.get("legendFormat", ""), points)
