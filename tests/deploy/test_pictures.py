"""The pictures: every kind of panel can be drawn, and those that are checked in are small enough for a README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from deploy.grafana.boards import BOARDS, encoded
from deploy.grafana.boards.drawing import WIDTH_PX, Cells, Found, Line, Mark, Picture
from deploy.grafana.boards.units import said

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
BEGIN_S, END_S = 1_760_000_000.0, 1_760_003_600.0
TIMES = [BEGIN_S + 60 * at for at in range(61)]


def made_up(panel: dict[str, Any]) -> Found:
    if panel["type"] == "table":
        names = next(one for one in panel["transformations"] if one["id"] == "organize")["options"]["renameByName"]
        return Cells(list(names.values()), [[at] * len(names) for at in range(20)])
    return [Line(name, TIMES, [float(at % 2) for at in range(61)]) for name in ("one", "two")]


def width(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


def one_of_each_kind() -> dict[str, Any]:
    """A board with the first panel of each type, style and scale."""
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    board: dict[str, Any] = {}
    for make in BOARDS.values():
        board = json.loads(encoded(make()))
        for panel in board["panels"]:
            custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
            kind = (
                panel["type"],
                custom.get("drawStyle"),
                *(str(custom.get(key)) for key in ("stacking", "scaleDistribution")),
            )
            found.setdefault(kind, panel)
    return {**board, "panels": list(found.values())}


@pytest.mark.parametrize("empty", [False, True])
def test_every_kind_of_panel_can_be_drawn_with_data_and_without(empty: bool, tmp_path: Path) -> None:
    board = one_of_each_kind()
    picture = Picture(board, 99, BEGIN_S, END_S, "made up")
    assert len(picture.panels) == len(board["panels"]) >= 7
    for panel in picture.panels:
        nothing: Found = Cells([], []) if panel["type"] == "table" else []
        picture.draw(panel, nothing if empty or panel["type"] == "row" else made_up(panel), [Mark(BEGIN_S + 99, "red")])
    picture.save(tmp_path / "x.png")
    assert width(tmp_path / "x.png") == WIDTH_PX


@pytest.mark.parametrize("name", BOARDS)
def test_the_checked_in_pictures_are_there_and_small(name: str) -> None:
    path = PICTURES / f"{name}.png"
    assert width(path) == WIDTH_PX
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 mins"),
        (0, "s", "0 s"),
        (3 * 2**20, "bytes", "3 MiB"),
        (0.9987, "percentunit", "99.9 %"),
        (8_700_000, "locale", "8,700,000"),
        (1500, "short", "1.5 K"),
        (0.25, "suffix:TAO", "0.25 TAO"),
        (12, "reqps", "12 req/s"),
    ],
)
def test_values_are_written_with_their_unit(value: float, unit: str, text: str) -> None:
    assert said(value, unit) == text
