"""The simulated chain keeps Bittensor's rules, and holds the traps an indexer must not fall into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from indexer.devchain import calls, pools, staking
from indexer.devchain.accounts import DispatchFailed
from indexer.devchain.chain import Chain
from indexer.devchain.execution import BlockTime, SignedCall, execute
from indexer.devchain.genesis import CAST, CONCENTRATED
from indexer.devchain.ledger import Ledger
from indexer.devchain.pallet import twox128
from indexer.devchain.runtimes import SPEC_293, SPEC_475
from indexer.devchain.simulate import simulated_chain
from indexer.model import ItemRef
from indexer.scale import Runtime
from indexer.trie import diff

UPGRADE_AT, LENGTH = 20, 45
DECLARED = {one.spec_version: one for one in (SPEC_293, SPEC_475)}


@pytest.fixture(scope="module")
def chain() -> Chain:
    made = simulated_chain(11, upgrade_at=UPGRADE_AT)
    made.grow(LENGTH)
    return made


@pytest.fixture(scope="module")
def runtimes() -> dict[int, Runtime]:
    """The product's decoders of both runtimes."""
    return {spec: Runtime.from_metadata(one.served().metadata[15]) for spec, one in DECLARED.items()}


def ledger_at(chain: Chain, number: int) -> Ledger:
    """The state after a block, as the runtime that executed it reads it."""
    block_hash = chain.at(number).hash
    return Ledger(DECLARED[chain.executed_by(block_hash).spec_version], chain.state(block_hash))


def ledgers(chain: Chain) -> Iterator[tuple[int, Ledger]]:
    for number in range(LENGTH + 1):
        yield number, ledger_at(chain, number)


def changed(chain: Chain, number: int) -> dict[bytes, bytes | None]:
    """Keys that differ from the parent's state, by comparing both states whole."""
    before, after = (dict(chain.store.items(chain.at(n).header.state_root)) for n in (number - 1, number))
    keys = before.keys() | after.keys()
    return {key: after.get(key) for key in keys if before.get(key) != after.get(key)}  # type: ignore[misc]


def prefix(item: str, pallet: str = "SubtensorModule") -> bytes:
    return twox128(pallet) + twox128(item)


UNLISTED = (b":code", prefix("AlphaV2Migration"))
"""Keys no metadata ever lists: the code, and the migration's own cursor."""


def events(chain: Chain, number: int) -> list[tuple[str, Any]]:
    """(``Pallet.Name``, fields) of a block's events."""
    found = []
    for record in ledger_at(chain, number).get("System.Events"):
        ((pallet, event),) = record["event"].items()
        name = event if isinstance(event, str) else next(iter(event))
        found.append((f"{pallet}.{name}", None if isinstance(event, str) else event[name]))
    return found


@pytest.mark.parametrize("spec", DECLARED)
@pytest.mark.parametrize("version", [14, 15])
def test_declared_metadata_compiles_whole_and_says_what_was_declared(spec: int, version: int):
    declared, runtime = DECLARED[spec], Runtime.from_metadata(DECLARED[spec].served().metadata[version])
    assert (runtime.spec_version, runtime.spec_name, runtime.ss58_prefix) == (spec, "node-subtensor", 42)
    assert runtime.check_all() > 100
    listed = {(item.ref.pallet, item.ref.item): item for item in runtime.items()}
    assert set(listed) == {(pallet.name, item.name) for pallet in declared.pallets for item in pallet.items}
    for pallet in declared.pallets:
        for item in pallet.items:
            found = listed[pallet.name, item.name]
            assert found.prefix == item.prefix(pallet.name)
            assert found.hashers == tuple(hasher.name for hasher, _ in item.keys)
            assert found.default_raw == item.default_raw()


