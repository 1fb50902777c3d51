"""What the stories of faults share: a chain that grows as the story goes, and time-outs a test can wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from haste import TIME_OUTS

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain


@pytest.fixture
def chain() -> Chain:
    return simulated_chain(7)


@pytest.fixture
async def devnode(chain: Chain) -> AsyncIterator[DevNode]:
    async with DevNode(chain) as node:
        yield node


@pytest.fixture
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths: what is tested is that there is an end, not how long it takes."""
    for owner, name, value in TIME_OUTS:
        monkeypatch.setattr(owner, name, value)
