"""Rate limits: a key that is an enum becomes a text that people can ask for, and the same key again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.datasets import rate_limits
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef
from indexer.scale import Runtime, ss58_encode

(SOURCE,) = rate_limits.DATASET.sources
ITEM = ItemRef("SubtensorModule", "LastRateLimitedBlock")
NOTHING = Block(1, b"", b"", b"", b"", (), 0, 0, True, False, False, {}, {})
ACCOUNT = bytes(range(32))
NAMES = st.from_regex(r"[A-Z][A-Za-z]{0,20}", fullmatch=True)
PARTS = st.integers(0, 2**64) | st.binary(min_size=32, max_size=32) | st.binary(min_size=20, max_size=20) | NAMES


def told(key: object) -> str:
    (row,) = rate_limits.DATASET.rows(NOTHING, [Change(ITEM, (key,), 5, b"")], None)  # type: ignore[arg-type]
    assert row.values == {"last_block": 5}
    return str(row.key[0])


def back(name: str) -> object:
    ((source, key),) = rate_limits.DATASET.places("rate_limits", (name,))
    assert source == SOURCE
    (limit,) = key
    return limit


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("NetworkLastRegistered", "NetworkLastRegistered"),
        ({"SetSNOwnerHotkey": 7}, "SetSNOwnerHotkey:7"),
        ({"LastTxBlock": ACCOUNT}, f"LastTxBlock:{ss58_encode(ACCOUNT)}"),
        ({"OwnerHyperparamUpdate": (7, "ServingRateLimit")}, "OwnerHyperparamUpdate:7:ServingRateLimit"),
    ],
)
def test_a_limit_is_told_by_case_and_parts(key: object, name: str) -> None:
    assert told(key) == name
    assert back(name) == key


@given(NAMES, st.lists(PARTS, min_size=1, max_size=3))
def test_every_text_gives_back_its_key(case: str, parts: list[object]) -> None:
    key = {case: parts[0] if len(parts) == 1 else tuple(parts)}
    assert back(told(key)) == key


@pytest.mark.parametrize("key", [7, {"Two": 1, "Cases": 2}, {"Deep": {"er": 1}}, {"Flag": True}])
def test_a_key_of_another_shape_is_refused_and_not_guessed(key: object) -> None:
    with pytest.raises(DecodeError):
        told(key)


@pytest.mark.realdata
def test_keys_of_real_runtimes_go_to_a_text_and_back(realdata: Path) -> None:
    for file, raws in (
        ("spec293.v15", ["000700"]),
        ("spec424.v16", ["02", f"03{ACCOUNT.hex()}", "01070001", "060700", f"05{ACCOUNT.hex()}"]),
    ):
        runtime = Runtime.from_metadata((realdata / f"metadata/{file}.scale").read_bytes())
        kind = runtime.item(ITEM)
        assert kind is not None
        for raw in map(bytes.fromhex, raws):
            (decoded,) = kind.split_key(kind.prefix + raw)
            assert kind.key(back(told(decoded))) == kind.prefix + raw
