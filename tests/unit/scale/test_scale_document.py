"""Events, calls and errors as JSON: readable, complete, and such that Postgres takes them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from random_values import NoValue, random_value

from indexer.errors import DecodeError
from indexer.model import EventRecord
from indexer.scale import Documents, Runtime, ss58_decode, ss58_encode
from indexer.scale.registry import (
    Array,
    BitSequence,
    Case,
    Compact,
    Composite,
    Field,
    Primitive,
    Registry,
    Sequence,
    Tuple,
    Type,
    Variant,
)

ALICE = bytes([7]) * 32


def back(registry: Registry, type_id: int, told: Any) -> Any:
    """The decoded value that a document tells, by its type alone."""

    def fields(of: tuple[Field, ...], told: Any) -> Any:
        if of and of[0].name is not None:
            return {str(field.name): back(registry, field.type_id, told[field.name]) for field in of}
        if len(of) == 1:
            return back(registry, of[0].type_id, told)
        return tuple(back(registry, field.type_id, part) for field, part in zip(of, told, strict=True))

    if registry[type_id].path[-1:] == ("AccountId32",):
        return ss58_decode(told)
    if (some := registry.some(type_id)) is not None:
        if told is None:
            return None
        is_ambiguous = registry.some_is_ambiguous(some)
        inner = back(registry, some, told["Some"] if is_ambiguous else told)
        return {"Some": inner} if is_ambiguous else inner
    match registry.definition(type_id):
        case Sequence(element) | Array(_, element) if registry.is_u8(element):
            return bytes.fromhex(told[2:]) if told.startswith("0x") else told.encode()
        case Sequence(element) | Array(_, element):
            return [back(registry, element, part) for part in told]
        case Tuple(elements):
            return tuple(back(registry, element, part) for element, part in zip(elements, told, strict=True))
        case Composite(of) if not registry.is_u256(type_id):
            return back(registry, of[0].type_id, told) if len(of) == 1 else fields(of, told)
        case Variant(cases):
            if isinstance(told, str):
                return told
            ((name, inner),) = told.items()
            (case,) = [case for case in cases if case.name == name]
            return {name: fields(case.fields, inner)}
        case Primitive("str" | "char"):
            return bytes.fromhex(told[2:]).decode() if told.startswith("0x") else told
        case Compact() if told == []:
            return ()
        case BitSequence() | Compact() | Primitive() | Composite():
            return told
    raise AssertionError(type_id)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["spec143.v14", "spec343.v15", "spec424.v16"])
def test_every_event_and_call_of_a_real_runtime_can_be_told_and_told_back(realdata: Path, name: str) -> None:
    runtime = Runtime.from_metadata((realdata / f"metadata/{name}.scale").read_bytes())
    registry, told = runtime.codec.registry, 0
    (records,) = [item for item in runtime.items() if str(item.ref) == "System.Events"]
    for type_id in (records.value_type, runtime.extrinsics.call_type):
        random = Random(name)
        for _ in range(300):
            try:
                value = random_value(registry, type_id, random)
            except NoValue:
                continue
            try:
                document = runtime.documents.value(type_id, value)
            except DecodeError as error:
                assert "too deep" in str(error)  # noqa: PT017 - either is right
                continue
            text = json.dumps(document, allow_nan=False)
            assert "\\u0000" not in text
            assert back(registry, type_id, json.loads(text)) == value
            told += 1
    assert told > 400


def told(definition: Any, value: object, *others: Type) -> object:
    """A value of one type as JSON; the types after it are 1, 2, …"""
    registry = Registry((Type((), (), definition), *others))
    return Documents(registry, None, 0, {}, 42).value(0, value)


U8, STR, ACCOUNT = (
    Type((), (), Primitive("u8")),
    Type((), (), Primitive("str")),
    Type(("sp_core", "crypto", "AccountId32"), (), Composite((Field(None, 2),))),
)
BYTES32 = Type((), (), Array(32, 3))


def test_an_account_is_an_address_and_a_hash_is_hex() -> None:
    kinds = (ACCOUNT, BYTES32, U8)
    assert told(Tuple((1, 2)), (ALICE, ALICE), *kinds) == [ss58_encode(ALICE), "0x" + ALICE.hex()]
    assert told(Sequence(1), [ALICE], *kinds) == [ss58_encode(ALICE)]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (b"hello", "hello"),
        ("grüß dich\n".encode(), "grüß dich\n"),
        (b"", ""),
        (b"\xff\xfe", "0xfffe"),
        (b"a\x00b", "0x610062"),
        (b"0x41", "0x30783431"),
        (b"\x1b[31m", "0x1b5b33316d"),
        ("a\u202eb".encode(), "0x61e280ae62"),
    ],
)
def test_bytes_are_text_where_a_reader_sees_all_of_it_and_takes_it_for_nothing_else(given: bytes, shown: str) -> None:
    assert told(Sequence(1), given, U8) == shown
    if given != b"\xff\xfe":
        assert told(Tuple((1,)), (given.decode(),), STR) == [shown]


def test_a_letter_that_is_nul_is_hex() -> None:
    assert told(Primitive("char"), "\x00") == "0x00"
    assert told(Primitive("char"), "ß") == "ß"


def test_what_nests_without_end_is_refused_in_time() -> None:
    value: object = "End"
    for _ in range(5_000):
        value = {"In": value}
    endless = Variant((Case("End", 0, ()), Case("In", 1, (Field(None, 0),))))
    with pytest.raises(DecodeError, match="too deep to be told"):
        told(endless, value)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["spec143.v14", "spec343.v15", "spec424.v16"])
def test_a_dispatch_error_is_named_as_the_pallet_names_it(realdata: Path, name: str) -> None:
    documents = Runtime.from_metadata((realdata / f"metadata/{name}.scale").read_bytes()).documents
    assert documents.error("BadOrigin") == "BadOrigin"
    assert documents.error({"Token": "FundsUnavailable"}) == "Token.FundsUnavailable"
    assert documents.error({"Module": {"index": 7, "error": b"\x04\0\0\0"}}).startswith("SubtensorModule.")
    assert documents.error({"Module": {"index": 5, "error": b"\x02\0\0\0"}}) == "Balances.InsufficientBalance"
    assert documents.error({"Module": {"index": 5, "error": 2}}) == "Balances.InsufficientBalance"
    assert documents.error({"Module": {"index": 5, "error": b"\xfa\0\0\0"}}) == "Balances.250"
    assert documents.error({"Module": {"index": 251, "error": b"\x01\0\0\0"}}) == "Module 251.1"
    assert documents.error({"New": {"strange": 1}}) == "New"
    assert documents.error(None) == "None"


@pytest.mark.realdata
def test_an_event_that_the_metadata_does_not_list_is_refused(realdata: Path) -> None:
    documents = Runtime.from_metadata((realdata / "metadata/spec343.v15.scale").read_bytes()).documents
    with pytest.raises(DecodeError, match=r"lists no Balances\.Gone"):
        documents.event(EventRecord("Finalization", None, "Balances", "Gone", {}, ()))