def test_the_product_decodes_every_value_event_and_extrinsic(chain: Chain, runtimes: dict[int, Runtime]):
    decoded = Counter[str]()
    for number in range(1, LENGTH + 1):
        runtime = runtimes[chain.executed_by(chain.at(number).hash).spec_version]
        items = {item.prefix: item for one in (runtimes[293], runtime) for item in one.items()}
        for key, value in changed(chain, number).items():
            if key in UNLISTED:
                continue
            item = items[key[:32]]
            assert item.key(*item.split_key(key)) == key
            if isinstance(value, bytes):
                item.decode(value)
                decoded["values"] += 1
        state = chain.state(chain.at(number).hash)
        records = runtime.decode_events(state.get(prefix("Events", "System")) or b"")
        assert [f"{record.pallet}.{record.name}" for record in records] == [name for name, _ in events(chain, number)]
        decoded["events"] += len(records)
        calls = [runtime.decode_extrinsic(raw) for raw in chain.at(number).extrinsics]
        assert (calls[0].pallet, calls[0].call, calls[0].signed) == ("Timestamp", "set", False)
        assert all(call.signed for call in calls[1:])
        decoded["extrinsics"] += len(calls)
    assert min(decoded.values()) > 200


def test_no_rao_appears_or_vanishes(chain: Chain):
    for number, ledger in ledgers(chain):
        held = [value["data"] for _, value in ledger.rows("System.Account")]
        assert sum(data["free"] + data["reserved"] for data in held) == ledger.get("Balances.TotalIssuance"), number
        assert sum(tao for _, tao in ledger.rows("SubnetTAO")) == ledger.get("TotalStake"), number


def test_in_the_newer_runtime_each_pools_tao_lies_in_the_subnets_own_account(chain: Chain):
    for number in range(UPGRADE_AT + 1, LENGTH + 1):
        ledger = ledger_at(chain, number)
        for (netuid,), tao in ledger.rows("SubnetTAO"):
            account = ledger.get("System.Account", staking.subnet_account(netuid))
            assert account["data"]["free"] == tao, (number, netuid)


def test_the_oracle_and_the_runtime_agree_on_every_stake_and_no_pool_gives_more_than_it_has(chain: Chain):
    for number, ledger in ledgers(chain):
        given = Counter[tuple[bytes, int]]()
        for position, alpha in chain.stake_at(chain.at(number).hash).items():
            assert pools.value_of(ledger, *position) == alpha, (number, position)
            given[position.hotkey, position.netuid] += alpha
        for pool, alpha in given.items():
            assert alpha <= ledger.get("TotalHotkeyAlpha", *pool), (number, pool)


def test_total_alpha_staked_is_the_sum_of_the_pools(chain: Chain):
    for number in range(UPGRADE_AT + 1, LENGTH + 1):
        ledger, sums = ledger_at(chain, number), Counter[int]()
        for (_, netuid), alpha in ledger.rows("TotalHotkeyAlpha"):
            sums[netuid] += alpha
        assert {netuid: total for (netuid,), total in ledger.rows("TotalAlphaStaked") if total} == dict(sums)


def test_the_code_changes_one_block_before_the_new_runtime_executes_and_migrates(chain: Chain):
    code_block, first = chain.at(UPGRADE_AT), chain.at(UPGRADE_AT + 1)
    assert b"\x08" in code_block.header.digest
    assert b":code" in changed(chain, UPGRADE_AT)
    assert chain.runtime(code_block.hash).spec_version == 475
    assert [chain.executed_by(block.hash).spec_version for block in (code_block, first)] == [293, 475]
    before, after = ledger_at(chain, UPGRADE_AT), ledger_at(chain, UPGRADE_AT + 1)
    assert before.get("System.LastRuntimeUpgrade")["spec_version"] == 293
    assert after.get("System.LastRuntimeUpgrade")["spec_version"] == 475
    assert before.rows("Swap.AlphaSqrtPrice")
    assert not after.rows("Swap.AlphaSqrtPrice")
    assert after.rows("Swap.SwapBalancer")


def test_retired_share_rows_outlive_their_metadata_and_drain_away(chain: Chain, runtimes: dict[int, Runtime]):
    alpha = ItemRef("SubtensorModule", "Alpha")
    assert runtimes[293].has(alpha)
    assert not runtimes[475].has(alpha)
    left = [len(ledger_at(chain, number).rows("Alpha")) for number in range(UPGRADE_AT + 1, LENGTH + 1)]
    assert left[0] > 30
    assert all(later < sooner for sooner, later in pairwise(left) if sooner), "idle time converts rows in every block"
    mixed = ledger_at(chain, UPGRADE_AT + 5)
    v1, v2 = ({key[::2] for key, _ in mixed.rows(item)} for item in ("Alpha", "AlphaV2"))
    assert v1 & v2, "rows of both kinds stand in one pool"


