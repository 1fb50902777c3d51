"""Pairs that exceed a part are sorted in files, and the trie over them is the one over a list."""

from __future__ import annotations

import random

import pytest

from indexer.subtrie import pairs
from indexer.verify import spool
from indexer.verify.spool import Spool


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 95])
def test_pairs_come_sorted_whatever_their_number(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PAIRS_IN_MEMORY", 10)
    chance = random.Random(count)
    given = {
        chance.randbytes(chance.randint(32, 48)): chance.randbytes(chance.choice((0, 1, 8, 40))) for _ in range(count)
    }
    own = Spool()
    for key, value in given.items():
        own.add(key, value)
        assert len(own._held) < 10, "a part goes to a file"
    found, wanted = own.pairs(), pairs(given.items())
    assert (list(found.keys), list(found.values)) == (wanted.keys, wanted.values)
    assert isinstance(found.keys, list) == (count < 10)
    assert found.get(b"absent") is None
    for key in list(given)[:5]:
        assert found.get(key) == given[key]
    if given:
        assert found.node() == wanted.node()
        assert found.keys[-1] == wanted.keys[-1]
        assert found.keys[1:3] == wanted.keys[1:3]


def test_a_key_that_comes_twice_is_refused_across_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PAIRS_IN_MEMORY", 2)
    own = Spool()
    for key in (b"one", b"two", b"six", b"one"):
        own.add(key, b"")
    with pytest.raises(ValueError, match="is there twice"):
        own.pairs()
