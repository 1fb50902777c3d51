"""``make pictures``: both boards' data as PNG, from the boards' own queries; no screenshots, as no Grafana takes part.

The board Indexer is asked of a real Prometheus that scrapes a running indexer, the board Chain of the Postgres that one
has filled; both follow a simulated chain. What sets that up is the tests' (``tests/deploy/watched_chain.py``).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from watched_chain import JOB, Watched, filled, watched_chain  # type: ignore[import-not-found]

from deploy.grafana.boards import BOARDS, encoded
from deploy.grafana.boards.asked import Asking, Query, marks, of_panel
from deploy.grafana.boards.drawing import Cells, Found, Line, Mark, Picture
from indexer import embedded, migrate

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "pictures"
MARK_COLORS = {"yellow": "#f2cc0c", "purple": "#b877d9"}
CAPTION = (
    "A simulated chain, {}. Drawn by `make pictures` from the dashboard's own queries; not a screenshot of Grafana."
)

LIVE_BLOCK_S, LIVE_PAST_BLOCKS, LIVE_S = 1.0, 150, 300.0
SMOOTH_S = 3.0
"""As if it were scraped so often, and not each second: rates over four scrapes jump less."""
PAST_BLOCK_S, PAST_BLOCKS, SKIPPED_BLOCKS = 12.0, 900, 8
"""In the first blocks fortunes are handed out: beside these, nothing else could be seen."""
PARAMETERS = ("immunity_period", "kappa", "max_validators", "rho", "serving_rate_limit")
"""On the simulated chain somebody changes a hyperparameter in nearly every block."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the queries go, and what Grafana would know."""

    asking: Asking
    connection: asyncpg.Connection[asyncpg.Record]
    watched: Watched | None = None

    async def found(self, panel: Mapping[str, Any]) -> Found:
        """What the queries of a panel find."""
        answers = [await self._answer(query) for query in of_panel(panel)]
        if panel["type"] == "table":
            return _table(panel, [answer for answer in answers if isinstance(answer, Cells)])
        if isinstance(answers[0], Cells):
            return answers[0]
        return [line for answer in answers if not isinstance(answer, Cells) for line in answer]

    async def _answer(self, query: Query) -> Found:
        text = self.asking.text(query)
        if query.language == "sql":
            return _of_rows(query, await self.connection.fetch(text))
        assert self.watched is not None, "the board Chain asks no Prometheus"
        server = self.watched.prometheus
        if query.form == "instant":
            samples = await server.query(text)
            labels = sorted({label for sample in samples for label in sample.labels})
            if query.legend == "" and labels:
                return Cells(
                    [*labels, f"Value #{query.letter}"],
                    [[*(sample.labels.get(label, "") for label in labels), sample.value] for sample in samples],
                )
            return [Line(_named(query.legend, sample.labels), [0.0], [sample.value]) for sample in samples]
        series = await server.query_range(text, self.asking.begin_s, self.asking.end_s, self.asking.step_s(query))
        return [
            Line(_named(query.legend, one["metric"]), [float(at) for at, _ in one["values"]],
                 [float(value) for _, value in one["values"]])
            for one in series
        ]  # fmt: skip

    async def marks(self, board: Mapping[str, Any]) -> dict[int, list[Mark]]:
        """What the annotations find, by number of the panel that shows them."""
        found: dict[int, list[Mark]] = {}
        for query, color, numbers in marks(board):
            rows = await self.connection.fetch(self.asking.text(query))
            for number in numbers:
                found.setdefault(number, []).extend(Mark(row["time"].timestamp(), MARK_COLORS[color]) for row in rows)
        return found


def main() -> None:
    """Draw both."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(_chain())
    asyncio.run(_indexer())


async def _chain() -> None:
    async with _database() as (_, url):
        begin_s = await filled(url, PAST_BLOCKS, PAST_BLOCK_S)
        connection = await asyncpg.connect(url)
        account = await connection.fetchval("SELECT coldkey FROM delegations GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
        rows = await connection.fetch("SELECT netuid FROM subnets WHERE netuid > 0 AND networks_added")
        variables = {"netuid": [str(row["netuid"]) for row in rows], "account": account, "parameter": PARAMETERS}
        asking = Asking(begin_s + SKIPPED_BLOCKS * PAST_BLOCK_S, time.time(), PAST_BLOCK_S, variables)
        await _draw("chain", 5, Asked(asking, connection), "a block every 12 s")
        await connection.close()


async def _indexer() -> None:
    async with _database() as (folder, url):
        watching = watched_chain(
            folder, url, past_blocks=LIVE_PAST_BLOCKS, block_s=LIVE_BLOCK_S, scrape_s=1.0, verify_every_blocks=200
        )
        async with watching as watched:
            for at in range(4):
                await asyncio.sleep(LIVE_S / 4)
                if at == 1:
                    await watched.reorganize()
                if at == 2:
                    watched.first_node.drop_connections()
            instances = [sample.labels["instance"] for sample in await watched.prometheus.query("indexer_build_info")]
            asking = Asking(watched.scraped_s, time.time(), SMOOTH_S, {"job": [JOB], "instance": instances})
            connection = await asyncpg.connect(url)
            await _draw("indexer", 4, Asked(asking, connection, watched), "a block every second")
            await connection.close()


async def _draw(name: str, sections: int, asked: Asked, told: str) -> None:
    board = json.loads(encoded(BOARDS[name]()))
    picture = Picture(board, sections, asked.asking.begin_s, asked.asking.end_s, CAPTION.format(told))
    marks = await asked.marks(board)
    for panel in picture.panels:
        picture.draw(panel, [] if panel["type"] == "row" else await asked.found(panel), marks.get(panel["id"], ()))
    picture.save(FOLDER / f"{name}.png")


@asynccontextmanager
async def _database() -> AsyncIterator[tuple[Path, str]]:
    """A new folder, and the URL of a migrated database in it."""
    folder = _new_folder()
    try:
        async with embedded.postgres(folder / "database", options={"fsync": "off"}) as url:
            await migrate.upgrade(url)
            yield folder, url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="indexer-pictures-"))
    folder.chmod(0o711)  # Postgres may run as another user
    return folder


def _of_rows(query: Query, rows: Sequence[asyncpg.Record]) -> Found:
    if query.form == "table":
        return Cells(list(rows[0].keys()) if rows else [], [list(row.values()) for row in rows])
    lines: dict[str, Line] = {}
    for row in rows:
        at, value = row["time"], row["value"]
        line = lines.setdefault(row["metric"], Line(row["metric"], [], []))
        if value is not None:
            line.at_s.append(at.timestamp() if isinstance(at, datetime) else float(at))  # type: ignore[attr-defined]
            line.values.append(float(value))  # type: ignore[attr-defined]
    return list(lines.values())


def _table(panel: Mapping[str, Any], parts: Sequence[Cells]) -> Cells:
    """The parts joined by the column that the panel says, and the columns named and ordered as it says."""
    told = {one["id"]: one["options"] for one in panel["transformations"]}
    key = told.get("joinByField", {}).get("byField")
    merged: dict[object, dict[str, object]] = {}
    for part in parts:
        for number, row in enumerate(part.rows):
            cells = dict(zip(part.columns, row, strict=True))
            merged.setdefault(cells[key] if key else number, {}).update(cells)
    names: dict[str, str] = told["organize"]["renameByName"]
    return Cells(list(names.values()), [[row.get(name) for name in names] for row in merged.values()])


def _named(legend: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value)
    return legend.replace("{{cause}}", "").strip()


if __name__ == "__main__":
    main()
