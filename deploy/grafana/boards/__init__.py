"""The two dashboards for Grafana, built by code: ``python -m deploy.grafana.boards`` writes them as JSON.

* ``parts``    panels as these boards use them, over the builders of grafana-foundation-sdk
* ``indexer``  the board Indexer: is it well, and if not, where it hurts; from Prometheus
* ``rpc``      its rows about nodes and their endpoints
* ``chain``    the board Chain: what the indexed tables tell
* ``statements`` its SQL
* ``asked``    every query of a board's JSON, with macros and variables replaced as Grafana does (tests, pictures)
* ``pictures`` both boards' data as PNG (``make pictures``)
* ``drawing``  panels drawn with matplotlib
* ``units``    values as Grafana writes them

The JSON is checked in, as Grafana and people import it; a test says when it is not what the code makes.
"""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards.chain import chain
from deploy.grafana.boards.indexer import indexer

BOARDS: dict[str, Callable[[], Dashboard]] = {"indexer": indexer, "chain": chain}
"""File name -> what makes it."""


def encoded(board: Dashboard) -> str:
    """A board as the JSON that Grafana imports."""
    return JSONEncoder(indent=2, ensure_ascii=False).encode(board) + "\n"
