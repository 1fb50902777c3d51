"""Replays recorded blocks: a tape of state changes becomes a chain with true roots of its own.

Owns the tape's format and every check of it; a tape that is not exactly what it should be is one
``ConfigError`` that names file, line and fault. Bytes the recording left out (a runtime's code) stay
out: the trie holds their hash, and the extrinsic that carried them is replaced by a remark saying so.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.devchain.blocks import CODE_KEY, Body, other_digest
from indexer.devchain.chain import Chain
from indexer.devchain.runtime_file import ServedRuntime, served
from indexer.devchain.scale_encode import blob, u32
from indexer.devchain.state import State
from indexer.devchain.trie_build import Value
from indexer.errors import ConfigError, DecodeError
from indexer.model import HashedValue, Header
from indexer.trie import INLINE_VALUE_MAX, blake2_256

_METADATA_NAME = re.compile(r"spec(\d+)\.v(\d+)\.scale")
_BARE_V4_REMARK = b"\x04\x00\x00"
"""Extrinsic version 4 unsigned, pallet 0 (System), call 0 (remark): so in every Substrate runtime."""


class _Malformed(Exception):
    """What is wrong with a line; ``_read`` adds file and line."""


@dataclass(frozen=True, slots=True)
class TapeBlock:
    """One recorded block, checked."""

    body: Body
    spec_version: int
    """Of the runtime in the state after the block."""
    code_hash: bytes


class TapeProducer:
    """Gives the recorded blocks in order, whatever the fork; a salt only adds a digest item."""

    name = "Recorded"

    def __init__(self, blocks: list[TapeBlock], runtimes: Mapping[bytes, ServedRuntime]) -> None:
        self._blocks = blocks
        self.length: int | None = len(blocks)
        self._runtimes = runtimes

    def genesis(self) -> Body:
        """Block 0 of the tape: it lists the whole state."""
        return self._blocks[0].body

    def produce(self, parent: Header, state: State, salt: int) -> Body | None:  # noqa: ARG002
        """The recorded block of the next height, None after the last."""
        if parent.ref.number + 1 >= len(self._blocks):
            return None
        body = self._blocks[parent.ref.number + 1].body
        if not salt:
            return body
        return Body(body.changes, body.extrinsics, (*body.digest, other_digest(b"fork" + u32(salt))))

    def runtime(self, code_hash: bytes) -> ServedRuntime:
        """Raises ``KeyError`` for code the tape never held."""
        return self._runtimes[code_hash]


def load_tape(path: Path, metadata_dir: Path, *, keep_states: int | None = None) -> Chain:
    """The chain a tape describes, at its genesis block; ``Chain.grow`` adds the recorded blocks.

    ``metadata_dir`` holds ``spec<N>.v<M>.scale`` files. Raises ``ConfigError`` if the tape is
    malformed, unreadable, or runs a spec_version without metadata there.
    """
    blocks = list(_read(path))
    if not blocks:
        raise ConfigError(f"{path}: the tape holds no blocks")
    runtimes: dict[bytes, ServedRuntime] = {}
    for block in blocks:
        if block.code_hash not in runtimes:
            runtimes[block.code_hash] = read_runtime(metadata_dir, block.spec_version)
    return Chain(TapeProducer(blocks, runtimes), keep_states=keep_states)


def read_runtime(metadata_dir: Path, spec_version: int) -> ServedRuntime:
    """The runtime that the metadata files of one spec_version describe. Raises ``ConfigError``."""
    found: dict[int, bytes] = {}
    try:
        for file in sorted(metadata_dir.iterdir()):
            named = _METADATA_NAME.fullmatch(file.name)
            if named and int(named[1]) == spec_version:
                found[int(named[2])] = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{metadata_dir}: {error.strerror}") from error
    if not found:
        raise ConfigError(f"{metadata_dir}: no spec{spec_version}.v*.scale, and the tape runs spec {spec_version}")
    for version, raw in found.items():
        if raw[:5] != b"meta" + bytes([version]):
            raise ConfigError(f"{metadata_dir}: spec{spec_version}.v{version}.scale is no V{version} metadata")
    try:
        runtime = served(found)
    except DecodeError as error:
        raise ConfigError(f"{metadata_dir}: metadata of spec {spec_version} does not decode: {error}") from error
    if runtime.spec_version != spec_version:
        raise ConfigError(f"{metadata_dir}: spec{spec_version}.v*.scale is of spec {runtime.spec_version}")
    return runtime


def _read(path: Path) -> Iterator[TapeBlock]:
    """The tape's blocks, each checked against those before it."""
    keys: set[bytes] = set()
    code_hash: bytes | None = None
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                block = _block(line, number, keys, code_hash)
                code_hash = block.code_hash
                yield block
    except _Malformed as error:
        raise ConfigError(f"{path}, line {number + 1}: {error}") from None
    except (EOFError, zlib.error, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise ConfigError(f"{path}, after line {number + 1}: not a readable tape: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _block(line: str, number: int, keys: set[bytes], code_hash: bytes | None) -> TapeBlock:
    """Parse one line; ``keys`` is the running set of stored keys and is brought up to date."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _Malformed(f"no JSON: {error}") from None
    if not isinstance(record, dict):
        raise _Malformed("not a JSON object")
    if _field(record, "number", int) != number:
        raise _Malformed(f"number {record['number']} where block {number} is due")
    changes = _changes(_field(record, "changes", list), keys)
    if len(keys) != _field(record, "keys", int):
        raise _Malformed(f"{len(keys)} keys in the state, but keys says {record['keys']}")
    code = changes.get(CODE_KEY)
    if code is not None:
        code_hash = code.hash if isinstance(code, HashedValue) else blake2_256(code)
    if code_hash is None:
        raise _Malformed("the state has no :code")
    extrinsics = _extrinsics(_field(record, "extrinsics", list), _hash(record, "extrinsics_root"), number)
    digest = tuple(_hex(item, "digest") for item in _field(record, "digest", list))
    return TapeBlock(Body(changes, extrinsics, digest), _field(record, "spec_version", int), code_hash)


def _changes(listed: list[Any], keys: set[bytes]) -> dict[bytes, Value | None]:
    changes: dict[bytes, Value | None] = {}
    for pair in listed:
        if not isinstance(pair, list) or len(pair) != 2:
            raise _Malformed("a change is not [key, value]")
        key = _hex(pair[0], "a key")
        if key in changes:
            raise _Malformed(f"key 0x{key.hex()} twice")
        if pair[1] is None:
            if key not in keys:
                raise _Malformed(f"removes key 0x{key.hex()}, which is not stored")
            keys.remove(key)
            changes[key] = None
        else:
            keys.add(key)
            elided = isinstance(pair[1], dict)
            changes[key] = HashedValue(_elided(pair[1])) if elided else _hex(pair[1], "a value")
    return changes


def _extrinsics(listed: list[Any], recorded_root: bytes, number: int) -> tuple[bytes, ...]:
    """The body to serve; where all of it was recorded it must be what the recording machine hashed.

    That machine put blake2b-256 of all extrinsics in a row where a chain has a trie root, so the
    served headers compute their own; the recorded value still tells a damaged body from a whole one.
    """
    extrinsics = tuple(_stand_in(item) if isinstance(item, dict) else _hex(item, "an extrinsic") for item in listed)
    whole = not any(isinstance(item, dict) for item in listed)
    if whole and number and blake2_256(b"".join(extrinsics)) != recorded_root:
        raise _Malformed("the extrinsics do not have the recorded extrinsics_root")
    return extrinsics


def _stand_in(item: dict[str, Any]) -> bytes:
    note = f"an extrinsic of {item.get('len')} bytes, blake2-256 0x{_elided(item).hex()}, was not recorded"
    return blob(_BARE_V4_REMARK + blob(note.encode()))


def _elided(item: dict[str, Any]) -> bytes:
    """The hash of bytes the recording left out. Only long ones may be: short values enter the trie whole."""
    if _field(item, "len", int) <= INLINE_VALUE_MAX:
        raise _Malformed(f"a value of {item['len']} bytes may not be left out")
    return _hash(item, "blake2_256")


def _field(record: dict[str, Any], name: str, kind: type) -> Any:
    if type(record.get(name)) is not kind:
        raise _Malformed(f"{name} is missing or not of type {kind.__name__}")
    return record[name]


def _hash(record: dict[str, Any], name: str) -> bytes:
    value = _hex(record.get(name), name)
    if len(value) != 32:
        raise _Malformed(f"{name} is not 32 bytes")
    return value


def _hex(value: object, what: str) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise _Malformed(f"{what} is not 0x-hex")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise _Malformed(f"{what} is not 0x-hex") from None
