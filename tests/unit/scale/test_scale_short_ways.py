"""The short ways that decoding takes for what is common end where the long ones do, or are not taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from metadata_bytes import NO_DOCS, Types, runtime_metadata, text

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import EventRecord, Runtime, StorageItem, encode_compact, storage, trace
from indexer.scale.codec import Codec
from indexer.scale.compiler import Compiler
from indexer.scale.events import event_records
from indexer.scale.function_source import INLINE_CASES
from indexer.scale.registry import Field, Registry, Type
from indexer.scale.registry_reader import RegistryReader

HEAD = len(b"meta") + 1


class Careful(RegistryReader):
    """Reads everything the long way."""

    def _short_field(self) -> Field | None:
        return None

    def docs(self) -> None:
        self._any_docs()


def types_by(reader: RegistryReader) -> tuple[tuple[Type, ...], int, int] | str:
    """The types, where they end and the highest id they name; or what is wrong with them."""
    try:
        reader.take(HEAD)
        return reader.types(), reader.offset, reader.highest_type_id
    except DecodeError as error:
        return str(error)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["spec103.v14", "spec343.v15", "spec424.v16"])
def test_types_of_real_metadata_are_the_same_by_the_short_way_and_the_long(realdata: Path, name: str) -> None:
    raw = (realdata / "metadata" / f"{name}.scale").read_bytes()
    assert types_by(RegistryReader(raw)) == types_by(Careful(raw))
    assert len(types_by(Careful(raw))) == 3


def test_types_with_a_wrong_byte_anywhere_are_read_or_refused_alike() -> None:
    raw = runtime_metadata(14)
    end = types_by(Careful(raw))[1]
    assert isinstance(end, int)
    for place in range(HEAD, end):
        for byte in {0, 1, 2, 3, 4, 5, 9, 0xFD, 0xFE, 0xFF, raw[place] ^ 1, raw[place] ^ 2} - {raw[place]}:
            wrong = raw[:place] + bytes([byte]) + raw[place + 1 :]
            assert types_by(RegistryReader(wrong)) == types_by(Careful(wrong)), (place, byte)


def test_types_cut_anywhere_are_refused_alike() -> None:
    raw = runtime_metadata(14)
    end = types_by(Careful(raw))[1]
    assert isinstance(end, int)
    for size in range(HEAD, end):
        refused = types_by(Careful(raw[:size]))
        assert isinstance(refused, str)
        assert types_by(RegistryReader(raw[:size])) == refused


def field(type_id: bytes, docs: bytes = b"\x00") -> bytes:
    """A registry of one struct ``(T)``; its type id and documentation as given, the rest in the shortest form."""
    return b"meta\x0e" + b"\x04\x00" + b"\x00\x00" + b"\x00\x04" + b"\x00" + type_id + b"\x00" + docs + b"\x00"


def test_an_id_or_a_line_that_is_longer_than_it_need_be_is_refused() -> None:
    assert types_by(RegistryReader(field(b"\x08"))) == types_by(Careful(field(b"\x08")))
    for raw in (field(b"\x09\x00"), field(b"\x08", b"\x04\x05\x00x")):
        with pytest.raises(DecodeError, match="not in its shortest form"):
            RegistryReader(raw[HEAD:]).types()


def nested_enums() -> tuple[Codec, int, int]:
    """An enum of enums, and one that has a case without; with an enum inside that is small enough to stand open."""
    t = Types()
    u8, u32 = t.primitive("u8"), t.primitive("u32")
    small = t.variant({"At": (0, [u32]), "End": (1, [])}, "Small")
    first = t.variant({"Quiet": (3, []), "Moved": (5, {"to": u32, "when": small}), "Bare": (6, [u8])}, "First")
    second = t.variant({f"Case{n}": (n, [u8]) for n in range(INLINE_CASES + 1)}, "Second")
    outer = t.variant({"One": (2, [first]), "Two": (9, [second])}, "Outer")
    mixed = t.variant({"One": (2, [first]), "None": (4, [])}, "Mixed")
    reader = RegistryReader(bytes(t))
    return Codec(Registry(reader.types())), outer, mixed


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x02\x03", {"One": "Quiet"}),
        (b"\x02\x05\x01\x00\x00\x00\x00\x07\x00\x00\x00", {"One": {"Moved": {"to": 1, "when": {"At": 7}}}}),
        (b"\x02\x05\x01\x00\x00\x00\x01", {"One": {"Moved": {"to": 1, "when": "End"}}}),
        (b"\x02\x06\x08", {"One": {"Bare": 8}}),
    ],
)
def test_an_enum_of_enums_reads_both_cases_as_one_of_another_shape_does(raw: bytes, value: object) -> None:
    codec, outer, mixed = nested_enums()
    for type_id in (outer, mixed):
        assert codec.decode(type_id, raw) == value
        assert codec.decode(type_id, raw) is not codec.decode(type_id, raw)  # nobody shares what others may change
        assert trace.decode(codec.registry, type_id, raw) == (value, len(raw))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x03\x03", "unknown variant 3 in Outer at byte 0"),
        (b"\x02\x04", "unknown variant 4 in Outer.One.0: First at byte 1"),
        (b"\x02", "truncated: 1 bytes wanted, 0 left in Outer.One.0: First at byte 1"),
        (b"\x09\x04\x00", "unknown variant 4 in Outer.Two.0: Second at byte 1"),
        (b"\x02\x05\x01\x00\x00\x00\x02", "unknown variant 2 in Outer.One.0.Moved.when: Small at byte 6"),
        (b"\x02\x03\x00", "1 bytes follow the value in Outer at byte 2"),
    ],
)
def test_misfits_inside_an_enum_of_enums_are_named_with_path_and_offset(raw: bytes, message: str) -> None:
    codec, outer, _ = nested_enums()
    with pytest.raises(DecodeError) as refused:
        codec.decode(outer, raw)
    assert str(refused.value) == message


def test_structs_in_structs_do_not_multiply_the_code() -> None:
    t = Types()
    inner = t.primitive("str")
    for depth in range(4):
        inner = t.composite({f"f{n}": inner for n in range(60)}, f"Level{depth}")
    registry = Registry(RegistryReader(bytes(t)).types())
    assert len(Compiler(registry).source(inner).text().splitlines()) < 1_000
    assert Codec(registry).check({inner}) == 5


def test_a_key_that_recurs_is_checked_once_and_a_wrong_one_every_time() -> None:
    small = map_of_subnets()
    key = small.key(7)
    assert small.split_key(key) == (7,)
    assert small.split_key(key) == (7,)
    wrong = key[:-1] + b"\x01"
    for _ in range(2):
        with pytest.raises(DecodeError, match="hash is not that of the part behind it"):
            small.split_key(wrong)


def test_keys_taken_apart_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "KEPT_KEYS", 10)
    small = map_of_subnets()
    for number in range(35):
        assert small.split_key(small.key(number)) == (number,)
    assert len(small._split) <= 10


def map_of_subnets() -> StorageItem:
    """A map by u16 under Twox64Concat, as those of subnets are."""
    t = Types()
    u16 = t.primitive("u16")
    registry = Registry(RegistryReader(bytes(t)).types())
    return StorageItem(ItemRef("A", "B"), bytes(32), ("Twox64Concat",), True, b"", (u16,), u16, Codec(registry))


def test_an_empty_sequence_is_its_length_alone() -> None:
    t = Types()
    texts = t.sequence(t.primitive("str"))
    holder = t.composite({"names": texts, "more": texts}, "Holder")
    codec = Codec(Registry(RegistryReader(bytes(t)).types()))
    assert codec.decode(holder, encode_compact(0) * 2) == {"names": [], "more": []}
    assert codec.decode(holder, encode_compact(1) + b"\x04x" + encode_compact(0)) == {"names": ["x"], "more": []}
    with pytest.raises(DecodeError, match="truncated"):
        codec.decode(holder, encode_compact(0))


WHO = bytes(range(32))
MOVED = b"\x00\x07\x00\x00\x00" + b"\x09\x02" + WHO + b"\x01\x02" + b"\x04" + WHO
EVENTS = b"\x0c" + MOVED + b"\x01" + b"\x09\x00" + b"\x00" + b"\x02" + b"\x09\x00" + b"\x04" + WHO


def told(runtime: Runtime, raw: bytes) -> tuple[list[EventRecord] | str, list[EventRecord] | str]:
    """Events read straight as records, and as values first; or what is wrong with them."""
    item = runtime.item(ItemRef("System", "Events"))
    assert item is not None
    found: list[list[EventRecord] | str] = []
    for read in (runtime.decode_events, lambda raw: event_records(item.decode(raw))):
        try:
            found.append(read(raw))
        except DecodeError as error:
            found.append(str(error))
    return found[0], found[1]


def test_events_with_a_wrong_byte_anywhere_cut_or_too_long_are_read_or_refused_as_values_are() -> None:
    runtime = Runtime.from_metadata(runtime_metadata(15))
    straight, by_values = told(runtime, EVENTS)
    assert straight == by_values
    assert len(straight) == 3
    wrong = [EVENTS[:end] for end in range(len(EVENTS))] + [EVENTS + b"\x00"]
    for place, byte in enumerate(EVENTS):
        wrong += [EVENTS[:place] + bytes([new]) + EVENTS[place + 1 :] for new in {0, 1, 2, 3, 4, 9, 0xFF} - {byte}]
    for raw in wrong:
        straight, by_values = told(runtime, raw)
        assert straight == by_values, raw.hex()


def test_event_records_whose_parts_stand_in_another_order_are_read_by_their_names() -> None:
    raw = runtime_metadata(15)

    def field(name: str) -> tuple[int, int]:
        start = raw.index(b"\x01" + text(name))
        return start, raw.index(text("T") + NO_DOCS, start) + len(text("T") + NO_DOCS)

    (event, end), (topics, last) = field("event"), field("topics")
    assert end == topics
    runtime = Runtime.from_metadata(raw[:event] + raw[topics:last] + raw[event:end] + raw[last:])
    events = b"\x04" + MOVED[:5] + b"\x04" + WHO + MOVED[5:41]
    assert runtime.decode_events(events) == [
        EventRecord("ApplyExtrinsic", 7, "Sample", "Moved", {"who": WHO, "to": 513}, (WHO,))
    ]


def test_every_event_is_compiled_when_all_is_checked() -> None:
    runtime = Runtime.from_metadata(runtime_metadata(15))
    runtime.check_all()
    compiled = runtime.codec._compiler._namespace
    assert any(name.startswith("records_") for name in compiled)
    assert any(name.startswith("event_") and name.endswith("_9_2") for name in compiled)
