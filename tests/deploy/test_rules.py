"""The rules of deploy/prometheus: valid, each alert tested both ways, and no metric or label that does not exist."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from programs import program
from rules import ALERTS, DEPLOY, FOLDER, RECORDING, STORIES, Alert, alerts, rules, unknown

RUNBOOK_URL = "https://runbooks.example.com/indexer/RUNBOOK.md"


def run(*arguments: str | Path) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules_and_the_configuration() -> None:
    run(program("promtool", "prometheus"), "check", "rules", ALERTS, RECORDING)
    run(program("promtool", "prometheus"), "check", "config", FOLDER / "prometheus.yml")


def test_alertmanager_takes_the_example() -> None:
    run(program("amtool", "prometheus-alertmanager"), "check-config", FOLDER / "alertmanager.yml")


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(story: Path) -> None:
    run(program("promtool", "prometheus"), "test", "rules", story)


def test_each_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, silent, healthy = set(), set(), set()
    for path in STORIES:
        for story in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for look in story["alert_rule_test"]:
                (fires if look.get("exp_alerts") else silent).add(look["alertname"])
                if path.stem == "healthy":
                    healthy.add(look["alertname"])
    names = {alert.name for alert in alerts()}
    assert (fires, healthy) == (names, names)
    assert silent == names


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(alert: Alert) -> None:
    assert alert.severity in {"page", "ticket"}
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert alert.annotations["runbook_url"] == f"{RUNBOOK_URL}#{alert.name.lower()}"
    assert all(text.endswith(".") for key, text in alert.annotations.items() if key != "runbook_url")


@pytest.mark.parametrize("path", [ALERTS, RECORDING], ids=lambda path: path.stem)
def test_rules_name_only_metrics_and_labels_that_exist(path: Path) -> None:
    wrong = {rule.get("alert") or rule["record"]: unknown(rule["expr"]) for rule in rules(path)}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_a_name_or_label_that_does_not_exist_is_noticed() -> None:
    assert unknown("indexer_lag_block > 3") == ["indexer_lag_block"]
    assert unknown('indexer_head_age_seconds{king="best"}') == ["indexer_head_age_seconds{king}"]
    assert unknown("sum by (datasets) (indexer_dataset_missing_blocks)") == ["datasets"]
    assert unknown("instance:indexer_catch_up:blocks > 0") == ["instance:indexer_catch_up:blocks"]


def test_the_example_inhibits_only_alerts_that_exist() -> None:
    names = {alert.name for alert in alerts()}
    inhibits = yaml.safe_load((FOLDER / "alertmanager.yml").read_text("utf-8"))["inhibit_rules"]
    for rule in inhibits:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            named = set(matcher.partition('"')[2].rstrip('"').split("|"))
            assert named - {"Indexer.*"} <= names, matcher


def test_the_addresses_to_replace_are_told_in_the_readme() -> None:
    text = (DEPLOY / "README.md").read_text("utf-8")
    assert RUNBOOK_URL.removesuffix("/RUNBOOK.md") in text
