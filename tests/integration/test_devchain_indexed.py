"""The simulated chain through the whole path: what SQL says of a block is what the chain itself would say.

Not a replay: here v1 and v2 share rows mix after their metadata is gone, pools close and open again,
baskets hold stake, and a default moves. The recorded chains have none of these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from indexer import daemon
from indexer.config import Settings
from indexer.devchain.chain import Chain
from indexer.devchain.genesis import CAST
from indexer.devchain.ledger import Ledger
from indexer.devchain.runtimes import SPEC_293, SPEC_475
from indexer.devchain.server import DevNode
from indexer.devchain.simulate import simulated_chain
from indexer.scale import ss58_encode

pytestmark = pytest.mark.anyio

UPGRADE_AT, LENGTH = 20, 45
DECLARED = {one.spec_version: one for one in (SPEC_293, SPEC_475)}


@asynccontextmanager
async def indexed(chain: Chain, database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Index the finalized chain into the database; yields a connection to it."""
    async with DevNode(chain) as node:
        settings = Settings(
            network=(node.url,),
            database_url=database,
            start="genesis",
            stop=chain.finalized.number,
            metrics_address=None,
        )
        await daemon.serve(settings)
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


def ledger_at(chain: Chain, number: int) -> Ledger:
    block_hash = chain.at(number).hash
    return Ledger(DECLARED[chain.executed_by(block_hash).spec_version], chain.state(block_hash))


async def stakes_agree(connection: asyncpg.Connection[Any], chain: Chain, number: int) -> int:
    block_hash = chain.at(number).hash
    records = await connection.fetch(
        "select hotkey, coldkey, netuid, alpha_rao, tao_rao from delegations_at($1)", number
    )
    told = {(one["hotkey"], one["coldkey"], one["netuid"]): one for one in records}
    prices = chain.prices_at(block_hash)
    truth = {
        (ss58_encode(position.hotkey), ss58_encode(position.coldkey), position.netuid): alpha
        for position, alpha in chain.stake_at(block_hash).items()
    }
    assert told.keys() <= truth.keys()
    for position, alpha in truth.items():
        if position not in told:
            assert alpha == 0, (number, position)
            continue
        assert told[position]["alpha_rao"] == alpha, (number, position)
        # The price is known here in whole rao, so the product is off by up to alpha / 10^9.
        assert abs(told[position]["tao_rao"] - alpha * prices[position[2]] // 10**9) <= alpha // 10**9 + 1
    return len(truth)


async def balances_agree(connection: asyncpg.Connection[Any], chain: Chain, number: int) -> None:
    ledger = ledger_at(chain, number)
    for who in (*CAST.coldkeys, *CAST.mortals, *CAST.authors):
        record = await connection.fetchrow("select * from balance_at($1, $2)", ss58_encode(who), number)
        account = ledger.get("System.Account", who)
        told = (record["free"], record["reserved"], record["nonce"]) if record else (0, 0, 0)
        truth = (account["data"]["free"], account["data"]["reserved"], account["nonce"])
        assert tuple(int(one or 0) for one in told) == truth, (number, who.hex())


async def neurons_agree(connection: asyncpg.Connection[Any], chain: Chain, number: int) -> int:
    ledger = ledger_at(chain, number)
    truth = []
    for netuid in range(4):
        emission, updates = ledger.get("Emission", netuid), ledger.get("LastUpdate", netuid)
        for uid in range(ledger.get("SubnetworkN", netuid)):
            hotkey = ledger.get("Keys", netuid, uid)
            truth.append(
                (
                    netuid,
                    uid,
                    ss58_encode(hotkey),
                    ss58_encode(ledger.get("Owner", hotkey)),
                    ledger.get("BlockAtRegistration", netuid, uid),
                    updates[uid],
                    emission[uid] if uid < len(emission) else 0,
                    ledger.get("TotalHotkeyAlpha", hotkey, netuid),
                )
            )
    records = await connection.fetch(
        "select netuid, uid, hotkey, coldkey, registered_at, last_update, emission, stake_alpha "
        "from neurons_at($1) order by netuid, uid",
        number,
    )
    assert [tuple(record) for record in records] == truth, number
    return len(truth)


async def pow_allowed(connection: asyncpg.Connection[Any], netuid: int, number: int) -> tuple[int, bool]:
    query = "select value, is_default from hyperparameters_at($1, $2) where name = 'network_pow_registration_allowed'"
    record = await connection.fetchrow(query, netuid, number)
    return int(record["value"]), record["is_default"]


async def test_every_stake_neuron_and_balance_of_every_block_is_what_the_chain_says(database: str) -> None:
    chain = simulated_chain(11, upgrade_at=UPGRADE_AT)
    chain.grow(LENGTH)
    chain.finalize(LENGTH)
    async with indexed(chain, database) as connection:
        assert await connection.fetchval("select count(*) from blocks where complete") == LENGTH + 1
        compared = neurons = 0
        for number in range(LENGTH + 1):
            compared += await stakes_agree(connection, chain, number)
            neurons += await neurons_agree(connection, chain, number)
            await balances_agree(connection, chain, number)
        assert compared > 3_000
        assert neurons > 500
        untouched = [n for n in (1, 2, 3) if not ledger_at(chain, LENGTH).has("NetworkPowRegistrationAllowed", n)]
        assert untouched
        for netuid in untouched:
            assert await pow_allowed(connection, netuid, UPGRADE_AT) == (1, True)
            assert await pow_allowed(connection, netuid, UPGRADE_AT + 1) == (0, True)
