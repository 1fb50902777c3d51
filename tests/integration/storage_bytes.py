"""SCALE bytes of plain values, for ``storage_of_rows``: written from the formats, sharing no code with the indexer."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Context
from typing import Any


def u(size: int) -> Callable[[Any], bytes]:
    """A number as ``size`` bytes."""
    return lambda value: int(value).to_bytes(size, "little", signed=int(value) < 0)


def u16(value: int) -> bytes:
    """A netuid."""
    return value.to_bytes(2, "little")


def bits(fraction: int, size: int) -> Callable[[Any], bytes]:
    """A decimal as fixed-point bits."""
    return lambda value: u(size)(Context(prec=200).multiply(value, 1 << fraction))


def text(value: str) -> bytes:
    """JSON text as Vec<u8>: compact length and bytes (short texts only)."""
    raw = json.loads(value).encode()
    return bytes([len(raw) << 2]) + raw


def json_vec_struct(value: str) -> bytes:
    """An identity: every field a Vec<u8>, in the order the chain declares them."""
    order = ("subnet_name", "github_repo", "subnet_contact", "subnet_url", "discord", "description", "logo_url")
    fields = json.loads(value)
    names = [name for name in (*order, "additional") if name in fields]
    assert len(names) == len(fields), fields
    return b"".join(text(json.dumps(fields[name])) for name in names)


def counted(parts: list[bytes]) -> bytes:
    """A vector (short ones only)."""
    return bytes([len(parts) << 2]) + b"".join(parts)


def accounts(value: str) -> bytes:
    """A vector of accounts out of a JSON array of addresses."""
    return counted([ss58(address) for address in json.loads(value)])


def ss58(address: str) -> bytes:
    """The account of an address: base58 of a byte of prefix, the account and two bytes of checksum."""
    number = 0
    for letter in address:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(letter)
    return number.to_bytes(35, "big")[1:33]
