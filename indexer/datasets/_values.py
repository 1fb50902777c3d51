"""How decoded chain values become column values: exact decimals, JSON, snake case.

Everything here keeps every bit: a fixed-point number becomes the finite decimal it is, bytes that are
not text keep their hex. Pure, and shared by the datasets only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache
from typing import TypeVar

from indexer.errors import DecodeError
from indexer.model import ItemRef

T = TypeVar("T")

_EXACT = Context(prec=200)
"""u128 bits over 2^64 need at most 39 + 64 digits; nothing is ever rounded."""


@lru_cache(maxsize=4096)
def snake(item: str) -> str:
    """The snake case of a storage item: ``SubnetTAO`` -> ``subnet_tao``, ``RAORecycled`` -> ``rao_recycled``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", item).lower()


def whole(value: object) -> int:
    """An integer as decoded; anything else means the item changed its type and the dataset must learn it."""
    if type(value) is int:  # not a bool, which is an int as well
        return value
    raise DecodeError(f"expected a whole number, found {type(value).__name__}")


def blob(value: object) -> bytes:
    """Bytes as decoded (accounts, hashes, ``Vec<u8>``)."""
    if not isinstance(value, bytes):
        raise DecodeError(f"expected bytes, found {type(value).__name__}")
    return value


def boolean(value: object) -> bool:
    """A boolean as decoded."""
    if not isinstance(value, bool):
        raise DecodeError(f"expected a boolean, found {type(value).__name__}")
    return value


def bit(value: object) -> bool:
    """Back from 0 or 1. Raises ``DecodeError`` for anything else: no boolean gives it."""
    number = whole(value)
    if number not in (0, 1):
        raise DecodeError(f"expected 0 or 1, found {number}")
    return number == 1


def nothing_inside(value: object) -> bool:
    """True for ``()``: a value that says nothing but that its key is there."""
    if value != ():
        raise DecodeError(f"expected (), found {type(value).__name__}")
    return True


def vector(value: object, of: Callable[[object], T]) -> list[T]:
    """A list as decoded, or an array as stored, each part by ``of``."""
    if not isinstance(value, list):
        raise DecodeError(f"expected a list, found {type(value).__name__}")
    return [of(part) for part in value]


def pair(value: object) -> tuple[object, object]:
    """A tuple of two as decoded."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise DecodeError(f"expected a pair, found {type(value).__name__}")
    return value


def fixed(value: object, fraction_bits: int) -> Decimal:
    """The exact decimal of fixed-point bits: ``bits / 2^fraction_bits``."""
    return _EXACT.divide(Decimal(whole(value)), Decimal(1 << fraction_bits))


def integral(value: object) -> int:
    """Back from a column: the inverse of ``whole``. Raises ``DecodeError`` for a fraction or anything else."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return whole(value)


def fixed_bits(value: object, fraction_bits: int) -> int:
    """The inverse of ``fixed``. Raises ``DecodeError`` for a decimal that no bits give."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise DecodeError(f"expected a decimal, found {value!r:.40}")
    return integral(_EXACT.multiply(value, Decimal(1 << fraction_bits)))


def document(value: object) -> object:
    """Any decoded value as JSON: bytes that are printable text as text, other bytes as ``{"hex": …}``."""
    if isinstance(value, bytes):
        return _text_or_hex(value)
    if isinstance(value, dict):
        return {str(name): document(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [document(part) for part in value]
    return value


def documented(value: object) -> object:
    """The inverse of ``document``, where texts stand for bytes. Raises ``DecodeError`` for hex that is none."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"hex"}:
        try:
            return bytes.fromhex(value["hex"])
        except (TypeError, ValueError):
            raise DecodeError("expected hex digits under 'hex'") from None
    if isinstance(value, dict):
        return {name: documented(part) for name, part in value.items()}
    if isinstance(value, list):
        return [documented(part) for part in value]
    return value


def _text_or_hex(value: bytes) -> object:
    """Postgres text holds no NUL and only valid UTF-8; the rest keeps its bytes as hex."""
    try:
        decoded = value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
    return {"hex": value.hex()} if "\x00" in decoded else decoded


def located(item: ItemRef, error: DecodeError) -> DecodeError:
    """The same error, naming the item it happened in."""
    told = DecodeError(error.problem, path=error.path, offset=error.offset, where=error.where or f"{item}:")
    told.item = str(item)
    return told
