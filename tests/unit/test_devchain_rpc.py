"""The RPC methods against one chain, answer by answer, and the errors a real node gives."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.devchain.chain import Chain
from indexer.devchain.rpc import RpcError, call, header_json
from indexer.devchain.runtimes import SPEC_293
from indexer.devchain.simulate import simulated_chain
from indexer.trie import blake2_256, by_hash, diff


@pytest.fixture(scope="module")
def chain() -> Chain:
    made = simulated_chain(5, upgrade_at=4, keep_states=3)
    made.grow(8)
    made.finalize(6)
    return made


def hexed(raw: bytes) -> str:
    return "0x" + raw.hex()


def ask(chain: Chain, method: str, *params: Any) -> Any:
    return call(chain, method, list(params))


NUMBER_KEY = hexed(SPEC_293.item("System", "Number").key("System"))
DIGEST_KEY = hexed(SPEC_293.item("System", "Events").key("System"))
ABSENT_KEY = "0x" + "ab" * 32


def test_block_hashes_by_number_hex_list_and_nothing(chain: Chain):
    hashes = [hexed(chain.at(number).hash) for number in range(9)]
    assert ask(chain, "chain_getBlockHash") == ask(chain, "chain_getBlockHash", None) == hashes[8]
    assert ask(chain, "chain_getBlockHash", 3) == ask(chain, "chain_getBlockHash", "0x3") == hashes[3]
    assert ask(chain, "chain_getBlockHash", [0, "0x2", 99]) == [hashes[0], hashes[2], None]
    assert ask(chain, "chain_getBlockHash", 9) is None
    assert ask(chain, "chain_getFinalizedHead") == hashes[6]


def test_headers_and_blocks(chain: Chain):
    block = chain.at(5)
    header = ask(chain, "chain_getHeader", hexed(block.hash))
    assert header == header_json(block)
    assert (header["number"], header["parentHash"]) == ("0x5", hexed(chain.at(4).hash))
    assert ask(chain, "chain_getHeader")["number"] == "0x8"
    answer = ask(chain, "chain_getBlock", hexed(block.hash))
    assert answer["block"]["header"] == header
    assert [bytes.fromhex(raw[2:]) for raw in answer["block"]["extrinsics"]] == list(block.extrinsics)
    assert ask(chain, "chain_getBlock", ABSENT_KEY) is None
    assert ask(chain, "chain_getHeader", ABSENT_KEY) is None


def test_storage_by_key_many_keys_hash_and_size(chain: Chain):
    at = hexed(chain.at(7).hash)
    assert ask(chain, "state_getStorage", NUMBER_KEY, at) == "0x07000000"
    assert ask(chain, "state_getStorageAt", NUMBER_KEY) == "0x08000000"
    assert ask(chain, "state_getStorage", ABSENT_KEY, at) is None
    changes = [[NUMBER_KEY, "0x07000000"], [ABSENT_KEY, None]]
    assert ask(chain, "state_queryStorageAt", [NUMBER_KEY, ABSENT_KEY], at) == [{"block": at, "changes": changes}]
    value = bytes.fromhex(ask(chain, "state_getStorage", DIGEST_KEY, at)[2:])
    assert ask(chain, "state_getStorageSize", DIGEST_KEY, at) == len(value) > 32
    assert ask(chain, "state_getStorageHash", DIGEST_KEY, at) == hexed(blake2_256(value))


def test_pages_of_keys_join_to_the_whole_list(chain: Chain):
    state = chain.state(chain.best.hash)
    whole = list(map(hexed, state.keys()))
    pages, start = list[str](), None
    while page := ask(chain, "state_getKeysPaged", "0x", 70, start):
        pages += page
        start = page[-1]
    assert pages == whole
    prefix = NUMBER_KEY[:34]
    assert ask(chain, "state_getKeysPagedAt", prefix, 1000) == [key for key in whole if key.startswith(prefix)]


def test_a_read_proof_lets_the_product_read_a_whole_map_from_the_state_root(chain: Chain):
    prefix = SPEC_293.item("SubtensorModule", "SubnetTAO").prefix("SubtensorModule")
    state = chain.state(chain.at(7).hash)
    keys = state.keys(prefix)
    proof = ask(chain, "state_getReadProof", [hexed(key) for key in keys], hexed(chain.at(7).hash))
    assert proof["at"] == hexed(chain.at(7).hash)
    walk = diff(
        None, chain.at(7).header.state_root, [prefix], by_hash(bytes.fromhex(raw[2:]) for raw in proof["proof"])
    )
    with pytest.raises(StopIteration) as done:
        next(walk)
    assert {change.key: change.value for change in done.value.value} == {key: state.get(key) for key in keys}


def test_metadata_and_version_are_of_the_runtime_in_the_blocks_state(chain: Chain):
    code_block, before = hexed(chain.at(6).hash), chain.at(7)
    version = ask(chain, "state_getRuntimeVersion", code_block)
    assert version == ask(chain, "chain_getRuntimeVersion", code_block)
    assert (version["specName"], version["specVersion"]) == ("node-subtensor", 475)
    metadata = bytes.fromhex(ask(chain, "state_getMetadata", hexed(before.hash))[2:])
    assert metadata[:5] == b"meta\x0e"
    assert ask(chain, "state_call", "Metadata_metadata_versions", "0x") == "0x080e0000000f000000"
    v15 = bytes.fromhex(ask(chain, "state_call", "Metadata_metadata_at_version", "0x0f000000")[2:])
    assert v15[0] == 1
    assert v15[5:10] == b"meta\x0f"
    assert ask(chain, "state_call", "Metadata_metadata_at_version", "0x10000000") == "0x00"
    opaque = bytes.fromhex(ask(chain, "state_call", "Metadata_metadata", "0x")[2:])
    assert opaque[4:] == metadata
    assert ask(chain, "state_call", "Core_version", "0x").startswith("0x38" + b"node-subtensor".hex())


def test_system_methods_and_the_list_of_all(chain: Chain):
    assert ask(chain, "system_properties") == {"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO"}
    assert ask(chain, "system_health")["isSyncing"] is False
    for method in ("system_chain", "system_name", "system_version", "system_chainType"):
        assert isinstance(ask(chain, method), str)
    methods = ask(chain, "rpc_methods")["methods"]
    assert {"state_getReadProof", "chain_subscribeFinalizedHeads", "chain_unsubscribeNewHeads"} <= set(methods)


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("state_getPairs", ["0x"], -32601, "Method not found"),
        ("chain_getBlockHash", ["three"], -32602, "expected a block number"),
        ("chain_getBlockHash", [True], -32602, "expected a block number"),
        ("chain_getHeader", ["0x1234"], -32602, "a block hash has 32 bytes, not 2"),
        ("state_getStorage", ["0xzz"], -32602, "expected 0x-prefixed hex"),
        ("state_getStorage", [], -32602, "expected 0x-prefixed hex"),
        ("state_queryStorageAt", ["0x00"], -32602, "expected a sequence"),
        ("state_getReadProof", [], -32602, "expected a sequence"),
        ("state_getKeysPaged", ["0x", 1001], 4002, "value: 1001, max: 1000"),
        ("state_getStorage", [NUMBER_KEY, ABSENT_KEY], 4003, "UnknownBlock: Header was not found"),
        ("state_call", ["Nothing_here", "0x"], 4003, "Exported method Nothing_here is not found"),
    ],
)
def test_what_a_client_gets_wrong_has_a_nodes_error_code(
    chain: Chain, method: str, params: list[Any], code: int, message: str
):
    with pytest.raises(RpcError, match=message) as raised:
        call(chain, method, params)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "method", ["state_getStorage", "state_getReadProof", "state_getMetadata", "state_getKeysPaged"]
)
def test_a_pruned_state_is_refused_in_a_nodes_words(chain: Chain, method: str):
    at = hexed(chain.at(3).hash)
    params = {
        "state_getStorage": [NUMBER_KEY, at],
        "state_getReadProof": [[NUMBER_KEY], at],
        "state_getMetadata": [at],
        "state_getKeysPaged": ["0x", 10, None, at],
    }
    with pytest.raises(RpcError, match=f"State already discarded for {at}") as raised:
        call(chain, method, params[method])
    assert raised.value.code == 4003
