"""A real Prometheus for a test: its port and folder are its own, its scrape configuration is made, it ends with it."""

from __future__ import annotations

import json
import re
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import yaml
from programs import program

STEP_S = 0.5
"""Seconds between two scrapes, two evaluations, and at most for one: a busy machine needs some, a test has no time
for the usual 15."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A running Prometheus, asked over its HTTP API."""

    url: str

    async def query(self, expression: str) -> list[Sample]:
        """The samples an expression gives now. Raises ``AssertionError`` with Prometheus' own words if it fails."""
        data = await self.get("query", query=expression)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    async def query_range(self, expression: str, start_s: float, end_s: float, step_s: float) -> list[dict[str, Any]]:
        """The series an expression gives over a time (Unix seconds), as the API tells them: metric, values."""
        data = await self.get("query_range", query=expression, start=start_s, end=end_s, step=step_s)
        return list(data["result"])

    async def alerts(self, state: str = "firing") -> set[str]:
        """Names of the alerts that are ``firing`` or ``pending`` now."""
        return {one["labels"]["alertname"] for one in (await self.get("alerts"))["alerts"] if one["state"] == state}

    async def wait_for(
        self, expression: str, holds: Callable[[list[Sample]], bool] = bool, *, within_s: float = 30.0
    ) -> list[Sample]:
        """Ask until the answer ``holds`` (by default: is not empty); returns it."""
        found: list[Sample] = []
        with anyio.move_on_after(within_s):
            while not holds(found := await self.query(expression)):  # noqa: ASYNC110 - it scrapes by itself
                await anyio.sleep(0.1)
            return found
        raise AssertionError(f"{expression} did not become so within {within_s:g} s; it is {found}")

    async def get(self, what: str, **arguments: object) -> Any:
        """``data`` of the answer of ``/api/v1/what``."""
        return await anyio.to_thread.run_sync(_get, f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(arguments)}")


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{url}: {error.read().decode()}") from error


@asynccontextmanager
async def prometheus(
    folder: Path,
    targets: Mapping[str, Sequence[str]],
    *,
    rule_files: Sequence[Path] = (),
    step_s: float = STEP_S,
    lookback_s: float = 300.0,
) -> AsyncIterator[PrometheusServer]:
    """A Prometheus that scrapes ``targets`` (job: host:port, ...) every ``step_s`` and keeps its data in ``folder``.

    It is ready when the context is entered; what it has scraped by then is for the test to wait for.
    """
    interval = f"{step_s * 1000:.0f}ms"
    configuration = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(path) for path in rule_files],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    log = folder / "prometheus.log"
    arguments = [
        program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        f"--query.lookback-delta={lookback_s * 1000:.0f}ms",
    ]
    with log.open("wb") as output:
        process = await anyio.open_process(arguments, stdin=None, stdout=output, stderr=output)
        try:
            with anyio.fail_after(60):
                while (address := _address(log)) is None:
                    assert process.returncode is None, log.read_text(encoding="utf-8")
                    await anyio.sleep(0.05)
            yield PrometheusServer(f"http://{address}")
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                await process.wait()
                await process.aclose()


def _address(log: Path) -> str | None:
    """Where it listens, once it is ready; it took a free port and tells which in its log."""
    text = log.read_text(encoding="utf-8")
    found = re.search(r'msg="Listening on".* address=(\S+)', text)
    return found[1] if found and "Server is ready to receive web requests" in text else None
