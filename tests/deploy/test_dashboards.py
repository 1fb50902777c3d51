"""The dashboards as checked in: every query of every panel, annotation and variable runs, and finds something.

PromQL against a real Prometheus that scrapes a running indexer, SQL against its Postgres as a role that may only read,
both after Grafana's macros and variables were replaced. On the way the chain reorganizes and an endpoint goes away.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
import yaml
from anyio.from_thread import BlockingPortal
from programs import program
from running import wait_for
from watched_chain import JOB, Watched, watched_chain

from deploy.grafana.boards import BOARDS, encoded
from deploy.grafana.boards.asked import Asking, Query, of_panel, panels, queries
from deploy.grafana.boards.chain import MARKED
from deploy.grafana.boards.indexer import ETA
from deploy.grafana.boards.parts import POSTGRES_TYPE, POSTGRES_UID, PROMETHEUS_UID, chosen
from indexer.metrics import Metrics

pytestmark = pytest.mark.anyio

GRAFANA = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
JSON = {name: (GRAFANA / "dashboards" / f"{name}.json").read_text(encoding="utf-8") for name in BOARDS}
SCRAPE_S = 0.5
BLOCK_S = 0.3
PAST_BLOCKS = 60
"""Beyond the upgrade of the simulated chain at 20, and some epochs."""
LIVE_BLOCKS = 40

EMPTY_IS_RIGHT = {
    "Gaps": "lists what is missing or not proven: of a healthy index nothing is",
    "Stopped datasets": "lists datasets that cannot be decoded: the indexer decodes all of this chain",
    "Free disk": "is there only where the indexer runs its own Postgres; here it is given one",
}
"""Panels that a healthy system leaves empty, and why. What they ask for must exist all the same."""

PROCESS = {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_start_time_seconds",
}
TARGET = {"job", "instance"}


def boards() -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in JSON.items()}


def every(language: str) -> list[Query]:
    return [query for board in boards().values() for query in queries(board) if query.language == language]


def declared() -> dict[str, set[str]]:
    """Every series name that the indexer's metrics make, and its labels."""
    found: dict[str, set[str]] = {"ALERTS": {"alertname", "alertstate", "severity", *TARGET}}
    found |= {name: set(TARGET) for name in PROCESS}
    metrics = Metrics()
    for collector in list(metrics.registry._collector_to_names):
        labels = {*getattr(collector, "_labelnames", ()), *TARGET}
        for name in metrics.registry._collector_to_names[collector]:
            found.setdefault(name, labels | ({"le"} if name.endswith("_bucket") else set()))
    found["indexer_build_info"] = {"version", "python", *TARGET}
    return found


async def test_the_files_are_what_the_code_makes() -> None:
    for name, board in BOARDS.items():
        assert JSON[name] == encoded(board()), f"{name}.json is out of date: run `make dashboards`"


async def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    for board in boards().values():
        titles = [panel["title"] for panel in panels(board)]
        assert len(panels(board)) > 15
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert not {title for title in titles if titles.count(title) > 1}
        for panel in panels(board):
            assert len(panel["description"]) > 10, panel["title"]
            if panel["type"] in ("timeseries", "stat"):
                assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


async def test_changes_of_hyperparameters_are_marked_on_what_they_have_to_do_with() -> None:
    board = boards()["chain"]
    titles = {panel["id"]: panel["title"] for panel in panels(board)}
    for one in board["annotations"]["list"]:
        assert not one["filter"]["exclude"]
        assert tuple(titles[number] for number in one["filter"]["ids"]) == MARKED


