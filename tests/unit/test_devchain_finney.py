"""The profile ``finney`` in a small size: what is in its blocks, how it is served from disk, what its folder bears."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.devchain import finney, rpc
from indexer.devchain.finney_state import ACCOUNT, RUNTIME, prefix
from indexer.devchain.prepared import BLOCKS, MANIFEST, NODES, BadFolder, PreparedChain
from indexer.devchain.rpc import RpcError, hexed
from indexer.devchain.served import Listener
from indexer.devchain.staking import subnet_account
from indexer.devchain.trie_build import TrieStore
from indexer.errors import ConfigError
from indexer.trie import EMPTY_ROOT

SIZES = replace(finney.SMALL, accounts=1_000, stakes=450, pools=80, blocks=16, tempo=6)
LAST = SIZES.blocks - 1
SHORT = replace(SIZES, blocks=4)
STAKE_ITEMS = tuple(map(prefix, ("AlphaV2", "TotalHotkeyAlpha", "TotalHotkeySharesV2")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finney.prepare(tmp_path_factory.mktemp("finney"), SIZES, seed=5)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Iterator[PreparedChain]:
    """The chain with all its blocks shown."""
    with finney.open_chain(folder) as chain:
        chain.grow(LAST)
        yield chain


@pytest.fixture(scope="module")
def states(whole: PreparedChain) -> list[dict[bytes, bytes | None]]:
    """Every state as a plain dictionary."""
    found = []
    for number in range(LAST + 1):
        state = whole.state(whole.at(number).hash)
        keys = state.keys()
        found.append({key: state.get(key) for key in keys})
    return found


def changed(states: list[dict[bytes, bytes | None]], number: int) -> set[bytes]:
    before, after = states[number - 1], states[number]
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def accounts_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from accounts_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from accounts_in(part)


def named_in(state: dict[bytes, bytes | None]) -> set[bytes]:
    """Everything in a block's events that may be an account."""
    item = RUNTIME.item("System", "Events")
    return set(accounts_in(item.value.decode(state[item.key("System")] or b"")))


def test_headers_commit_to_the_states_that_are_served(
    whole: PreparedChain, states: list[dict[bytes, bytes | None]]
) -> None:
    store = TrieStore()
    root = store.update(EMPTY_ROOT, states[0])
    for number in range(1, LAST + 1):
        root = store.update(root, {key: states[number].get(key) for key in changed(states, number)})
        assert whole.at(number).header.state_root == root


@pytest.fixture(scope="module")
def store(states: list[dict[bytes, bytes | None]]) -> tuple[TrieStore, bytes]:
    """The last state as the other devchain keeps it."""
    store = TrieStore()
    return store, store.update(EMPTY_ROOT, states[-1])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_read_proof_is_the_one_that_a_chain_in_memory_gives(
    whole: PreparedChain, store: tuple[TrieStore, bytes], states: list[dict[bytes, bytes | None]], data: st.DataObject
) -> None:
    stored = sorted(states[-1])
    existing = st.integers(0, len(stored) - 1).map(stored.__getitem__)
    cut = st.tuples(existing, st.integers(0, 98)).map(lambda pair: pair[0][: pair[1]])
    other = st.tuples(existing, st.integers(0, 97)).map(
        lambda pair: pair[0][: pair[1]] + bytes([pair[0][pair[1] % len(pair[0])] ^ 0x11]) + pair[0][pair[1] + 1 :]
    )
    asked = data.draw(st.lists(st.one_of(existing, cut, other), max_size=40))
    at = hexed(whole.best.hash)
    told = json.loads(rpc.as_text(rpc.call(whole, "state_getReadProof", [[hexed(key) for key in asked], at])))
    assert told == {"at": at, "proof": [hexed(raw) for raw in store[0].prove(store[1], asked)]}


