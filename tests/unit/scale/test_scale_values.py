"""The conventions of decoded values, type by type, against bytes written by hand."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest
from metadata_bytes import Types

from indexer.errors import DecodeError
from indexer.scale import EncodeError, encode_compact, trace
from indexer.scale.codec import Codec
from indexer.scale.registry import MAX_EMPTY_ITEMS, Registry
from indexer.scale.registry_reader import RegistryReader


class Shapes:
    """One type for every shape there is, in a registry."""

    def __init__(self) -> None:
        t = Types()
        p = {
            name: t.primitive(name)
            for name in ("bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i64", "i128")
        }
        self.unit, self.empty = t.tuple(), t.composite([], "Empty")
        self.account = t.composite([t.array(32, p["u8"])], "AccountId32")
        self.amount = t.composite({"bits": p["u128"]}, "FixedU128")
        self.u256 = t.composite([t.array(4, p["u64"])], "primitive_types::U256")
        self.data = t.composite({"free": p["u64"], "flags": self.amount, "ok": p["bool"]}, "AccountData")
        self.mixed = t.composite({"a": p["u8"], "b": p["str"], "c": p["u16"], "d": p["i16"]}, "Mixed")
        self.bounded = t.composite([t.sequence(p["u8"])], "BoundedVec")
        self.side = t.variant({"Buy": (0, []), "Sell": (7, [])}, "Side")
        self.result = t.variant({"Ok": (0, [self.unit]), "Err": (1, [p["u8"], self.side])}, "Result")
        self.outer = t.variant({"None": (0, []), "One": (1, [p["u16"]]), "Named": (2, {"x": p["u16"]})}, "Outer")
        self.option = t.option(p["u32"])
        self.option2 = t.option(self.option)
        self.tree = len(t.listed) + 1
        t.sequence(self.tree)
        t.variant({"Leaf": (0, [p["u8"]]), "Node": (1, [self.tree - 1]), "Wrap": (2, [self.tree])}, "Tree")
        self.pairs = t.sequence(t.tuple(p["u16"], p["u16"]))
        self.map = t.composite([t.sequence(t.tuple(p["u8"], p["str"]))], "BTreeMap")
        self.compacts = {name: t.compact(p[name]) for name in ("u8", "u16", "u32", "u64", "u128", "u256")}
        self.compact_newtype, self.compact_unit = t.compact(self.amount), t.compact(self.unit)
        self.rows = t.sequence(self.data)
        self.units, self.empties = t.sequence(self.unit), t.array(3, self.empty)
        self.strings, self.long_array = t.array(2, p["str"]), t.array(200, p["u16"])
        self.short_array, self.single = t.array(2, self.side), t.tuple(p["u8"])
        self.lsb = t.bits(p["u8"], t.composite([], "bitvec::order::Lsb0"))
        self.msb = t.bits(p["u16"], t.composite([], "bitvec::order::Msb0"))
        self.sequence_of = {name: t.sequence(type_id) for name, type_id in p.items()}
        self.compact_sequence = t.sequence(self.compacts["u32"])
        self.itself = len(t.listed)
        t.composite({"me": self.itself, "n": p["u8"]}, "Itself")
        self.newtype_of_itself = len(t.listed)
        t.composite([self.newtype_of_itself], "Ouroboros")
        self.compact_of_text = t.compact(p["str"])
        self.deep = p["u8"]
        for _ in range(300):
            self.deep = t.tuple(self.deep)
        self.primitive = p
        self.codec = Codec(Registry(RegistryReader(bytes(t)).types()))


S = Shapes()

VALUES: list[tuple[str, int, Any, str]] = [
    ("bool", S.primitive["bool"], True, "01"),
    ("char", S.primitive["char"], "ß", "df000000"),
    ("str", S.primitive["str"], "ß", "08c39f"),
    ("i8", S.primitive["i8"], -1, "ff"),
    ("i64", S.primitive["i64"], -2, "feffffffffffffff"),
    ("i128", S.primitive["i128"], -2, "fe" + "ff" * 15),
    ("u128", S.primitive["u128"], 2**127 + 2**64 + 1, "0100000000000000" + "0100000000000080"),
    ("u256", S.primitive["u256"], 2**255, "00" * 31 + "80"),
    ("U256 is one number", S.u256, 2**64, "00" * 8 + "01" + "00" * 23),
    ("unit", S.unit, (), ""),
    ("empty struct", S.empty, (), ""),
    ("account", S.account, bytes(range(32)), bytes(range(32)).hex()),
    ("newtype of a named field", S.amount, 5, "05" + "00" * 15),
    ("struct", S.data, {"free": 1, "flags": 2, "ok": False}, "01" + "00" * 7 + "02" + "00" * 15 + "00"),
    ("struct with a string inside", S.mixed, {"a": 1, "b": "x", "c": 2, "d": -3}, "01" + "0478" + "0200" + "fdff"),
    ("bounded bytes", S.bounded, b"\x01\x02", "080102"),
    ("fieldless enum", S.side, "Sell", "07"),
    ("Ok of nothing", S.result, {"Ok": ()}, "00"),
    ("Err of several", S.result, {"Err": (3, "Buy")}, "010300"),
    ("case without fields", S.outer, "None", "00"),
    ("case of one value", S.outer, {"One": 258}, "010201"),
    ("case of one named value", S.outer, {"Named": {"x": 258}}, "020201"),
    ("None", S.option, None, "00"),
    ("Some", S.option, 1, "0101000000"),
    ("None of an option in an option", S.option2, None, "00"),
    ("Some(None)", S.option2, {"Some": None}, "0100"),
    ("Some(Some)", S.option2, {"Some": 1}, "010101000000"),
    ("tree", S.tree, {"Node": [{"Leaf": 1}, {"Wrap": {"Leaf": 2}}]}, "0108" + "0001" + "020002"),
    ("pairs", S.pairs, [(1, 2), (3, 4)], "08" + "0100020003000400"),
    ("map", S.map, [(1, "a"), (2, "")], "08" + "010461" + "0200"),
    ("compact below 2^6", S.compacts["u8"], 63, "fc"),
    ("compact below 2^14", S.compacts["u8"], 64, "0101"),
    ("compact of two bytes", S.compacts["u16"], 2**14 - 1, "fdff"),
    ("compact below 2^30", S.compacts["u32"], 2**14, "02000100"),
    ("compact of four bytes", S.compacts["u32"], 2**30 - 1, "feffffff"),
    ("compact from 2^30", S.compacts["u32"], 2**30, "0300000040"),
    ("compact of a u64", S.compacts["u64"], 2**64 - 1, "13" + "ff" * 8),
    ("compact of a u128", S.compacts["u128"], 2**128 - 1, "33" + "ff" * 16),
    ("compact of a u256", S.compacts["u256"], 2**255, "73" + "00" * 31 + "80"),
    ("compact of a newtype", S.compact_newtype, 1, "04"),
    ("compact of nothing", S.compact_unit, (), ""),
    ("compacts", S.compact_sequence, [0, 64, 2**30], "0c" + "00" + "0101" + "0300000040"),
    ("rows", S.rows, [{"free": 1, "flags": 2, "ok": True}] * 2, "08" + ("01" + "00" * 7 + "02" + "00" * 15 + "01") * 2),
    ("units", S.units, [(), ()], "08"),
    ("array of empty structs", S.empties, [(), (), ()], ""),
    ("array of strings", S.strings, ["a", ""], "046100"),
    ("array too long to unfold", S.long_array, [7] * 200, "0700" * 200),
    ("array of cases", S.short_array, ["Buy", "Sell"], "0007"),
    ("tuple of one", S.single, (5,), "05"),
    ("bits, lowest first", S.lsb, [True, False, False, False, False, False, False, False, True], "240101"),
    ("bits, highest first", S.msb, [True] + [False] * 14 + [True, True], "44" + "0180" + "0080"),
    ("no bits", S.lsb, [], "00"),
    ("bools", S.sequence_of["bool"], [True, False], "080100"),
    ("u16s", S.sequence_of["u16"], [1, 256], "0801000001"),
    ("u128s", S.sequence_of["u128"], [1], "0401" + "00" * 15),
    ("strings", S.sequence_of["str"], ["a", "b"], "0804610462"),
]


@pytest.mark.parametrize(("type_id", "value", "encoded"), [v[1:] for v in VALUES], ids=[v[0] for v in VALUES])
def test_a_value_decodes_compiled_and_traced_and_encodes_again(type_id: int, value: Any, encoded: str) -> None:
    raw = bytes.fromhex(encoded)
    decoded = S.codec.decode(type_id, raw)
    assert decoded == value
    assert type(decoded) is type(value)
    assert trace.decode(S.codec.registry, type_id, raw) == (value, len(raw))
    assert S.codec.encode(type_id, value) == raw
    assert S.codec.decode_at(type_id, b"\xff" + raw + b"\xff", 1) == (value, len(raw) + 1)


@pytest.mark.parametrize(("type_id", "encoded"), [(v[1], v[3]) for v in VALUES], ids=[v[0] for v in VALUES])
def test_a_value_cut_anywhere_or_with_a_byte_too_many_is_refused(type_id: int, encoded: str) -> None:
    raw = bytes.fromhex(encoded)
    for size in range(len(raw)):
        with pytest.raises(DecodeError) as refused:
            S.codec.decode(type_id, raw[:size])
        assert refused.value.path
        assert refused.value.offset is not None
        assert refused.value.offset <= size
    with pytest.raises(DecodeError, match="1 bytes follow the value"):
        S.codec.decode(type_id, raw + b"\x00")


@pytest.mark.parametrize(
    ("type_id", "encoded", "message"),
    [
        (S.primitive["bool"], "02", "bool is 2 in bool at byte 0"),
        (S.primitive["char"], "00d80000", "55296 is no Unicode character in char at byte 0"),
        (S.primitive["char"], "00001100", "1114112 is no Unicode character in char at byte 0"),
        (S.primitive["str"], "04ff", "string is not UTF-8 in str at byte 1"),
        (S.side, "01", "unknown variant 1 in Side at byte 0"),
        (S.option, "0200000000", "unknown variant 2 in Option<u32> at byte 0"),
        (S.tree, "010800010105", "truncated: 2 bytes wanted, 1 left in Tree.Node.0[1].Node.0: Vec<Tree> at byte 5"),
        (S.mixed, "01" + "0478" + "02", "truncated: 2 bytes wanted, 1 left in Mixed.c: u16 at byte 3"),
        (S.rows, "04" + "00" * 24 + "09", "bool is 9 in Vec<AccountData>[0].ok: bool at byte 25"),
        (S.map, "04" + "01" + "04ff", "string is not UTF-8 in BTreeMap.0[0].1: str at byte 3"),
        (S.result, "010309", "unknown variant 9 in Result.Err.1: Side at byte 2"),
        (S.compacts["u8"], "0104", "compact 256 is above 255 in Compact<u8> at byte 0"),
        (S.compacts["u32"], "070000000001", "compact 4294967296 is above 4294967295 in Compact<u32> at byte 0"),
        (S.compacts["u32"], "fd00", "compact 63 is not in its shortest form in Compact<u32> at byte 0"),
        (S.compacts["u32"], "02000000", "compact 0 is not in its shortest form"),
        (S.compacts["u32"], "03ffffff3f", "compact 1073741823 is not in its shortest form"),
        (S.compacts["u64"], "0700000040" + "00", "compact 1073741824 is not in its shortest form"),
        (S.bounded, "0301000040" + "00", "truncated: length 1073741825 needs 1073741825 bytes, 1 left"),
        (S.lsb, "a000", "truncated: 40 bits need 5 bytes, 1 left in BitSequence at byte 0"),
    ],
)
def test_misfits_are_named_with_path_and_offset(type_id: int, encoded: str, message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        S.codec.decode(type_id, bytes.fromhex(encoded))
    assert message in str(refused.value)


def test_a_length_the_bytes_cannot_hold_is_refused_before_allocating() -> None:
    types = (S.bounded, S.rows, S.pairs, S.compact_sequence, S.units, S.lsb, S.msb, *S.sequence_of.values())
    for type_id in types:
        S.codec.decode(type_id, b"\x00")  # compiled before memory is measured
    tracemalloc.start()
    for absurd in (2**62, 2**29, 10**6):
        for type_id in types:
            with pytest.raises(DecodeError):
                S.codec.decode(type_id, encode_compact(absurd) + bytes(100))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 200_000


def test_the_smallest_size_of_a_type_is_exact_even_where_it_contains_itself() -> None:
    sizes = {S.long_array: 400, S.data: 25, S.mixed: 6, S.option2: 1, S.tree: 2, S.result: 1, S.u256: 32, S.lsb: 1}
    sizes |= {S.unit: 0, S.empties: 0, S.compact_unit: 0, S.compact_newtype: 1, S.rows: 1, S.strings: 2}
    assert {type_id: S.codec.registry.min_size(type_id) for type_id in sizes} == sizes


def test_items_that_take_no_bytes_are_capped() -> None:
    assert len(S.codec.decode(S.units, encode_compact(MAX_EMPTY_ITEMS))) == MAX_EMPTY_ITEMS
    with pytest.raises(DecodeError, match="257 items that take no bytes"):
        S.codec.decode(S.units, encode_compact(MAX_EMPTY_ITEMS + 1))


def nested(depth: int) -> bytes:
    return b"\x02" * depth + b"\x00\x07"


def test_nesting_is_bounded_whatever_the_stack_of_the_caller() -> None:
    def decode_below(frames: int) -> Any:
        return decode_below(frames - 1) if frames else S.codec.decode(S.tree, nested(256))

    free = sys.getrecursionlimit() - 200
    value = decode_below(free)
    for _ in range(256):
        value = value["Wrap"]
    assert value == {"Leaf": 7}
    for depth in (3_000, 1_000_000):
        with pytest.raises(DecodeError, match="nested deeper than 2048 types"):
            S.codec.decode(S.tree, nested(depth))


def test_types_that_cannot_be_are_refused() -> None:
    for type_id in (S.itself, S.newtype_of_itself, S.compact_of_text):
        with pytest.raises(DecodeError):
            S.codec.decode(type_id, bytes(10_000))


def test_a_type_too_deep_for_the_compiler_is_traced() -> None:
    value: Any = 5
    for _ in range(300):
        value = (value,)
    assert S.codec.decode(S.deep, b"\x05") == value
    with pytest.raises(DecodeError, match="too deep to compile"):
        S.codec.check({S.deep})


@pytest.mark.parametrize(
    ("type_id", "value"),
    [
        (S.primitive["u8"], 256),
        (S.primitive["u8"], True),
        (S.primitive["i8"], 128),
        (S.primitive["bool"], 1),
        (S.primitive["str"], b"x"),
        (S.primitive["char"], "xy"),
        (S.account, bytes(31)),
        (S.account, "5Grw"),
        (S.data, {"free": 1, "flags": 2}),
        (S.data, {"free": 1, "flags": 2, "ok": True, "more": 1}),
        (S.data, (1, 2, True)),
        (S.side, "Hold"),
        (S.outer, "One"),
        (S.outer, {"None": ()}),
        (S.option2, 5),
        (S.single, 5),
        (S.strings, ["a"]),
        (S.compacts["u8"], 256),
        (S.rows, 5),
    ],
)
def test_values_that_do_not_fit_are_refused_by_the_encoder(type_id: int, value: Any) -> None:
    with pytest.raises(EncodeError):
        S.codec.encode(type_id, value)


@pytest.mark.parametrize("number", [-1, 2**536])
def test_numbers_no_compact_can_hold(number: int) -> None:
    with pytest.raises(EncodeError):
        encode_compact(number)
