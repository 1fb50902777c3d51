"""The state trie of a Substrate chain: node codec, verified reads and the exact difference of two states.

    steps = diff(old_root, new_root, prefixes, nodes)  # a generator: wants nodes, ends with the changes

The state is one base-16 Merkle-Patricia trie in layout V1. ``codec`` owns what a node is, ``difference`` the walk
through two states, ``cache`` the nodes that are kept from block to block. Everything here is pure.
"""

from indexer.trie.cache import NodeCache
from indexer.trie.codec import (
    EMPTY_ROOT,
    HASH_LENGTH,
    INLINE_VALUE_MAX,
    BadNode,
    Node,
    blake2_256,
    by_hash,
    decode_node,
    encode_node,
    nibbles,
    pack,
)
from indexer.trie.difference import Ahead, Diff, MissingNode, Nodes, Want, diff

__all__ = [
    "EMPTY_ROOT",
    "HASH_LENGTH",
    "INLINE_VALUE_MAX",
    "Ahead",
    "BadNode",
    "Diff",
    "MissingNode",
    "Node",
    "NodeCache",
    "Nodes",
    "Want",
    "blake2_256",
    "by_hash",
    "decode_node",
    "diff",
    "encode_node",
    "nibbles",
    "pack",
]
