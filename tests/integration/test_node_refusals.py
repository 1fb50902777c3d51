"""A refusal is believed only when it is not of the moment, and when everybody was asked."""

from __future__ import annotations

from typing import Any

import pytest
from endpoints_at_fault import refusing

from indexer import fallback, heal
from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.health import Cause
from indexer.node import open_node

pytestmark = pytest.mark.anyio

BUSY = -32000
"""The code that servers use for whatever they like."""


def grown(**options: Any) -> Chain:
    chain = simulated_chain(3, **options)
    chain.grow(12)
    chain.finalize(10)
    return chain


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "PAUSE_S", 0.02)
    monkeypatch.setattr(heal, "PAUSE_S", 0.02)


@pytest.mark.parametrize(("times", "serves"), [(2, True), (3, False)])
async def test_a_node_that_refuses_a_proof_for_a_moment_is_not_one_without_proofs(times: int, serves: bool) -> None:
    chain = grown()
    busy = refusing(BUSY, "Server is busy", method="state_getReadProof", times=times)
    async with DevNode(chain, tamper=busy) as url, open_node([url.url]) as node:
        assert await fallback.serves_proofs(node, chain.finalized.hash) == serves


async def test_a_busy_archive_is_not_one_without_the_state() -> None:
    chain = grown()
    busy = refusing(BUSY, "Server is busy", method="state_queryStorageAt", times=2)
    old, head = chain.at(1).hash, chain.finalized.hash
    async with (
        DevNode(grown(keep_states=2)) as pruned,
        DevNode(chain, tamper=busy) as archive,
        open_node([pruned.url], archive=[archive.url]) as node,
    ):
        await node.header(old)
        await node.header(head)
        assert not await heal.is_dropped(node, old, head)


@pytest.mark.parametrize("failures", [1, 5])
async def test_state_is_not_dropped_before_the_endpoint_that_rests_was_asked(failures: int) -> None:
    """However often it failed, as long as it has answered lately."""
    chain = grown()
    old, head = chain.at(1).hash, chain.finalized.hash
    async with (
        DevNode(grown(keep_states=2)) as pruned,
        DevNode(chain) as full,
        open_node([full.url, pruned.url]) as node,
    ):
        await node.header(old)
        endpoint = node._pool.endpoints[0]
        for _ in range(failures):
            endpoint.leave(Cause.SILENT, "did not answer in time")
        assert not await heal.is_dropped(node, old, head)


async def test_state_counts_as_dropped_although_an_endpoint_rests_that_gave_no_answer_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("indexer.health.RECENT_S", 0.0)
    chain = grown()
    old, head = chain.at(1).hash, chain.finalized.hash
    async with DevNode(grown(keep_states=2)) as pruned, open_node(["ws://127.0.0.1:9", pruned.url]) as node:
        await node.header(old)
        for _ in range(3):
            node._pool.endpoints[0].leave(Cause.UNREACHABLE, "cannot be reached")
        assert await heal.is_dropped(node, old, head)
