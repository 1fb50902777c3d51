"""Neurons (the metagraph): who holds which uid of a subnet, what the chain says of it, where it serves.

Owns ``uids``, ``registrations``, ``neuron_vectors``, ``axons`` and their histories. What the chain keeps as one
vector per subnet stays one row, since an epoch writes it whole; the view ``neurons`` and ``neurons_at()`` in SQL
take the vectors apart by uid.
"""

from __future__ import annotations

from collections.abc import Mapping

from indexer.datasets._fields import (
    ACCOUNT,
    BYTES,
    FLAG,
    FLAGS,
    INTEGER,
    INTEGERS,
    NUMBER,
    Field,
    Kind,
    Place,
    field,
    of_tables,
    struct,
    table,
)
from indexer.datasets._mechanisms import MECHANISM, STORAGE_INDICES, SUBNETS_PER_MECHANISM
from indexer.datasets._values import snake, whole
from indexer.datasets.base import Key
from indexer.schema import account, integer, netuid, text

_NUMBERS = (
    "LastUpdate", "Emission", "Incentive", "Consensus", "ConsensusByMechanism", "ValidatorTrust", "Dividends",
    "StakeWeight", "Rank", "Trust", "PruningScores",
)  # fmt: skip


def _of_subnet(item: str, kind: Kind) -> Field:
    """A vector of the chain: its elements under (netuid, mechanism, name)."""
    name = snake(item)

    def row(key: Key) -> Key:
        mechanism, of = divmod(whole(key[0]), SUBNETS_PER_MECHANISM)
        return (of, mechanism, name)

    def storage(key: Key) -> Key | None:
        of, mechanism, named = whole(key[0]), whole(key[1]), key[2]
        index = of + SUBNETS_PER_MECHANISM * mechanism
        if named != name or not 0 <= of < SUBNETS_PER_MECHANISM or not 0 <= index < STORAGE_INDICES:
            return None
        return (index,)

    comment = "The values of uids 0, 1, 2, … in this order; flags are 0 and 1."
    return field(f"SubtensorModule.{item}", kind, "elements", comment, place=Place(row, storage))


def _told(item: str, prefix: str, members: Mapping[str, tuple[Kind, str]]) -> Field:
    """A struct whose columns all begin with ``prefix``: several of them share a table."""
    names = {name: f"{prefix}_{name}" for name in (*members, "other")}
    return struct(f"SubtensorModule.{item}", members, renamed=names)


_SERVED = {
    "block": (INTEGER, "Block at which it was told."),
    "version": (INTEGER, "Version the neuron tells."),
    "ip": (NUMBER, "IP address as a number; ip_address(ip, ip_type) reads it."),
    "port": (INTEGER, "Port."),
    "ip_type": (INTEGER, "4 or 6."),
}

DATASET = of_tables(
    "neurons",
    [
        table(
            "uids",
            "uid_history",
            keys=[netuid(), integer("uid", "Place in the subnet, from 0.", nullable=False)],
            fields=[
                field("SubtensorModule.Keys", ACCOUNT, "hotkey", "Keys: hotkey that holds the uid."),
                field(
                    "SubtensorModule.BlockAtRegistration",
                    INTEGER,
                    "registered_at",
                    "BlockAtRegistration: block at which the hotkey took the uid.",
                ),
            ],
            comment="Who holds which uid of a subnet, and since when.",
        ),
        table(
            "registrations",
            "registration_history",
            keys=[account("hotkey", "Hotkey."), netuid()],
            fields=[
                field("SubtensorModule.IsNetworkMember", FLAG, "is_network_member", "IsNetworkMember: registered."),
                field("SubtensorModule.Uids", INTEGER, "uid", "Uids: uid it holds.", key=("netuid", "hotkey")),
            ],
            comment="On which subnets a hotkey is registered, and under which uid.",
            indexes=[("netuid",)],
        ),
        table(
            "neuron_vectors",
            "neuron_vector_history",
            keys=[
                netuid(),
                MECHANISM,
                text("name", "Storage item, in snake case.", nullable=False),
            ],
            fields=[
                _of_subnet("Active", FLAGS),
                _of_subnet("ValidatorPermit", FLAGS),
                *(_of_subnet(item, INTEGERS) for item in _NUMBERS),
            ],
            comment="What is told of every uid of a subnet, a row per vector, as stored: see neurons.",
        ),
        table(
            "axons",
            "axon_history",
            keys=[netuid(), account("hotkey", "Hotkey.")],
            fields=[
                _told(
                    "Axons",
                    "axon",
                    {
                        **_SERVED,
                        "protocol": (INTEGER, "Protocol the neuron tells."),
                        "placeholder1": (INTEGER, "Not in use."),
                        "placeholder2": (INTEGER, "Not in use."),
                    },
                ),
                _told("Prometheus", "prometheus", _SERVED),
                _told(
                    "NeuronCertificates",
                    "certificate",
                    {"public_key": (BYTES, "Public key for TLS."), "algorithm": (INTEGER, "Its algorithm.")},
                ),
            ],
            comment="Where neurons serve, as they tell it themselves; NULL: they tell nothing.",
        ),
    ],
)
