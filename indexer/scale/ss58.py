"""SS58 text of accounts. Made here, as a state of the main network has half a million; read by scalecodec's code."""

from __future__ import annotations

from hashlib import blake2b

from scalecodec.utils import ss58

from indexer.errors import DecodeError

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
"""Two digits of base 58 by their value."""
_FOUR_DIGITS = 58**4


def ss58_encode(account: bytes, prefix: int = 42) -> str:
    """The SS58 address of a 32-byte account. Raises ``DecodeError``, ``ValueError`` for no prefix of a network."""
    if len(account) != 32:
        raise DecodeError(f"account has {len(account)} bytes, not 32")
    if not 0 <= prefix < 1 << 14 or prefix in (46, 47):
        raise ValueError(f"{prefix} is no SS58 prefix of a network")
    network = bytes((prefix,) if prefix < 64 else (prefix >> 2 & 0x3F | 0x40, prefix >> 8 | (prefix & 3) << 6))
    named = network + account
    raw = named + blake2b(b"SS58PRE" + named).digest()[:2]
    return _base58(raw)


def _base58(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    parts: list[str] = []
    while number:
        number, four = divmod(number, _FOUR_DIGITS)
        parts += _PAIRS[four % 3364], _PAIRS[four // 3364]
    parts.reverse()
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(parts).lstrip("1")


def ss58_decode(address: str, prefix: int | None = None) -> bytes:
    """The 32-byte account of an address; raises ``DecodeError`` if it is none, or not of network ``prefix``."""
    try:
        account = bytes.fromhex(ss58.ss58_decode(address, prefix))
    except (ValueError, IndexError) as error:
        raise DecodeError(f"{address!r:.80} is no SS58 address: {error}") from None
    if len(account) != 32:
        raise DecodeError(f"{address!r:.80} is no SS58 address of an account")
    return account
