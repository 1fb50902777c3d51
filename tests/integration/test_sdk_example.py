"""The example of the SDK's own documentation, as docs/SDK.md tells it: all of it at one block, in one statement."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import oracle
import oracle_reads
import pytest
from loader import load_tape
from scalecodec.utils.ss58 import ss58_encode
from tape import State, answers, blake, blocks, prefix

pytestmark = [pytest.mark.anyio, pytest.mark.realdata]

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "SDK.md").read_text(encoding="utf-8")
NETUIDS = (0, 1, 2)


def free(state: State, coldkey: bytes) -> Decimal:
    info = state.get(prefix("System.Account") + blake(coldkey))
    return Decimal(struct.unpack_from("<Q", info, 16)[0] if info else 0) / 10**9


def prices(given: Mapping[str, bytes]) -> dict[int, int]:
    return {netuid: struct.unpack("<Q", given[f"price_{netuid}"])[0] for netuid in NETUIDS}


async def test_all_of_it_at_one_block_and_the_same_at_an_older_one(database: str, realdata: Path) -> None:
    """Each part equals what the real runtime answered, or held in its state, at that block."""
    await load_tape(
        database,
        realdata / "tape/blocks.jsonl.gz",
        {spec: realdata / f"metadata/spec{spec}.v15.scale" for spec in (293, 300)},
    )
    told = answers(realdata / "tape/oracle.jsonl.gz")
    states = {one.number: dict(one.state) for one in blocks(realdata / "tape/blocks.jsonl.gz") if one.number in told}
    (statement,) = re.findall(r"^## Everything at one block\n.*?```sql\n(.*?)```", DOCUMENT, re.S | re.M)
    connection = await asyncpg.connect(database)
    seen = set()
    for block in (88, 44, 8):
        given = told[block]
        coldkeys = sorted(oracle.stake_info_coldkeys(given["stake_info_for_coldkeys"]))
        addresses = ", ".join(f"'{ss58_encode(coldkey.hex())}'" for coldkey in coldkeys)
        row = await connection.fetchrow(statement.replace("'5G…', '5G…'", addresses).replace("9240000", str(block)))
        assert row is not None
        part: dict[str, Any] = {
            name: {} if text is None else json.loads(text, parse_float=Decimal) for name, text in row.items()
        }

        assert {oracle.public_key(address): tao for address, tao in part["balances"].items()} == {
            coldkey: free(states[block], coldkey) for coldkey in coldkeys
        }

        stakes, price = oracle_reads.stake_infos(given["stake_info_for_coldkeys"]), prices(given)
        for coldkey in coldkeys:
            each = [(alpha, price[netuid]) for (_, of, netuid), (alpha, *_) in stakes.items() if of == coldkey]
            total = int(part["total_stake"][ss58_encode(coldkey.hex())] * 10**9)
            # The API tells prices in whole rao: a position of a few alpha is within a few rao.
            assert abs(total - sum(alpha * rao // 10**9 for alpha, rao in each)) <= sum(
                alpha // 10**9 + 2 for alpha, _ in each
            )

        delegates = {one["hotkey"]: one for one in oracle_reads.delegates(given["delegates"])}
        assert {
            (oracle.public_key(d["hotkey"]), oracle.public_key(d["coldkey"]), d["netuid"]): (
                d["alpha_rao"], d["take"], d["registrations"], d["total_daily_return"],
            )
            for d in part["delegated"]
        } == {
            (hotkey, coldkey, netuid): (alpha, one["take"], one["registrations"], one["total_daily_return"])
            for hotkey, one in delegates.items()
            for (coldkey, netuid), alpha in one["stakes"].items()
            if coldkey in coldkeys
        }  # fmt: skip

        assert {
            (n["netuid"], n["uid"]): (oracle.public_key(n["hotkey"]), n["stake_alpha"]) for n in part["neurons"]
        } == {
            (netuid, n["uid"]): (n["hotkey"], n["stake_alpha"])
            for netuid in NETUIDS
            for n in oracle.neurons_lite(given[f"neurons_lite_{netuid}"])
        }

        parameters = {(h["netuid"], h["name"]): h["value"] for h in part["hyperparameters"]}
        for netuid in NETUIDS:
            for name, value in oracle.hyperparams(given[f"hyper_{netuid}"]).items():
                assert parameters[netuid, name] == value, (block, netuid, name)
        seen.add(tuple(len(part[name]) for name in sorted(part)))
    assert len(seen) == 3, "the blocks differ in what there is"
    await connection.close()
