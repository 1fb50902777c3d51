"""The two runtimes of the simulated chain, put together from their pallets.

``SPEC_293`` is shaped like the real runtime of that number (v1 shares, concentrated liquidity), ``SPEC_475``
like the main network's of October 2026 (SafeFloat shares, pool epochs, baskets, the balancer).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from indexer.devchain import pallets_substrate as stock
from indexer.devchain import pallets_subtensor as own
from indexer.devchain import runtime_api
from indexer.devchain.declare import U16, U32, U64, Composite, Enum, Field, Late, Type, Variant
from indexer.devchain.forms import newtype, tuple_of, vec
from indexer.devchain.forms import option as option_of
from indexer.devchain.metadata import EXTRINSIC_VERSION, encode_metadata
from indexer.devchain.pallet import OPTIONAL, Item, Pallet
from indexer.devchain.runtime_file import ServedRuntime
from indexer.devchain.scale_encode import blob
from indexer.devchain.substrate_types import ADDRESS, BYTES, RUNTIME_VERSION, SIGNATURE, SIGNED_EXTENSIONS

SPEC_NAME = "node-subtensor"
METADATA_VERSIONS = (14, 15)
_CODE_BYTES = 600
"""Length of the stand-in for a runtime's code: over 32, so that it enters the trie by its hash."""

# Names of runtime APIs as a version lists them: blake2b-64 of the trait's name.
_CORE, _METADATA = bytes.fromhex("df6acb689907609b"), bytes.fromhex("37e397fc7c91f5e4")
_BLOCK_BUILDER, _NONCE = bytes.fromhex("40fe3ad401f8959a"), bytes.fromhex("bc9d89904f5b923f")


@dataclass(frozen=True, slots=True)
class PalletEnums:
    """The call, event and error enums a pallet gives its runtime; None where it has none."""

    call: Enum | None
    event: Enum | None
    error: Enum | None


@dataclass(frozen=True, slots=True)
class Api:
    """A runtime API as V15 metadata lists it: (method, inputs, output) each."""

    name: str
    methods: tuple[tuple[str, tuple[tuple[str, Type], ...], Type], ...]


