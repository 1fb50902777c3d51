"""Values that the chain keeps as an earlier runtime wrote them, while the running one types their item otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from running import index
from verifying import connected, repaired, verified

from indexer.devchain.chain import Chain
from indexer.devchain.declare import U128
from indexer.devchain.runtimes import SPEC_475, RuntimeDeclaration
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.trie import blake2_256

pytestmark = pytest.mark.anyio

LENGTH, UPGRADE = 12, 6


def widened(item: str) -> Chain:
    """A chain whose newer runtime lists ``item`` as u128, and whose state keeps it as the u64 it was."""
    declared = RuntimeDeclaration(475, new=True)
    pallet = next(one for one in declared.pallets if one.name == "SubtensorModule")
    items = tuple(replace(one, value=U128) if one.name == item else one for one in pallet.items)
    object.__setattr__(pallet, "items", items)
    chain = simulated_chain(7, upgrade_at=UPGRADE)
    producer: Any = chain.producer
    producer._served[blake2_256(SPEC_475.code)] = declared.served()
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    return chain


async def test_a_value_in_the_type_it_was_written_in_is_no_difference_and_a_wrong_one_is(database: str) -> None:
    async with DevNode(widened("NetworkRegisteredAt")) as devnode:
        await index(database, devnode.url, stop=LENGTH)
        for block in (UPGRADE, UPGRADE + 1, LENGTH):
            assert (await verified(database, devnode, block=block)).differences == (), block
            assert (await verified(database, devnode, block=block, sample=100)).differences == (), block
        async with connected(database) as connection:
            for name in ("subnet_info", "subnet_info_history"):
                await connection.execute(
                    f"UPDATE {name} SET network_registered_at = network_registered_at + 1 WHERE netuid = 1"
                )
        report = await verified(database, devnode)
        assert {(one.table, one.key) for one in report.differences} == {("subnet_info", (1,))}
        await repaired(database, devnode, report)
        assert (await verified(database, devnode)).differences == ()
