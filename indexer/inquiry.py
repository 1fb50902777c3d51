"""What one endpoint is asked for in more than one request: read proofs in portions it takes, runs of headers.

A header is only believed if it hashes to what was asked for; proofs come back by the hash of each node's own bytes.
Whoever asks knows which endpoint, and what to do with its errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from indexer.block import parse_header
from indexer.endpoints import Endpoint
from indexer.errors import NodeError, ProofError
from indexer.link import RpcRefused, Silent, TooLarge, Unreachable
from indexer.model import Header
from indexer.pool import Missing
from indexer.redaction import quoted
from indexer.trie import by_hash

Check: TypeAlias = Callable[[Mapping[bytes, bytes]], str | None]
"""What is wrong with a proof's nodes (by hash), None if they are what was asked for."""
ProofAsked: TypeAlias = "tuple[Sequence[bytes], bytes, Check]"
"""Keys, the hash of the block in whose state they are looked up, and what is to hold of the nodes."""


async def header_of(endpoint: Endpoint, block_hash: bytes) -> Header:
    """The header of a block. Raises ``Missing`` if it has none, ``ProofError`` if it is not the one of this hash."""
    result = await endpoint.request("chain_getHeader", [hexed(block_hash)])
    if result is None:
        raise Missing(f"{endpoint.name} does not know block 0x{block_hash.hex()}")
    return parse_header(result, block_hash, endpoint.name)


async def headers_of(endpoint: Endpoint, numbers: Sequence[int]) -> list[Header]:
    """Headers of heights that follow one another, up to the first that it lacks or that does not continue the last.

    Raises ``NodeError`` if that leaves none, ``ProofError`` for a header that hashes to another name.
    """
    hashes = await _hashes(endpoint, numbers)
    if not hashes:
        raise Missing(f"{endpoint.name} has no block {numbers[0]}")
    outcomes = await endpoint.batch([("chain_getHeader", [hexed(block_hash)]) for block_hash in hashes])
    headers: list[Header] = []
    for number, block_hash, outcome in zip(numbers, hashes, outcomes, strict=False):
        if isinstance(outcome, NodeError) or outcome is None:
            if not headers:
                raise outcome or Missing(f"{endpoint.name} does not know block {hexed(block_hash)}")
            break
        header = parse_header(outcome, block_hash, endpoint.name)
        if header.ref.number != number:
            raise NodeError(f"{endpoint.name} told of block {header.ref} at height {number}")
        if headers and header.parent_hash != headers[-1].ref.hash:
            break  # its chain changed in between
        headers.append(header)
    return headers


async def _hashes(endpoint: Endpoint, numbers: Sequence[int]) -> list[bytes]:
    """The hashes at these heights, up to the first that it lacks."""
    answers: list[Any] | None = None
    if endpoint.portions.lists and len(numbers) > 1:
        try:
            told = await endpoint.request("chain_getBlockHash", [list(numbers)])
        except RpcRefused:
            told = None
        answers = told if isinstance(told, list) and len(told) == len(numbers) else None
        if answers is None:
            endpoint.portions.no_lists()
    if answers is None:
        answers = await endpoint.batch([("chain_getBlockHash", [number]) for number in numbers])
    hashes: list[bytes] = []
    for answer in answers:
        if isinstance(answer, NodeError):
            if hashes:
                break
            raise answer
        block_hash = unhexed(answer)
        if block_hash is None:
            break
        hashes.append(block_hash)
    return hashes


async def proofs_of(
    endpoint: Endpoint, asked: Sequence[ProofAsked], *, first_alone: bool = False
) -> list[dict[bytes, bytes]]:
    """The nodes for each of what is ``asked``, in one message if the endpoint takes that.

    ``first_alone``: the others are asked for once it gave the first; so it refuses one request and not all of them.
    Raises ``NodeError`` and ``ProofError`` as ``request`` does.
    """
    most = endpoint.portions.keys_max
    parts = [(at, keys[i : i + most]) for at, (keys, _, _) in enumerate(asked) for i in range(0, len(keys), most)]
    proofs: list[dict[bytes, bytes]] = [{} for _ in asked]
    if first_alone or len(parts) == 1:
        at, keys = parts.pop(0)
        proofs[at] = await _proof(endpoint, keys, asked[at][1])
        if not parts:
            return proofs
    calls = [("state_getReadProof", [[hexed(key) for key in keys], hexed(asked[at][1])]) for at, keys in parts]
    asked_s = time.monotonic()
    try:
        outcomes = await endpoint.batch(calls)
    except Unreachable:
        raise
    except NodeError as error:
        _suspect(endpoint, error, max(len(keys) for _, keys in parts), asked_s)
        raise
    for (at, keys), outcome in zip(parts, outcomes, strict=True):
        if isinstance(outcome, TooLarge) and len(keys) > 1:
            endpoint.portions.fewer_keys(len(keys))
            proofs[at].update(await _proof(endpoint, keys, asked[at][1]))
        elif isinstance(outcome, NodeError):
            _suspect(endpoint, outcome, len(keys), asked_s)
            raise outcome
        else:
            proofs[at].update(_nodes(endpoint, outcome))
            endpoint.portions.proof_fits(len(keys))
    return proofs


async def _proof(endpoint: Endpoint, keys: Sequence[bytes], block_hash: bytes) -> dict[bytes, bytes]:
    """The nodes for all ``keys``; what is too large for the endpoint is asked for in halves, and that is remembered."""
    nodes: dict[bytes, bytes] = {}
    at = 0
    while at < len(keys):
        part = keys[at : at + endpoint.portions.keys_max]
        asked_s = time.monotonic()
        try:
            result = await endpoint.request("state_getReadProof", [[hexed(key) for key in part], hexed(block_hash)])
        except Unreachable:
            raise
        except TooLarge:
            if len(part) == 1:
                raise
            endpoint.portions.fewer_keys(len(part))
            continue
        except NodeError as error:
            _suspect(endpoint, error, len(part), asked_s)
            raise
        nodes.update(_nodes(endpoint, result))
        endpoint.portions.proof_fits(len(part))
        at += len(part)
    return nodes


def _suspect(endpoint: Endpoint, error: NodeError, asked: int, asked_s: float) -> None:
    """Whether a proof of so many keys may have been too much. Some servers cut the connection over a large answer, and
    say nothing of it; slow ones are not done in time."""
    if isinstance(error, Silent):
        endpoint.portions.out_of_time(asked, asked_s)
    elif type(error) is NodeError and asked > 1:
        endpoint.portions.cut_over(asked, asked_s)


def _nodes(endpoint: Endpoint, result: Any) -> dict[bytes, bytes]:
    try:
        return by_hash([bytes.fromhex(node[2:]) for node in result["proof"]])
    except (KeyError, TypeError, ValueError):
        raise ProofError(f"{endpoint.name} answered state_getReadProof with something that is no proof") from None


def hexed(data: bytes) -> str:
    """``0x`` and hex digits."""
    return "0x" + data.hex()


def unhexed(text: Any) -> bytes | None:
    """What a node tells as a hex string, or as nothing. Raises ``NodeError``."""
    if text is None:
        return None
    if not isinstance(text, str) or not text.startswith("0x"):
        raise NodeError(f"the node answered {quoted(text)} where a hex string was expected")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise NodeError(f"the node answered {quoted(text)} where a hex string was expected") from None
