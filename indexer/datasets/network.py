"""What there is once for the whole network: the constants of the runtime, and single values of storage.

Owns ``constant_sets``, ``chain_values`` and their histories. Constants are no storage: they stand in the metadata,
so they are rows of the first block that runs a runtime, all in one, which leaves nothing of the runtime before.
Parameters of the network are not here but in ``hyperparameters``, which knows their defaults.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from indexer.datasets._fields import JSON, Field, Place, field, of_tables, table
from indexer.datasets._values import document
from indexer.datasets.base import Key, RuntimeView
from indexer.model import Block, Change, Row
from indexer.schema import json, keyed, text

SINGLE_VALUES = (
    "MevShield.NextKey",
    "MevShield.CurrentKey",
    "MevShield.PendingKey",
    "MevShield.NextKeyExpiresAt",
    "MevShield.PendingKeyExpiresAt",
    "Sudo.Key",
    "SafeMode.EnteredUntil",
    "System.AuthorizedUpgrade",
    "Grandpa.CurrentSetId",
    "TransactionPayment.NextFeeMultiplier",
    "EVMChainId.ChainId",
    "EVM.DisableWhitelistCheck",
    "EVM.WhitelistedCreators",
    "LimitOrders.LimitOrdersEnabled",
    "Crowdloan.NextCrowdloanId",
    "SubtensorModule.NextSubnetLeaseId",
    "SubtensorModule.NumStakingColdkeys",
)


def _single(item: str) -> Field:
    """A storage item without key, under its name."""

    def row(key: Key) -> Key:
        return (*key, item)

    def storage(key: Key) -> Key | None:
        return () if key == (item,) else None

    comment = "The value: numbers, text, or {hex: …} for bytes that are no text."
    return field(item, JSON, "value", comment, place=Place(row, storage))


CHAIN_VALUES = table(
    "chain_values",
    "chain_value_history",
    keys=[text("name", "Pallet.Item of the storage.", nullable=False)],
    fields=[_single(item) for item in SINGLE_VALUES],
    comment="Values that the chain keeps once, by name, as stored: keys of MEV Shield, sudo, EVM and the like.",
)

CONSTANT_SETS = keyed(
    "constant_sets",
    "constant_set_history",
    keys=[text("name", "Always constants.", nullable=False)],
    values=[json("value", "Every constant of the metadata: pallet, then name, then value.")],
    comment="The constants of the running runtime, in one row: see runtime_constants.",
)

_VALUES = of_tables("network", [CHAIN_VALUES])


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """Single values that changed; with the first block of a runtime, all its constants."""
    if block.runtime_changed:
        yield from of_runtime(runtime)
    yield from _VALUES.rows(block, changes, runtime)


def of_runtime(runtime: RuntimeView) -> Iterable[Row]:
    """The constants that hold while ``runtime`` runs."""
    found: dict[str, dict[str, object]] = defaultdict(dict)
    for pallet, name, value in runtime.constants():
        found[pallet][name] = document(value)
    yield Row(CONSTANT_SETS.name, ("constants",), {"value": dict(found)})


DATASET = replace(_VALUES, tables=(*_VALUES.tables, CONSTANT_SETS), rows=rows, of_runtime=of_runtime)
