"""Short ways to declare types: ``vec(U8)``, ``struct("a::b::Name", field=U32)``, ``named("Case", 0, who=ACCOUNT)``.

Generic forms are cached, so that one type written twice is one entry of the registry.
"""

from __future__ import annotations

from functools import cache

from indexer.devchain.declare import Array, Compact, Composite, Enum, Field, List, Option, Tuple, Type, Variant


@cache
def vec(inner: Type) -> List:
    """``Vec<T>``."""
    return List(inner)


@cache
def array(inner: Type, length: int) -> Array:
    """``[T; N]``."""
    return Array(inner, length)


@cache
def tuple_of(*inner: Type) -> Tuple:
    """A tuple of at least two types."""
    return Tuple(inner)


@cache
def compact_of(inner: Type) -> Compact:
    """``Compact<T>``."""
    return Compact(inner)


@cache
def option(inner: Type) -> Option:
    """``Option<T>``."""
    variants = (Variant("None", 0), Variant("Some", 1, (Field(inner),)))
    return Option(variants, inner=inner, path=("Option",), params=(("T", inner),))


@cache
def bounded(inner: Type) -> Composite:
    """``BoundedVec<T, _>``: a newtype around a vector."""
    path = ("bounded_collections", "bounded_vec", "BoundedVec")
    return Composite((Field(vec(inner), None, "Vec<T>"),), path=path, params=(("T", inner), ("S", None)))


def struct(path: str, /, **fields: Type) -> Composite:
    """A struct with named fields; ``path`` as ``a::b::Name``."""
    return Composite(tuple(Field(kind, name) for name, kind in fields.items()), path=tuple(path.split("::")))


def newtype(path: str, inner: Type) -> Composite:
    """A struct around one unnamed field."""
    return Composite((Field(inner),), path=tuple(path.split("::")))


def enum(path: str, *variants: str | Variant) -> Enum:
    """An enum; variants given by name alone are numbered by position."""
    made = tuple(Variant(one, at) if isinstance(one, str) else one for at, one in enumerate(variants))
    return Enum(made, path=tuple(path.split("::")))


def named(name: str, index: int, /, **fields: Type) -> Variant:
    """A variant with named fields."""
    return Variant(name, index, tuple(Field(kind, label) for label, kind in fields.items()))


def unnamed(name: str, index: int, *fields: Type) -> Variant:
    """A variant with unnamed fields, or none."""
    return Variant(name, index, tuple(Field(kind) for kind in fields))
