"""``make bench``: every bench, or some; a table, results.json and RESULTS.md.

``--short`` is a quick look: small loads, nothing is kept, and it fails only where a ratio misses its goal by as much
again. The whole form never fails for a ratio: it tells.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BESIDE = (HERE, HERE.parents[1], HERE.parent / "integration", HERE.parent / "unit" / "scale")
sys.path[:0] = map(str, BESIDE)

import structlog  # noqa: E402
from measuring import Case, Effort  # noqa: E402
from report import entry, keep, show  # noqa: E402
from rich.console import Console  # noqa: E402

RUNS, RUNS_SHORT = 7, 3
SLACK = 2.0


def cases() -> list[Case]:
    """Those of every ``case_*.py`` beside this file."""
    return [case for path in sorted(HERE.glob("case_*.py")) for case in importlib.import_module(path.stem).CASES]


def main() -> int:
    """Exit code 1 if the short form finds a ratio that is far off, or there is no such bench."""
    known = cases()
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of: {', '.join(c.name for c in known)}")
    parser.add_argument("--short", action="store_true", help="small loads; fail if a ratio misses its goal twice over")
    parser.add_argument("--runs", type=int, default=0, help=f"runs of each side ({RUNS}; {RUNS_SHORT} with --short)")
    parser.add_argument("--no-keep", action="store_true", help="print the table, leave results.json and RESULTS.md")
    asked = parser.parse_args()
    unknown = set(asked.cases) - {case.name for case in known}
    if unknown:
        parser.error(f"no bench is called {', '.join(sorted(unknown))}: there are {', '.join(c.name for c in known)}")
    effort = Effort(asked.runs or (RUNS_SHORT if asked.short else RUNS), asked.short)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console, load = Console(), os.getloadavg()[0]
    entries, far_off = [], []
    for case in known:
        if asked.cases and case.name not in asked.cases:
            continue
        console.print(f"{case.name}: {case.what}, against {case.against}")
        own = []
        for figure in case.run(effort):
            own.append(entry(case, figure, load))
            if figure.goal is not None and not figure.goal.is_met(figure.ratio, SLACK):
                far_off.append(f"{case.name}: {figure.name} is {figure.ratio:.2f}, the goal is {figure.goal}")
        entries += own
        if not asked.short and not asked.no_keep:
            keep(own)  # at once: the next one may take half an hour, and be ended in it
    show(entries, console)
    if asked.short:
        for line in far_off:
            print(f"far off: {line}", file=sys.stderr)
        return 1 if far_off else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
