"""``make bench-peers``: the comparison with npm packages; a table, and RESULTS.md beside this file.

Apart from ``make bench`` since it needs Node 20 and a few hundred npm packages; CI does not run it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[2])]

from case_peers import CASES  # noqa: E402
from measuring import Effort  # noqa: E402
from report import entry, markdown, show  # noqa: E402
from rich.console import Console  # noqa: E402

RUNS = 5
HEAD = """# What the comparison with npm packages found

Written by `make bench-peers`. Medians of the runs of one session on one machine, all sides in turns; the range is that
of the runs. README.md beside it says what each side does and does not do. Take the ratios, not the seconds.
"""


def main() -> int:
    """Exit code 0: it tells, and fails for no ratio."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few blocks, nothing is kept: to see whether it works")
    parser.add_argument("--runs", type=int, default=0, help=f"runs of each side ({RUNS}; 1 with --short)")
    parser.add_argument("--no-keep", action="store_true", help="print the table, leave RESULTS.md")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    effort = Effort(asked.runs or (1 if asked.short else RUNS), asked.short)
    entries = [entry(case, figure, load) for case in CASES for figure in case.run(effort)]
    show(entries, Console())
    if not asked.short and not asked.no_keep:
        (HERE / "RESULTS.md").write_text(markdown(entries, HEAD), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
