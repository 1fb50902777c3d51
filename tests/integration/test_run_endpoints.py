"""The whole line over endpoints of which all but one are bad: as good as over the good one alone."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from endpoints_at_fault import at_most_keys, bent, refusing, silent_on
from running import committed, index
from tables import all_rows, assert_equal

from indexer.devchain.chain import Chain
from indexer.devchain.server import DevNode, DropConnection, Tamper
from indexer.devchain.simulate import simulated_chain

pytestmark = pytest.mark.anyio

LENGTH = 24


def grown(seed: int = 7, height: int = LENGTH, **options: Any) -> Chain:
    chain = simulated_chain(seed, **options)
    chain.grow(height)
    chain.finalize(height)
    return chain


def forked() -> Chain:
    chain = grown(height=5)
    chain.fork(5, LENGTH + 4)
    chain.finalize(LENGTH + 4)
    return chain


def dropping(every: int) -> Tamper:
    count = 0

    async def drop(_method: str, _params: object, result: Any) -> Any:
        nonlocal count
        count += 1
        if count % every == 0:
            raise DropConnection
        return result

    return drop


async def test_five_bad_endpoints_before_a_good_one_change_nothing_but_a_few_seconds(
    database: str, another_database: str
) -> None:
    async with AsyncExitStack() as stack, DevNode(grown()) as good:
        await index(another_database, good.url, stop=LENGTH)
        urls = ["ws://127.0.0.1:9"]
        for chain, tamper in [
            (grown(8), None),
            (grown(), bent("state_getReadProof", proof=["0x00"])),
            (grown(), silent_on("state_getReadProof")),
            (grown(), refusing(-32999, "RPC rate limit exceeded", method="state_getReadProof")),
            (grown(keep_states=2), dropping(7)),
        ]:
            urls.append((await stack.enter_async_context(DevNode(chain, tamper=tamper))).url)
        await index(database, good.url, stop=0)  # so it is known which chain is ours
        with anyio.fail_after(40):
            await index(database, good.url, stop=LENGTH, network=(*urls, good.url), rpc_timeout_s=1.0)
    assert await committed(database) == LENGTH
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_an_endpoint_on_a_fork_below_the_final_block_does_not_end_the_daemon(
    database: str, another_database: str
) -> None:
    chain = grown(height=12)
    async with DevNode(chain) as good, DevNode(forked()) as other:
        await index(database, good.url, stop=12)
        chain.grow(LENGTH - 12)
        chain.finalize(LENGTH)
        await index(another_database, good.url, stop=LENGTH)
        with anyio.fail_after(40):
            await index(database, good.url, stop=LENGTH, network=(other.url, good.url))
    assert_equal(await all_rows(database), await all_rows(another_database))


@pytest.mark.parametrize("code", [-32008, None], ids=["refused", "cut"])
async def test_the_bootstrap_comes_through_an_endpoint_with_small_replies(
    database: str, another_database: str, code: int | None
) -> None:
    async with DevNode(grown()) as node:
        await index(another_database, node.url, stop=6, start=5)
        node.tamper = at_most_keys(12, code)
        with anyio.fail_after(60):
            await index(database, node.url, stop=6, start=5)
    assert_equal(await all_rows(database), await all_rows(another_database))


async def test_a_backfill_takes_old_state_from_the_archive_and_the_rest_from_the_node(
    database: str, another_database: str
) -> None:
    served = 0

    async def count(method: str, _params: object, result: Any) -> Any:
        """Sees what is answered, not what is refused."""
        nonlocal served
        served += method == "state_getReadProof"
        return result

    async with DevNode(grown()) as archive, DevNode(grown(keep_states=4), tamper=count) as near:
        await index(another_database, archive.url, stop=LENGTH)
        archive.requests.clear()
        await index(database, near.url, stop=LENGTH, archive=archive.url, workers=1)
        assert archive.requests["state_getReadProof"] >= LENGTH - 5
        assert served >= 3
        assert near.requests["state_getReadProof"] - served <= 12, "it was asked in vain again and again"
    assert_equal(await all_rows(database), await all_rows(another_database))
