"""What stories about endpoints share: a chain of some blocks, a good node that serves it, and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from endpoints_at_fault import grown

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.metrics import Metrics


@pytest.fixture
def chain() -> Chain:
    return grown()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def good(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as node:
        yield node
