"""Endpoints that lie: the answer is taken from the next one, and the liar is named and left alone."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from endpoints_at_fault import (
    bent,
    captured,
    left,
    silent_on,
)

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode
from indexer.errors import NodeError, ProofError
from indexer.metrics import Metrics
from indexer.node import open_node

pytestmark = pytest.mark.anyio


async def test_a_header_that_is_a_lie_is_taken_from_the_next_endpoint(
    chain: Chain, good: DevNode, metrics: Metrics
) -> None:
    async with (
        DevNode(chain, tamper=bent("chain_getHeader", stateRoot="0x" + "11" * 32)) as liar,
        open_node([liar.url, good.url], metrics=metrics) as node,
    ):
        with structlog.testing.capture_logs() as log:
            first = await node.header(chain.at(3).hash)
        assert first.state_root == chain.at(3).header.state_root
        asked = liar.requests["chain_getHeader"]
        assert (await node.header(chain.at(4).hash)).state_root == chain.at(4).header.state_root
        assert liar.requests["chain_getHeader"] == asked, "a liar was asked again"
    assert left(metrics, liar.url, "lie") == 1
    assert metrics.registry.get_sample_value("indexer_endpoint_lies_total", {"endpoint": liar.url}) == 1
    assert [line["endpoint"] for line in log if line["event"] == "endpoint_lied"] == [liar.url]


async def test_a_proof_that_is_a_lie_costs_the_endpoint_and_not_the_block(chain: Chain, good: DevNode) -> None:
    async with open_node([good.url]) as node:
        truth = await captured(node, chain, 6)

    async def of_another_block(method: str, params: Any, result: Any) -> Any:
        if method == "state_getReadProof" and params[1] == "0x" + chain.at(6).hash.hex():
            proof = chain.state(chain.at(5).hash).prove([bytes.fromhex(key[2:]) for key in params[0]])
            return {**result, "proof": ["0x" + raw.hex() for raw in proof]}
        return result

    async def without_the_last(method: str, _params: object, result: Any) -> Any:
        return {**result, "proof": result["proof"][:-1]} if method == "state_getReadProof" else result

    for lie in (of_another_block, without_the_last, bent("state_getReadProof", proof="none")):
        seen = Metrics()
        async with DevNode(chain, tamper=lie) as liar, open_node([liar.url, good.url], metrics=seen) as node:
            assert await captured(node, chain, 6) == truth
            assert node.endpoint == good.url
            assert lie is without_the_last or liar.requests["state_getReadProof"] == 1, "it was asked again"
        assert left(seen, liar.url, "lie") == 1


async def test_a_liar_is_not_believed_about_heads_because_the_others_are_away(chain: Chain) -> None:
    lie = bent("state_getReadProof", proof=[])
    async with DevNode(chain, tamper=lie) as liar, DevNode(chain) as other:
        async with open_node([liar.url, other.url]) as node:
            node.report_lie(liar.url, "found out")
            assert await node.block_hash(1) == chain.at(1).hash
            other.tamper = silent_on()
            node._pool.endpoints[1]._timeout_s = 0.1
            with pytest.raises(NodeError, match=other.url):
                await node.block_hash(2)
        async with open_node([liar.url]) as node:  # the only one: each answer is checked, and it may mend
            with pytest.raises(ProofError, match=liar.url):
                await node.read_proof([b":code"], chain.at(3).hash, lambda nodes: None if nodes else "sent nothing")
            liar.tamper = None
            assert (await node.read_proof([b":code"], chain.at(3).hash))[0]
