"""The comparison with npm packages: what it holds their rows against is the chain, and it names no registry."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from indexer.devchain.simulate import simulated_chain

PEERS = Path(__file__).resolve().parents[1] / "bench/peers"
BLOCKS = 24


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PEERS))
    return importlib.import_module("truth")


def test_a_row_that_is_missing_wrong_or_too_many_is_counted(truth: ModuleType) -> None:
    chain = simulated_chain(1)
    chain.grow(BLOCKS)
    true = truth.truth(chain, BLOCKS)
    assert len(true.balances) > BLOCKS
    assert true.transfers
    assert truth.found(true, true.transfers, true.balances) == truth.Found(
        len(true.transfers), 0, len(true.balances), 0, 0, 0
    )
    rows = dict(true.balances)
    first, second, *_ = rows
    del rows[first]
    rows[second] += 1
    rows[BLOCKS, bytes(32)] = 0
    assert truth.found(true, true.transfers[1:], rows) == truth.Found(
        len(true.transfers) - 1, 1, len(true.balances), missed=1, wrong=1, unchanged=1
    )


def test_what_events_do_not_name_is_counted(truth: ModuleType) -> None:
    chain = simulated_chain(1)
    chain.grow(BLOCKS)
    true = truth.truth(chain, BLOCKS)
    assert true.unnamed == 0, "each change of a free balance is named by an event of Balances"
    assert 0 < true.no_transfer < len(true.balances)
    assert 0 < true.pools_unnamed < true.pools, "emission changes stake and says nothing of it"


@pytest.mark.parametrize("name", ["subql", "squid"])
def test_the_locks_pin_every_package_and_name_no_registry(name: str) -> None:
    lock = json.loads((PEERS / name / "package-lock.json").read_text(encoding="utf-8"))
    asked = json.loads((PEERS / name / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert lock["packages"][""]["dependencies"] == asked
    packages = {place: one for place, one in lock["packages"].items() if place}
    assert not [place for place, one in packages.items() if "resolved" in one]
    assert not [place for place, one in packages.items() if not one.get("integrity", "").startswith("sha512-")]
