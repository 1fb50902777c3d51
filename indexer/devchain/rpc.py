"""The JSON-RPC methods of a Substrate node over one simulated chain: parameters in, JSON out. Pure.

Names, shapes and error codes are those of ``sc-rpc-api``, as public clients rely on them. Nothing
here knows of sockets; subscriptions, which need one, are in ``server``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from indexer.devchain.blocks import ChainBlock
from indexer.devchain.scale_encode import blob, listed, u32
from indexer.devchain.served import ServedChain, StateDiscarded, UnknownBlock
from indexer.devchain.trie_build import ValueNotRecorded
from indexer.trie import blake2_256

INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, PARSE_ERROR = -32600, -32601, -32602, -32700
CLIENT_ERROR, TOO_MANY_KEYS = 4003, 4002
MAX_KEYS_PER_PAGE = 1000

Params = Sequence[Any]
Method = Callable[[ServedChain, Params], Any]


class RpcError(Exception):
    """An error answer: a code and a message a client may match on."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def as_json(self) -> dict[str, Any]:
        """The ``error`` member of the answer."""
        return {"code": self.code, "message": self.message}


def call(chain: ServedChain, method: str, params: Params) -> Any:
    """The result of one call. Raises ``RpcError``, and nothing else, for whatever a client can get wrong."""
    known = METHODS.get(method)
    if known is None:
        raise RpcError(UNKNOWN_METHOD, "Method not found")
    try:
        return known(chain, params)
    except UnknownBlock as error:
        missing = f"Client error: UnknownBlock: Header was not found in the database: {error}"
        raise RpcError(CLIENT_ERROR, missing) from None
    except StateDiscarded as error:
        raise RpcError(CLIENT_ERROR, f"Client error: UnknownBlock: State already discarded for {error}") from None
    except ValueNotRecorded as error:
        raise RpcError(CLIENT_ERROR, f"Client error: {error}") from None


def as_text(result: Any) -> str:
    """A result of ``call`` as JSON. A read proof is put together by hand: of a megabyte of hex nothing can need
    escaping, and looking for it costs more than finding the nodes."""
    if isinstance(result, dict) and result.get("proof"):
        return f'{{"at": "{result["at"]}", "proof": ["' + '", "'.join(result["proof"]) + '"]}'
    return json.dumps(result)


def hexed(data: bytes) -> str:
    """``0x`` and lower-case hex."""
    return "0x" + data.hex()


def header_json(block: ChainBlock) -> dict[str, Any]:
    """A header as ``chain_getHeader`` and the head subscriptions give it."""
    header = block.header
    return {
        "parentHash": hexed(header.parent_hash),
        "number": hex(block.number),
        "stateRoot": hexed(header.state_root),
        "extrinsicsRoot": hexed(header.extrinsics_root),
        "digest": {"logs": [hexed(item) for item in header.digest]},
    }


def param(params: Params, at: int) -> Any:
    """The parameter at a position, None if left out."""
    return params[at] if at < len(params) else None


def bytes_param(params: Params, at: int) -> bytes:
    """A hex parameter. Raises ``RpcError``."""
    return _bytes(param(params, at))


def keys_param(params: Params, at: int) -> list[bytes]:
    """A list of hex parameters. Raises ``RpcError``."""
    listed_keys = param(params, at)
    if not isinstance(listed_keys, list):
        raise RpcError(INVALID_PARAMS, "Invalid params: expected a sequence of storage keys")
    return [_bytes(key) for key in listed_keys]


def _bytes(value: object) -> bytes:
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise RpcError(INVALID_PARAMS, f"Invalid params: expected 0x-prefixed hex, got {value!r:.80}")


def _hash(chain: ServedChain, params: Params, at: int) -> bytes:
    """The block hash at a position; the best head if left out."""
    value = param(params, at)
    if value is None:
        return chain.best.hash
    block_hash = _bytes(value)
    if len(block_hash) != 32:
        raise RpcError(INVALID_PARAMS, f"Invalid params: a block hash has 32 bytes, not {len(block_hash)}")
    return block_hash


