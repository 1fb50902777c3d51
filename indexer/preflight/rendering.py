"""A report for people, in colour on a terminal or as plain lines, and for machines.

Decides nothing. No secret leaves: each text goes through ``redaction.hide``, and what steers a terminal is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from indexer.preflight.findings import EndpointFacts, Finding, Level, Report, Topic, worst
from indexer.preflight.words import count, duration
from indexer.redaction import foreign, hide, printable

TAGS = {Level.GOOD: "ok", Level.NOTE: "note", Level.WARNING: "warn", Level.BAD: "no"}
SIGNS = {Level.GOOD: ("✓", "green"), Level.NOTE: ("·", "cyan"), Level.WARNING: ("!", "yellow"), Level.BAD: ("✗", "red")}
TITLES = {
    Topic.CONFIGURATION: "Configuration",
    Topic.ENDPOINT: "Endpoints",
    Topic.START: "Where it begins",
    Topic.ITEM: "Storage items",
    Topic.DATABASE: "Database",
    Topic.BOOTSTRAP: "First block",
    Topic.BACKFILL: "Backfill and growth",
}


def as_json(report: Report) -> str:
    """The report as one JSON object: its fields, and ``works``."""
    return json.dumps(_hidden({"works": report.works, **asdict(report)}), indent=2)


def as_lines(report: Report) -> Iterator[str]:
    """Plain lines: verdict, topic, text; advice on a line of its own. For pipes and files."""
    for topic in Topic:
        for one in _about(report, topic):
            yield f"{TAGS[one.level]:<5} {topic:<14} {foreign(one.text)}"
            if one.advice is not None:
                yield f"{'':<5} {'':<14} -> {foreign(one.advice)}"
    yield f"{TAGS[worst(report.findings)]:<5} {'summary':<14} {verdict(report)}"


def as_page(report: Report) -> RenderableType:
    """The report for a terminal."""
    parts: list[RenderableType] = []
    for topic in Topic:
        found = _about(report, topic)
        if not found:
            continue
        parts.append(Text.assemble((f"{SIGNS[worst(found)][0]} ", SIGNS[worst(found)][1]), (TITLES[topic], "bold")))
        if topic is Topic.ENDPOINT and any(one.finalized_block is not None for one in report.endpoints):
            parts.append(Padding(_endpoints(report.endpoints), (0, 0, 1, 2)))
            found = [one for one in found if one.level is not Level.GOOD]  # the table says the rest
        if found:
            parts.append(Padding(_findings(found), (0, 0, 1, 2)))
    sign, colour = SIGNS[worst(report.findings)]
    parts.append(Text.assemble((f"{sign} {verdict(report)}", f"bold {colour}")))
    return Group(*parts)


def verdict(report: Report) -> str:
    """The report in one line."""
    warnings = sum(one.level is Level.WARNING for one in report.findings)
    bad = sum(one.level is Level.BAD for one in report.findings)
    looked = f"looked for {duration(report.took_s)}, changed nothing"
    if not report.works:
        return f"run would not work: {count(bad, 'reason')}, {count(warnings, 'warning')}; {looked}"
    return f"run would work, {count(warnings, 'warning') if warnings else 'no warning'}; {looked}"


def _about(report: Report, topic: Topic) -> list[Finding]:
    return [one for one in report.findings if one.topic is topic]


def _findings(found: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        sign, colour = SIGNS[one.level]
        table.add_row(Text(sign, colour), Text(foreign(one.text)))
        if one.advice is not None:
            table.add_row("", Text(f"→ {foreign(one.advice)}", "italic dim"))
    return table


def _endpoints(endpoints: tuple[EndpointFacts, ...]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    words = ("endpoint", "node")
    for name in ("endpoint", "node", "runtime", "finalized", "behind", "answers in", "state kept", "proofs"):
        table.add_column(name, justify="left" if name in words else "right", overflow="fold")
    for one in endpoints:
        cells = [
            one.node, one.spec_version, one.finalized_block, one.lag_blocks,
            None if one.latency_s is None else duration(one.latency_s), _kept(one),
            None if one.proofs is None else "yes" if one.proofs else "no",
        ]  # fmt: skip
        name = foreign(one.name) + (" (archive)" if one.is_archive else "")
        table.add_row(Text(name), *(Text("-" if cell is None else foreign(str(cell))) for cell in cells))
    chains = dict.fromkeys(
        f"{one.chain}, genesis {one.genesis_hash}" for one in endpoints if one.finalized_block is not None
    )
    return Group(table, *(Text(foreign(chain), "dim") for chain in chains))


def _kept(one: EndpointFacts) -> str | None:
    if one.oldest_state_block is None:
        return None
    return "all" if one.oldest_state_block <= 1 else count(one.state_blocks or 0, "block")


def _hidden(value: Any) -> Any:
    """Texts without secrets, however deep they stand; hidden before they are quoted, so that the JSON stays whole."""
    if isinstance(value, str):
        return printable(hide(value))
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(one) for one in value]
    return value