async def test_no_two_panels_lie_on_each_other_and_all_fit() -> None:
    for board in boards().values():
        taken: dict[tuple[int, int], str] = {}
        for panel in board["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
                taken[cell] = panel["title"]


async def test_every_expression_names_metrics_and_labels_that_the_indexer_has() -> None:
    known = declared()
    asked = [*every("promql"), *every("labels")]
    assert len(asked) > 40
    for query in asked:
        found = set(re.findall(r"\b(?:indexer|process)_\w+|\bALERTS\b", query.text))
        assert found, query
        assert found <= set(known), f"{query.where}: no metric {found - set(known)}"
        for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", query.text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert labels <= known[name], f"{query.where}: {name} has no label {labels - known[name]}"
        of_all = set().union(*(known[name] for name in found))
        grouped = ", ".join(re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", query.text))
        told = {*re.findall(r"\w+", grouped), *re.findall(r"\{\{(\w+)\}\}", query.legend)}
        assert told <= of_all, f"{query.where}: no label {told - of_all}"


@dataclass(frozen=True, slots=True)
class World:
    """What is asked: the same for all tests of this file."""

    watched: Watched
    reader: str
    """URL of the database for a role that may only read."""
    staker: str
    """A coldkey with stake."""
    netuids: tuple[str, ...]
    instances: tuple[str, ...]
    parameters: tuple[str, ...]
    """Names of hyperparameters."""

    def asking(self, *, account: str | None = None) -> Asking:
        """From the first block until now."""
        variables = {"netuid": self.netuids, "account": self.staker if account is None else account}
        variables |= {"job": (JOB,), "instance": self.instances, "parameter": self.parameters}
        return Asking(self.watched.begin_s, time.time(), SCRAPE_S, variables)


@pytest.fixture(scope="module")
def world(_portal: BlockingPortal, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The indexer at work, after it has lived through what dashboards show."""
    program("prometheus", "prometheus")
    folder = tmp_path_factory.mktemp("dashboards")
    with _portal.wrap_async_context_manager(lived(folder, shared_database)) as made:
        yield made


@asynccontextmanager
async def lived(folder: Path, dsn: str) -> AsyncIterator[World]:
    """A chain that was followed through a catch-up, a reorg and lost connections, and still is."""
    rules = folder / "rules.yml"
    rule = {"alert": "IndexerMet", "expr": f'up{{job="{JOB}"}} == 1', "labels": {"severity": "info"}}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}), encoding="utf-8")
    watching = watched_chain(
        folder, dsn, past_blocks=PAST_BLOCKS, block_s=BLOCK_S, scrape_s=SCRAPE_S, rule_files=[rules]
    )
    async with watching as watched:
        await wait_for(watched.dsn, PAST_BLOCKS, within_s=60)
        await watched.reorganize()
        watched.first_node.drop_connections()
        await wait_for(watched.dsn, PAST_BLOCKS + LIVE_BLOCKS, within_s=60)
        await watched.prometheus.wait_for("indexer_verified_block > 0 and indexer_reorgs_total > 0", within_s=60)
        yield await made(watched)


@pytest.fixture
async def reader(world: World) -> AsyncIterator[Any]:
    """A connection of a role that may only read."""
    connection = await asyncpg.connect(world.reader)
    yield connection
    await connection.close()


async def made(watched: Watched) -> World:
    connection = await asyncpg.connect(watched.dsn)
    role = f"reader_{uuid.uuid4().hex}"
    await connection.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    )
    staker = await connection.fetchval("SELECT coldkey FROM delegations GROUP BY 1 ORDER BY sum(tao_rao) DESC LIMIT 1")
    netuids = await connection.fetch("SELECT netuid FROM subnets WHERE netuid > 0 AND networks_added")
    parameters = await connection.fetch("SELECT DISTINCT name FROM hyperparameters WHERE netuid > 0")
    await connection.close()
    instances = {sample.labels["instance"] for sample in await watched.prometheus.query("indexer_build_info")}
    reader = re.sub(r"//[^@]*@", f"//{role}:secret@", watched.dsn)
    return World(
        watched,
        reader,
        staker,
        tuple(str(row["netuid"]) for row in netuids),
        tuple(instances),
        tuple(row["name"] for row in parameters),
    )


async def test_every_expression_runs_and_finds_something(world: World) -> None:
    async def finds_nothing(query: Query) -> bool:
        asking = world.asking()  # anew each time: a range ends now, and what has just been scraped is part of it
        return not any(math.isfinite(number) for number in await numbers(world, asking, query))

    wrong = [query for query in every("promql") if await finds_nothing(query) and query.where not in EMPTY_IS_RIGHT]
    with anyio.move_on_after(30):  # what a moment lacked, such as the next comparison or scrape, comes
        while wrong := [query for query in wrong if await finds_nothing(query)]:  # noqa: ASYNC110 - it scrapes by itself
            await anyio.sleep(0.5)
    assert {f"{query.where} {query.letter}": world.asking().text(query) for query in wrong} == {}


async def numbers(world: World, asking: Asking, query: Query) -> list[float]:
    """All values that an expression gives."""
    text, server = asking.text(query), world.watched.prometheus
    if query.form == "instant":
        return [sample.value for sample in await server.query(text)]
    begin_s = max(asking.begin_s, world.watched.scraped_s)
    answer = await server.query_range(text, begin_s, asking.end_s, asking.step_s(query))
    return [float(value) for one in answer for _, value in one["values"]]


async def test_every_variable_of_prometheus_has_values(world: World) -> None:
    asked = every("labels")
    assert {query.where for query in asked} == {"variable job", "variable instance"}
    for query in asked:
        ((selector, label),) = re.findall(r"label_values\((.*), (\w+)\)", world.asking().text(query))
        values = await world.watched.prometheus.get(f"label/{label}/values", **{"match[]": selector})
        assert values, query


async def test_every_statement_runs_as_a_reader_and_finds_something(world: World, reader: Any) -> None:
    asking = world.asking()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("DELETE FROM blocks")
    asked, empty = every("sql"), []
    assert len(asked) > 25
    for query in asked:
        rows = await reader.fetch(asking.text(query))
        names = list(rows[0].keys()) if rows else []
        if query.form == "time_series" and rows:
            assert names == ["time", "metric", "value"], query.where
            assert [row["time"] for row in rows] == sorted(row["time"] for row in rows), query.where
        if not any(value is not None for row in rows for name, value in row.items() if name not in ("time", "metric")):
            empty.append(query.where)
    assert [where for where in empty if where not in EMPTY_IS_RIGHT] == []


async def test_without_a_chosen_account_the_richest_is_shown(world: World, reader: Any) -> None:
    richest = await reader.fetchval(
        "SELECT address FROM balances JOIN accounts USING (account) ORDER BY free + reserved DESC LIMIT 1"
    )
    (query,) = [query for query in every("sql") if query.where == "Balance of the account"]
    rows = await reader.fetch(world.asking(account="").text(query))
    assert {row["metric"][:6] for row in rows} == {richest[:6]}


async def test_a_time_range_that_begins_before_the_index_is_no_error(world: World, reader: Any) -> None:
    asking = world.asking()
    early = Asking(asking.begin_s - 1000, asking.end_s, SCRAPE_S, asking.variables)
    for query in every("sql"):
        await reader.fetch(early.text(query))


async def test_tables_name_columns_that_their_statements_have(world: World, reader: Any) -> None:
    asking = world.asking()
    looked_at = 0
    for panel in (panel for board in boards().values() for panel in panels(board) if panel["type"] == "table"):
        told = next(one for one in panel["transformations"] if one["id"] == "organize")["options"]["renameByName"]
        shown = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
        assert shown <= set(told.values()), panel["title"]
        if "rawSql" in panel["targets"][0]:
            statement = await reader.prepare(asking.text(of_panel(panel)[0]))
            assert list(told) == [attribute.name for attribute in statement.get_attributes()], panel["title"]
            looked_at += 1
    assert looked_at >= 5


async def test_the_time_left_of_a_backfill_is_what_remains_by_its_pace(tmp_path: Path) -> None:
    """One dataset is 1,000 blocks behind and catches up by 10 a second; another one is at the head."""
    labels = 'job="x", instance="y"'
    expr = chosen(ETA).replace("$job", ".+").replace("$instance", ".+")
    series = {
        f"indexer_committed_block{{{labels}}}": "5000x60",
        f"indexer_lag_blocks{{{labels}}}": "0x60",
        f'indexer_head_block{{{labels}, kind="best"}}': "5000x60",
        f'indexer_dataset_committed_block{{{labels}, dataset="late"}}': "1000+150x60",
        f'indexer_dataset_committed_block{{{labels}, dataset="good"}}': "5000x60",
        f'indexer_dataset_missing_blocks{{{labels}, dataset="late"}}': "0x60",
        f'indexer_dataset_missing_blocks{{{labels}, dataset="good"}}': "0x60",
    }
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"round({expr})",
                "eval_time": "5m",
                "exp_samples": [
                    {"labels": '{dataset="late"}', "value": 100},
                    {"labels": '{dataset="good"}', "value": 0},
                ],
            }
        ],
    }
    (tmp_path / "eta.yml").write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
    done = await anyio.run_process(
        [program("promtool", "prometheus"), "test", "rules", str(tmp_path / "eta.yml")],
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


async def test_provisioning_names_the_sources_and_folders_that_the_boards_ask_for() -> None:
    sources = [
        source
        for path in sorted((GRAFANA / "provisioning" / "datasources").glob("*.yaml"))
        for source in yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
    ]
    assert {(source["uid"], source["type"]) for source in sources} == {
        (PROMETHEUS_UID, "prometheus"),
        (POSTGRES_UID, POSTGRES_TYPE),
    }
    assert all("$" in source["url"] for source in sources), "addresses are the surroundings' to give"
    (path,) = (GRAFANA / "provisioning" / "dashboards").glob("*.yaml")
    (provider,) = yaml.safe_load(path.read_text(encoding="utf-8"))["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    used = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for board in boards().values()
        for panel in panels(board)
    }
    assert used == {("prometheus", "${datasource}"), (POSTGRES_TYPE, "${database}")}
    for board in boards().values():
        current = {
            one["query"]: one["current"]["value"] for one in board["templating"]["list"] if one["type"] == "datasource"
        }
        assert current.items() <= {"prometheus": PROMETHEUS_UID, POSTGRES_TYPE: POSTGRES_UID}.items()
