"""`check` on endpoints of every kind: each is told as it is, and one that fails hides nothing of the others."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from endpoints_at_fault import grown, refusing
from poor_nodes import Behind, Pruned
from preflighting import CLOSED, checked, level, told
from rich.console import Console

from indexer import config, preflight
from indexer.devchain.chain import Chain
from indexer.devchain.rpc import METHODS, SUBSCRIBE, RpcError
from indexer.devchain.server import DevNode, Tamper
from indexer.networks import Network
from indexer.preflight import endpoint as looking
from indexer.preflight.endpoint import NEEDED, WANTED
from indexer.preflight.findings import Level, Topic

pytestmark = pytest.mark.anyio

HEIGHT = 60


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Nobody changes it."""
    return grown(7, HEIGHT)


@pytest.fixture
def place(data_dir: Path) -> dict[str, Any]:
    """An embedded database that is not made yet, where nothing is in the way."""
    return {"data_dir": data_dir / "data"}


async def test_a_good_node_is_told_in_full(good: DevNode, chain: Chain, place: dict[str, Any]) -> None:
    report = await checked(good, **place)
    assert report.works
    (one,) = report.endpoints
    assert one.problem is None
    assert (one.chain, one.genesis_hash) == ("Devchain", "0x" + chain.genesis.hash.hex())
    assert (one.best_block, one.finalized_block) == (HEIGHT, HEIGHT)
    assert one.finalized_hash == "0x" + chain.at(HEIGHT).hash.hex()
    assert (one.spec_version, one.ss58_prefix, one.node) == (475, 42, "Bittensor devchain 1.0.0-devchain")
    assert (one.oldest_state_block, one.state_blocks, one.is_uneven) == (0, HEIGHT + 1, False)
    assert (one.missing_methods, one.proofs, one.refused_for_load) == ((), True, 0)
    assert one.latency_s
    assert one.latency_s < 5
    assert level(report, "lead to the state root") is Level.GOOD


@pytest.mark.parametrize("kept", [1, 7, 20, 45])
async def test_the_horizon_of_a_pruning_node_is_found_to_the_block(
    kept: int, chain: Chain, place: dict[str, Any]
) -> None:
    pruned: Any = Pruned(chain, kept)
    async with DevNode(pruned) as node:
        report = await checked(node, **place)
    (one,) = report.endpoints
    assert (one.oldest_state_block, one.state_blocks) == (HEIGHT - kept + 1, kept)
    assert one.state_seconds == 12 * (kept - 1)
    assert f"keeps about {kept} block" in told(report, "blocks? of state").text
    assert report.works is (kept > 1), "a first block needs its parent's state too"


async def test_a_pruning_node_cannot_give_an_old_start_and_an_archive_beside_it_can(
    chain: Chain, good: DevNode, place: dict[str, Any]
) -> None:
    pruned: Any = Pruned(chain, 10)
    async with DevNode(pruned) as node:
        alone = await checked(node, start="5", **place)
        helped = await checked(node, start="5", archive=good.url, **place)
    assert not alone.works
    lost = told(alone, "no endpoint has the state of block 5 any more")
    assert lost.level is Level.BAD
    assert "--archive" in (lost.advice or "")
    assert helped.works
    assert helped.start is not None
    assert helped.start.beginnings[0].endpoint == good.url
    assert [one.is_archive for one in helped.endpoints] == [False, True]


async def test_a_node_without_proofs_can_be_followed_and_not_proven(chain: Chain, place: dict[str, Any]) -> None:
    async with DevNode(chain, tamper=refusing(-32601, "Method not found", method="state_getReadProof")) as node:
        report = await checked(node, sample_blocks=2, **place)
    assert report.works
    assert report.endpoints[0].proofs is False
    assert level(report, "completeness cannot be proven") is Level.WARNING
    assert (report.bootstrap, report.backfill) == (None, None)


