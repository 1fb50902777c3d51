"""The state trie of a Substrate chain: node codec, verified reads and the exact difference of two states.

The state is one base-16 Merkle-Patricia trie in layout V1: a node is named by the blake2b-256 of
its encoding, nodes shorter than 32 bytes stand inside their parent, values longer than 32 bytes
are stored under their own hash (Substrate: ``sp-trie``, ``node_header.rs`` and ``node_codec.rs``).

Everything here is pure. ``diff`` is a generator: it yields the nodes it lacks and is sent their
bytes, so whoever does I/O drives it and any number of blocks can be diffed at once, in any order.
It never trusts a position: a node counts only under the hash that its parent, and at last the
header's state root, gives it.
"""

from __future__ import annotations

import hashlib
from binascii import hexlify, unhexlify
from bisect import bisect_right
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from indexer.errors import Retryable
from indexer.model import HashedValue, RawChange

HASH_LENGTH = 32
INLINE_VALUE_MAX = 32
"""Layout V1 stores a value longer than this under its hash."""

_LEAF, _BRANCH, _BRANCH_VALUE = 0b01, 0b10, 0b11
_NO_CHILDREN: tuple[bytes | None, ...] = (None,) * 16


class BadNode(Retryable):
    """Bytes that are no node encoding."""


class MissingNode(Retryable):
    """A node that was asked for was not among the bytes sent back."""


@dataclass(frozen=True, slots=True)
class Node:
    """A trie node. A leaf has no children; a branch may have a value besides."""

    partial: bytes
    """The nibbles between the parent's slot and this node, one per byte."""
    children: tuple[bytes | None, ...] | None
    """16 slots (None for a leaf): a 32-byte hash, or a shorter encoding that stands inline."""
    value: bytes | HashedValue | None


class Want(NamedTuple):
    """A node or value that ``diff`` lacks."""

    path: bytes
    """Where it is: nibbles from the root, one per byte."""
    hash: bytes
    old: bool
    """True if it belongs to the old state, False if to the new one."""
    is_value: bool


class Nodes(Protocol):
    """Verified bytes by their hash: a cache, a proof, or both."""

    def get(self, key: bytes, /) -> bytes | None:
        """The bytes whose blake2b-256 is ``key``, if at hand."""
        ...


Diff: TypeAlias = Generator[list[Want], Mapping[bytes, bytes], list[RawChange]]


def blake2_256(data: bytes) -> bytes:
    """blake2b with a 32-byte digest: the hash of nodes, values and headers."""
    return hashlib.blake2b(data, digest_size=32).digest()


EMPTY_ROOT = blake2_256(b"\0")
"""Root of a trie without keys."""


_HEX_DIGITS = b"0123456789abcdef"
_FROM_HEX = bytes.maketrans(_HEX_DIGITS, bytes(range(16)))
_TO_HEX = bytes.maketrans(bytes(range(16)), _HEX_DIGITS)


def nibbles(key: bytes) -> bytes:
    """The nibbles of ``key``, one per byte, high one first."""
    return hexlify(key).translate(_FROM_HEX)  # the fastest way there is: both steps run in C


def pack(path: bytes) -> bytes:
    """Nibbles back to bytes; an odd path is padded with one zero nibble at its end."""
    return unhexlify((path + b"\0" if len(path) % 2 else path).translate(_TO_HEX))


def by_hash(proof: Iterable[bytes]) -> dict[bytes, bytes]:
    """The nodes and values of a read proof, each under the hash of its own bytes."""
    return {blake2_256(raw): raw for raw in proof}


def decode_node(raw: bytes) -> Node:
    """Decode one node. Raises ``BadNode`` if the bytes are none."""
    try:
        return _decode_node(raw)
    except IndexError:
        raise BadNode(f"a trie node of {len(raw)} bytes ends too early") from None


