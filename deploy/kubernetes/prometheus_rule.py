"""`make manifests`: the rules of ``deploy/prometheus/*.rules.yml`` as PrometheusRules of the Prometheus Operator.

The text of each file goes in as it is, comments and all, two columns to the right: one source, no second opinion.
A test fails while the file that is checked in is not what this writes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "prometheus"
TARGET = HERE / "components" / "monitoring" / "prometheus-rule.yaml"
HEADER = "# Generated from deploy/prometheus/*.rules.yml by `make manifests`: change those.\n"
OBJECT = """\
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: indexer-{name}
  labels:
    app.kubernetes.io/name: indexer
spec:
"""


def sources() -> list[Path]:
    """The rule files, in the order of their names."""
    return sorted(SOURCES.glob("*.rules.yml"))


def generated(files: Sequence[Path]) -> str:
    """One object per file, named after it: ``alerts.rules.yml`` is ``indexer-alerts``."""
    objects = [
        OBJECT.format(name=file.name.removesuffix(".rules.yml")) + textwrap.indent(file.read_text("utf-8"), "  ")
        for file in files
    ]
    return HEADER + "".join(objects)


if __name__ == "__main__":
    TARGET.write_text(generated(sources()), encoding="utf-8")
