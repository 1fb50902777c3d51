"""The figures as a table for a terminal, as JSON, and as RESULTS.md, which is written from the JSON alone.

A figure keeps the machine, day and commit of its own run: a run of some cases replaces those and leaves the others.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Case, Figure
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS, JSON = HERE / "RESULTS.md", HERE / "results.json"

HEAD = """# What the benches found

Written by `make bench`, from results.json beside it. Each figure is the median of the runs of one session on one
machine, both sides in turns; the range is that of the runs. The machine is a small shared one: take the ratios, not
the seconds. How each is measured stands at the top of its file, `tests/bench/case_*.py`.
"""


def entry(case: Case, figure: Figure, load: float) -> dict[str, Any]:
    """What is kept of a figure."""
    return {
        "case": case.name,
        "what": case.what,
        "against": case.against,
        "name": figure.name,
        "goal": None if figure.goal is None else str(figure.goal),
        "met": None if figure.goal is None else figure.goal.is_met(figure.ratio),
        "ratio": round(figure.ratio, 3),
        "lowest": round(min(figure.ratios), 3),
        "highest": round(max(figure.ratios), 3),
        "runs": len(figure.ratios),
        "ours": _rounded(figure.ours),
        "other": _rounded(figure.against),
        "unit": figure.unit,
        "notes": dict(figure.notes),
        "machine": machine(),
        "load": round(load, 1),
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


def _rounded(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(f"{median(found):.4g}") if found else None


def machine() -> str:
    """Processor, cores, memory, Python."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = f"{platform.system()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {python}"


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def show(entries: Iterable[dict[str, Any]], console: Console) -> None:
    """The table of a run."""
    table = Table(title="benches", title_justify="left")
    for title in ("bench", "ratio", "range", "goal", "ours", "against", "runs"):
        table.add_column(title, justify="left" if title == "bench" else "right")
    for one in entries:
        colour = {True: "green", False: "red", None: "default"}[one["met"]]
        table.add_row(
            f"{one['case']}: {one['name']}",
            f"[{colour}]{one['ratio']:.2f}[/]",
            f"{one['lowest']:.2f}-{one['highest']:.2f}",
            one["goal"] or "-",
            _amount(one["ours"], one["unit"]),
            _amount(one["other"], one["unit"]),
            str(one["runs"]),
        )
    console.print(table)


def _amount(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}"


def keep(entries: list[dict[str, Any]]) -> None:
    """Write results.json and RESULTS.md; figures of other cases stay as they were."""
    known = json.loads(JSON.read_text(encoding="utf-8")) if JSON.exists() else []
    renewed = {one["case"] for one in entries}
    every = sorted(
        [one for one in known if one["case"] not in renewed] + entries, key=lambda one: (one["case"], one["name"])
    )
    JSON.write_text(json.dumps(every, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    RESULTS.write_text(markdown(every), encoding="utf-8")


def markdown(entries: list[dict[str, Any]], head: str = HEAD) -> str:
    """RESULTS.md."""
    lines = [head]
    for case in dict.fromkeys(one["case"] for one in entries):
        own = [one for one in entries if one["case"] == case]
        lines += [
            f"## {case}",
            "",
            f"{own[0]['what']}, against {own[0]['against']}.",
            "",
            "| figure | ratio | range | goal | ours | against | runs |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in own:
            goal = f"{one['goal']}: {'met' if one['met'] else '**missed**'}" if one["goal"] else "-"
            lines.append(
                f"| {one['name']} | {one['ratio']:g} | {one['lowest']:g} to {one['highest']:g} | {goal} | "
                f"{_amount(one['ours'], one['unit'])} | {_amount(one['other'], one['unit'])} | {one['runs']} |"
            )
        lines.append("")
        for one in own:
            if one["notes"]:
                told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in one["notes"].items())
                lines += [f"{one['name']}: {told}.", ""]
        runs = {(one["machine"], one["at"], one["commit"], one["load"]) for one in own}
        for where, at, commit, load in sorted(runs):
            lines.append(f"{at}, {where}, load {load:g} at the start, at {commit}.")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
