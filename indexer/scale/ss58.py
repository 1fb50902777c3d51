"""SS58 text of accounts. Base58 and checksum are scalecodec's; this gives them our types and errors."""

from __future__ import annotations

from scalecodec.utils import ss58

from indexer.errors import DecodeError


def ss58_encode(account: bytes, prefix: int = 42) -> str:
    """The SS58 address of a 32-byte account. About 20 us: keep the text, do not make it twice."""
    if len(account) != 32:
        raise DecodeError(f"account has {len(account)} bytes, not 32")
    address: str = ss58.ss58_encode(account, prefix)
    return address


def ss58_decode(address: str, prefix: int | None = None) -> bytes:
    """The 32-byte account of an address; raises ``DecodeError`` if it is none, or not of network ``prefix``."""
    try:
        account = bytes.fromhex(ss58.ss58_decode(address, prefix))
    except (ValueError, IndexError) as error:
        raise DecodeError(f"{address!r:.80} is no SS58 address: {error}") from None
    if len(account) != 32:
        raise DecodeError(f"{address!r:.80} is no SS58 address of an account")
    return account
