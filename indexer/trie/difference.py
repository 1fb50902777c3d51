"""The walk through two states at once: what differs between them, exactly.

Pure: ``diff`` is a generator that yields the nodes it lacks and is sent their bytes, so whoever does I/O drives it and
any number of blocks can be diffed at once, in any order. It never trusts a position: a node counts only under the
hash that its parent, and at last the header's state root, gives it.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from indexer.errors import Retryable
from indexer.model import HashedValue, RawChange
from indexer.trie.alike import branches, leaves
from indexer.trie.codec import EMPTY_ROOT, HASH_LENGTH, BadNode, Node, decode_node, nibbles, pack
from indexer.trie.wanted import is_inside, is_relevant, outermost

_NO_CHILDREN: tuple[bytes | None, ...] = (None,) * 16


class MissingNode(Retryable):
    """A node that was asked for was not among the bytes sent back."""


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


class _At(NamedTuple):
    """A position inside a node: ``skip`` nibbles of its partial lie behind it."""

    node: Node
    skip: int


class _Held(NamedTuple):
    """A node that is at hand, while its counterpart in the other state is not."""

    raw: bytes


_Ref: TypeAlias = "bytes | _At | _Held | None"
"""A subtree: a child slot not looked at yet, a position inside a node, a node, or nothing."""
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
    wanted = outermost(prefixes)
    longest = max(map(len, wanted), default=0)
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
            before, after = _look(old, sent, nodes), _look(new, sent, nodes)
            if type(before) is bytes and type(after) is bytes and before and after and len(path) >= longest:
                if 0x80 <= after[0] < 0xC0:
                    below = branches(path, before, after)
                    if below is not None:
                        stack += below
                        continue
                elif 0x20 <= after[0] < 0x80:
                    found = leaves(path, before, after)
                    if found is not None:
                        key, stored, is_hash = found
                        if not is_hash:
                            changes.append(RawChange(key, stored))
                        elif key in bare:
                            changes.append(RawChange(key, HashedValue(stored)))
                        else:
                            valueless.append((key, stored))
                        continue
            if (before is None and old is not None) or (after is None and new is not None):
                waiting.append(
                    (path, _waiting(path, old, before, True, wants), _waiting(path, new, after, False, wants))
                )
                continue
            _compare(path, _decoded(before), _decoded(after), wanted, bare, stack, changes, valueless)
        unread: list[tuple[bytes, bytes]] = []
        for key, value_hash in valueless:
            value = _bytes(value_hash, sent, nodes)
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


def _look(ref: _Ref, sent: Mapping[bytes, bytes], nodes: Nodes) -> bytes | _At | None:
    """What is behind a slot: the bytes of a node not looked into yet, or a position. None if nothing is at hand."""
    if type(ref) is bytes:
        return ref if len(ref) < HASH_LENGTH else _bytes(ref, sent, nodes)
    return ref.raw if isinstance(ref, _Held) else ref


def _bytes(name: bytes, sent: Mapping[bytes, bytes], nodes: Nodes) -> bytes | None:
    raw = sent.get(name)
    return nodes.get(name) if raw is None else raw  # not ``or``: empty bytes would be asked for again, for ever


def _waiting(path: bytes, ref: _Ref, at_hand: bytes | _At | None, old: bool, wants: list[Want]) -> _Ref:
    """What stands for a slot until its counterpart is at hand too; a want, if it is the one that is not."""
    if at_hand is None:
        if isinstance(ref, bytes):
            wants.append(Want(path, ref, old, False))
        return ref
    return _Held(at_hand) if isinstance(at_hand, bytes) else at_hand


def _decoded(node: bytes | _At | None) -> _At | None:
    return _At(decode_node(node), 0) if isinstance(node, bytes) else node


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
    if old_value != new_value and is_inside(path, wanted):
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
            if is_relevant(below, wanted):
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
