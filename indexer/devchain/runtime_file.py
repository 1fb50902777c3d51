"""A runtime as a node serves it: its version and its metadata, in each form the RPC offers.

Built from metadata bytes, real or declared in code. Reads only what the version constant says;
decoding anything else is the business of clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from indexer.devchain.scale_encode import listed, text, u32
from indexer.devchain.served import ServedState
from indexer.errors import ConfigError
from indexer.scale import Runtime


@dataclass(frozen=True, slots=True)
class ServedRuntime:
    """What a node answers about one runtime."""

    spec_name: str
    impl_name: str
    authoring_version: int
    spec_version: int
    impl_version: int
    apis: tuple[tuple[bytes, int], ...]
    """(8 bytes that name a runtime API, its version)."""
    transaction_version: int
    state_version: int
    metadata: Mapping[int, bytes]
    """Metadata version -> bytes from ``b"meta"`` on."""
    functions: Mapping[str, Callable[[ServedState, bytes], bytes]] = field(default_factory=dict)
    """What ``state_call`` answers of a state, by the exported function: (state, arguments) -> result."""

    def plain_metadata(self) -> bytes:
        """What ``state_getMetadata`` gives: the oldest form there is (V14 on real nodes)."""
        return self.metadata[min(self.metadata)]

    def offers_versions(self) -> bool:
        """Whether ``Metadata_metadata_at_version`` exists: runtimes that know V14 only lack it."""
        return max(self.metadata) > 14

    def version_json(self) -> dict[str, Any]:
        """As ``state_getRuntimeVersion`` gives it."""
        return {
            "specName": self.spec_name,
            "implName": self.impl_name,
            "authoringVersion": self.authoring_version,
            "specVersion": self.spec_version,
            "implVersion": self.impl_version,
            "apis": [["0x" + name.hex(), version] for name, version in self.apis],
            "transactionVersion": self.transaction_version,
            "systemVersion": self.state_version,
            "stateVersion": self.state_version,
        }

    def version_scale(self) -> bytes:
        """As the runtime call ``Core_version`` gives it (``sp_version::RuntimeVersion``)."""
        return (
            text(self.spec_name)
            + text(self.impl_name)
            + u32(self.authoring_version)
            + u32(self.spec_version)
            + u32(self.impl_version)
            + listed(name + u32(version) for name, version in self.apis)
            + u32(self.transaction_version)
            + bytes([self.state_version])
        )


def served(metadata: Mapping[int, bytes]) -> ServedRuntime:
    """Describe a runtime by its metadata bytes (version -> bytes). Raises ``DecodeError`` or ``ConfigError``."""
    newest = Runtime.from_metadata(metadata[max(metadata)])
    version = newest.constant("System", "Version")
    if not isinstance(version, dict):
        raise ConfigError("the metadata has no constant System.Version")
    return ServedRuntime(
        spec_name=str(version["spec_name"]),
        impl_name=str(version["impl_name"]),
        authoring_version=int(version["authoring_version"]),
        spec_version=int(version["spec_version"]),
        impl_version=int(version["impl_version"]),
        apis=tuple((bytes(name), int(number)) for name, number in version["apis"]),
        transaction_version=int(version["transaction_version"]),
        state_version=int(version["state_version" if "state_version" in version else "system_version"]),
        metadata=dict(metadata),
    )
