"""The manual's pages that are written from the code are those in the repository, and leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from indexer import config, options
from indexer.manual import metrics_page, settings_page
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


def test_every_label_says_its_values() -> None:
    labels = {label for one in metrics_page.declared() for label in one._labelnames}
    assert labels - set(metrics_page.LABELS) == set()


def test_a_metric_that_has_a_unit_in_its_name_has_it_in_its_row() -> None:
    told = {
        metrics_page.name_of(one): metrics_page.unit_of(metrics_page.name_of(one)) for one in metrics_page.declared()
    }
    assert told["indexer_lag_seconds"] == "seconds"
    assert told["indexer_incomplete_blocks_total"] == "blocks"
    assert told["indexer_reorg_depth"] == "blocks"
    assert told["indexer_writer"] == ""


def test_every_option_is_in_the_reference_under_all_its_names() -> None:
    page = settings_page.as_markdown()
    for name, field in config.Settings.model_fields.items():
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        for said in (options.flag(name), options.variable(name), options.takes(field), field.description or ""):
            assert said in section, (name, said)
        assert "| commands | `" in section, name


def test_the_commands_of_an_option_are_those_that_show_it_in_their_help() -> None:
    commands = settings_page.commands_by_option()
    assert set(commands["standby"]) == {"run", "check"}
    assert {"run", "status", "verify", "psql"} <= set(commands["database_url"])
    assert "demo" not in commands["data_dir"], "the demo's own option of that name"


def test_the_example_file_is_a_valid_one_when_it_is_uncommented(tmp_path: Path) -> None:
    lines = (REPOSITORY / "deploy" / "indexer.example.toml").read_text("utf-8").splitlines()
    file = tmp_path / "indexer.toml"
    file.write_text("\n".join(line[2:] for line in lines if re.match(r"# \w+ = ", line)))
    settings, default = config.load({"config": file}), config.load()
    for name in config.Settings.model_fields:
        if name != "config":
            expected = settings_page.EXAMPLES.get(name, getattr(default, name))
            given = getattr(settings, name)
            shown = list(given) if isinstance(given, tuple) else str(given) if name == "data_dir" else given
            assert shown == (list(expected) if isinstance(expected, tuple) else expected), name


def test_the_example_file_as_it_is_changes_nothing() -> None:
    file = REPOSITORY / "deploy" / "indexer.example.toml"
    assert config.load({"config": file}).model_dump(exclude={"config"}) == config.load().model_dump(exclude={"config"})