def _decode_node(raw: bytes) -> Node:
    head = raw[0]
    if head == 0:
        return Node(b"", None, None)
    kind = head >> 6
    if kind:
        size, hashed, branch, valued, largest = head & 0x3F, False, kind != _LEAF, kind != _BRANCH, 0x3F
    elif head & 0x20:
        size, hashed, branch, valued, largest = head & 0x1F, True, False, True, 0x1F
    elif head & 0x10:
        size, hashed, branch, valued, largest = head & 0x0F, True, True, True, 0x0F
    else:
        raise BadNode(f"0x{head:02x} begins no trie node")
    at = 1
    if size == largest:
        while True:
            more = raw[at]
            at += 1
            size += more
            if more != 255:
                break
    packed = raw[at : at + (size + 1) // 2]
    at += (size + 1) // 2
    partial = nibbles(packed)[size % 2 :]
    bitmap = 0
    if branch:
        bitmap = raw[at] | raw[at + 1] << 8
        at += 2
    value: bytes | HashedValue | None = None
    if valued and hashed:
        value, at = HashedValue(_slice(raw, at, HASH_LENGTH)), at + HASH_LENGTH
    elif valued:
        length, at = _compact(raw, at)
        value, at = _slice(raw, at, length), at + length
    children: tuple[bytes | None, ...] | None = None
    if branch:
        slots: list[bytes | None] = [None] * 16
        for slot in range(16):
            if bitmap >> slot & 1:
                length, at = _compact(raw, at)
                slots[slot] = _slice(raw, at, length)
                at += length
        children = tuple(slots)
    if at != len(raw):
        raise BadNode(f"a trie node of {len(raw)} bytes ends at byte {at}")
    return Node(partial, children, value)


def _slice(raw: bytes, at: int, length: int) -> bytes:
    if at + length > len(raw):
        raise BadNode(f"a trie node of {len(raw)} bytes ends within a field of {length}")
    return raw[at : at + length]


def _compact(raw: bytes, at: int) -> tuple[int, int]:
    mode = raw[at] & 3
    if mode == 0:
        return raw[at] >> 2, at + 1
    if mode == 1:
        return (raw[at] | raw[at + 1] << 8) >> 2, at + 2
    if mode == 2:
        return int.from_bytes(_slice(raw, at, 4), "little") >> 2, at + 4
    raise BadNode("a length in a trie node is over 2^30")


def encode_node(node: Node) -> bytes:
    """The canonical encoding of ``node``; ``decode_node`` gives the same node back."""
    size, hashed = len(node.partial), isinstance(node.value, HashedValue)
    if node.children is None and node.value is None:
        return b"\0"
    if node.children is None:
        out = _header(0b001, 5, size) if hashed else _header(_LEAF, 6, size)
    elif node.value is None:
        out = _header(_BRANCH, 6, size)
    else:
        out = _header(0b0001, 4, size) if hashed else _header(_BRANCH_VALUE, 6, size)
    odd = b"\0" if size % 2 else b""
    out += pack(odd + node.partial)
    if node.children is not None:
        out += sum(1 << slot for slot, child in enumerate(node.children) if child is not None).to_bytes(2, "little")
    if isinstance(node.value, HashedValue):
        out += node.value.hash
    elif node.value is not None:
        out += _compact_bytes(node.value)
    for child in node.children or ():
        if child is not None:
            out += _compact_bytes(child)
    return bytes(out)


def _header(prefix: int, bits: int, size: int) -> bytearray:
    largest = (1 << bits) - 1
    if size < largest:
        return bytearray([prefix << bits | size])
    out, rest = bytearray([prefix << bits | largest]), size - largest
    while rest >= 255:
        out.append(255)
        rest -= 255
    out.append(rest)
    return out


def _compact_bytes(data: bytes) -> bytes:
    length = len(data)
    if length < 1 << 6:
        return bytes([length << 2]) + data
    if length < 1 << 14:
        return (length << 2 | 1).to_bytes(2, "little") + data
    return (length << 2 | 2).to_bytes(4, "little") + data


class _At(NamedTuple):
    """A position inside a node: ``skip`` nibbles of its partial lie behind it."""

    node: Node
    skip: int


_Ref: TypeAlias = "bytes | _At | None"
"""A subtree: a child slot not looked at yet, a position inside a node, or nothing."""
Ahead: TypeAlias = "tuple[bytes, _Ref, _Ref]"
"""What a walk has yet to look at: the path, and what stands there before and after."""


def diff(
    old_root: bytes | None,
    new_root: bytes,
    prefixes: Collection[bytes],
    nodes: Nodes,
    *,
    hash_only: Collection[bytes] = (),
    batch: int = 4096,
    ahead: list[Ahead] | None = None,
) -> Diff:
    """Every key under ``prefixes`` that is added, changed or removed between two states, exactly.

    ``old_root = None`` is the empty state: the result is then the whole new state under the
    prefixes. Yields the nodes and values that ``nodes`` lacks, at most about ``batch`` at once, and
    must be sent a mapping that holds each of them by hash; else raises ``MissingNode``. Keys in
    ``hash_only`` are reported with a ``HashedValue`` if their value is stored by hash (the
    runtime's code is 2 MB and only its hash is of interest). ``ahead``: an empty list in which the
    caller can see, between two yields, what lies ahead. Returns changes in key order.
    """
    wanted = _outermost(prefixes)
    bare = frozenset(hash_only)
    changes: list[RawChange] = []
    valueless: list[tuple[bytes, bytes]] = []
    old_ref = None if old_root == EMPTY_ROOT else old_root
    new_ref = None if new_root == EMPTY_ROOT else new_root
    stack: list[Ahead] = [] if ahead is None else ahead
    if wanted and old_ref != new_ref:
        stack.append((b"", old_ref, new_ref))
    sent: Mapping[bytes, bytes] = {}
    while stack or valueless:
        wants: list[Want] = []
        waiting: list[Ahead] = []
        while stack and len(wants) < batch:
            path, old, new = stack.pop()
            if old == new and isinstance(new, bytes):
                continue
            old_at = _resolve(old, path, True, sent, nodes, wants)
            new_at = _resolve(new, path, False, sent, nodes, wants)
            if (old is not None and old_at is None) or (new is not None and new_at is None):
                waiting.append((path, old_at or old, new_at or new))
                continue
            _compare(path, old_at, new_at, wanted, bare, stack, changes, valueless)
        unread: list[tuple[bytes, bytes]] = []
        for key, value_hash in valueless:
            value = _at_hand(value_hash, sent, nodes)
            if value is None:
                unread.append((key, value_hash))
                wants.append(Want(nibbles(key), value_hash, False, True))
            else:
                changes.append(RawChange(key, value))
        valueless = unread
        stack.extend(waiting)
        if wants:
            sent = yield wants
            for want in wants:
                if want.hash not in sent:
                    raise MissingNode(f"node 0x{want.hash.hex()} at path {want.path.hex()[1::2] or 'root'} is missing")
    changes.sort()
    return changes


def _resolve(
    ref: _Ref, path: bytes, old: bool, sent: Mapping[bytes, bytes], nodes: Nodes, wants: list[Want]
) -> _At | None:
    """The node behind a slot; None, and a want, if its bytes are not at hand (or there is no slot)."""
    if ref is None or isinstance(ref, _At):
        return ref
    if len(ref) < HASH_LENGTH:
        return _At(decode_node(ref), 0)
    raw = _at_hand(ref, sent, nodes)
    if raw is None:
        wants.append(Want(path, ref, old, False))
        return None
    return _At(decode_node(raw), 0)


def _at_hand(key: bytes, sent: Mapping[bytes, bytes], nodes: Nodes) -> bytes | None:
    raw = sent.get(key)
    return nodes.get(key) if raw is None else raw  # not ``or``: empty bytes would be asked for again, for ever


def _compare(
    path: bytes,
    old: _At | None,
    new: _At | None,
    wanted: Sequence[bytes],
    bare: Collection[bytes],
    stack: list[Ahead],
    changes: list[RawChange],
    valueless: list[tuple[bytes, bytes]],
) -> None:
    """Compare two positions at one path: note their own difference, push their children.

    A branch that collapsed into its only child (or split off one) has another partial on each side:
    both sides are therefore walked nibble by nibble from the same path, never node against node.
    """
    old_rest = old.node.partial[old.skip :] if old else b""
    new_rest = new.node.partial[new.skip :] if new else b""
    shared = _common(old_rest, new_rest) if old and new else max(len(old_rest), len(new_rest))
    path += (new_rest if new else old_rest)[:shared]
    old_here = old is not None and len(old_rest) == shared
    new_here = new is not None and len(new_rest) == shared
    old_value = old.node.value if old is not None and old_here else None
    new_value = new.node.value if new is not None and new_here else None
    if old_value != new_value and _inside(path, wanted):
        if len(path) % 2:
            raise BadNode(f"a value stands at the odd path {path.hex()[1::2]}")
        key = pack(path)
        if isinstance(new_value, HashedValue) and key not in bare:
            valueless.append((key, new_value.hash))
        else:
            changes.append(RawChange(key, new_value))
    old_children = _children(old, old_here, shared)
    new_children = _children(new, new_here, shared)
    for slot in range(16):
        old_child, new_child = old_children[slot], new_children[slot]
        if old_child != new_child:
            below = path + bytes([slot])
            if _relevant(below, wanted):
                stack.append((below, old_child, new_child))


def _children(at: _At | None, here: bool, shared: int) -> Sequence[_Ref]:
    """What lies in each of the 16 directions after ``shared`` more nibbles."""
    if at is None:
        return _NO_CHILDREN
    if here:
        return at.node.children or _NO_CHILDREN
    slots: list[_Ref] = [None] * 16
    slots[at.node.partial[at.skip + shared]] = _At(at.node, at.skip + shared + 1)
    return slots


def _common(a: bytes, b: bytes) -> int:
    """Length of the common beginning of two paths."""
    if a == b:
        return len(a)
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length


def _outermost(prefixes: Iterable[bytes]) -> list[bytes]:
    """The prefixes as sorted nibble paths, without those that another one already covers."""
    kept: list[bytes] = []
    for prefix in sorted(nibbles(prefix) for prefix in prefixes):
        if not (kept and prefix.startswith(kept[-1])):
            kept.append(prefix)
    return kept


def _inside(path: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether ``path`` begins with a wanted prefix: only the last one not above it can be that."""
    at = bisect_right(wanted, path)
    return at > 0 and path.startswith(wanted[at - 1])


def _relevant(path: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether a wanted key can lie at or below ``path``."""
    at = bisect_right(wanted, path)
    return (at < len(wanted) and wanted[at].startswith(path)) or (at > 0 and path.startswith(wanted[at - 1]))
