"""The recorded chain: every map of real state proven by root, and the real runtime's answers beside SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import oracle
import pytest
from by_hand import Hand, fullest, kept
from running import index
from tape import answers

from indexer.datasets import load
from indexer.devchain import rpc
from indexer.devchain.server import DevNode
from indexer.devchain.tape import load_tape
from indexer.node import open_node
from indexer.schema import KEYED
from indexer.verify import verify
from indexer.verify.crosscheck import crosscheck
from indexer.verify.snapshot import open_snapshot
from indexer.verify.verification import truth_of

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]


@asynccontextmanager
async def indexed(database: str, tape: Path, metadata: Path) -> AsyncIterator[DevNode]:
    """A node that serves the whole tape, indexed into the database."""
    chain = load_tape(tape, metadata)
    chain.grow(10_000)
    chain.finalize(chain.best.number)
    async with DevNode(chain) as node:
        await index(database, node.url, stop=chain.best.number, datasets=("all",))
        yield node


async def test_every_map_of_the_tape_of_spec_143_is_proven(database: str, realdata: Path) -> None:
    """The layouts of before dTAO, with the tables that hold nothing today."""
    async with indexed(database, realdata / "tape/blocks_spec143.jsonl.gz", realdata / "metadata") as devnode:
        async with open_node([devnode.url]) as node:
            for block in (0, 17, None):
                assert (await verify(node, database, load(["all"]), block=block)).differences == ()
            connection = await asyncpg.connect(database)
            for name in ("coldkey_stakes", "hotkey_pools", "stake_shares", "balances"):
                row = await fullest(connection, KEYED[name])
                assert row is not None
                hand = Hand(connection, KEYED[name], row, "both")
                await hand.update(next(column for column in KEYED[name].values if row[column] is not None))
                report = await verify(node, database, load(["all"]))
                assert (name, hand.key) in {(one.table, one.key) for one in report.differences}
            await connection.close()
        assert len({(one.table, one.key) for one in report.differences}) == 4


async def test_tables_that_the_recorded_chain_alone_fills_are_held_against_it_too(
    database: str, realdata: Path
) -> None:
    tape, metadata = realdata / "tape/blocks.jsonl.gz", realdata / "metadata"
    async with indexed(database, tape, metadata) as devnode, open_node([devnode.url]) as node:
        connection = await asyncpg.connect(database)
        for name in ("axons", "identities", "weight_rows", "bond_rows"):
            row = await fullest(connection, KEYED[name])
            assert row is not None
            for column in KEYED[name].values:
                if row[column] is not None:
                    async with kept(connection):
                        hand = Hand(connection, KEYED[name], row, "both")
                        await hand.update(column)
                        report = await verify(node, database, load(["all"]))
                        assert {(one.table, one.key) for one in report.differences} == {(name, hand.key)}, column
        await connection.close()


async def test_lists_altered_by_hand_are_named(database: str, realdata: Path) -> None:
    """Vectors that rows keep as JSON: children, proxies, hotkeys of a coldkey."""
    async with indexed(database, realdata / "tape/blocks.jsonl.gz", realdata / "metadata") as devnode:
        connection = await asyncpg.connect(database)
        altered = set()
        for name, path, value in (
            ("childkeys", "{children,0,proportion}", "5"),
            ("account_proxies", "{delegates,0,delay}", "5"),
            ("coldkey_hotkeys", "{staking,0}", '"5EYCAe5jLQhn6ofDSwHx3AZmsZPVFHnKpstqap4vqwDWtp7s"'),
        ):
            column, _, inside = path.strip("{}").partition(",")
            for table in (KEYED[name].current.name, KEYED[name].history.name):
                changed = await connection.fetch(
                    f"UPDATE {table} SET {column} = jsonb_set({column}, '{{{inside}}}', '{value}'), "
                    f"block_number = block_number WHERE {column} != '[]' RETURNING {', '.join(KEYED[name].keys)}"
                )
                assert changed
                altered |= {(name, tuple(record)) for record in changed}
        await connection.close()
        async with open_node([devnode.url]) as node:
            found = {(one.table, one.key) for one in (await verify(node, database, load(["all"]))).differences}
        assert {one for one in found if one[0] != "accounts"} == altered


class Answering:
    """``state_call`` as the recorded runtime answered it; what was not asked then is not known now."""

    def __init__(self, given: dict[str, bytes]) -> None:
        self._given = {f"SubnetInfoRuntimeApi_get_subnet_hyperparams_v2{n}": given[f"hyper_{n}"] for n in (0, 1, 2)}
        self._given |= {f"SwapRuntimeApi_current_alpha_price{n}": given[f"price_{n}"] for n in (0, 1, 2)}
        self._stake = given["stake_info_for_coldkeys"]

    def __call__(self, chain: Any, params: rpc.Params) -> Any:
        method, argument = params[0], bytes.fromhex(params[1][2:])
        if method == "Core_version":
            return rpc.hexed(chain.runtime(bytes.fromhex(params[2][2:])).version_scale())
        if method == "StakeInfoRuntimeApi_get_stake_info_for_coldkeys":
            return rpc.hexed(self._stake)
        answer = self._given.get(f"{method}{int.from_bytes(argument, 'little')}")
        if answer is None:
            raise rpc.RpcError(rpc.CLIENT_ERROR, "not recorded")
        return rpc.hexed(answer)


async def test_the_real_runtimes_answers_are_those_of_sql(
    database: str, realdata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = answers(realdata / "tape/oracle.jsonl.gz")
    async with indexed(database, realdata / "tape/blocks.jsonl.gz", realdata / "metadata") as devnode:
        async with open_node([devnode.url]) as node, open_snapshot(database) as snapshot:
            report = await verify(node, database, load(["all"]))
            assert report.differences == ()
            assert [word.partition(":")[0] for word in report.skipped], "a replay has no runtime to ask"
            compared = 0
            for block, given in recorded.items():
                ref = (await node.header(await node.block_hash(block) or b"")).ref
                truth = await truth_of(node, snapshot, load(["all"]), ref)
                monkeypatch.setitem(rpc.METHODS, "state_call", Answering(given))
                coldkeys = sorted(oracle.stake_info_coldkeys(given["stake_info_for_coldkeys"]))
                checked = await crosscheck(truth, snapshot, coldkeys)
                assert checked.differences == [], block
                assert checked.skipped == [], block
                compared += checked.values
            assert compared > 3_000
            chain = devnode.chain
            hashes = [chain.at(number).hash for number in range(chain.best.number)]
            (upgrade,) = (
                one for one in hashes if chain.runtime(one).spec_version != chain.executed_by(one).spec_version
            )
            truth = await truth_of(node, snapshot, load(["all"]), (await node.header(upgrade)).ref)
            checked = await crosscheck(truth, snapshot, coldkeys)
            assert "upgraded the runtime" in checked.skipped[0], "the state answers with the new one"
        wrong = {**given, "price_1": (12345).to_bytes(8, "little"), "hyper_2": given["hyper_1"]}
        async with open_node([devnode.url]) as node, open_snapshot(database) as snapshot:
            truth = await truth_of(node, snapshot, load(["all"]), ref)
            monkeypatch.setitem(rpc.METHODS, "state_call", Answering(wrong))
            checked = await crosscheck(truth, snapshot, coldkeys[1:])
        functions = {one.table for one in checked.differences}
        assert functions == {"delegations_at", "hyperparameters_at", "subnets_at"}
        assert not any(one.is_repairable for one in checked.differences)
