"""The two functions that take a storage key of fixed size apart and put one together.

Every key of a state and of every change is taken apart, so what is the same for all keys of an item (hashers, offsets,
types) is looked up once and written down as Python: one struct call reads all parts. Only the short way: where a
function refuses, ``storage`` goes part by part, and finds what is wrong or that nothing is. Compiles nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexer.scale.hashers import HASHERS, KeyHash
from indexer.scale.layout import Layout, tuple_expression

UNSIGNED = "BHIQ"
"""The struct codes of unsigned numbers."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """The text of both functions, ``split(key)`` and ``build(*parts)``, and the constants in them.

    They raise what other generated functions do (``compiler.MISFIT``).
    """

    split: str
    """Gives the tuple of parts."""
    build: str | None
    """None if a part is no string of bytes and no unsigned number, or its key has no clear text of it."""
    constants: Mapping[str, object]


def key_source(prefix: bytes, hashers: Sequence[str], layouts: Sequence[Layout | None]) -> KeySource:
    """The functions for keys of these parts; ``layouts`` says how each is read, None where its hash alone is there."""
    codes, variables, checks = [f"{len(prefix)}s"], ["prefix"], ["prefix != PREFIX"]
    values: list[str] = []
    encodings: list[tuple[str, str] | None] = []
    pieces = ["PREFIX"]
    constants: dict[str, object] = {"PREFIX": prefix, "KeyHash": KeyHash}
    at = len(prefix)
    for part, (name, layout) in enumerate(zip(hashers, layouts, strict=True)):
        hasher = HASHERS[name]
        constants[f"hash_{name}"] = hasher.hash
        if hasher.size:
            codes.append(f"{hasher.size}s")
            variables.append(f"hash{part}")
            at += hasher.size
        if layout is None:
            values.append(f"KeyHash(hash{part})")
            encodings.append(None)
            continue
        names = [f"v{part}_{number}" for number in range(len(layout.codes))]
        codes += layout.codes
        variables += names
        values.append(layout.build(names))
        encodings.append(encoding := _encoding(f"p{part}", layout))
        raw = encoding[1] if encoding else ""
        if hasher.size:
            checks.append(f"hash{part} != hash_{name}(key[{at}:{at + layout.size}])")
            pieces.append(f"hash_{name}({raw})")
        pieces.append(raw)
        at += layout.size
    constants["unpack"] = struct.Struct("<" + "".join(codes)).unpack
    split = (
        "def split(key):\n"
        f"    {tuple_expression(variables)} = unpack(key)\n"
        f"    if {' or '.join(checks)}: raise ValueError\n"
        f"    return {tuple_expression(values)}"
    )
    misfits = [encoding[0] for encoding in encodings if encoding]
    if not misfits or len(misfits) < len(encodings):
        return KeySource(split, None, constants)
    arguments = ", ".join(f"p{part}" for part in range(len(encodings)))
    build = f"def build({arguments}):\n    if {' or '.join(misfits)}: raise ValueError\n    return {' + '.join(pieces)}"
    return KeySource(split, build, constants)


def _encoding(name: str, layout: Layout) -> tuple[str, str] | None:
    """When a part is not of the one type that is encoded here, and the expression of its bytes; None: never is it."""
    if len(layout.codes) != 1 or layout.build([name]) != name:
        return None
    if layout.codes[0] in UNSIGNED:
        return f"type({name}) is not int", f"{name}.to_bytes({layout.size}, 'little')"
    if layout.codes[0].endswith("s"):
        return f"type({name}) is not bytes or len({name}) != {layout.size}", name
    return None
