"""Decoding and encoding by type id, over one registry.

Decodes with compiled functions; when one refuses, the tracing decoder goes over the same bytes to find
type path and offset. The two must agree: if only one of them refuses, that is an error too, never a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexer.errors import DecodeError
from indexer.model import EventRecord
from indexer.scale import encode, trace
from indexer.scale.compiler import MISFIT, BuildKey, Compiler, Decoder, SplitKey
from indexer.scale.document import Values
from indexer.scale.events import event_records
from indexer.scale.registry import Registry

_ASIDE = (*MISFIT, RecursionError)
"""What ends the short way through a compiled function, a type not compiled yet (``KeyError``) among them."""


class Codec:
    """The decoders of one runtime, compiled as they are asked for."""

    __slots__ = ("_compiler", "_decoders", "_records", "_values", "registry", "ss58_prefix")

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.ss58_prefix = 42
        """Of the runtime's addresses: set by ``Runtime``, which finds it by decoding."""
        self._compiler = Compiler(registry)
        self._decoders: dict[int, Decoder] = {}
        """By the type id asked for, newtypes included."""
        self._records: dict[int, Decoder] = {}
        """Of lists of event records."""
        self._values = Values(registry, self.ss58_prefix)

    @property
    def values(self) -> Values:
        """Decoded values as JSON for people."""
        if self._values.ss58_prefix != self.ss58_prefix:
            self._values = Values(self.registry, self.ss58_prefix)
        return self._values

    def decode(self, type_id: int, raw: bytes) -> Any:
        """All of ``raw`` as one value. Raises ``DecodeError`` with type path and offset."""
        try:
            value, end = self._decoders[type_id](raw, 0)
        except _ASIDE:
            value, end = self.decode_at(type_id, raw, 0)
        if end != len(raw):
            raise self._trailing(type_id, raw, end)
        return value

    def event_records(self, type_id: int, raw: bytes) -> list[EventRecord]:
        """All of ``raw`` as a list of event records. Raises ``DecodeError``, also if the type is no such list."""
        found: list[EventRecord]
        try:
            found, end = self._records[type_id](raw, 0)
        except _ASIDE:
            found, end = self._event_records(type_id, raw)
        if end != len(raw):
            raise self._trailing(type_id, raw, end)
        return found

    def decode_at(self, type_id: int, raw: bytes, offset: int) -> tuple[Any, int]:
        """The value at ``offset`` and the offset behind it. Raises ``DecodeError``."""
        try:
            return self._decoder(type_id)(raw, offset)
        except MISFIT as error:
            trace.decode(self.registry, type_id, raw, offset)
            raise self._disagreement(error, type_id, offset) from error
        except RecursionError:
            # Either the bytes nest deep or the caller did: the tracer has a stack of its own.
            return trace.decode(self.registry, type_id, raw, offset)

    def _decoder(self, type_id: int) -> Decoder:
        known = self._decoders.get(type_id)
        if known is None:
            known = self._decoders[type_id] = self._compiler.decoder(type_id)
        return known

    def _event_records(self, type_id: int, raw: bytes) -> tuple[list[EventRecord], int]:
        """The long way: compiles what is not compiled yet, says where bytes do not fit."""
        try:
            if type_id not in self._records:
                self._records[type_id] = self._compiler.records(type_id) or self._records_from_values(type_id)
            return self._records[type_id](raw, 0)
        except MISFIT as error:
            self.decode(type_id, raw)
            raise self._disagreement(error, type_id, 0) from error
        except RecursionError:
            return self._records_from_values(type_id)(raw, 0)

    def _records_from_values(self, type_id: int) -> Decoder:
        def records(raw: bytes, offset: int) -> tuple[list[EventRecord], int]:
            value, end = self.decode_at(type_id, raw, offset)
            return event_records(value), end

        return records

    def _trailing(self, type_id: int, raw: bytes, end: int) -> DecodeError:
        problem = f"{len(raw) - end} bytes follow the value"
        return DecodeError(problem, path=self.registry.name(type_id), offset=end)

    def _disagreement(self, error: Exception, type_id: int, offset: int) -> DecodeError:
        problem = f"compiled decoder refused ({error!r}) what the tracing decoder accepts"
        return DecodeError(problem, path=self.registry.name(type_id), offset=offset)

    def keys(
        self, prefix: bytes, hashers: Sequence[str], type_ids: Sequence[int]
    ) -> tuple[SplitKey | None, BuildKey | None]:
        """The short ways to take apart and put together the keys of an item; both raise ``MISFIT``."""
        try:
            return self._compiler.keys(prefix, hashers, type_ids)
        except RecursionError:
            return None, None  # the tracer has a stack of its own: part by part they are read all the same

    def encode(self, type_id: int, value: object) -> bytes:
        """A value in decoded form as SCALE bytes. Raises ``EncodeError``."""
        return encode.encode(self.registry, type_id, value)

    def check(self, type_ids: set[int]) -> int:
        """Compile these types and every type inside them, all cases included; gives their number.

        Raises ``DecodeError`` if one cannot be compiled.
        """
        seen, waiting = set(type_ids), list(type_ids)
        while waiting:
            type_id = waiting.pop()
            try:
                self._compiler.check(type_id)
            except RecursionError:
                raise DecodeError("type nests too deep to compile", path=self.registry.name(type_id)) from None
            new = set(self.registry.references(type_id)) - seen
            seen |= new
            waiting += new
        return len(seen)
