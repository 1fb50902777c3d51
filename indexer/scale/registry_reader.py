"""Reads scale-info's ``PortableRegistry``: the part that metadata of all versions begins with.

Source of the layout: crate scale-info, form ``PortableForm``. Documentation and the spelling of types in the
source are read over, not kept.
"""

from __future__ import annotations

from itertools import count

from indexer.scale.reader import Reader
from indexer.scale.registry import (
    PRIMITIVES,
    Array,
    BitSequence,
    Case,
    Compact,
    Composite,
    Definition,
    Field,
    Primitive,
    Sequence,
    Tuple,
    Type,
    Variant,
)


class RegistryReader(Reader):
    """Each method reads what it is named after. ``highest_type_id`` is the highest that anything referred to."""

    __slots__ = ("highest_type_id",)

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.highest_type_id = 0

    def type_id(self) -> int:
        type_id = self.compact()
        if type_id > self.highest_type_id:
            self.highest_type_id = type_id
        return type_id

    def docs(self) -> None:
        """Read over documentation, most of the bytes there are.

        Here less than 64 lines below 2^14 bytes; ``_any_docs`` reads all others and says where the bytes end.
        """
        raw, offset = self.raw, self.offset
        try:
            lines = raw[offset]
            if lines & 3:
                return self._any_docs()
            offset += 1
            for _ in range(lines >> 2):
                first = raw[offset]
                if first & 2:
                    return self._any_docs()
                if not first & 1:
                    offset += 1 + (first >> 2)
                    continue
                size = (first | raw[offset + 1] << 8) >> 2
                if size < 64:
                    return self._any_docs()
                offset += 2 + size
        except IndexError:
            return self._any_docs()
        if offset > len(raw):
            return self._any_docs()
        self.offset = offset
        return None

    def _any_docs(self) -> None:
        for _ in range(self.length(1)):
            size = self.length(1)  # moves the offset, and so cannot stand in the next line
            self.offset += size

    def types(self) -> tuple[Type, ...]:
        numbers = count()

        def numbered() -> Type:
            start, number = self.offset, next(numbers)
            if self.compact() != number:
                raise self.refuse(f"types are not numbered in order at {number}", start)
            return self.type()

        return self.many(numbered)

    def type(self) -> Type:
        path = self.many(self.text)
        params = self.many(lambda: (self.text(), self.option(self.type_id)))
        kind = Type(path, params, self.definition())
        self.docs()
        return kind

    def definition(self) -> Definition:
        match self.tag(8):
            case 0:
                return Composite(self.fields())
            case 1:
                return Variant(self.many(self.case))
            case 2:
                return Sequence(self.type_id())
            case 3:
                return Array(self.integer(4), self.type_id())
            case 4:
                return Tuple(self.many(self.type_id))
            case 5:
                return Primitive(PRIMITIVES[self.tag(len(PRIMITIVES))])
            case 6:
                return Compact(self.type_id())
            case _:
                return BitSequence(self.type_id(), self.type_id())

    def fields(self) -> tuple[Field, ...]:
        short, other = self._short_field, self._any_field
        return tuple([short() or other() for _ in range(self.length(1))])

    def _short_field(self) -> Field | None:
        """A field as nearly all are: texts below 64 bytes, a type id below 2^14, no documentation.

        None, and nothing read, for any other and where the bytes end: ``_any_field`` reads it or says what is wrong.
        """
        raw, offset, name = self.raw, self.offset, None
        try:
            if tag := raw[offset]:
                size = raw[offset + 1]
                if tag > 1 or size & 3:
                    return None
                start, offset = offset + 2, offset + 2 + (size >> 2)
                name = raw[start:offset].decode()
            else:
                offset += 1
            type_id = raw[offset]
            if type_id & 3 == 1:
                type_id = (type_id | raw[offset + 1] << 8) >> 2
                offset += 2
                if type_id < 64:
                    return None
            elif type_id & 3:
                return None
            else:
                type_id >>= 2
                offset += 1
            if tag := raw[offset]:
                size = raw[offset + 1]
                if tag > 1 or size & 3:
                    return None
                offset += 1 + (size >> 2)
            if raw[offset + 1]:
                return None
        except (IndexError, UnicodeDecodeError):
            return None
        self.offset = offset + 2
        if type_id > self.highest_type_id:
            self.highest_type_id = type_id
        return Field(name, type_id)

    def _any_field(self) -> Field:
        name = self.option(self.text)
        type_id = self.type_id()
        self.option(self.octets)  # the type as the source spells it
        self.docs()
        return Field(name, type_id)

    def case(self) -> Case:
        name, fields, index = self.text(), self.fields(), self.u8()
        self.docs()
        return Case(name, index, fields)
