"""A look with `check` in this process, and its findings as tests want them."""

from __future__ import annotations

import re
from typing import Any

from indexer import config, preflight
from indexer.devchain.server import DevNode
from indexer.preflight.findings import Finding, Level

CLOSED = "ws://127.0.0.1:9"


async def checked(
    *nodes: DevNode | str, sample_blocks: int = 0, timeout_s: float = 30.0, **options: Any
) -> preflight.Report:
    """The report on some nodes (by URL, if they are no `DevNode`); ``options`` are settings."""
    urls = tuple(node if isinstance(node, str) else node.url for node in nodes)
    settings = config.load({"network": urls, **options})
    return await preflight.check(settings, sample_blocks=sample_blocks, timeout_s=timeout_s)


def told(report: preflight.Report, pattern: str) -> Finding:
    """The one finding whose text matches."""
    found = [one for one in report.findings if re.search(pattern, one.text)]
    assert len(found) == 1, [one.text for one in report.findings]
    return found[0]


def level(report: preflight.Report, pattern: str) -> Level:
    """The level of the one finding whose text matches."""
    return told(report, pattern).level