class RuntimeDeclaration:
    """One runtime: pallets, the types over them, and the codecs that follow."""

    extensions = SIGNED_EXTENSIONS
    address, signature = ADDRESS, SIGNATURE

    def __init__(self, spec_version: int, *, new: bool) -> None:
        """``new``: the shape of 475, else that of 293."""
        self.spec_version, self.new = spec_version, new
        call, event = Late(), Late()
        netuid, tao, alpha = _amounts(new)
        self.pallets: tuple[Pallet, ...] = (
            stock.system(self._version(), event, tao),
            stock.timestamp(),
            stock.aura(),
            stock.balances(tao),
            stock.transaction_payment(tao),
            own.subtensor(netuid, tao, alpha, new),
            stock.sudo(call),
            stock.preimage(),
            stock.proxy(tao),
            own.admin_utils(netuid, new),
            stock.swap(netuid, new),
        )
        self.enums = {one.name: _enums(one) for one in self.pallets}
        self.call = self._outer("RuntimeCall", {one.name: self.enums[one.name].call for one in self.pallets})
        self.event = self._outer("RuntimeEvent", {one.name: self.enums[one.name].event for one in self.pallets})
        self.error = self._outer("RuntimeError", {one.name: self.enums[one.name].error for one in self.pallets})
        call.target.append(self.call)
        event.target.append(self.event)
        self.extra = tuple_of(*(carried for _, carried, _ in self.extensions))
        self.runtime_type = Composite(path=("node_subtensor_runtime", "Runtime"))
        self.extrinsic = Composite(
            (Field(BYTES),),
            path=("sp_runtime", "generic", "unchecked_extrinsic", "UncheckedExtrinsic"),
            params=(("Address", ADDRESS), ("Call", self.call), ("Signature", SIGNATURE), ("Extra", self.extra)),
        )
        self.apis = (
            Api("Core", (("version", (), RUNTIME_VERSION),)),
            Api(
                "Metadata",
                (
                    ("metadata", (), _OPAQUE_METADATA),
                    ("metadata_at_version", (("version", U32),), option_of(_OPAQUE_METADATA)),
                    ("metadata_versions", (), vec(U32)),
                ),
            ),
            *(Api(name, (method,)) for name, method in runtime_api.METHODS.items()),
        )
        self._items = {(one.name, item.name): item for one in self.pallets for item in one.by_name.values()}
        self.code = _code(spec_version)

    def item(self, pallet: str, name: str) -> Item:
        """A storage item, listed or not. Raises ``KeyError``."""
        return self._items[pallet, name]

    def has(self, pallet: str, name: str) -> bool:
        """Whether the runtime can read the item at all."""
        return (pallet, name) in self._items

    def default(self, pallet: str, name: str) -> Any | None:
        """The value of an absent key, the caller's to change; None for an optional item."""
        default = self.item(pallet, name).default
        return None if default is OPTIONAL else deepcopy(default)

    def encode_call(self, pallet: str, name: str, **arguments: Any) -> bytes:
        """A call's bytes."""
        return self.call.encode(_call(pallet, name, arguments))

    def unsigned(self, pallet: str, name: str, **arguments: Any) -> bytes:
        """A bare v4 extrinsic with its length prefix."""
        return blob(bytes([EXTRINSIC_VERSION]) + self.encode_call(pallet, name, **arguments))

    def signed(self, signer: bytes, nonce: int, signature: bytes, call: bytes) -> bytes:
        """A signed v4 extrinsic with its length prefix; immortal, no tip. Nobody checks the signature."""
        carried = self.extra.encode(
            ((), (), (), (), "Immortal", nonce, (), 0, (), "Disabled"),
        )
        address = ADDRESS.encode({"Id": signer})
        signed = SIGNATURE.encode({"Sr25519": signature})
        return blob(bytes([0x80 | EXTRINSIC_VERSION]) + address + signed + carried + call)

    def served(self) -> ServedRuntime:
        """The runtime as a node serves it."""
        version = self._version()
        return ServedRuntime(
            SPEC_NAME,
            SPEC_NAME,
            1,
            self.spec_version,
            1,
            tuple(version["apis"]),
            1,
            1,
            {number: encode_metadata(self, number) for number in METADATA_VERSIONS},
            runtime_api.answers(self),
        )

    def _version(self) -> dict[str, Any]:
        return {
            "spec_name": SPEC_NAME,
            "impl_name": SPEC_NAME,
            "authoring_version": 1,
            "spec_version": self.spec_version,
            "impl_version": 1,
            "apis": [(_CORE, 5), (_METADATA, 2), (_BLOCK_BUILDER, 6), (_NONCE, 1)],
            "transaction_version": 1,
            "state_version": 1,
        }

    def _outer(self, name: str, parts: dict[str, Enum | None]) -> Enum:
        """The runtime-wide enum over the pallets' enums, each under its pallet's index."""
        indices = {one.name: one.index for one in self.pallets}
        variants = tuple(
            Variant(pallet, indices[pallet], (Field(part),)) for pallet, part in parts.items() if part is not None
        )
        return Enum(variants, path=("node_subtensor_runtime", name))


_OPAQUE_METADATA = newtype("sp_core::OpaqueMetadata", BYTES)


def _amounts(new: bool) -> tuple[Type, Type, Type]:
    """(netuid, TAO, alpha): bare integers in the older runtime, newtypes of the same bytes in the newer."""
    if not new:
        return U16, U64, U64
    crate = "subtensor_runtime_common::"
    return newtype(crate + "NetUid", U16), newtype(crate + "TaoBalance", U64), newtype(crate + "AlphaBalance", U64)


def _enums(pallet: Pallet) -> PalletEnums:
    crate = tuple(pallet.crate.split("::"))

    def made(name: str, variants: tuple[Variant, ...]) -> Enum | None:
        return Enum(variants, path=(*crate, name), params=(("T", None),)) if variants else None

    return PalletEnums(made("Call", pallet.calls), made("Event", pallet.events), made("Error", pallet.errors))


def _call(pallet: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {pallet: {name: arguments}} if arguments else {pallet: name}


def _code(spec_version: int) -> bytes:
    """Bytes that stand for the runtime's WebAssembly: nobody runs them, but they differ by version."""
    head = b"\0asm\x01\0\0\0" + f"devchain runtime {spec_version}".encode()
    return head + bytes(_CODE_BYTES - len(head))


SPEC_293 = RuntimeDeclaration(293, new=False)
SPEC_475 = RuntimeDeclaration(475, new=True)

__all__ = ["SPEC_293", "SPEC_475", "Api", "PalletEnums", "RuntimeDeclaration"]