def test_a_converted_row_keeps_its_value(chain: Chain):
    """Idle conversion moves a row from one map to the other and nobody's stake with it."""
    ledger = ledger_at(chain, UPGRADE_AT + 1)
    before = {key: pools.value_of(ledger, *key) for key, _ in ledger.rows("Alpha")}
    assert pools.convert_rows(ledger, 1000) > len(before)
    assert not ledger.rows("Alpha")
    assert {key: pools.value_of(ledger, *key) for key in before} == before


def test_closing_a_pool_makes_its_rows_worthless_without_touching_them(chain: Chain):
    closed_at = UPGRADE_AT + 7
    before, after = (chain.stake_at(chain.at(number).hash) for number in (closed_at - 1, closed_at))
    lost = {position for position, alpha in after.items() if alpha == 0 and before.get(position, 0) > 0}
    assert len(lost) > 3
    touched = {key[32:] for key in changed(chain, closed_at) if key[:32] in (prefix("Alpha"), prefix("AlphaV2"))}
    ledger = ledger_at(chain, closed_at)
    untouched = [
        one for one in lost if ledger.runtime.item("SubtensorModule", "AlphaV2").key("", *one)[32:] not in touched
    ]
    assert untouched
    later = chain.stake_at(chain.at(closed_at + 1).hash)
    pools_lost = {(one.hotkey, one.netuid) for one in lost}
    reopened = [one for one, alpha in later.items() if alpha and (one.hotkey, one.netuid) in pools_lost]
    assert reopened, "somebody staked into it again"
    assert any(later[one] == 0 for one in untouched if one in later), "the old rows stay retired"


def test_dividends_raise_stakes_without_a_share_row_or_an_event(chain: Chain):
    silent = 0
    for number in range(2, LENGTH + 1):
        before, after = (chain.stake_at(chain.at(n).hash) for n in (number - 1, number))
        keys = {key[32:] for key in changed(chain, number) if key[:32] in (prefix("Alpha"), prefix("AlphaV2"))}
        named = {part for _, fields in events(chain, number) for part in _accounts(fields)}
        item = SPEC_293.item("SubtensorModule", "Alpha")
        for position, alpha in after.items():
            quiet = item.key("", *position)[32:] not in keys and position.coldkey not in named
            silent += quiet and alpha > before.get(position, alpha)
    assert silent > 20


def _accounts(fields: Any) -> Iterator[bytes]:
    if isinstance(fields, bytes):
        yield fields
    elif isinstance(fields, dict | tuple | list):
        for part in fields.values() if isinstance(fields, dict) else fields:
            yield from _accounts(part)


def test_a_default_moves_without_a_write(chain: Chain, runtimes: dict[int, Runtime]):
    pow_allowed = ItemRef("SubtensorModule", "NetworkPowRegistrationAllowed")
    assert [runtimes[spec].default(pow_allowed) for spec in (293, 475)] == [True, False]
    stored = prefix(pow_allowed.item)
    assert not any(key.startswith(stored) for key in changed(chain, UPGRADE_AT + 1))


def test_hyperparameters_change_with_and_without_an_event(chain: Chain):
    told, silent = set[str](), set[str]()
    items = {prefix(name): name for name in ("Rho", "Burn", "AlphaValues", "EMAPriceHalvingBlocks", "LiquidAlphaOn")}
    for number in range(1, LENGTH + 1):
        names = [name for name, _ in events(chain, number)]
        told |= {name for name in names if name.startswith("SubtensorModule.") and name.endswith("Set")}
        silent |= {items[key[:32]] for key in changed(chain, number) if key[:32] in items}
    assert len(told) > 3
    assert len(silent) > 2
    assert "Burn" in silent


def test_accounts_die_and_return(chain: Chain):
    told = [event for number in range(1, LENGTH + 1) for event in events(chain, number)]
    deaths = {fields["account"] for name, fields in told if name == "System.KilledAccount"}
    births = {fields["account"] for name, fields in told if name == "System.NewAccount"}
    assert deaths & births
    lost = [fields["amount"] for name, fields in told if name == "Balances.DustLost"]
    assert lost
    assert all(0 < amount < 500 for amount in lost)


