"""The recorded chain, read plainly: states block by block, storage keys, the runtime's own answers.

Shares no code with the indexer: it is what the tables are held against.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

State = dict[bytes, bytes]


@dataclass(frozen=True)
class Recorded:
    """One recorded block and the state after it (a live dict: read it before asking for the next block)."""

    number: int
    line: dict[str, Any]
    state: State
    changes: dict[bytes, bytes | None]
    """Keys that differ from the parent's state; values given only by hash (the code) are left out."""


def blocks(file: Path) -> Iterator[Recorded]:
    """Every block of a tape, in order."""
    state: State = {}
    with gzip.open(file, "rt") as lines:
        for text in lines:
            line = json.loads(text)
            changes: dict[bytes, bytes | None] = {}
            for key_hex, value_hex in line["changes"]:
                if isinstance(value_hex, dict):
                    continue
                key = bytes.fromhex(key_hex[2:])
                changes[key] = None if value_hex is None else bytes.fromhex(value_hex[2:])
            for key, value in changes.items():
                if value is None:
                    state.pop(key, None)
                else:
                    state[key] = value
            yield Recorded(line["number"], line, state, changes)


def answers(file: Path) -> dict[int, dict[str, bytes]]:
    """What the runtime answered, by block and call; only answers given as bytes."""
    found = {}
    with gzip.open(file, "rt") as lines:
        for text in lines:
            line = json.loads(text)
            given = {call: bytes.fromhex(v[2:]) for call, v in line.items() if isinstance(v, str) and v[:2] == "0x"}
            found[line["number"]] = given
    return found


def twox128(name: str) -> bytes:
    """Substrate's twox128 of a name."""
    data = name.encode()
    return b"".join(xxhash.xxh64(data, seed=seed).digest()[::-1] for seed in (0, 1))


def prefix(item: str) -> bytes:
    """The prefix of ``Pallet.Item``."""
    pallet, _, name = item.partition(".")
    return twox128(pallet) + twox128(name)


def identity(part: bytes) -> bytes:
    """The hasher that leaves the key as it is."""
    return part


def blake(part: bytes) -> bytes:
    """Blake2_128Concat."""
    return hashlib.blake2b(part, digest_size=16).digest() + part


def twox(part: bytes) -> bytes:
    """Twox64Concat."""
    return xxhash.xxh64(part, seed=0).digest()[::-1] + part


def compact(data: bytes, at: int) -> tuple[int, int]:
    """A compact integer and the offset after it."""
    mode = data[at] & 3
    if mode == 3:
        size = (data[at] >> 2) + 4
        return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size
    size = 1 << mode
    return int.from_bytes(data[at : at + size], "little") >> 2, at + size
