"""Keys are taken apart and put together by generated functions as they are part by part, wrong ones above all."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from metadata_bytes import Types
from random_values import NoValue, random_value

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import EncodeError, KeyHash, RawKey, Runtime, StorageItem
from indexer.scale.codec import Codec
from indexer.scale.registry import Registry
from indexer.scale.registry_reader import RegistryReader


def items_of(realdata: Path, name: str) -> list[StorageItem]:
    """Every storage item of a real runtime."""
    return list(Runtime.from_metadata((realdata / "metadata" / f"{name}.scale").read_bytes()).items())


def split(way: Any, key: bytes) -> object:
    """What taking apart gives, with the types, as a hash is equal to its bytes; or what is wrong."""
    try:
        parts = way(key)
    except DecodeError as error:
        return str(error)
    return parts, [type(part) for part in parts]


def built(way: Any, parts: tuple[object, ...]) -> object:
    try:
        return way(*parts)
    except EncodeError as error:
        return str(error)


def some_keys(item: StorageItem, random: Random) -> list[tuple[tuple[Any, ...], bytes]]:
    """Parts and their keys, put together part by part."""
    found = []
    for _ in range(4):
        try:
            parts = tuple(random_value(item.codec.registry, type_id, random) for type_id in item.key_types)
            found.append((parts, item.key_prefix(*parts)))
        except (NoValue, EncodeError):
            continue
    return found


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["spec103.v14", "spec343.v15", "spec424.v16"])
def test_keys_of_every_item_of_a_real_runtime_are_read_and_made_alike(realdata: Path, name: str) -> None:
    random, short = Random(name), 0
    for item in items_of(realdata, name):
        ways = item._ways()
        short += ways[0] is not None and ways[1] is not None
        for parts, key in some_keys(item, random):
            assert split(item._taken_apart, key) == split(item._parts, key)
            assert item.key(*parts) == key
            assert item.key(*item.split_key(key)) == key  # with hashes where there is no clear text
    assert short > 70


@pytest.mark.realdata
def test_keys_with_a_wrong_byte_anywhere_cut_or_too_long_are_refused_alike(realdata: Path) -> None:
    random = Random("wrong")
    for item in items_of(realdata, "spec424.v16"):
        for _, key in some_keys(item, random)[:1]:
            wrong = [key[:at] + bytes([key[at] ^ 1 << random.randrange(8)]) + key[at + 1 :] for at in range(len(key))]
            for other in [*wrong, key[:-1], key[:32], key[:31], b"", key + b"\0"]:
                assert split(item._taken_apart, other) == split(item._parts, other), (item.ref, other)


@pytest.mark.realdata
def test_parts_that_do_not_fit_are_refused_alike(realdata: Path) -> None:
    odd: list[Any] = [-1, 2**64, True, 1.0, None, "", b"", bytes(31), bytes(33), bytearray(32), KeyHash(bytes(32)), ()]
    for item in items_of(realdata, "spec424.v16"):
        for parts, _ in some_keys(item, Random("odd"))[:1]:
            for at in range(len(parts)):
                for wrong in [*odd, RawKey(bytes(32))] if len(parts) > 1 else odd:
                    given = (*parts[:at], wrong, *parts[at + 1 :])
                    assert built(item.key, given) == built(item.key_prefix, given), (item.ref, given)


@pytest.mark.parametrize("depth", [300, 1500])
def test_a_key_of_a_type_too_deep_for_generated_code_is_read_part_by_part(depth: int) -> None:
    t = Types()
    deep, nothing = t.primitive("u8"), t.tuple()
    for _ in range(depth):
        deep = t.composite({"inner": deep, "nothing": nothing})
    codec = Codec(Registry(RegistryReader(bytes(t)).types()))
    item = StorageItem(ItemRef("Sample", "Deep"), bytes(32), ("Identity",), True, b"", (deep,), 0, codec)
    assert item._ways() == (None, None)
    (part,) = item.split_key(bytes(32) + b"\1")
    for _ in range(depth):  # not compared as a whole: that recurses, too
        part = part["inner"]
    assert part == 1