def test_so_many_accounts_change_and_nearly_all_are_named_by_an_event(
    states: list[dict[bytes, bytes | None]],
) -> None:
    subnets = {subnet_account(netuid) for netuid in range(SIZES.subnets)}
    times = Counter[bytes]()
    for number in range(1, LAST + 1):
        moved = {key[48:] for key in changed(states, number) if key.startswith(ACCOUNT)}
        assert SIZES.changed_accounts - 2 <= len(moved) <= SIZES.changed_accounts + 4
        silent = moved - subnets - named_in(states[number])
        assert len(silent) <= SIZES.changed_accounts // 10
        times.update(moved - subnets)
    assert max(times.values()) > LAST // 2, "somebody is in most blocks"
    assert sorted(times.values())[len(times) // 2] <= 2, "most are not"


def test_stake_changes_by_events_and_in_bursts_without_where_epochs_end(
    states: list[dict[bytes, bytes | None]],
) -> None:
    counts = []
    for number in range(1, LAST + 1):
        keys = {key for key in changed(states, number) if key.startswith(STAKE_ITEMS)}
        named = named_in(states[number])
        counts.append((len(keys), sum(key[48:80] in named for key in keys) / len(keys)))
    quiet = [one for one in counts if one[0] <= SIZES.changed_stake_keys]
    bursts = [one for one in counts if one[0] > 2 * SIZES.changed_stake_keys]
    assert min(share for _, share in quiet) == 1.0
    assert len(bursts) > LAST // SIZES.tempo
    assert min(share for _, share in bursts) < 0.8


def test_every_value_of_every_pool_changes_in_every_block(states: list[dict[bytes, bytes | None]]) -> None:
    items = ("SubnetTAO", "SubnetAlphaIn", "SubnetAlphaOut", "SubnetMovingPrice", "SubnetVolume", "Burn", "Difficulty")
    for number in range(1, LAST + 1):
        keys = changed(states, number)
        for netuid in range(1, SIZES.subnets):
            assert {RUNTIME.item("SubtensorModule", item).key("SubtensorModule", netuid) for item in items} <= keys


def test_blocks_are_there_when_they_are_shown_and_not_before(folder: Path, whole: PreparedChain) -> None:
    with finney.open_chain(folder) as chain:
        told = list[tuple[str, int]]()
        chain.listeners.append(
            Listener(
                lambda block: told.append(("block", block.number)),
                lambda block: told.append(("best", block.number)),
                lambda block: told.append(("finalized", block.number)),
            )
        )
        second = whole.at(2).hash
        assert chain.best.number == 0
        with pytest.raises(RpcError, match="UnknownBlock"):
            rpc.call(chain, "state_getReadProof", [[hexed(ACCOUNT)], hexed(second)])
        assert rpc.call(chain, "chain_getBlockHash", [2]) is None
        chain.grow(2)
        assert rpc.call(chain, "chain_getBlockHash", [2]) == hexed(second)
        assert rpc.call(chain, "state_getReadProof", [[hexed(ACCOUNT)], hexed(second)])["proof"]
        chain.finalize(2)
        chain.finalize(1)
        assert told == [("block", 1), ("best", 1), ("block", 2), ("best", 2), ("finalized", 2)]
        assert [block.number for block in chain.grow(10**6)] == list(range(3, SIZES.blocks))
        assert chain.grow() == []


def test_the_same_seed_gives_the_same_chain_and_another_one_another(tmp_path: Path) -> None:
    hashes = []
    for seed in (5, 5, 6):
        made = finney.prepare(tmp_path, SHORT, seed)
        with finney.open_chain(made) as chain:
            hashes.append(chain.grow(10)[-1].hash)
        shutil.rmtree(made)
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_is_whole_is_not_made_again(tmp_path: Path) -> None:
    made = finney.prepare(tmp_path, SHORT)
    marked = made / "marked"
    marked.touch()
    told = list[tuple[int, int]]()
    assert finney.prepare(tmp_path, SHORT, tell=lambda *done: told.append(done)) == made
    assert (marked.exists(), told) == (True, [])
    assert finney.prepare(tmp_path, replace(SHORT, blocks=3)) != made
    assert finney.prepare(tmp_path, SHORT, seed=2) != made


def cut_off(made: Path) -> None:
    os.truncate(made / NODES, (made / NODES).stat().st_size - 1)


def of_another_version(made: Path) -> None:
    manifest = json.loads((made / MANIFEST).read_text())
    (made / MANIFEST).write_text(json.dumps({**manifest, "version": 0}))


def without_manifest(made: Path) -> None:
    (made / MANIFEST).unlink()


def with_half_a_manifest(made: Path) -> None:
    (made / MANIFEST).write_text((made / MANIFEST).read_text()[:40])


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (cut_off, "is damaged: files of"),
        (of_another_version, "is of format 0, not"),
        (without_manifest, "holds no prepared chain"),
        (with_half_a_manifest, "holds no prepared chain"),
    ],
)
def test_a_spoilt_folder_is_refused_and_made_anew(
    tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    made = finney.prepare(tmp_path, SHORT)
    spoil(made)
    with pytest.raises(BadFolder, match=f"{re.escape(str(made))} {complaint}"):
        finney.open_chain(made)
    assert finney.prepare(tmp_path, SHORT) == made
    with finney.open_chain(made) as chain:
        assert len(chain.grow(10)) == SHORT.blocks - 1


def test_an_altered_block_is_refused(tmp_path: Path) -> None:
    made = finney.prepare(tmp_path, SHORT)
    lines = (made / BLOCKS).read_text().splitlines()
    block = json.loads(lines[2])
    block["state_root"] = "00" * 32
    lines[2] = json.dumps(block)
    (made / BLOCKS).write_text("\n".join(lines) + "\n")
    with pytest.raises(BadFolder, match="block 2 has another hash"):
        finney.open_chain(made)


def test_of_a_chain_that_was_not_finished_nothing_is_left(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finney.prepare(tmp_path, SHORT, tell=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path: Path) -> None:
    made = finney.prepare(tmp_path, SHORT)
    shutil.rmtree(made)
    abandoned, living = (tmp_path / f".{made.name}.{name}" for name in ("abandoned", "living"))
    for left in (abandoned, living):
        left.mkdir()
    held = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        finney.prepare(tmp_path, SHORT)
        assert (abandoned.exists(), living.exists()) == (False, True)
    finally:
        os.close(held)


def test_sizes_that_cannot_be_are_refused_by_name() -> None:
    for accounts in (1_000, 5_000, 20_000, 1_000_000):
        assert finney.sizes_of(accounts).accounts == accounts
    with pytest.raises(ConfigError, match="too few accounts"):
        finney.sizes_of(60)
    with pytest.raises(ConfigError, match="2 blocks"):
        finney.sizes_of(5_000, 1)