def test_a_hold_moves_free_to_reserved_without_a_balances_event(chain: Chain):
    for number in range(1, LENGTH + 1):
        noted = [name for name, _ in events(chain, number) if name == "Preimage.Noted"]
        if noted:
            reserved = [name for name, _ in events(chain, number) if name == "Balances.Reserved"]
            holders = [key for key in changed(chain, number) if key.startswith(prefix("Holds", "Balances"))]
            assert holders
            assert len(reserved) <= len([n for n, _ in events(chain, number) if n == "Proxy.ProxyAdded"])
            return
    pytest.fail("no preimage was noted")


def test_a_failed_call_pays_its_fee_and_leaves_nothing_else(monkeypatch: pytest.MonkeyPatch):
    def spoil_then_fail(origin: calls.Origin, **_: Any) -> None:
        origin.ledger.put("TaoWeight", value=1)
        origin.emit("System", "CodeUpdated")
        raise DispatchFailed("Other")

    monkeypatch.setitem(calls.HANDLERS, "System.remark", spoil_then_fail)
    chain, signer = simulated_chain(1), CAST.coldkeys[0]
    genesis, state = chain.genesis.header, chain.state(chain.genesis.hash)
    call = SignedCall(signer, {"System": {"remark": {"remark": b""}}})
    body = execute(SPEC_293, genesis, state, BlockTime(1, 1, CAST.authors[0]), [call])
    assert len(body.extrinsics) == 2
    assert not [key for key in body.changes if key.startswith(prefix("TaoWeight"))]
    stored = body.changes[prefix("Events", "System")]
    assert isinstance(stored, bytes)
    records = SPEC_293.item("System", "Events").value.decode(stored)
    names = [next(iter(one["event"].items())) for one in records if one["phase"] == {"ApplyExtrinsic": 1}]
    told = [(pallet, event if isinstance(event, str) else next(iter(event))) for pallet, event in names]
    charged = [("Balances", "Withdraw"), ("Balances", "Deposit"), ("TransactionPayment", "TransactionFeePaid")]
    assert told == [*charged, ("System", "ExtrinsicFailed")]
    assert SPEC_293.item("System", "Account").key("System", signer) in body.changes


def test_calls_fail_now_and_then(chain: Chain):
    failed = [number for number in range(1, LENGTH + 1) if "System.ExtrinsicFailed" in dict(events(chain, number))]
    assert len(failed) > 3


def test_the_changes_of_every_block_are_what_the_products_own_trie_walk_finds(chain: Chain):
    """Two implementations, one trie: the product's diff over our nodes gives our changes."""
    prefixes = [twox128(pallet.name) for pallet in SPEC_475.pallets]
    for number in range(1, LENGTH + 1):
        roots = (chain.at(n).header.state_root for n in (number - 1, number))
        walk = diff(*roots, prefixes, chain.store.raw)
        with pytest.raises(StopIteration) as done:
            next(walk)
        expected = {key: value for key, value in changed(chain, number).items() if key != b":code"}
        assert {change.key: change.value for change in done.value.value} == expected


def test_prices_follow_the_rule_of_the_runtime_that_executed_the_block(chain: Chain):
    before, after = (ledger_at(chain, number) for number in (UPGRADE_AT, UPGRADE_AT + 1))
    root = before.get("Swap.AlphaSqrtPrice", CONCENTRATED)
    assert chain.prices_at(chain.at(UPGRADE_AT).hash)[CONCENTRATED] == (root * root >> 64) * 10**9 >> 64
    tao, alpha = after.get("SubnetTAO", CONCENTRATED), after.get("SubnetAlphaIn", CONCENTRATED)
    quote = after.get("Swap.SwapBalancer", CONCENTRATED)
    assert quote != 5 * 10**17
    weighted = tao * (10**18 - quote) * 10**9 // (alpha * quote)
    assert chain.prices_at(chain.at(UPGRADE_AT + 1).hash)[CONCENTRATED] == weighted