def _number(value: object) -> int:
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            pass
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    raise RpcError(INVALID_PARAMS, f"Invalid params: expected a block number, got {value!r:.80}")


def _get_block_hash(chain: ServedChain, params: Params) -> Any:
    asked = param(params, 0)
    if asked is None:
        return hexed(chain.best.hash)
    hashes = [chain.hash_at(_number(one)) for one in (asked if isinstance(asked, list) else [asked])]
    answers = [None if one is None else hexed(one) for one in hashes]
    return answers if isinstance(asked, list) else answers[0]


def _get_header(chain: ServedChain, params: Params) -> Any:
    try:
        return header_json(chain.block(_hash(chain, params, 0)))
    except UnknownBlock:
        return None


def _get_block(chain: ServedChain, params: Params) -> Any:
    try:
        block = chain.block(_hash(chain, params, 0))
    except UnknownBlock:
        return None
    body = [hexed(extrinsic) for extrinsic in block.extrinsics]
    return {"block": {"header": header_json(block), "extrinsics": body}, "justifications": None}


def _get_finalized_head(chain: ServedChain, params: Params) -> Any:  # noqa: ARG001
    return hexed(chain.finalized.hash)


def _get_metadata(chain: ServedChain, params: Params) -> Any:
    return hexed(chain.runtime(_hash(chain, params, 0)).plain_metadata())


def _get_runtime_version(chain: ServedChain, params: Params) -> Any:
    return chain.runtime(_hash(chain, params, 0)).version_json()


def _call(chain: ServedChain, params: Params) -> Any:
    """``state_call``: what a node answers about a runtime itself, and what the simulated runtimes do of their state."""
    method, argument, block_hash = param(params, 0), bytes_param(params, 1), _hash(chain, params, 2)
    runtime = chain.runtime(block_hash)
    if method == "Core_version":
        return hexed(runtime.version_scale())
    if method == "Metadata_metadata":
        return hexed(blob(runtime.plain_metadata()))
    if method == "Metadata_metadata_versions" and runtime.offers_versions():
        return hexed(listed(u32(version) for version in sorted(runtime.metadata)))
    if method == "Metadata_metadata_at_version" and runtime.offers_versions():
        if len(argument) != 4:
            raise RpcError(
                CLIENT_ERROR, "Client error: Execution failed: Bad input data provided to metadata_at_version"
            )
        raw = runtime.metadata.get(int.from_bytes(argument, "little"))
        return hexed(b"\0" if raw is None else b"\x01" + blob(raw))
    if method in runtime.functions:
        try:
            return hexed(runtime.functions[method](chain.state(block_hash), argument))
        except (ValueError, IndexError):
            raise RpcError(
                CLIENT_ERROR, f"Client error: Execution failed: Bad input data provided to {method}"
            ) from None
    raise RpcError(CLIENT_ERROR, f"Client error: Execution failed: Other: Exported method {method} is not found")


def _get_storage(chain: ServedChain, params: Params) -> Any:
    value = chain.state(_hash(chain, params, 1)).get(bytes_param(params, 0))
    return None if value is None else hexed(value)


def _get_storage_hash(chain: ServedChain, params: Params) -> Any:
    value = chain.state(_hash(chain, params, 1)).get(bytes_param(params, 0))
    return None if value is None else hexed(blake2_256(value))


def _get_storage_size(chain: ServedChain, params: Params) -> Any:
    value = chain.state(_hash(chain, params, 1)).get(bytes_param(params, 0))
    return None if value is None else len(value)


def _query_storage_at(chain: ServedChain, params: Params) -> Any:
    keys, block_hash = keys_param(params, 0), _hash(chain, params, 1)
    state = chain.state(block_hash)
    values = [state.get(key) for key in keys]
    changes = [[hexed(key), None if value is None else hexed(value)] for key, value in zip(keys, values, strict=True)]
    return [{"block": hexed(block_hash), "changes": changes}]


