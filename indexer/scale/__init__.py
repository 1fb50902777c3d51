"""SCALE: metadata, decoders compiled from it, storage keys, events, extrinsics, SS58.

    runtime = Runtime.from_metadata(raw)                  # V14, V15, V16
    account = runtime.item(ItemRef("System", "Account"))  # None if this runtime lacks it
    account.key(pubkey); account.split_key(key); account.decode(value); account.default()

Conventions of decoded values, which encoding accepts as well:

* integers, compacts and bools are plain; ``str`` is str; ``()`` and empty structs are ``()``;
* ``Vec<u8>`` and ``[u8; N]`` are ``bytes``, so accounts and hashes are raw; ``U256`` is an int;
* a struct of one field is that field's value (newtypes vanish), else a dict, or a tuple if its fields have no names;
* other sequences and arrays are lists, bit sequences lists of bools, maps lists of (key, value), tuples tuples;
* an Option is None or the value (an Option in an Option: None or ``{'Some': …}``);
* an enum's case without fields is its name, with fields ``{name: fields}``: a dict if they are named,
  the bare value of a single one without a name, else a tuple. ``Result`` is no exception.

Bytes that do not fit raise ``DecodeError`` with type path and offset; values that do not fit, ``EncodeError``.
"""

from indexer.model import EventRecord
from indexer.scale.document import Documents
from indexer.scale.encode import EncodeError, encode_compact
from indexer.scale.extrinsic import Extrinsic
from indexer.scale.hashers import (
    KeyHash,
    blake2_128,
    blake2_128_concat,
    blake2_256,
    twox64,
    twox64_concat,
    twox128,
    twox256,
)
from indexer.scale.runtime import Runtime
from indexer.scale.ss58 import ss58_decode, ss58_encode
from indexer.scale.storage import RawKey, StorageItem

__all__ = [
    "Documents",
    "EncodeError",
    "EventRecord",
    "Extrinsic",
    "KeyHash",
    "RawKey",
    "Runtime",
    "StorageItem",
    "blake2_128",
    "blake2_128_concat",
    "blake2_256",
    "encode_compact",
    "ss58_decode",
    "ss58_encode",
    "twox64",
    "twox64_concat",
    "twox128",
    "twox256",
]
