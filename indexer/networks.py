"""The public networks: where their nodes are, and the hash that tells one chain from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """A public network: endpoints in order of preference, and the hash of its block 0 where it is known."""

    endpoints: tuple[str, ...]
    archive: tuple[str, ...] = ()
    genesis_hash: bytes | None = None


_FINNEY_GENESIS = bytes.fromhex("2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03")
_FINNEY_ARCHIVE = ("wss://archive.chain.opentensor.ai:443", "wss://archive.sub.latent.to:443")

NETWORKS: Mapping[str, Network] = {
    "finney": Network(
        (
            "wss://entrypoint-finney.opentensor.ai:443",
            "wss://lite.chain.opentensor.ai:443",
            "wss://lite.sub.latent.to:443",
        ),
        _FINNEY_ARCHIVE,
        _FINNEY_GENESIS,
    ),
    "archive": Network(_FINNEY_ARCHIVE, _FINNEY_ARCHIVE, _FINNEY_GENESIS),
    "test": Network(
        ("wss://test.finney.opentensor.ai:443",),
        (),
        bytes.fromhex("8f9cf856bf558a14440e75569c9e58594757048d7b3a84b5d25f6bd978263105"),
    ),
    "local": Network(("ws://127.0.0.1:9944",)),
}
"""Endpoints and genesis hashes as the public SDK 11.3.0 lists them."""
