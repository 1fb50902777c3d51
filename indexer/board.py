"""What is under way, for whoever waits for it: bars on a terminal, log lines every few seconds elsewhere.

Owns the terminal's last lines, of which there is one set per process, as there is one log: ``logs`` opens the board
where stderr is a terminal and lines are for people, and writes its lines above the bars. Work is looked at, it never
waits for the drawing; its figures are those of ``progress`` in both forms.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from indexer.progress import Meter, Reading, duration, per_second

log = structlog.get_logger()

LINE_EVERY_S = 5.0
DRAWN_AFTER_S = 0.7
"""What takes no longer is not drawn: a flash tells nobody anything."""
FRAMES_PER_SECOND = 4
WIDE = 110
"""Columns from which on figures are written out."""
NARROW = 72
"""Columns below which there is no room for a bar beside its figures."""


class Work:
    """One thing that somebody may wait for."""

    def __init__(self, event: str, label: str, unit: str, every_s: float, fields: dict[str, object]) -> None:
        self.label, self.unit = label, unit
        """What a person reads before the bar, and what is counted."""
        self._event, self._every_s, self._fields = event, every_s, fields
        self._began_s = self._line_s = time.monotonic()
        self._meter = Meter()
        self._lock = threading.Lock()  # the bars are drawn from a thread of their own
        self._quiet: Callable[[], str] | None = None

    def tell(self, done: int, total: int | None = None, *, is_estimate: bool = False, **fields: int) -> None:
        """So much is done by now. Writes a log line if one is due and nothing is drawn."""
        with self._lock:
            self._meter.tell(done, total, is_estimate=is_estimate)
            self._fields.update(fields)
        now_s = time.monotonic()
        if not _board.is_open and now_s - self._line_s >= self._every_s:
            self._line_s = now_s
            self.line(self._event)

    def line(self, event: str) -> None:
        """Log the figures now."""
        log.info(event, **self._fields, **self.reading().fields())

    def reading(self) -> Reading:
        """The figures."""
        with self._lock:
            return self._meter.reading()

    def quiet(self, text: Callable[[], str] | None) -> None:
        """Draw a line of text, made anew for each frame, instead of the bar; None: the bar again, from new figures."""
        with self._lock:
            self._quiet, self._meter = text, Meter()

    def draw(self, table: Table, *, wide: bool) -> Text | None:
        """Add a row; or give the line to be drawn instead."""
        if time.monotonic() - self._began_s < DRAWN_AFTER_S:
            return None
        if (quiet := self._quiet) is not None:
            return Text(quiet(), style="dim", no_wrap=True, overflow="ellipsis")
        now = self.reading()
        bar = ProgressBar(
            total=None if now.fraction is None else 1.0, completed=now.fraction or 0.0,
            pulse=now.fraction is None, animation_time=time.monotonic(),
        )  # fmt: skip
        cells = (
            escape(self.label), bar, "" if now.fraction is None else f"{100 * now.fraction:.0f} %",
            _counts(now, self.unit, wide=wide), "" if now.rate is None else per_second(now.rate),
            f"about {duration(now.eta_s)}" + (" left" if wide else "") if now.eta_s else "",
        )  # fmt: skip
        table.add_row(*(cell for cell in cells if cell is not bar or len(table.columns) == len(cells)))
        return None


def _counts(now: Reading, unit: str, *, wide: bool) -> str:
    def shown(count: int) -> str:
        return f"{count:,}" if wide or count < 100_000 else f"{count / 1e6:.2f}M"

    total = "" if now.total is None else f"/{'~' if now.is_estimate else ''}{shown(now.total)}"
    return f"{shown(now.done)}{total} {unit}"


class _Board:
    """The bars of this process. Closed until ``open``; then drawn as long as there is work."""

    def __init__(self) -> None:
        self._console: Console | None = None
        self._live: Live | None = None
        self._work: list[Work] = []

    @property
    def is_open(self) -> bool:
        return self._console is not None

    def open(self, console: Console | None) -> None:
        """Draw on this console from now on; None: nowhere."""
        self._stop()
        self._console = console

    def add(self, work: Work) -> None:
        self._work = [*self._work, work]
        if self._console is not None and self._live is None:
            self._live = Live(
                get_renderable=lambda: self, console=self._console, refresh_per_second=FRAMES_PER_SECOND,
                transient=True, redirect_stdout=False, vertical_overflow="crop",
            )  # fmt: skip
            self._live.start()
            self._console.show_cursor(True)  # a process that is killed must not leave a terminal without

    def remove(self, work: Work) -> None:
        self._work = [one for one in self._work if one is not work]
        if not self._work:
            self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 2), expand=options.max_width < WIDE)
        table.add_column(no_wrap=True)
        if options.max_width >= NARROW:
            table.add_column(ratio=1, min_width=4, max_width=40)
        for _ in ("percent", "counts", "rate"):
            table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        lines = [work.draw(table, wide=options.max_width >= WIDE) for work in self._work]
        if table.row_count:
            yield table
        yield from (line for line in lines if line is not None)


_board = _Board()


def open_on(console: Console | None) -> None:
    """Draw bars on this console from now on; None: write log lines."""
    _board.open(console)


@contextmanager
def shown(event: str, label: str, unit: str, every_s: float | None = None, /, **fields: object) -> Iterator[Work]:
    """Work that is shown for as long as the context: as a bar, or by log lines named ``event`` every ``every_s``.

    None: every ``LINE_EVERY_S``.
    """
    work = Work(event, label, unit, LINE_EVERY_S if every_s is None else every_s, fields)
    _board.add(work)
    try:
        yield work
    finally:
        _board.remove(work)
