"""Draws panels with matplotlib as Grafana lays them out: places, titles, units, thresholds and legends of the JSON.

Everything is placed in pixels, from the upper left corner. It knows neither Prometheus nor Postgres: it is given what
the panels' queries found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from deploy.grafana.boards.units import said

WIDTH_PX, UNIT_PX, MARGIN_PX, GAP_PX, DPI = 1400, 31, 12, 8, 100
BACKGROUND, PANEL, EDGE, TEXT, DIM, GRID = "#111217", "#181b1f", "#2b2e35", "#d8d9e3", "#8e9099", "#25282e"
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#56a64b", "#fade2a", "#ca95e5")
COLORS = {
    "green": "#37872d", "red": "#c4162a", "yellow": "#b88a00", "blue": "#1f60c4", "purple": "#8f3bb8",
    "transparent": "none",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A series: Unix seconds and values of the same length."""

    name: str
    at_s: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Cells:
    """A table: names of columns, and rows of values."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation: Unix seconds and its colour."""

    at_s: float
    color: str


_TICKS_S = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
Found = Sequence[Line] | Cells


class Picture:
    """One board being drawn."""

    def __init__(self, board: Mapping[str, Any], sections: int, begin_s: float, end_s: float, caption: str) -> None:
        self._begin_s, self._end_s = begin_s, end_s
        self.panels, units = _upper(board["panels"], sections)
        self._height_px = 2 * MARGIN_PX + 46 + units * UNIT_PX + 30
        self._figure = Figure(figsize=(WIDTH_PX / DPI, self._height_px / DPI), dpi=DPI, facecolor=BACKGROUND)
        self._sheet = self._figure.add_axes((0, 0, 1, 1))
        self._sheet.set(xlim=(0, WIDTH_PX), ylim=(self._height_px, 0))
        self._sheet.axis("off")
        self._write(MARGIN_PX + 4, MARGIN_PX + 24, board["title"], size=17, weight="bold")
        when = f"{_clock(begin_s)} to {_clock(end_s)} UTC"
        self._write(WIDTH_PX - MARGIN_PX - 4, MARGIN_PX + 24, when, color=DIM, align="right")
        self._write(MARGIN_PX + 4, self._height_px - 14, caption, color=DIM, size=10.5)

    def draw(self, panel: Mapping[str, Any], found: Found, marks: Iterable[Mark] = ()) -> None:
        """One panel with what its queries found."""
        x, y, width, height = self._place(panel)
        if panel["type"] == "row":
            self._write(x + 4, y + height / 2 + 6, f"▾ {panel['title']}", size=12.5, weight="bold")
            return
        box = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=3", fc=PANEL, ec=EDGE, lw=0.8)
        self._sheet.add_patch(box)
        match panel["type"], found:
            case "stat", _:
                self._stat(panel, found, (x, y, width, height))
            case _, Cells():
                self._title(panel, x, y)
                self._table(panel, found, (x + 10, y + 34, width - 20, height - 40))
            case "state-timeline", _:
                self._title(panel, x, y)
                self._states(panel, found, (x, y, width, height))
            case _, _:
                self._title(panel, x, y)
                self._lines(panel, found, list(marks), (x, y, width, height))

    def save(self, path: Path) -> None:
        """As a PNG of few colours, which makes it small."""
        made = BytesIO()
        self._figure.savefig(made, format="png", facecolor=BACKGROUND)
        Image.open(made).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)

    def _place(self, panel: Mapping[str, Any]) -> tuple[float, float, float, float]:
        at, column = panel["gridPos"], (WIDTH_PX - 2 * MARGIN_PX + GAP_PX) / 24
        return (
            MARGIN_PX + at["x"] * column,
            MARGIN_PX + 46 + at["y"] * UNIT_PX,
            at["w"] * column - GAP_PX,
            at["h"] * UNIT_PX - GAP_PX,
        )

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        return self._figure.add_axes(
            (x / WIDTH_PX, 1 - (y + height) / self._height_px, width / WIDTH_PX, height / self._height_px)
        )

    def _write(
        self, x: float, y: float, text: str, *, size: float = 11.0, color: str = TEXT, align: str = "left",
        weight: str = "normal",
    ) -> None:  # fmt: skip
        self._sheet.text(
            x, y, text, fontsize=size * 72 / DPI * 1.12, color=color, ha=align, weight=weight, va="baseline"
        )

    def _title(self, panel: Mapping[str, Any], x: float, y: float) -> None:
        self._write(x + 10, y + 21, panel["title"], size=11.5, weight="bold")

    def _stat(self, panel: Mapping[str, Any], found: Found, place: tuple[float, float, float, float]) -> None:
        x, y, width, height = place
        defaults = panel["fieldConfig"]["defaults"]
        line = found[0] if not isinstance(found, Cells) and found else None
        if isinstance(found, Cells) and found.rows:
            line = Line("", (0,), (float(str(found.rows[0][0])),))
        text, color = str(defaults.get("noValue", "No data")), COLORS["blue"]
        if line is not None:
            text, color = _stated(panel, line)
        face = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=3", fc=color, ec=EDGE, lw=0.8)
        self._sheet.add_patch(face)
        self._write(x + 10, y + 21, panel["title"], size=11.5, weight="bold", color="white")
        size = min(27.0, (width - 20) / (0.78 * len(text)))
        self._write(x + width / 2, y + height / 2 + 24, text, size=size, color="white", align="center", weight="bold")

    def _lines(
        self, panel: Mapping[str, Any], found: Found, marks: Sequence[Mark], place: tuple[float, float, float, float]
    ) -> None:
        x, y, width, height = place
        if isinstance(found, Cells) or not any(math.isfinite(v) for one in found for v in one.values):
            told = str(panel["fieldConfig"]["defaults"].get("noValue", "No data"))
            self._write(x + width / 2, y + height / 2 + 8, told, color=DIM, align="center", size=12)
            return
        defaults = panel["fieldConfig"]["defaults"]
        custom, unit = defaults["custom"], defaults.get("unit", "none")
        lines = sorted(found, key=lambda one: one.name) if custom.get("stacking") else list(found)
        legend_px = self._legend(lines, x + 10, y + height - 10, width - 20)
        axes = self._axes(x + 78, y + 34, width - 94, height - 34 - legend_px - 26)
        log = custom.get("scaleDistribution", {}).get("type") == "log"
        _plot(axes, lines, bars=custom.get("drawStyle") == "bars", stacked=bool(custom.get("stacking")))
        for mark in marks:
            axes.axvline(_day(mark.at_s), color=mark.color, lw=0.7, ls=(0, (3, 3)), alpha=0.35)
        self._dress(axes, defaults, unit, log=log)
        for step in defaults.get("thresholds", {}).get("steps", ()) if custom.get("thresholdsStyle") else ():
            if step.get("value") is not None and step["value"] <= axes.get_ylim()[1]:
                axes.axhline(step["value"], color="#f2495c", lw=0.9, ls=(0, (4, 3)))

    def _dress(self, axes: Axes, defaults: Mapping[str, Any], unit: str, *, log: bool) -> None:
        axes.set_facecolor(PANEL)
        axes.set_xlim(_day(self._begin_s), _day(self._end_s))
        if log:
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            few = high / low < 300
            axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if few else (1,), numticks=6))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            low, high = axes.get_ylim()
            if "min" in defaults:
                low = defaults["min"]
            if unit == "locale":
                high = max(high, low + 1)
            if high - low < 1e-12:
                high = low + 1
            axes.set_ylim(low, high + (high - low) * 0.03)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=unit == "locale"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: said(value, unit)))
        span_s = self._end_s - self._begin_s
        step_s = next(step_s for step_s in _TICKS_S if span_s / step_s <= max(2, axes.bbox.width / 75))
        first = math.ceil(self._begin_s / step_s)
        axes.set_xticks([_day(at * step_s) for at in range(first, int(self._end_s // step_s) + 1)])
        short = span_s < 1200
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S" if short else "%H:%M", tz=UTC))  # type: ignore[no-untyped-call]
        axes.tick_params(colors=DIM, labelsize=7.6, length=0)
        axes.grid(color=GRID, lw=0.7)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)

    def _legend(self, lines: Sequence[Line], x: float, bottom: float, width: float) -> float:
        """Names under the lines, three rows at most; returns their height."""
        rows: list[list[tuple[str, str]]] = [[]]
        used = 0.0
        for at, line in enumerate(lines):
            needed = 30 + 6.1 * len(line.name)
            if used + needed > width and rows[-1]:
                rows.append([])
                used = 0.0
            rows[-1].append((line.name, PALETTE[at % len(PALETTE)]))
            used += needed
        rows = rows[:3]
        for number, row in enumerate(rows):
            at_x, at_y = x, bottom - 17 * (len(rows) - 1 - number)
            for name, color in row:
                self._sheet.plot([at_x, at_x + 14], [at_y - 4, at_y - 4], color=color, lw=2.6, solid_capstyle="butt")
                self._write(at_x + 19, at_y, name, size=9.4)
                at_x += 30 + 6.1 * len(name)
        return 17.0 * len(rows) + 4

    def _states(self, panel: Mapping[str, Any], found: Found, place: tuple[float, float, float, float]) -> None:
        x, y, width, height = place
        if isinstance(found, Cells) or not found:
            told = str(panel["fieldConfig"]["defaults"].get("noValue", "No data"))
            self._write(x + width / 2, y + height / 2 + 8, told, color=DIM, align="center", size=12)
            return
        words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        shown = found[:6]
        name_px = min(width * 0.34, 16 + 6.7 * max(len(line.name) for line in shown))
        axes = self._axes(x + 10 + name_px, y + 34, width - 26 - name_px, height - 62)
        for at, line in enumerate(shown):
            step = _day(line.at_s[1]) - _day(line.at_s[0]) if len(line.at_s) > 1 else 0.001
            for word, told in words.items():
                spans = [(_day(t), step) for t, v in zip(line.at_s, line.values, strict=True) if v == float(word)]
                axes.broken_barh(spans, (-at - 0.32, 0.64), fc=COLORS[told["color"]], ec="none")
            last = words.get(f"{line.values[-1]:g}", {"text": ""})["text"]
            axes.text(0.5, -at, last, transform=axes.get_yaxis_transform(), color="white", ha="center", va="center",
                      fontsize=8)  # fmt: skip
        self._dress(axes, {}, "none", log=False)
        axes.set_ylim(-len(shown) + 0.4, 0.6)
        axes.set_yticks([-at for at in range(len(shown))], [line.name for line in shown], fontsize=7.8, color=TEXT)
        axes.yaxis.set_tick_params(pad=6)

    def _table(self, panel: Mapping[str, Any], found: Cells, place: tuple[float, float, float, float]) -> None:
        x, y, width, height = place
        if not found.rows:
            told = str(panel["fieldConfig"]["defaults"].get("noValue", "No data"))
            self._write(x + width / 2, y + height / 2 - 8, told, color=DIM, align="center", size=12)
            return
        units = {one["matcher"]["options"]: one["properties"][0]["value"] for one in panel["fieldConfig"]["overrides"]}
        fits = int((height - 26) // 22)
        texts = [[_cell(value, units.get(name, "")) for name, value in zip(found.columns, row, strict=True)]
                 for row in found.rows[:fits]]  # fmt: skip
        lengths = [
            max(len(name), 4, *(min(26, len(row[at])) for row in texts)) for at, name in enumerate(found.columns)
        ]
        total = sum(lengths) + 2 * len(lengths)
        left = x
        for at, name in enumerate(found.columns):
            share = width * (lengths[at] + 2) / total
            number = all(not isinstance(row[at], str) or row[at] == "" for row in found.rows) and at > 0
            align, at_x = ("right", left + share - 12) if number else ("left", left)
            self._write(at_x, y + 14, name, size=10.5, color="#6e9fff", align=align, weight="bold")
            most = max(4, int((share - 14) / 7.3))
            for row_at, row in enumerate(texts):
                text = row[at] if len(row[at]) <= most else f"{row[at][: most - 1]}…"
                self._write(at_x, y + 14 + 22 * (row_at + 1), text, size=10.5, align=align)
            left += share
        for row_at in range(len(texts)):
            self._sheet.plot([x, x + width], [y + 20 + 22 * row_at] * 2, color=EDGE, lw=0.7)


def _upper(panels: Sequence[Mapping[str, Any]], sections: int) -> tuple[list[Mapping[str, Any]], int]:
    """The panels of the first so many rows, and how many units high they are."""
    found: list[Mapping[str, Any]] = []
    for panel in panels:
        sections -= panel["type"] == "row"
        if sections < 0:
            break
        found.append(panel)
    return found, max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in found)


def _plot(axes: Axes, lines: Sequence[Line], *, bars: bool, stacked: bool) -> None:
    if not stacked and not bars:
        for at, line in enumerate(lines):
            color = PALETTE[at % len(PALETTE)]
            axes.plot([_day(one) for one in line.at_s], line.values, color=color, lw=1.3)
            axes.fill_between([_day(one) for one in line.at_s], line.values, min(0, *line.values),
                              color=color, alpha=0.07, lw=0)  # fmt: skip
        return
    times = sorted({at_s for line in lines for at_s in line.at_s})
    heights = [dict(zip(line.at_s, line.values, strict=True)) for line in lines]
    rows = np.nan_to_num(np.array([[one.get(at_s, 0.0) for at_s in times] for one in heights]))
    if not bars:
        colors = [PALETTE[at % len(PALETTE)] for at in range(len(lines))]
        axes.stackplot([_day(one) for one in times], rows, colors=colors, alpha=0.45, lw=0)
        for at, total in enumerate(np.cumsum(rows, axis=0)):
            axes.plot([_day(one) for one in times], total, color=colors[at], lw=1.1)
        return
    width = min((b - a for a, b in pairwise(times)), default=60.0) / 86400 * 0.82
    bottom = np.zeros(len(times))
    for at, row in enumerate(rows):
        axes.bar([_day(one) for one in times], row, width, bottom, color=PALETTE[at % len(PALETTE)], alpha=0.85, lw=0)
        bottom += row


def _stated(panel: Mapping[str, Any], line: Line) -> tuple[str, str]:
    """Text and colour of a figure."""
    defaults, value = panel["fieldConfig"]["defaults"], line.values[-1]
    for mapping in defaults.get("mappings") or ():
        word = mapping["options"].get(f"{value:g}")
        if word is not None:
            return str(word["text"]), COLORS[word["color"]]
    color = "blue"
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    if panel["options"].get("textMode") == "name":
        return line.name, COLORS[color]
    return said(value, defaults.get("unit", "none"), defaults.get("decimals")), COLORS[color]


def _cell(value: object, unit: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return value.strftime("%m-%d %H:%M:%S")
    if isinstance(value, str):
        return value
    return said(float(str(value)), unit or "none")


def _day(at_s: float) -> float:
    return float(dates.date2num(datetime.fromtimestamp(at_s, UTC)))  # type: ignore[no-untyped-call]


def _clock(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S")


mpl.rcParams["font.family"] = "DejaVu Sans"