async def test_proofs_of_another_state_are_told(chain: Chain, place: dict[str, Any]) -> None:
    async def bend(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            return {**result, "proof": ["0x00" + raw[4:] for raw in result["proof"]]}
        return result

    async with DevNode(chain, tamper=bend) as node:
        report = await checked(node, **place)
    assert report.endpoints[0].proofs is False
    assert level(report, "do not lead to the state root") is Level.WARNING


async def test_an_endpoint_of_another_chain_is_named_beside_a_good_one(
    good: DevNode, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(config)["NETWORKS"], "test", Network((CLOSED,), (), bytes(32)))
    async with DevNode(grown(8, HEIGHT)) as stranger:
        beside = await checked(good, stranger, **place)
        alone = await checked(stranger, "test", **place)
    assert beside.works
    assert level(beside, f"{stranger.url} is Devchain.*another chain") is Level.WARNING
    assert beside.start is not None
    assert not alone.works
    assert level(alone, f"{stranger.url} is Devchain.*another chain, expected is genesis 0x0000") is Level.BAD


async def test_a_dead_endpoint_hides_nothing_of_a_good_one(good: DevNode, place: dict[str, Any]) -> None:
    report = await checked(CLOSED, good, **place)
    assert report.works
    dead, alive = report.endpoints
    assert "cannot be reached" in (dead.problem or "")
    assert (dead.finalized_block, alive.finalized_block) == (None, HEIGHT)
    assert level(report, "cannot be reached") is Level.WARNING
    assert report.start is not None


async def test_nothing_works_without_any_endpoint(place: dict[str, Any]) -> None:
    report = await checked(CLOSED, **place)
    assert not report.works
    assert level(report, "cannot be reached") is Level.BAD
    assert "make demo" in (told(report, "no endpoint of --network").advice or "")


async def test_an_archive_node_alone_cannot_be_followed(good: DevNode, place: dict[str, Any]) -> None:
    """`run` asks it for old state only."""
    report = await checked(CLOSED, archive=good.url, **place)
    assert not report.works


async def test_a_node_that_lags_is_told_by_its_distance(chain: Chain, good: DevNode, place: dict[str, Any]) -> None:
    late: Any = Behind(chain, 9)
    async with DevNode(late) as node:
        report = await checked(node, good, **place)
    assert [one.lag_blocks for one in report.endpoints] == [9, 0]
    assert level(report, "9 blocks behind the others") is Level.WARNING
    assert report.works


async def test_methods_that_are_lacking_are_named_with_what_they_cost(chain: Chain, place: dict[str, Any]) -> None:
    lacking = {"chain_subscribeFinalizedHeads", "state_queryStorageAt"}

    async def few(method: str, _params: Any, result: Any) -> Any:
        return {"methods": sorted({*METHODS, *SUBSCRIBE} - lacking)} if method == "rpc_methods" else result

    async with DevNode(chain, tamper=few) as node:
        report = await checked(node, **place)
    assert set(report.endpoints[0].missing_methods or ()) == lacking
    assert level(report, "lacks chain_subscribeFinalizedHeads: heads are asked for") is Level.WARNING
    assert level(report, "lacks state_queryStorageAt, without which nothing works") is Level.BAD
    assert not report.works


async def test_a_node_that_cannot_read_its_own_heads_state_cannot_be_followed(
    chain: Chain, good: DevNode, place: dict[str, Any]
) -> None:
    refuse = refusing(4003, "State already discarded", method="state_queryStorageAt")
    async with DevNode(chain, tamper=refuse) as node:
        alone = await checked(node, **place)
        beside = await checked(node, good, **place)
    assert level(alone, f"the state of its finalized block {HEIGHT} cannot be read") is Level.BAD
    assert not alone.works
    assert beside.works


async def test_a_page_for_a_terminal_says_what_the_lines_say(chain: Chain, place: dict[str, Any]) -> None:
    async def name_it(method: str, _params: Any, result: Any) -> Any:
        return "[red]De\x1b[2Jv[/red]" if method == "system_chain" else result

    async with DevNode(chain, tamper=name_it) as node:
        report = await checked(node, CLOSED, sample_blocks=2, **place)
    console = Console(file=io.StringIO(), force_terminal=True, width=300, color_system=None, legacy_windows=False)
    console.print(preflight.as_page(report))
    assert isinstance(console.file, io.StringIO)
    page = console.file.getvalue()
    lines = "\n".join(preflight.as_lines(report))
    for one in report.findings:
        assert one.text in lines
        assert one.text in page or (one.level is Level.GOOD and one.topic is Topic.ENDPOINT)
        assert one.advice is None or (one.advice in page and one.advice in lines)
    assert "[red]De\ufffd[2Jv[/red], genesis 0x" in page
    assert "\x1b[2J" not in page + lines
    assert f"{node.url} " in page
    assert preflight.as_json(report).count("\x1b") == 0


def test_the_devchain_serves_what_is_asked_for() -> None:
    """A name that no node has would be told as lacking everywhere."""
    assert {*NEEDED, *WANTED} <= {*METHODS, *SUBSCRIBE}


async def test_refusals_for_load_are_counted_and_waited_out(
    chain: Chain, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "backoff", lambda *_: iter([0.01] * 9))
    asked = 0

    async def refuse(_method: str, _params: Any, result: Any) -> Any:
        """Every third request is one too many, of the first twenty-one."""
        nonlocal asked
        asked += 1
        if asked % 3 == 0 and asked <= 21:
            raise RpcError(-32999, "Too many requests")
        return result

    async with DevNode(chain, tamper=refuse) as node:
        report = await checked(node, **place)
    (one,) = report.endpoints
    assert (one.refused_for_load, one.finalized_block) == (7, HEIGHT)
    assert level(report, "refused 7 of") is Level.WARNING
    assert report.works


async def test_a_silent_node_costs_its_share_of_the_time_and_what_it_told_is_kept(
    chain: Chain, good: DevNode, place: dict[str, Any]
) -> None:
    async def silence(method: str, _params: Any, result: Any) -> Any:
        if method == "state_getReadProof":
            await anyio.sleep(600)
        return result

    async with DevNode(chain, tamper=silence) as node:
        with anyio.fail_after(60):
            report = await checked(node, good, timeout_s=10, **place)
    silent, alive = report.endpoints
    assert "within 5 s" in (silent.problem or "")
    assert (silent.finalized_block, silent.proofs) == (HEIGHT, None)
    assert alive.problem is None
    assert report.works


@pytest.mark.parametrize("method", sorted({*NEEDED, "rpc_methods", "system_properties", "state_getReadProof"}))
async def test_answers_of_any_shape_end_in_a_finding(chain: Chain, place: dict[str, Any], method: str) -> None:
    def bending(bent: Any) -> Tamper:
        async def bend(called: str, _params: Any, result: Any) -> Any:
            return bent if called == method else result

        return bend

    async with DevNode(chain) as node:
        for bent in (None, 5, "0xzz", [], {"number": "0x1"}, "x" * 70):
            node.tamper = bending(bent)
            report = await checked(node, sample_blocks=1, timeout_s=2, item="System.Account", **place)
            assert len(report.endpoints) == 1
            assert {one.topic for one in report.findings} >= {Topic.ENDPOINT, Topic.DATABASE}


async def test_a_node_that_breaks_off_is_told_with_its_reason(chain: Chain, place: dict[str, Any]) -> None:
    async def refuse(method: str, _params: Any, result: Any) -> Any:
        if method == "chain_getFinalizedHead":
            raise RpcError(-32000, "not synced yet")
        return result

    async with DevNode(chain, tamper=refuse) as node:
        report = await checked(node, **place)
    assert not report.works
    assert level(report, "not synced yet") is Level.BAD


async def test_nothing_is_made_on_disk(good: DevNode, place: dict[str, Any], data_dir: Path) -> None:
    report = await checked(good, sample_blocks=2, **place)
    assert report.database.exists is False
    assert report.database.free_bytes
    assert level(report, "an embedded Postgres would be made at") is Level.GOOD
    assert os.listdir(data_dir) == []
