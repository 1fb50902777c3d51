"""What stories about storage items share: chains, what they keep of an item, and what the tables tell of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import asyncpg
from verifying import connected, the_cause

from indexer import datasets
from indexer.capture import item_prefix
from indexer.devchain.chain import Chain
from indexer.devchain.declare import Type
from indexer.devchain.pallet import OPTIONAL
from indexer.devchain.runtimes import SPEC_475, RuntimeDeclaration
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.model import ItemRef
from indexer.node import open_node
from indexer.trie import blake2_256
from indexer.verify import Report, verify

LENGTH, UPGRADE = 16, 8
TOTAL = "Balances.TotalIssuance"
"""Changes in every block."""
PLAIN, MAP, DOUBLE_MAP, N_MAP = "Timestamp.Now", "System.Account", "SubtensorModule.Keys", "SubtensorModule.AlphaV2"
NEW, OLD, RETIRED = "Swap.SwapBalancer", "Swap.AlphaSqrtPrice", "SubtensorModule.Alpha"
"""The upgrade brings one, removes every key of another, and no longer lists the third while its rows are drained."""
ITEMS = (PLAIN, MAP, DOUBLE_MAP, N_MAP, NEW, OLD, RETIRED, "System.Events", "SubtensorModule.LastUpdate")


def grown(length: int = LENGTH, **options: Any) -> Chain:
    chain = simulated_chain(7, upgrade_at=UPGRADE, **options)
    chain.grow(length)
    chain.finalize(length)
    return chain


def stored(chain: Chain, item: str, number: int) -> dict[bytes, bytes]:
    """What the chain keeps of an item as of a block: by key behind the prefix."""
    state = chain.state(chain.at(number).hash)
    pallet, _, bare = item.partition(".")
    prefix = item_prefix(ItemRef(pallet, bare))
    return {key[32:]: state.get(key) or b"" for key in state.keys(prefix)}


async def told(connection: asyncpg.Connection[Any], item: str, number: int) -> dict[bytes, bytes]:
    """The same from the tables."""
    rows = await connection.fetch("SELECT key_raw, value_raw FROM storage_at($1, $2)", number, item)
    return {row["key_raw"]: row["value_raw"] for row in rows}


async def compared(dsn: str, devnode: DevNode, items: tuple[str, ...], **options: Any) -> Report:
    with the_cause():
        async with open_node([devnode.url]) as node:
            return await verify(node, dsn, datasets.load(["blocks", *items]), **options)


async def items_equal_the_chain(dsn: str, chain: Chain, items: tuple[str, ...], last: int = LENGTH) -> None:
    async with connected(dsn) as connection:
        for item in items:
            for number in range(last + 1):
                assert await told(connection, item, number) == stored(chain, item, number), (item, number)
            current = await connection.fetch(
                "SELECT key_raw, value_raw FROM storage_values WHERE pallet || '.' || item = $1", item
            )
            assert {row["key_raw"]: row["value_raw"] for row in current} == stored(chain, item, last), item


def retyped(item: str, kind: Type, length: int = LENGTH) -> Chain:
    """A chain whose newer runtime says that ``item`` is of another type; it writes what it always wrote."""
    declared = RuntimeDeclaration(475, new=True)
    bare = item.partition(".")[2]
    pallet = next(one for one in declared.pallets if one.name == item.partition(".")[0])
    items = tuple(replace(one, value=kind, default=OPTIONAL) if one.name == bare else one for one in pallet.items)
    object.__setattr__(pallet, "items", items)
    chain = simulated_chain(7, upgrade_at=UPGRADE)
    producer: Any = chain.producer
    producer._served[blake2_256(SPEC_475.code)] = declared.served()
    chain.grow(length)
    chain.finalize(length)
    return chain
