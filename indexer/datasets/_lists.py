"""Vectors as JSON arrays that people can read: accounts as SS58 text, tuples and structs as objects by name.

Owns the kinds of the parts and of the columns that hold such arrays. A row that tells a vector keeps it whole,
in the chain's order, so that the way back is exact; SQL functions unroll it.
"""

from __future__ import annotations

from functools import lru_cache, partial

from indexer.datasets._fields import Kind
from indexer.datasets._values import blob, document, documented, vector
from indexer.errors import DecodeError
from indexer.scale import ss58_decode, ss58_encode
from indexer.schema import json, text

_encode = lru_cache(maxsize=200_000)(ss58_encode)
"""An address takes 20 us to make, and the same few accounts occur in most vectors."""


def _address(value: object) -> str:
    return _encode(blob(value))


def _account(value: object) -> bytes:
    return ss58_decode(_text(value))


def _hex(value: object) -> str:
    return "0x" + blob(value).hex()


def _bytes(value: object) -> bytes:
    shown = _text(value)
    if not shown.startswith("0x"):
        raise DecodeError("expected hex that begins with 0x")
    try:
        return bytes.fromhex(shown[2:])
    except ValueError:
        raise DecodeError("expected hex digits behind 0x") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DecodeError(f"expected text, found {type(value).__name__}")
    return value


ADDRESS = Kind(text, _address, _account)
"""An account as a part of an array."""
HEX = Kind(text, _hex, _bytes)
"""Bytes that are no text, as a part of an array."""
CASE = Kind(text, _text, _text)
"""A case of an enum that has no fields."""


def array(part: Kind) -> Kind:
    """``Vec<part>``."""
    return Kind(json, partial(vector, of=part.read), partial(vector, of=part.write))


def tuples(**names: Kind) -> Kind:
    """A vector of tuples: an array of objects, each part under its name."""
    kinds = list(names.items())

    def read(value: object) -> object:
        if not isinstance(value, tuple) or len(value) != len(kinds):
            raise DecodeError(f"expected a tuple of {len(kinds)}, found {type(value).__name__}")
        return {name: kind.read(part) for (name, kind), part in zip(kinds, value, strict=True)}

    def write(stored: object) -> object:
        if not isinstance(stored, dict) or stored.keys() != names.keys():
            raise DecodeError(f"expected an object of {', '.join(names)}")
        return tuple(kind.write(stored[name]) for name, kind in kinds)

    return array(Kind(json, read, write))


def structs(**members: Kind) -> Kind:
    """A vector of structs: an array of objects; members that are not named here are kept as documents."""

    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise DecodeError(f"expected a struct, found {type(value).__name__}")
        return {name: members[name].read(part) if name in members else document(part) for name, part in value.items()}

    def write(stored: object) -> object:
        if not isinstance(stored, dict):
            raise DecodeError(f"expected an object, found {type(stored).__name__}")
        return {
            name: members[name].write(part) if name in members else documented(part) for name, part in stored.items()
        }

    return array(Kind(json, read, write))
