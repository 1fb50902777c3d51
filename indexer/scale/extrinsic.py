"""Extrinsics as blocks carry them: length prefix, version byte, then signature, extensions and call.

Version 4 is signed or bare; version 5 is bare or general (extensions, no signature). Each form is
registered as a struct of its own, so decoder, tracer and encoder treat it like any type.
Source: polkadot-sdk, ``sp_runtime::generic::UncheckedExtrinsic``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexer.errors import DecodeError
from indexer.scale.codec import Codec
from indexer.scale.encode import EncodeError, encode_compact
from indexer.scale.events import outer_case
from indexer.scale.hashers import blake2_256
from indexer.scale.metadata import Extension, ExtrinsicTypes
from indexer.scale.reader import Reader
from indexer.scale.registry import Composite, Field

BARE_V4, SIGNED_V4 = 0x04, 0x84
BARE_V5, GENERAL_V5 = 0x05, 0x45


@dataclass(frozen=True, slots=True)
class Extrinsic:
    """One decoded extrinsic."""

    version: int
    signed: bool
    address: Any
    """Who signed, such as ``{'Id': account}``; None if not signed."""
    signature: Any
    extensions: Mapping[str, Any]
    """Values of the transaction extensions by name, such as ``CheckNonce``; empty if bare."""
    pallet: str
    call: str
    args: Mapping[str, Any]
    """Arguments by name."""
    raw: bytes

    @property
    def hash(self) -> bytes:
        """blake2b-256 of the extrinsic with its length prefix, as explorers and nodes name it."""
        return blake2_256(self.raw)

    @property
    def signer(self) -> bytes | None:
        """The signing account, if the address holds one."""
        account = self.address.get("Id") if isinstance(self.address, dict) else self.address
        return account if isinstance(account, bytes) else None


class ExtrinsicCodec:
    """Decodes and encodes the extrinsics of one runtime."""

    def __init__(self, codec: Codec, types: ExtrinsicTypes) -> None:
        self._codec = codec
        self._types = types
        extensions = types.extensions
        in_signed = extensions[min(extensions)] if extensions else ()
        signer = [Field("address", types.address), Field("signature", types.signature)]
        self._signed = self._register("SignedExtrinsic", signer, in_signed)
        self._general = {
            version: self._register(f"GeneralExtrinsic{version}", [], listed) for version, listed in extensions.items()
        }

    @property
    def call_type(self) -> int:
        """The outer enum of calls."""
        return self._types.call

    @property
    def types(self) -> set[int]:
        """Every type id that an extrinsic of this runtime is made of."""
        return {self._types.call, self._signed, *self._general.values()}

    def decode(self, raw: bytes) -> Extrinsic:
        """One extrinsic with its length prefix. Raises ``DecodeError``, also for an unknown version byte."""
        reader = Reader(raw)
        size = reader.compact()
        if size != reader.left:
            raise DecodeError(f"length prefix says {size} bytes, {reader.left} follow", path="Extrinsic", offset=0)
        start, version = reader.offset, reader.u8()
        if version in (BARE_V4, BARE_V5):
            fields: dict[str, Any] = {"call": self._whole(self._types.call, reader)}
        elif version == SIGNED_V4:
            fields = self._whole(self._signed, reader)
        elif version == GENERAL_V5:
            fields = self._whole(self._general_type(reader), reader)
        else:
            raise DecodeError(f"unknown extrinsic version 0x{version:02x}", path="Extrinsic", offset=start)
        call, address, signature = fields.pop("call"), fields.pop("address", None), fields.pop("signature", None)
        try:
            pallet, name, args = outer_case(call)
        except (AttributeError, ValueError):
            raise DecodeError(f"call {call!r:.80} is not of the form pallet, call", path="Extrinsic") from None
        if args == ():
            args = {}
        return Extrinsic(version & 0x3F, version == SIGNED_V4, address, signature, fields, pallet, name, args, raw)

    def encode_bare(self, call: object, *, version: int = 4) -> bytes:
        """An extrinsic without signature; ``call`` in decoded form: ``{pallet: {call: args}}``."""
        return _prefixed(bytes((version,)) + self._codec.encode(self._types.call, call))

    def encode_signed(
        self, call: object, address: object, signature: object, extensions: Mapping[str, object]
    ) -> bytes:
        """A signed extrinsic of version 4; ``extensions`` holds a value for each extension by name."""
        fields = {"address": address, "signature": signature, **extensions, "call": call}
        return _prefixed(bytes((SIGNED_V4,)) + self._codec.encode(self._signed, fields))

    def encode_general(self, call: object, extensions: Mapping[str, object], *, extension_version: int = 0) -> bytes:
        """A general extrinsic of version 5."""
        if extension_version not in self._general:
            raise EncodeError(f"the runtime knows no extension version {extension_version}")
        fields = self._codec.encode(self._general[extension_version], {"": (), **extensions, "call": call})
        return _prefixed(bytes((GENERAL_V5, extension_version)) + fields)

    def _register(self, name: str, first: list[Field], extensions: tuple[Extension, ...]) -> int:
        registry = self._codec.registry
        middle = [Field(extension.name, extension.type_id) for extension in extensions]
        if not first:
            # A struct of one field would unwrap; this keeps a call without extensions a struct.
            first = [Field("", registry.add("Nothing", Composite(())))]
        return registry.add(name, Composite((*first, *middle, Field("call", self._types.call))))

    def _general_type(self, reader: Reader) -> int:
        start, version = reader.offset, reader.u8()
        if version not in self._general:
            raise DecodeError(f"unknown extension version {version}", path="Extrinsic", offset=start)
        return self._general[version]

    def _whole(self, type_id: int, reader: Reader) -> Any:
        value, end = self._codec.decode_at(type_id, reader.raw, reader.offset)
        if end != len(reader.raw):
            raise DecodeError(f"{len(reader.raw) - end} bytes follow the call", path="Extrinsic", offset=end)
        if isinstance(value, dict):
            value.pop("", None)
        return value


def _prefixed(body: bytes) -> bytes:
    return encode_compact(len(body)) + body
