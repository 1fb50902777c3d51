"""Metadata written by hand, by an encoder of its own, for a small invented runtime.

One runtime in three versions of metadata: it has a storage map for every hasher, an enum of calls that
nests, events, a constant, a runtime API, and (V16) two extension versions and deprecation notes.
"""

from __future__ import annotations

from collections.abc import Iterable

PRIMITIVES = ["bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "u256"]
PRIMITIVES += ["i8", "i16", "i32", "i64", "i128", "i256"]
NO_DOCS = b"\x00"
NOT_DEPRECATED, DEPRECATED = b"\x00", b"\x02" + b"\x0cold" + b"\x01" + b"\x04v"


def compact(number: int) -> bytes:
    if number < 64:
        return bytes([number << 2])
    if number < 2**14:
        return (number << 2 | 1).to_bytes(2, "little")
    assert number < 2**30
    return (number << 2 | 2).to_bytes(4, "little")


def vec(items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return compact(len(listed)) + b"".join(listed)


def text(value: str) -> bytes:
    return compact(len(value.encode())) + value.encode()


def some(value: bytes | None) -> bytes:
    return b"\x00" if value is None else b"\x01" + value


class Types:
    """A registry under construction: each method registers a type and gives its id."""

    def __init__(self) -> None:
        self.listed: list[bytes] = []

    def __bytes__(self) -> bytes:
        return vec(compact(number) + body for number, body in enumerate(self.listed))

    def add(self, definition: bytes, path: str = "", params: dict[str, int] | None = None) -> int:
        names = vec(text(name) for name in path.split("::") if name)
        given = vec(text(name) + some(compact(type_id)) for name, type_id in (params or {}).items())
        self.listed.append(names + given + definition + NO_DOCS)
        return len(self.listed) - 1

    def primitive(self, name: str) -> int:
        return self.add(b"\x05" + bytes([PRIMITIVES.index(name)]))

    def composite(
        self, fields: dict[str, int] | list[int], path: str = "", params: dict[str, int] | None = None
    ) -> int:
        return self.add(b"\x00" + _fields(fields), path, params)

    def variant(self, cases: dict[str, tuple[int, dict[str, int] | list[int]]], path: str = "") -> int:
        listed = [text(name) + _fields(fields) + bytes([index]) + NO_DOCS for name, (index, fields) in cases.items()]
        return self.add(b"\x01" + vec(listed), path)

    def option(self, inner: int) -> int:
        return self.variant({"None": (0, []), "Some": (1, [inner])}, "Option")

    def sequence(self, element: int) -> int:
        return self.add(b"\x02" + compact(element))

    def array(self, length: int, element: int) -> int:
        return self.add(b"\x03" + length.to_bytes(4, "little") + compact(element))

    def tuple(self, *elements: int) -> int:
        return self.add(b"\x04" + vec(map(compact, elements)))

    def compact(self, inner: int) -> int:
        return self.add(b"\x06" + compact(inner))

    def bits(self, store: int, order: int) -> int:
        return self.add(b"\x07" + compact(store) + compact(order))


def _fields(fields: dict[str, int] | list[int]) -> bytes:
    pairs = fields.items() if isinstance(fields, dict) else [(None, type_id) for type_id in fields]
    named = [(None if name is None else text(name), type_id) for name, type_id in pairs]
    return vec(some(name) + compact(type_id) + some(text("T")) + NO_DOCS for name, type_id in named)


def entry(name: str, modifier: int, hashers: list[int], key: int, value: int, default: bytes) -> bytes:
    kind = b"\x01" + vec(bytes([hasher]) for hasher in hashers) + compact(key) if hashers else b"\x00"
    return text(name) + bytes([modifier]) + kind + compact(value) + vec([bytes([byte]) for byte in default]) + NO_DOCS


def runtime_metadata(version: int) -> bytes:
    """The invented runtime ``sample``, spec 7, in metadata of this version."""
    t = Types()
    u8, u16, u32, u64 = (t.primitive(name) for name in ("u8", "u16", "u32", "u64"))
    string, nothing = t.primitive("str"), t.tuple()
    account = t.composite([t.array(32, u8)], "sp_core::crypto::AccountId32")
    netuid = t.composite([u16], "NetUid")
    pair = t.tuple(netuid, account)
    triple = t.tuple(account, netuid, u64)
    address = t.variant({"Id": (0, [account]), "Index": (1, [t.compact(nothing)])}, "sp_runtime::MultiAddress")
    signature = t.variant({"Sr25519": (1, [t.array(64, u8)])}, "sp_runtime::MultiSignature")
    call_id = len(t.listed) + 2  # the enum of calls contains a sequence of itself
    batch = t.sequence(call_id)
    pallet_call = t.variant({"nop": (0, []), "set": (3, {"now": u64}), "batch": (5, {"calls": batch})}, "sample::Call")
    call = t.variant({"Sample": (9, [pallet_call])}, "RuntimeCall")
    assert call == call_id
    pallet_event = t.variant({"Quiet": (0, []), "Moved": (2, {"who": account, "to": netuid})}, "sample::Event")
    event = t.variant({"Sample": (9, [pallet_event])}, "RuntimeEvent")
    phase = t.variant({"ApplyExtrinsic": (0, [u32]), "Finalization": (1, []), "Initialization": (2, [])}, "Phase")
    record = t.composite({"phase": phase, "event": event, "topics": t.sequence(account)}, "EventRecord")
    events = t.sequence(record)
    runtime_version = t.composite({"spec_name": string, "spec_version": u32}, "RuntimeVersion")
    nonce, tip = t.composite([t.compact(u32)], "CheckNonce"), t.composite([t.compact(u64)], "ChargeTip")
    extrinsic = t.composite(
        [t.sequence(u8)],
        "UncheckedExtrinsic",
        {"Address": address, "Call": call, "Signature": signature, "Extra": nothing},
    )
    old = NOT_DEPRECATED if version == 16 else b""
    one_old_case = vec([b"\x02" + DEPRECATED]) if version == 16 else b""

    entries = [entry("Events", 1, [], 0, events, b"\x00"), entry("Maybe", 0, [], 0, u64, b"\x00")]
    entries += [entry(f"Hasher{hasher}", 1, [hasher], account, u16, b"\x07\x00") for hasher in range(7)]
    entries.append(entry("Double", 1, [6, 2], pair, u64, bytes(8)))
    entries.append(entry("Triple", 0, [5, 0, 6], triple, string, b"\x00"))
    entries.append(entry("TupleKey", 1, [5], pair, u16, b"\x00\x00"))
    constants = [
        text("Version") + compact(runtime_version) + text("\x18sample\x07\x00\x00\x00") + NO_DOCS,
        text("SS58Prefix") + compact(u16) + compact(2) + b"\x0d\x00" + NO_DOCS,
    ]
    pallet = text("System") + some(text("Frame") + vec(item + old for item in entries))
    pallet += some(compact(call) + one_old_case) + some(compact(event) + one_old_case)
    pallet += vec(constant + old for constant in constants) + some(None)
    if version == 16:
        associated = text("AccountId") + compact(account) + NO_DOCS
        view = bytes(32) + text("peek") + vec([]) + compact(u64) + NO_DOCS + DEPRECATED
        pallet += vec([associated]) + vec([view])
    pallet += b"\x09" + (NO_DOCS if version > 14 else b"") + old

    extensions = vec(text(n) + compact(i) + compact(nothing) for n, i in (("CheckNonce", nonce), ("ChargeTip", tip)))
    method = text("balance_of") + vec([text("who") + compact(account)]) + compact(u64) + NO_DOCS + old
    api = text("SampleApi") + vec([method]) + NO_DOCS + (compact(3) + DEPRECATED if version == 16 else b"")
    outer = compact(call) + compact(event) + compact(nothing)
    custom = vec([text("answer") + compact(u8) + b"\x04\x2a"])
    of_call = compact(address) + compact(call) + compact(signature)
    body = bytes(t) + vec([pallet])
    if version == 14:
        body += compact(extrinsic) + b"\x04" + extensions + compact(nothing)
    elif version == 15:
        body += b"\x04" + of_call + compact(nothing) + extensions + compact(nothing) + vec([api]) + outer + custom
    else:
        by_version = vec([b"\x00" + vec([compact(0), compact(1)]), b"\x01" + vec([compact(1)])])
        body += vec([b"\x04", b"\x05"]) + of_call + by_version + extensions + vec([api]) + outer + custom
    return b"meta" + bytes([version]) + body
