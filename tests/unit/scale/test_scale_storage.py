"""Storage keys under every hasher, hashers against published vectors, SS58."""

from __future__ import annotations

import pytest
from metadata_bytes import runtime_metadata

from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.scale import (
    EncodeError,
    KeyHash,
    Runtime,
    StorageItem,
    blake2_128,
    blake2_128_concat,
    blake2_256,
    ss58_decode,
    ss58_encode,
    twox64,
    twox64_concat,
    twox128,
    twox256,
)
from indexer.scale.metadata import HASHERS

ALICE = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")
HASHED = {"Blake2_128": blake2_128, "Blake2_256": blake2_256, "Twox128": twox128, "Twox256": twox256}
CONCAT = {"Blake2_128Concat": blake2_128_concat, "Twox64Concat": twox64_concat, "Identity": bytes}


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime.from_metadata(runtime_metadata(16))


def item(runtime: Runtime, name: str) -> StorageItem:
    found = runtime.item(ItemRef("System", name))
    assert found is not None
    return found


def test_hashers_give_what_substrate_documents() -> None:
    # "System" and "Account": the prefix every explorer knows; the rest are the empty-input vectors of the hashes.
    assert (twox128(b"System") + twox128(b"Account")).hex() == (
        "26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"
    )
    assert twox64(b"").hex() == "99e9d85137db46ef"
    assert twox256(b"").hex() == "99e9d85137db46ef4bbea33613baafd56f963c64b1f3685a4eb4abd67ff6203a"
    assert blake2_128(b"").hex() == "cae66941d9efbd404e4d88758ea67670"
    assert blake2_256(b"").hex() == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
    assert blake2_128_concat(ALICE).hex() == "de1e86a9a8c739864cf3cc5ec2bea59f" + ALICE.hex()


@pytest.mark.parametrize("name", [*HASHED, *CONCAT])
def test_a_key_is_its_prefix_and_the_hashed_part(runtime: Runtime, name: str) -> None:
    found = item(runtime, f"Hasher{HASHERS.index(name)}")
    assert found.hashers == (name,)
    key = found.key(ALICE)
    assert key == twox128(b"Frame") + twox128(found.ref.item.encode()) + {**HASHED, **CONCAT}[name](ALICE)
    (part,) = found.split_key(key)
    assert part == (HASHED[name](ALICE) if name in HASHED else ALICE)
    assert isinstance(part, KeyHash) == (name in HASHED)
    assert found.key(part) == key


def test_keys_of_several_parts(runtime: Runtime) -> None:
    double, triple, single = (item(runtime, name) for name in ("Double", "Triple", "TupleKey"))
    assert double.key(258, ALICE)[32:] == b"\x02\x01" + blake2_128_concat(ALICE)
    assert double.split_key(double.key(258, ALICE)) == (258, ALICE)
    assert double.key_prefix(258) == double.prefix + b"\x02\x01"
    assert double.key_prefix() == double.prefix
    hashed = triple.split_key(triple.key(ALICE, 1, 2**63))
    assert hashed == (ALICE, blake2_128(b"\x01\x00"), 2**63)
    assert triple.key(*hashed) == triple.key(ALICE, 1, 2**63)
    # One hasher over a tuple: one part, which is the tuple.
    assert single.key((258, ALICE))[32:] == twox64_concat(b"\x02\x01" + ALICE)
    assert single.split_key(single.key((258, ALICE))) == ((258, ALICE),)


def test_a_plain_value_has_one_key(runtime: Runtime) -> None:
    events = item(runtime, "Events")
    assert events.key() == events.prefix
    assert events.split_key(events.key()) == ()


@pytest.mark.parametrize("name", ["Events", "Double", "Triple", "TupleKey", *(f"Hasher{n}" for n in range(7))])
def test_a_key_cut_anywhere_or_too_long_or_of_another_item_is_refused(runtime: Runtime, name: str) -> None:
    found = item(runtime, name)
    parts = {"Events": (), "Double": (1, ALICE), "Triple": (ALICE, 1, 2), "TupleKey": ((1, ALICE),)}.get(name, (ALICE,))
    key = found.key(*parts)
    for size in range(len(key)):
        with pytest.raises(DecodeError):
            found.split_key(key[:size])
    with pytest.raises(DecodeError, match="1 bytes follow the key"):
        found.split_key(key + b"\x00")
    with pytest.raises(DecodeError, match="another prefix"):
        item(runtime, "Maybe").split_key(key)


@pytest.mark.parametrize("name", ["Double", "TupleKey", "Hasher2", "Hasher5"])
def test_a_hash_that_is_not_of_its_clear_part_is_refused(runtime: Runtime, name: str) -> None:
    found = item(runtime, name)
    key = bytearray(found.key(*{"Double": (1, ALICE), "TupleKey": ((1, ALICE),)}.get(name, (ALICE,))))
    key[-1] ^= 1
    with pytest.raises(DecodeError, match="hash is not that of the part behind it"):
        found.split_key(bytes(key))


def test_key_parts_that_do_not_fit_are_the_callers_error(runtime: Runtime) -> None:
    double = item(runtime, "Double")
    for parts in [(1,), (1, ALICE, 1), (2**16, ALICE), (-1, ALICE), (1, ALICE[:31]), ("1", ALICE), (True, ALICE)]:
        with pytest.raises(EncodeError):
            double.key(*parts)
    with pytest.raises(EncodeError):
        double.key_prefix(1, ALICE, 2)
    # A hash stands for a part only where the hasher keeps no clear text.
    with pytest.raises(EncodeError):
        double.key(1, KeyHash(blake2_128(ALICE)))


def test_ss58_text_of_accounts() -> None:
    assert ss58_encode(ALICE) == "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    assert ss58_encode(ALICE, 0) == "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"
    assert ss58_decode("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY") == ALICE
    assert ss58_decode(ss58_encode(ALICE, 13116), 13116) == ALICE
    bad = ["", "0x" + ALICE.hex(), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ", "5Grw", "0OIl", "F7Hs", "1"]
    for address in bad:
        with pytest.raises(DecodeError):
            ss58_decode(address)
    with pytest.raises(DecodeError):
        ss58_decode(ss58_encode(ALICE, 0), 42)
    with pytest.raises(DecodeError):
        ss58_encode(ALICE[:20])
