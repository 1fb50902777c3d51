"""The block tree: growth, forks, finality, pruning; and that a seed decides everything."""

from __future__ import annotations

import pytest

from indexer.devchain.blocks import GENESIS_PARENT, ChainBlock
from indexer.devchain.chain import Chain, Listener, StateDiscarded, UnknownBlock
from indexer.devchain.simulate import simulated_chain
from indexer.trie import blake2_256


def new_chain(**options: int | None) -> Chain:
    return simulated_chain(3, upgrade_at=None, **options)  # type: ignore[arg-type]


def test_every_block_continues_its_parent_and_its_hash_is_that_of_its_header():
    chain = new_chain()
    chain.grow(5)
    assert chain.genesis.header.parent_hash == GENESIS_PARENT
    for number in range(1, 6):
        block, header = chain.at(number), chain.at(number).header
        assert header.parent_hash == chain.at(number - 1).hash
        digest = bytes([len(header.digest) << 2]) + b"".join(header.digest)
        encoded = header.parent_hash + bytes([number << 2]) + header.state_root + header.extrinsics_root + digest
        assert blake2_256(encoded) == block.hash


def test_the_same_seed_gives_the_same_chain_and_another_seed_another():
    heads = [simulated_chain(seed).grow(25)[-1].hash for seed in (7, 7, 8)]
    assert heads[0] == heads[1] != heads[2]


def test_a_shorter_fork_changes_nothing_and_a_longer_one_takes_over():
    chain = new_chain()
    chain.grow(6)
    before = chain.best
    side = chain.fork(at=3, length=3)
    assert chain.best == before
    assert side[0].header.parent_hash == chain.at(3).hash
    assert side[0].hash != chain.at(4).hash
    longer = chain.import_block(side[-1])
    assert longer is not None
    assert chain.best == longer
    assert [chain.hash_at(number) for number in range(4, 8)] == [block.hash for block in (*side, longer)]
    assert chain.block(before.hash) == before, "the lost branch can still be asked for"


def test_two_forks_of_one_block_differ_by_salt():
    chain = new_chain()
    chain.grow(2)
    one, two = chain.fork(1, 1, salt=1)[0], chain.fork(1, 1, salt=2)[0]
    assert len({one.hash, two.hash, chain.at(2).hash}) == 3


def test_a_node_may_switch_to_an_equally_long_fork_but_never_below_finality():
    chain = new_chain()
    chain.grow(5)
    side = chain.fork(at=2, length=3)
    chain.set_best(side[-1].hash)
    assert chain.best == side[-1]
    chain.finalize(3)
    with pytest.raises(ValueError, match="does not descend"):
        chain.set_best(chain.fork(at=2, length=4, salt=9)[-1].hash)
    assert chain.finalized.hash == side[0].hash


def test_finality_never_goes_back_and_tells_only_the_last_of_several():
    chain = new_chain()
    told = list[int]()
    chain.listeners.append(Listener(_ignore, _ignore, lambda block: told.append(block.number)))
    chain.grow(6)
    chain.finalize(2)
    chain.finalize(5)
    chain.finalize(4)
    assert told == [2, 5]
    assert chain.finalized.number == 5
    with pytest.raises(UnknownBlock):
        chain.finalize(7)


def test_listeners_hear_of_side_blocks_as_imported_but_not_as_best():
    chain = new_chain()
    imported, best = list[bytes](), list[bytes]()
    listen = Listener(lambda block: imported.append(block.hash), lambda block: best.append(block.hash), _ignore)
    chain.listeners.append(listen)
    chain.grow(3)
    side = chain.fork(at=1, length=1)
    assert imported == [*best, side[0].hash]
    assert len(best) == 3


def test_a_pruned_state_is_refused_while_its_block_is_still_there():
    chain = new_chain(keep_states=2)
    chain.grow(6)
    chain.finalize(5)
    assert chain.state(chain.at(4).hash).keys(count=1)
    with pytest.raises(StateDiscarded):
        chain.state(chain.at(3).hash)
    assert chain.at(3).extrinsics
    with pytest.raises(UnknownBlock):
        chain.state(bytes(32))


def test_a_chain_of_any_length_keeps_what_it_must_serve_and_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("indexer.devchain.chain.SWEEP_EVERY_BLOCKS", 10)
    chain, whole = (
        simulated_chain(3, upgrade_at=None, quiet_from=1, keep_states=states, keep_blocks=blocks)
        for states, blocks in ((5, 8), (None, None))
    )
    sizes = []
    for _ in range(6):
        chain.grow(20)
        chain.fork(chain.best.number - 3, 2, salt=7)
        chain.finalize(chain.best.number - 2)
        sizes.append(len(chain.store.raw))
    assert max(sizes[1:]) < 2 * sizes[0]
    assert len(chain._blocks) < 20
    whole.grow(120)
    assert len(whole.store.raw) > 3 * sizes[-1]
    for number in range(chain.finalized.number - 4, chain.best.number + 1):
        ours, theirs = chain.state(chain.at(number).hash), whole.state(whole.at(number).hash)
        assert dict(ours.store.items(ours.root)) == dict(theirs.store.items(theirs.root))
        assert ours.prove(list(ours.keys(count=5))) == theirs.prove(list(theirs.keys(count=5)))
    assert chain.block(chain.genesis.hash) == chain.genesis
    assert chain.hash_at(50) == whole.hash_at(50)
    with pytest.raises(UnknownBlock):
        chain.at(50)
    with pytest.raises(ValueError, match="before its state"):
        new_chain(keep_states=5, keep_blocks=4)


def test_a_quiet_chain_goes_through_upgrades_and_its_state_stops_growing():
    chain = simulated_chain(3, upgrade_at=2, quiet_from=24, upgrade_every=30, keep_states=4, keep_blocks=4)
    keys = []
    for _ in range(5):
        chain.grow(40)
        chain.finalize(chain.best.number)
        # The runtime itself keeps one hash per block, for 4096 blocks.
        keys.append(len(chain.state(chain.best.hash).keys()) - chain.best.number)
    assert keys[-1] - keys[1] < 120, "a key per block: a lively one has four"
    assert chain.executed_by(chain.best.hash).spec_version == 475 + 200 // 30


def _ignore(_: ChainBlock) -> None:
    """A listener that does not care."""
