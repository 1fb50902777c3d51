"""The rule files as tests read them, and which metrics and labels an expression may name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from indexer.metrics import Metrics

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FOLDER = DEPLOY / "prometheus"
ALERTS, RECORDING = FOLDER / "alerts.rules.yml", FOLDER / "recording.rules.yml"
STORIES = sorted((FOLDER / "tests").glob("*.yml"))

_OF_TARGETS = {"job", "instance", "pod"}
_BY_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as declared."""

    name: str
    expr: str
    severity: str
    annotations: dict[str, str]


def rules(path: Path) -> list[dict[str, Any]]:
    """All rules of a file, in order."""
    return [rule for group in yaml.safe_load(path.read_text("utf-8"))["groups"] for rule in group["rules"]]


def alerts() -> list[Alert]:
    """All alerts, in order."""
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"]["severity"], rule["annotations"]) for rule in rules(ALERTS)
    ]


def known() -> dict[str, set[str]]:
    """Labels by name of everything that can be asked for: what an indexer tells, Prometheus' own, what is recorded."""
    found: dict[str, set[str]] = {name: set(labels) for name, labels in _BY_PROMETHEUS.items()}
    for collector in list(Metrics().registry._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            for suffix in suffixes:
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
            if family.name.startswith("process_"):
                found.update({sample.name: set() for sample in family.samples})
    every = {label for labels in found.values() for label in labels}
    return {**found, **{rule["record"]: every for rule in rules(RECORDING)}}


def unknown(expr: str) -> list[str]:
    """Names of metrics and labels in an expression that do not exist."""
    found, wrong = known(), []
    every = {label for labels in found.values() for label in labels} | _OF_TARGETS
    plain = re.sub(r"#.*", "", expr)
    for name, matchers in re.findall(
        r"\b((?:indexer|process|instance|dataset)[_:][\w:]+|up|ALERTS)\b(?:\{(.*?)\})?", plain
    ):
        if name not in found:
            wrong.append(name)
        elif matchers:
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            wrong += [f"{name}{{{label}}}" for label in labels - found[name] - _OF_TARGETS]
    for listed in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\((.*?)\)", plain):
        wrong += [label for label in re.findall(r"\w+", listed) if label not in every]
    return wrong
