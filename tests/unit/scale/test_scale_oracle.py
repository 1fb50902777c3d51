"""Real and synthetic values of spec 343, decoded as scalecodec decodes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scalecodec_oracle import Oracle, as_v14, mortal_era, plain_of_ours, plain_of_scalecodec

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import Runtime, StorageItem, trace

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def v14(realdata: Path) -> bytes:
    return (realdata / "metadata" / "spec343.v14.scale").read_bytes()


@pytest.fixture(scope="module")
def v15(realdata: Path) -> bytes:
    return (realdata / "metadata" / "spec343.v15.scale").read_bytes()


@pytest.fixture(scope="module")
def runtime(v14: bytes) -> Runtime:
    return Runtime.from_metadata(v14)


@pytest.fixture(scope="module")
def runtime_v15(v15: bytes) -> Runtime:
    return Runtime.from_metadata(v15)


@pytest.fixture(scope="module")
def oracle(v14: bytes) -> Oracle:
    return Oracle(v14)


def recorded(realdata: Path, name: str) -> Any:
    return json.loads((realdata / "recorded" / name).read_text())


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.strip().removeprefix("0x"))


def item_of(runtime: Runtime, key: bytes) -> StorageItem:
    (item,) = [item for item in runtime.items() if key.startswith(item.prefix)]
    return item


def same_by_three_decoders(item: StorageItem, raw: bytes, oracle: Oracle) -> None:
    ours = item.decode(raw)
    assert plain_of_ours(ours) == oracle.decode(item.value_type, raw)
    assert trace.decode(item.codec.registry, item.value_type, raw) == (ours, len(raw))
    assert item.encode(ours) == raw


def test_932_fuzzed_events_agree(realdata: Path, runtime: Runtime, oracle: Oracle) -> None:
    events = runtime.item(ItemRef("System", "Events"))
    vectors = recorded(realdata, "events_fuzz_spec343.json")
    assert events is not None
    assert len(vectors) == 932
    names = set()
    for vector in vectors:
        same_by_three_decoders(events, unhex(vector), oracle)
        (record,) = runtime.decode_events(unhex(vector))
        names.add((record.pallet, record.name))
        assert runtime.encode_events([record]) == unhex(vector)
    assert len(names) == 233


def test_a_block_of_synthetic_events_agrees(realdata: Path, runtime: Runtime, oracle: Oracle) -> None:
    events = runtime.item(ItemRef("System", "Events"))
    assert events is not None
    raw = unhex((realdata / "recorded" / "events_synthetic_spec343.hex").read_text())
    same_by_three_decoders(events, raw, oracle)
    records = runtime.decode_events(raw)
    assert len(records) == 152
    assert (records[0].phase, records[0].extrinsic_index) == ("ApplyExtrinsic", 0)
    assert (records[0].pallet, records[0].name) == ("System", "ExtrinsicSuccess")
    assert runtime.encode_events(records) == raw


def test_extrinsics_agree(realdata: Path, runtime: Runtime, oracle: Oracle) -> None:
    vectors = recorded(realdata, "extrinsics_synthetic_spec343.json")
    assert len(vectors) == 4
    for vector in vectors.values():
        ours, theirs = runtime.decode_extrinsic(unhex(vector)), oracle.extrinsic(unhex(vector))
        arguments = {a["name"]: a["value"] for a in theirs["call"]["call_args"]}
        assert (ours.pallet, ours.call) == (theirs["call"]["call_module"], theirs["call"]["call_function"])
        assert plain_of_ours(ours.args) == plain_of_scalecodec(arguments)
        assert ours.hash == unhex(theirs["extrinsic_hash"]) if theirs["extrinsic_hash"] else not ours.signed
        if not ours.signed:
            assert ours.extensions == {}
            continue
        assert plain_of_ours(ours.signer) == plain_of_scalecodec(theirs["address"])
        assert plain_of_ours(ours.signature) == plain_of_scalecodec(theirs["signature"])
        assert ours.extensions["CheckNonce"] == theirs["nonce"]
        assert ours.extensions["ChargeTransactionPayment"] == theirs["tip"]
        assert mortal_era(ours.extensions["CheckMortality"]) == theirs["era"]


def test_recorded_storage_values_agree(realdata: Path, runtime: Runtime, oracle: Oracle) -> None:
    account = recorded(realdata, "account_info.json")
    pairs = [(account["key"], account["value"])]
    pairs += [(key, value) for _, key, value in recorded(realdata, "storage_values.json")]
    for answers in recorded(realdata, "query_storage_at.json").values():
        pairs += [pair for answer in answers for pair in answer["changes"] if pair[1] is not None]
    assert len(pairs) > 200
    for key, value in pairs:
        item = item_of(runtime, unhex(key))
        same_by_three_decoders(item, unhex(value), oracle)
        assert item.key(*item.split_key(unhex(key))) == unhex(key)


def test_recorded_runtime_api_results_agree(realdata: Path, runtime_v15: Runtime, v15: bytes) -> None:
    oracle, checked = Oracle(as_v14(v15)), 0
    for name, answer in recorded(realdata, "runtime_api.json").items():
        api, method = name.split("@")[0].split("Api_")
        if method == "get_subnet_hyperparams":
            continue
        raw = unhex(answer["result"])
        output = runtime_v15.apis[api + "Api", method].output
        ours = runtime_v15.decode_api(api + "Api", method, raw)
        assert plain_of_ours(ours) == oracle.decode(output, raw)
        assert runtime_v15.encode_type(output, ours) == raw
        checked += 1
    assert checked == 4


def test_hyperparameters_of_an_older_runtime_are_refused_with_path_and_offset(
    realdata: Path, runtime_v15: Runtime
) -> None:
    (answer,) = [v for k, v in recorded(realdata, "runtime_api.json").items() if "get_subnet_hyperparams" in k]
    with pytest.raises(DecodeError) as refused:
        runtime_v15.decode_api("SubnetInfoRuntimeApi", "get_subnet_hyperparams", unhex(answer["result"]))
    assert refused.value.offset == 0
    assert refused.value.path == "Option<SubnetHyperparams>"
    assert "unknown variant 25" in str(refused.value)
    # With the tag that it lacks put before it, it goes wrong inside the struct.
    with pytest.raises(DecodeError) as refused:
        runtime_v15.decode_api("SubnetInfoRuntimeApi", "get_subnet_hyperparams", b"\x01" + unhex(answer["result"]))
    assert str(refused.value) == "bool is 33 in Option<SubnetHyperparams>.registration_allowed: bool at byte 35"
