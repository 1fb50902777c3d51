"""The rows of the board Indexer that tell of nodes: requests by method and outcome, endpoints and their faults."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.boards.parts import lines, over_time, states

_EVERY_ENDPOINT = "or sum by (endpoint) (indexer_endpoint_usable{@}) * 0"
"""Zeros for endpoints that no such event has met: their counters are made by the first one."""


def rows(board: dashboard.Dashboard) -> None:
    """Add them."""
    board.with_row(dashboard.Row("Requests to nodes"))
    board.with_panel(
        lines("Requests by method", "Per second.", "reqps",
              over_time("sum by (method) (rate(indexer_rpc_requests_total{@}[$__rate_interval]))", "{{method}}"),
              span=6, stack=True)
    )  # fmt: skip
    board.with_panel(
        lines("Slowest of a hundred, by method", "99th percentile of a request's time, answer included. Proofs are the "
              "large ones.", "s",
              over_time("histogram_quantile(0.99, sum by (method, le) "
                        "(rate(indexer_rpc_seconds_bucket{@}[$__rate_interval])))", "{{method}}"), span=6, log=True)
    )  # fmt: skip
    board.with_panel(
        lines("Outcomes", "Requests per second by how they ended. busy: the endpoint limits us; refused: it answers "
              "with an error; failed: no answer.", "reqps",
              over_time("sum by (outcome) (rate(indexer_rpc_requests_total{@}[$__rate_interval]))", "{{outcome}}"),
              span=6, stack=True)
    )  # fmt: skip
    board.with_panel(
        lines("Bytes received", "Per second, from all endpoints.", "binBps",
              over_time("sum by (instance) (rate(indexer_rpc_bytes_total{@}[$__rate_interval]))", "{{instance}}"),
              span=6)
    )  # fmt: skip
    board.with_row(dashboard.Row("Endpoints"))
    board.with_panel(
        states("Usable", "Neither left alone nor known to lag or to be on a fork. All left: nothing can be read.",
               {"1": ("usable", "green"), "0": ("left", "red")},
               over_time("min by (endpoint) (indexer_endpoint_usable{@})", "{{endpoint}}"), height=7)
    )  # fmt: skip
    board.with_panel(
        lines("Left, by cause", "How often since the start; what the causes mean, docs/ENDPOINTS.md says. busy now and "
              "then is usual with public endpoints.", "locale",
              over_time(f"sum by (endpoint, cause) (indexer_endpoint_left_total{{@}}) > 0 {_EVERY_ENDPOINT}",
                        "{{endpoint}} {{cause}}"), height=7)
    )  # fmt: skip
    board.with_panel(
        lines("Lies", "Answers since the start that do not hash to what was asked. Zero is right: an endpoint that "
              "lies is broken or hostile.", "locale",
              over_time(f"sum by (endpoint) (indexer_endpoint_lies_total{{@}}) {_EVERY_ENDPOINT}", "{{endpoint}}"),
              height=7, steps=((None, "transparent"), (1, "red")))
    )  # fmt: skip
    board.with_panel(
        lines("Behind the best endpoint", "Blocks between an endpoint's head and the highest one told. More than 3: it "
              "is asked last.", "locale",
              over_time("scalar(max(indexer_endpoint_head_block{@})) - max by (endpoint) "
                        "(indexer_endpoint_head_block{@})", "{{endpoint}}"), span=12, height=7)
    )  # fmt: skip
    board.with_panel(
        lines("Requests allowed at once", "Halved when an endpoint says that it is busy; won back.", "locale",
              over_time("min by (endpoint) (indexer_endpoint_concurrency{@})", "{{endpoint}}"), span=12, height=7)
    )  # fmt: skip
