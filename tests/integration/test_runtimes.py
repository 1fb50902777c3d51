"""Many runtimes in the life of a chain: each block by its own, few of them in memory as decoders."""

from __future__ import annotations

import pytest
from running import index
from tables import all_rows, assert_equal

from indexer import runtimes
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.model import ItemRef
from indexer.node import open_node
from indexer.runtimes import Runtimes
from indexer.store import open_store

pytestmark = pytest.mark.anyio

LENGTH = 26


async def test_with_room_for_one_decoder_the_tables_are_the_same(
    database: str, another_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = simulated_chain(7, upgrade_at=6, upgrade_every=4)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    async with DevNode(chain) as devnode:
        await index(another_database, devnode.url, stop=LENGTH)
        monkeypatch.setattr(runtimes, "PARSED_MAX", 1)
        await index(database, devnode.url, stop=LENGTH, workers=6)
        assert_equal(await all_rows(database), await all_rows(another_database))
        async with open_node([devnode.url]) as node, open_store(database) as store:
            known = Runtimes(node, store)
            await known.load()
            met = [code_hash for code_hash, _, _ in await store.runtimes()]
            assert len(met) >= 5
            seen = [known.known(code_hash) for code_hash in met]
            assert len({one.spec_version for one in seen if one is not None}) == len(met)
            assert len(known._by_code) == 1
            account = ItemRef("System", "Account")
            kind = known.last_type(account, LENGTH)
            assert kind is not None
            assert known.last_type(account, LENGTH) is kind, "looked for once"
            assert known.last_type(ItemRef("No", "Such"), LENGTH) is None
