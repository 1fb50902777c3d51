"""Writes the dashboards' JSON to the folder beside this package: ``make dashboards``."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.boards import BOARDS, encoded

FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def main() -> None:
    """Write one file per board."""
    FOLDER.mkdir(exist_ok=True)
    for name, board in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(encoded(board()), encoding="utf-8")


if __name__ == "__main__":
    main()