def _get_keys_paged(chain: ServedChain, params: Params) -> Any:
    prefix = b"" if param(params, 0) is None else bytes_param(params, 0)
    count = _number(param(params, 1))
    if count > MAX_KEYS_PER_PAGE:
        raise RpcError(TOO_MANY_KEYS, f"count exceeds maximum value. value: {count}, max: {MAX_KEYS_PER_PAGE}")
    after = None if param(params, 2) is None else bytes_param(params, 2)
    return [hexed(key) for key in chain.state(_hash(chain, params, 3)).keys(prefix, after, count)]


def _get_read_proof(chain: ServedChain, params: Params) -> Any:
    keys, block_hash = keys_param(params, 0), _hash(chain, params, 1)
    return {"at": hexed(block_hash), "proof": [hexed(raw) for raw in chain.state(block_hash).prove(keys)]}


def _health(chain: ServedChain, params: Params) -> Any:  # noqa: ARG001
    return {"peers": 0, "isSyncing": False, "shouldHavePeers": False}


def _sync_state(chain: ServedChain, params: Params) -> Any:  # noqa: ARG001
    return {"startingBlock": 0, "currentBlock": chain.best.number, "highestBlock": chain.best.number}


def _rpc_methods(chain: ServedChain, params: Params) -> Any:  # noqa: ARG001
    return {"methods": sorted({*METHODS, *SUBSCRIBE, *UNSUBSCRIBE})}


METHODS: dict[str, Method] = {
    "chain_getBlock": _get_block,
    "chain_getBlockHash": _get_block_hash,
    "chain_getHead": _get_block_hash,
    "chain_getFinalizedHead": _get_finalized_head,
    "chain_getFinalisedHead": _get_finalized_head,
    "chain_getHeader": _get_header,
    "chain_getRuntimeVersion": _get_runtime_version,
    "rpc_methods": _rpc_methods,
    "state_call": _call,
    "state_callAt": _call,
    "state_getKeysPaged": _get_keys_paged,
    "state_getKeysPagedAt": _get_keys_paged,
    "state_getMetadata": _get_metadata,
    "state_getReadProof": _get_read_proof,
    "state_getRuntimeVersion": _get_runtime_version,
    "state_getStorage": _get_storage,
    "state_getStorageAt": _get_storage,
    "state_getStorageHash": _get_storage_hash,
    "state_getStorageHashAt": _get_storage_hash,
    "state_getStorageSize": _get_storage_size,
    "state_getStorageSizeAt": _get_storage_size,
    "state_queryStorageAt": _query_storage_at,
    "system_chain": lambda chain, _: chain.producer.name,
    "system_chainType": lambda _chain, _params: "Development",
    "system_health": _health,
    "system_name": lambda _chain, _params: "Bittensor devchain",
    "system_properties": lambda _chain, _params: {"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO"},
    "system_syncState": _sync_state,
    "system_version": lambda _chain, _params: "1.0.0-devchain",
}

SUBSCRIBE = {
    "chain_subscribeAllHeads": "chain_allHead",
    "chain_subscribeFinalizedHeads": "chain_finalizedHead",
    "chain_subscribeFinalisedHeads": "chain_finalizedHead",
    "chain_subscribeNewHead": "chain_newHead",
    "chain_subscribeNewHeads": "chain_newHead",
    "subscribe_newHead": "chain_newHead",
    "chain_subscribeRuntimeVersion": "state_runtimeVersion",
    "state_subscribeRuntimeVersion": "state_runtimeVersion",
    "state_subscribeStorage": "state_storage",
}
"""Subscription method -> method of its notifications."""

UNSUBSCRIBE = frozenset(
    {
        "chain_unsubscribeAllHeads",
        "chain_unsubscribeFinalizedHeads",
        "chain_unsubscribeFinalisedHeads",
        "chain_unsubscribeNewHead",
        "chain_unsubscribeNewHeads",
        "unsubscribe_newHead",
        "chain_unsubscribeRuntimeVersion",
        "state_unsubscribeRuntimeVersion",
        "state_unsubscribeStorage",
    }
)
