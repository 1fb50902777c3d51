"""The manual's pages that are written from the code are those in the repository, and leave nothing out."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from indexer.manual import metrics_page
from indexer.manual.__main__ import DOCUMENTS
from indexer.metrics import Metrics

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_in_the_repository_is_up_to_date(name: str) -> None:
    assert (REPOSITORY / name).read_text("utf-8") == DOCUMENTS[name](), "write it anew: make docs"


def test_every_metric_that_is_scraped_has_its_row() -> None:
    """Held against the scrape itself, not against what the page is made from."""
    scraped = text_string_to_metric_families(generate_latest(Metrics().registry).decode())
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in scraped}
    page = metrics_page.as_markdown()
    missing = [name for name in names if name.startswith("indexer_") and f"| `{name}` |" not in page]
    assert missing == []
    assert len(metrics_page.declared()) == len({n for n in names if n.startswith("indexer_")})


def test_what_is_normal_is_told_of_metrics_that_exist() -> None:
    assert set(metrics_page.NORMAL) - {metrics_page.name_of(one) for one in metrics_page.declared()} == set()


def test_a_metric_that_has_a_unit_in_its_name_has_it_in_its_row() -> None:
    told = {
        metrics_page.name_of(one): metrics_page.unit_of(metrics_page.name_of(one)) for one in metrics_page.declared()
    }
    assert told["indexer_lag_seconds"] == "seconds"
    assert told["indexer_incomplete_blocks_total"] == "blocks"
    assert told["indexer_reorg_depth"] == "blocks"
    assert told["indexer_writer"] == ""
