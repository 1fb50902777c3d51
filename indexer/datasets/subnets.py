"""Subnets: pools, emission, epochs and descriptions, one row per subnet and change.

Owns ``subnet_pools`` and ``subnet_info`` with their histories; the views ``subnets`` and ``subnet_history``
put them together and add the price, which is computed when read because its formula depends on the spec.
"""

from __future__ import annotations

from indexer.datasets._fields import of_tables, table
from indexer.datasets._subnet_fields import INFO_FIELDS, POOL_FIELDS
from indexer.schema import netuid

SUBNET_POOLS = table(
    "subnet_pools",
    "subnet_pool_history",
    keys=[netuid()],
    fields=POOL_FIELDS,
    comment="Pool, emission and epoch state of subnets, as stored.",
)

SUBNET_INFO = table(
    "subnet_info",
    "subnet_info_history",
    keys=[netuid()],
    fields=INFO_FIELDS,
    comment="What rarely changes about subnets: existence, owner, mechanism, symbol, identity, as stored.",
)

DATASET = of_tables("subnets", [SUBNET_POOLS, SUBNET_INFO])
