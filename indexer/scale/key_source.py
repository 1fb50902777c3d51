"""The two functions that take a storage key of fixed size apart and put one together.

Every key of a state and of every change is taken apart, so what is the same for all keys of an item (hashers, offsets,
types) is looked up once and written down as Python: one struct call reads all parts. Only the short way: where a
function refuses, ``storage`` goes part by part, and finds what is wrong or that nothing is. Compiles nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from indexer.scale.hashers import HASHERS
from indexer.scale.layout import Layout, tuple_expression

UNSIGNED = {"B": 1, "H": 2, "I": 4, "Q": 8}
"""Bytes by the struct code of an unsigned number."""


@dataclass(slots=True)
class KeySource:
    """The text of both functions, ``split(key)`` and ``build(*parts)``, and the constants in them.

    They raise what other generated functions do (``compiler.MISFIT``).
    """

    split: str
    """Gives the tuple of parts."""
    build: str | None
    """None if a part is no string of bytes and no unsigned number, or its key has no clear text of it."""
    constants: dict[str, object] = field(default_factory=dict)


def key_source(prefix: bytes, hashers: Sequence[str], layouts: Sequence[Layout]) -> KeySource:
    """The functions for keys of these parts; ``layouts`` says how each part with clear text is read."""
    codes, hashes, values, checks = [f"{len(prefix)}s"], list[str](), list[str](), ["prefix != PREFIX"]
    tests, pieces = list[str](), ["PREFIX"]
    constants: dict[str, object] = {"PREFIX": prefix}
    variables = ["prefix"]
    at = len(prefix)
    for part, (name, layout) in enumerate(zip(hashers, layouts, strict=True)):
        hasher = HASHERS[name]
        constants[f"hash_{name}"] = hasher.hash
        if hasher.size:
            codes.append(f"{hasher.size}s")
            variables.append(f"hash{part}")
            hashes.append(f"hash{part}")
            at += hasher.size
        if not hasher.clear:
            values.append(f"KeyHash(hash{part})")
            tests.append("True")
            continue
        names = [f"v{part}_{number}" for number in range(len(layout.codes))]
        codes += layout.codes
        variables += names
        values.append(layout.build(names))
        end = at + layout.size
        if hasher.size:
            checks.append(f"hash{part} != hash_{name}(key[{at}:{end}])")
        at = end
        test, raw = _encoded(f"p{part}", layout)
        tests.append(test)
        pieces += [f"hash_{name}({raw})"] * bool(hasher.size) + [raw]
    packed = struct.Struct("<" + "".join(codes))
    constants["unpack"] = packed.unpack
    split = (
        "def split(key):\n"
        f"    {tuple_expression(variables)} = unpack(key)\n"
        f"    if {' or '.join(checks)}: raise ValueError\n"
        f"    return {tuple_expression(values)}"
    )
    if not tests or "True" in tests:
        return KeySource(split, None, constants)
    arguments = ", ".join(f"p{part}" for part in range(len(tests)))
    build = f"def build({arguments}):\n    if {' or '.join(tests)}: raise ValueError\n    return {' + '.join(pieces)}"
    return KeySource(split, build, constants)


def _encoded(name: str, layout: Layout) -> tuple[str, str]:
    """When a part is not of the one type that is encoded here, and the expression of its bytes."""
    if len(layout.codes) == 1 and layout.build([name]) == name:
        code = layout.codes[0]
        if code in UNSIGNED:
            return f"type({name}) is not int", f"{name}.to_bytes({UNSIGNED[code]}, 'little')"
        if code.endswith("s"):
            return f"type({name}) is not bytes or len({name}) != {layout.size}", name
    return "True", name
