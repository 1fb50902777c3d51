"""How a ``status`` looks: a headline, a line per group of datasets that are level, what is missing, what is large.

Pure: from a value to what rich draws, for a terminal of any width from 80 columns on, or for a pipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from indexer import datasets
from indexer.errors import IndexerError
from indexer.progress import duration
from indexer.redaction import hide
from indexer.status import DatasetStatus, Status
from indexer.status import as_json as in_json

COLOURS = {
    "following": "green",
    "catching_up": "yellow",
    "starting": "yellow",
    "standing_still": "red",
    "not_running": "red",
}
WIDE = 400
"""Columns of what goes into a file or a pipe: nothing folded."""
CELLS = 24
"""Width of the bar of coverage."""
RANGES_SHOWN = 3
GAPS_SHOWN = 12
NAMED_AT_MOST = 3
COMPLETE, INCOMPLETE, MISSING, TO_COME = "█", "▒", "!", "·"
_CELL_COLOURS = {COMPLETE: "green", INCOMPLETE: "yellow", MISSING: "red", TO_COME: "dim", " ": ""}


def view(report: Status, *, every: bool = False) -> RenderableType:
    """The status as a person reads it; ``every``: a line per dataset instead of one per group."""
    parts: list[RenderableType] = [*_headline(report)]
    if report.datasets:
        parts.append(_datasets(report, every=every))
    if any(mark in _marks(report) for mark in (INCOMPLETE, MISSING)):
        parts.append(Text(f"{COMPLETE} complete  {INCOMPLETE} incomplete  {MISSING} missing  {TO_COME} to come", "dim"))
    parts += [Text(line) for line in _remarks(report)]
    if report.database_bytes is not None:
        parts.append(_sizes(report))
    return Group(*parts)


def printer(console: Console) -> Console:
    """Where to print: the terminal as it is; into a pipe or a file, so wide that nothing is folded."""
    return console if console.is_terminal else Console(file=console.file, highlight=False, width=WIDE)


@contextmanager
def shown_again(console: Console, *, as_json: bool, every: bool) -> Iterator[Callable[[Status | IndexerError], None]]:
    """Shows one report after the other: in place on a terminal, below each other elsewhere, as JSON a line each."""

    def drawn(report: Status | IndexerError) -> RenderableType:
        if isinstance(report, IndexerError):
            return Text(f"● {hide(str(report))}; trying again", "bold red")
        return view(report, every=every)

    if as_json or not console.is_terminal:
        plain = printer(console)

        def tell(report: Status | IndexerError) -> None:
            if not as_json:
                plain.print(drawn(report), Text())
            elif isinstance(report, Status):
                console.file.write(in_json(report, indent=None) + "\n")
            console.file.flush()

        yield tell
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda report: live.update(drawn(report), refresh=True)


def _marks(report: Status) -> str:
    head = report.head_block or 0
    first = _first(report)
    return "".join(coverage(row, first, head) for row in report.datasets if row.start_block is not None)


def _first(report: Status) -> int:
    return min((row.start_block for row in report.datasets if row.start_block is not None), default=0)


def _headline(report: Status) -> Iterator[Text]:
    colour = COLOURS.get(report.activity, "red")
    yield Text.assemble(("● ", colour), (report.headline, f"bold {colour}"))
    at = "no block yet" if report.committed_block is None else f"block {report.committed_block:,}"
    if report.head_block is not None and report.head_block != report.committed_block:
        at += f" of {report.head_block:,}"
    proven = ("complete", "green") if report.is_complete else ("not complete", "yellow")
    late = "" if report.lag_seconds is None else f", {duration(report.lag_seconds)} behind the clock"
    runtime = "none" if report.spec_version is None else str(report.spec_version)
    yield Text.assemble(f"  {report.chain}, runtime {runtime}, {at}{late}, ", proven)
    if report.writer is not None:
        since = f" since {report.writer.since[:19].replace('T', ' ')} UTC" if report.writer.since else ""
        yield Text(f"  written by {report.writer.name or 'an instance'}{since}", "dim")


def _datasets(report: Status, *, every: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("dataset", overflow="fold", min_width=10)
    for name in ("committed", "lag", "complete"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("coverage", no_wrap=True, width=CELLS)
    table.add_column("blocks", overflow="fold", min_width=12)
    head, first = report.head_block or report.committed_block or 0, _first(report)
    groups = [[row] for row in report.datasets] if every else level(report.datasets)
    for rows in groups:
        one = rows[0]
        blocks = one.complete_blocks + one.incomplete_blocks
        share = "-" if not blocks else "all" if not one.incomplete_blocks else f"{one.complete_blocks:,}"
        bar = Text()
        for cell in coverage(one, first, head):
            bar.append(cell, _CELL_COLOURS[cell])
        size = one.size_bytes if every else None
        table.add_row(
            escape(called(rows)) + _state(one) + ("" if size is None else f" [dim]{in_bytes(size)}[/]"),
            _shown(one.committed_block), _shown(one.lag_blocks), share, bar, _ranges(one),
        )  # fmt: skip
    return table


def _state(row: DatasetStatus) -> str:
    return "" if row.state == "followed" else f" [{'red' if row.state == 'stopped' else 'yellow'}]{row.state}[/]"


def level(rows: Sequence[DatasetStatus]) -> list[list[DatasetStatus]]:
    """Datasets that are as far, as complete and lack the same, together; the largest group first."""
    groups: dict[object, list[DatasetStatus]] = {}
    for row in rows:
        groups.setdefault((row.state, row.committed_block, row.ranges, row.gaps, row.stop_reason), []).append(row)
    return sorted(groups.values(), key=lambda group: -len(group))


def called(rows: Sequence[DatasetStatus]) -> str:
    """What a group is called: by what it has in common, or by its first names."""
    names = {row.dataset for row in rows}
    usual = {one.name for one in datasets.DATASETS.values() if one.by_default}
    if len(names) > NAMED_AT_MOST and len(names & usual) > len(usual) / 2:
        more, there = sorted(names - usual), len(names & usual)
        own = f"default ({there} datasets)" if there == len(usual) else f"default ({there} of {len(usual)} datasets)"
        return ", ".join([own, *more]) if len(more) <= NAMED_AT_MOST else f"{own} and {len(more)} more"
    if len(names) <= NAMED_AT_MOST:
        return ", ".join(sorted(names))
    return f"{', '.join(sorted(names)[:2])} and {len(names) - 2} more"


def coverage(row: DatasetStatus, first: int, head: int) -> str:
    """Blocks ``first`` to ``head`` in ``CELLS`` signs; each tells the worst of its blocks, so no gap is too small."""
    if row.start_block is None or row.committed_block is None:
        return " " * CELLS
    signs, count = [], max(head - first + 1, 1)
    for at in range(CELLS):
        low, high = first + at * count // CELLS, first + max((at + 1) * count // CELLS - 1, at * count // CELLS)
        signs.append(_cell(row, row.start_block, row.committed_block, low, high))
    return "".join(signs)


def _cell(row: DatasetStatus, start: int, committed: int, low: int, high: int) -> str:
    if high < start:
        return " "
    if low > committed:
        return TO_COME
    low, high = max(low, start), min(high, committed)
    within = [(max(a, low), min(b, high), complete) for a, b, complete in row.ranges if a <= high and b >= low]
    if sum(b - a + 1 for a, b, _ in within) < high - low + 1:
        return MISSING
    return COMPLETE if all(complete for _, _, complete in within) else INCOMPLETE


def _ranges(row: DatasetStatus) -> str:
    told = [f"{a}-{b}{'' if complete else ' (incomplete)'}" for a, b, complete in row.ranges]
    if len(told) > RANGES_SHOWN:
        told = [told[0], f"… {len(told) - 2} more …", told[-1]]
    return ", ".join(told)


def _remarks(report: Status) -> Iterator[str]:
    """What is missing and why, what stopped, what else is to be known; each once, with all whom it concerns."""
    for one in report.first_states:
        began = one.began_at[:19].replace("T", " ")
        yield f"first state of block {one.block:,}: {one.keys_read:,} keys read since {began} UTC"
    gaps: dict[str, list[DatasetStatus]] = {}
    notes: dict[str, list[DatasetStatus]] = {}
    for row in report.datasets:
        for start, end, reason in row.gaps:
            gaps.setdefault(f"gap {start}-{end}: {reason}", []).append(row)
        if row.stopped_at is not None:
            notes.setdefault(f"stopped before block {row.stopped_at}: {row.stop_reason}", []).append(row)
        if row.note:
            notes.setdefault(row.note, []).append(row)
    for what, rows in list(gaps.items())[:GAPS_SHOWN]:
        yield f"{what} ({called(rows)})"
    if len(gaps) > GAPS_SHOWN:
        yield f"and {len(gaps) - GAPS_SHOWN} more gaps: the view gaps has them all"
    for what, rows in notes.items():
        yield f"{called(rows)}: {what}"


def _sizes(report: Status) -> Text:
    large = [
        f"{one.table} {in_bytes(one.size_bytes)}"
        + ("" if not one.rows_about else f" ({in_short(one.rows_about)} rows)")
        for one in report.largest_tables[:NAMED_AT_MOST]
    ]
    return Text(f"database {in_bytes(report.database_bytes or 0)}, the largest: {', '.join(large)}", "dim")


def in_bytes(size: int) -> str:
    """Bytes as a person says them: 12 MB, 3.4 GB."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.1f} {unit}" if value < 10 and unit != "B" else f"{value:.0f} {unit}"


def in_short(count: int) -> str:
    """A count as a person says it: 950, 12k, 3.4M."""
    value, unit = (count / 1e6, "M") if count >= 1e6 else (count / 1e3, "k") if count >= 1e4 else (float(count), "")
    return f"{value:.1f}{unit}" if unit and value < 10 else f"{value:,.0f}{unit}"


def _shown(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
