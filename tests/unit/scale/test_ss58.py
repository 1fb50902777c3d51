"""Addresses: what we write is, letter by letter, what scalecodec writes; and what we refuse."""

from __future__ import annotations

import random

import pytest
from scalecodec.utils import ss58

from indexer.errors import DecodeError
from indexer.scale import ss58_decode, ss58_encode

PREFIXES = [0, 1, 42, 45, 48, 63, 64, 65, 255, 256, 1000, (1 << 14) - 1]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_address_is_that_of_scalecodec(prefix: int) -> None:
    rng = random.Random(prefix)
    accounts = [bytes(32), b"\xff" * 32, bytes(31) + b"\x01", *(bytes(n) + rng.randbytes(32 - n) for n in range(32))]
    for account in accounts:
        address = ss58_encode(account, prefix)
        assert address == ss58.ss58_encode(account, prefix)
        assert ss58_decode(address, prefix) == account


@pytest.mark.parametrize("prefix", [-1, 46, 47, 1 << 14])
def test_no_prefix_of_a_network_is_refused(prefix: int) -> None:
    with pytest.raises(ValueError, match=f"{prefix} is no SS58 prefix"):
        ss58_encode(bytes(32), prefix)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_what_is_no_account_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"{size} bytes, not 32"):
        ss58_encode(bytes(size))
