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
        for _ in range(self.length(1)):
            self.octets()

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
                return Composite(self.many(self.field))
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

    def field(self) -> Field:
        name = self.option(self.text)
        type_id = self.type_id()
        self.option(self.octets)  # the type as the source spells it
        self.docs()
        return Field(name, type_id)

    def case(self) -> Case:
        name, fields, index = self.text(), self.many(self.field), self.u8()
        self.docs()
        return Case(name, index, fields)
