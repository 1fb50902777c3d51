"""A connection that is lost with many requests under way."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from indexer.devchain.server import DevNode, DropConnection
from indexer.devchain.simulate import simulated_chain
from indexer.node import open_node

pytestmark = pytest.mark.anyio


async def test_a_lost_connection_with_many_proofs_under_way_is_held_against_their_size_once() -> None:
    """Else a node that restarts is asked key by key from then on, thousands of times."""
    chain = simulated_chain(3)
    chain.grow(6)
    keys, cuts = [bytes([at]) * 8 for at in range(40)], 0

    async def cut_when_all_wait(method: str, _params: object, result: Any) -> Any:
        nonlocal cuts
        if method == "state_getReadProof" and not cuts:
            with anyio.fail_after(5):
                while endpoint.gate._inside < 6:  # noqa: ASYNC110 - requests have no event of ours
                    await anyio.sleep(0.01)
            cuts += 1
            raise DropConnection
        return result

    async with DevNode(chain, tamper=cut_when_all_wait) as good, open_node([good.url]) as node:
        endpoint = node._pool.endpoints[0]
        async with anyio.create_task_group() as group:
            for height in range(1, 7):
                group.start_soon(node.read_proof, keys, chain.at(height).hash)
        assert (cuts, endpoint.keys_max) == (1, 20)
