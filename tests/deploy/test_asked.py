"""What goes out for a query: macros and variables replaced as Grafana does, and nothing that was forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.grafana.boards.asked import Asking, Query

ASKING = Asking(
    1_760_000_000.0,
    1_760_003_600.0,
    15.0,
    {"job": ("indexer",), "instance": ("10.0.0.1:9477", "b:9477"), "netuid": ("1", "64"), "account": "O'Neil"},
)
SQL = Query("a panel", "A", "sql", "", "time_series", points=60)
PROMQL = Query("a panel", "A", "promql", "", "range", points=60)


def asked(query: Query, text: str) -> str:
    return ASKING.text(replace(query, text=text))


def test_steps_are_round_and_not_shorter_than_a_scrape() -> None:
    assert ASKING.step_s(PROMQL) == 60
    assert ASKING.step_s(replace(PROMQL, points=55)) == 60
    assert ASKING.step_s(replace(PROMQL, points=3600)) == 15


def test_rates_are_taken_over_four_scrapes_or_a_step_and_one() -> None:
    assert asked(PROMQL, "rate(x[$__rate_interval])") == "rate(x[75000ms])"
    assert asked(replace(PROMQL, points=3600), "rate(x[$__rate_interval])") == "rate(x[60000ms])"
    assert asked(PROMQL, "increase(x[$__range]) > $__interval_ms") == "increase(x[3600s]) > 60000"


def test_several_values_are_alternatives_and_literal() -> None:
    assert asked(PROMQL, 'x{job=~"$job"}') == 'x{job=~"indexer"}'
    assert asked(PROMQL, 'x{instance=~"$instance"}') == r'x{instance=~"(10\\.0\\.0\\.1:9477|b:9477)"}'


def test_statements_get_the_time_range_and_quoted_values() -> None:
    begin, end = "'2025-10-09T08:53:20Z'", "'2025-10-09T09:53:20Z'"
    assert asked(SQL, 'WHERE $__timeFilter(b."timestamp")') == f'WHERE b."timestamp" BETWEEN {begin} AND {end}'
    assert asked(SQL, "$__timeFrom(), $__timeTo(), '$__interval'") == f"{begin}, {end}, '60000ms'"
    assert asked(SQL, "$__timeGroup(t, $__interval)") == "floor(extract(epoch from t)/60)*60"
    assert asked(SQL, "${netuid:csv} ${account:sqlstring}") == "1,64 'O''Neil'"


@pytest.mark.parametrize("text", ["${nobody:csv}", "$__timeEpoch()", "$netuid", "${netuid:raw}"])
def test_what_is_not_known_here_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="a panel: "):
        asked(SQL, text)
