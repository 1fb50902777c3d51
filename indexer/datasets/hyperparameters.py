"""Hyperparameters of subnets and of the network: stored values, and the defaults that hold where none is stored.

Owns ``stored_hyperparameters``, ``hyperparameter_defaults`` and their histories. A default can move at a
runtime upgrade without any key changing, so defaults are rows of the first block that runs a runtime; the
views ``hyperparameters`` and ``hyperparameter_history`` put both together. Nothing effective is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Boolean, Column

from indexer.datasets._parameters import (
    BALANCER,
    NETWORKS_ADDED,
    PARAMETERS,
    USER_LIQUIDITY,
    Parameter,
    switch,
)
from indexer.datasets._values import located, snake
from indexer.datasets.base import Columns, Dataset, Encoded, Key, RuntimeView, Source
from indexer.errors import DecodeError
from indexer.model import Block, Change, ItemRef, Row
from indexer.schema import flag, json, keyed, netuid, number, raw, text

NETWORK = -1
"""The netuid under which values of the whole network are stored."""

STORED = keyed(
    "stored_hyperparameters",
    "stored_hyperparameter_history",
    keys=[
        netuid("Subnet id; -1 for a parameter of the network."),
        text("name", "Name of the parameter.", nullable=False),
    ],
    values=[
        number("value", "Value as a number; NULL where it is none (lists, accounts)."),
        json("value_json", "Value as JSON."),
        raw("raw", "The storage item's value, SCALE encoded; shared by all names the item gives."),
    ],
    comment="Parameters that have a storage key, as stored. networks_added says which subnets exist.",
)

DEFAULTS = keyed(
    "hyperparameter_defaults",
    "hyperparameter_default_history",
    keys=[
        text("name", "Name of the parameter.", nullable=False),
        Column("is_network", Boolean, nullable=False, comment="True: a parameter of the network; false: per subnet."),
    ],
    values=[
        number("value", "The runtime's default as a number; NULL where it is none."),
        json("value_json", "The default as JSON; NULL: no default, an absent key means that nothing is set."),
        flag("is_constant", "True: the runtime answers this whatever is stored."),
    ],
    comment="Value of an absent key, for every parameter the running runtime has.",
)

_EXISTS = Parameter(NETWORKS_ADDED, snake(NETWORKS_ADDED.item), "bool", "The subnet exists.", switch, network=False)


def _by_item() -> Mapping[ItemRef, Sequence[Parameter]]:
    found: dict[ItemRef, list[Parameter]] = defaultdict(list)
    for parameter in (*PARAMETERS, _EXISTS):
        found[parameter.item].append(parameter)
    return found


_PARAMETERS_OF = _by_item()


def rows(block: Block, changes: Sequence[Change], runtime: RuntimeView) -> Iterable[Row]:
    """Stored values that changed; with the first block of a runtime, all its defaults."""
    if block.runtime_changed:
        yield from _defaults(runtime, first=block.bootstrap)
    for change in changes:
        for parameter in _PARAMETERS_OF[change.item]:
            yield _stored(parameter, change)


def _stored(parameter: Parameter, change: Change) -> Row:
    scope = NETWORK if parameter.network else change.key[0]
    if change.value is None:
        return Row(STORED.name, (scope, parameter.name), None)
    value, value_json = _read(parameter, change.value)
    return Row(STORED.name, (scope, parameter.name), {"value": value, "value_json": value_json, "raw": change.raw})


def _defaults(runtime: RuntimeView, *, first: bool) -> Iterator[Row]:
    """A row per parameter the runtime has; a removal per parameter it lacks, unless nothing was there before."""
    for parameter in PARAMETERS:
        key = (parameter.name, parameter.network)
        if parameter.item == USER_LIQUIDITY and runtime.has(BALANCER) and not runtime.has(USER_LIQUIDITY):
            # The balancer's runtimes dropped the switch and answer false in its place (MODEL.md 3).
            yield Row(DEFAULTS.name, key, {"value": 0, "value_json": False, "is_constant": True})
        elif runtime.has(parameter.item):
            default = runtime.default(parameter.item)
            value, value_json = (None, None) if default is None else _read(parameter, default)
            yield Row(DEFAULTS.name, key, {"value": value, "value_json": value_json, "is_constant": False})
        elif not first:
            yield Row(DEFAULTS.name, key, None)


def _read(parameter: Parameter, value: object) -> tuple[object, object]:
    try:
        return parameter.read(value)
    except DecodeError as error:
        raise located(parameter.item, error) from None


_SOURCES = {
    (parameter.network, parameter.name): Source(STORED.name, parameter.item, parameter.name)
    for parameter in (*PARAMETERS, _EXISTS)
}


def places(table: str, key: Key) -> Iterable[tuple[Source, Key]]:
    """The one item behind a stored parameter; none behind a default, nor behind an unknown name."""
    if table != STORED.name:
        return []
    scope, name = key
    source = _SOURCES.get((scope == NETWORK, str(name)))
    return [] if source is None else [(source, () if scope == NETWORK else (scope,))]


def value(source: Source, row: Columns) -> object | None:
    """The bytes the chain stores: each of an item's names keeps them beside its part."""
    del source
    if isinstance(row["raw"], bytes):
        return Encoded(row["raw"])
    if row["value"] is not None or row["value_json"] is not None:
        raise DecodeError("a value without the bytes it was read from")
    return None


def of_runtime(runtime: RuntimeView) -> Iterable[Row]:
    """The defaults that hold while ``runtime`` runs."""
    return _defaults(runtime, first=True)


DATASET = Dataset(
    name="hyperparameters",
    tables=(STORED, DEFAULTS),
    items=tuple(_PARAMETERS_OF),
    rows=rows,
    sources=tuple(_SOURCES.values()),
    places=places,
    value=value,
    of_runtime=of_runtime,
)
