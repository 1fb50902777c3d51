"""One file per kind of data; this module finds them.

Discovery lists the folder, so a new dataset is a new file and nothing else: importing this package
imports every file and thereby declares every table in ``indexer.schema``. Files whose name begins
with an underscore and ``base`` are parts of datasets, not datasets. Beside the files, any storage item is a
dataset, called ``Pallet.Item``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

from indexer.datasets._items import TABLE as STORAGE_ITEMS
from indexer.datasets._items import absence, is_item, of_item
from indexer.datasets.base import Dataset
from indexer.errors import ConfigError

__all__ = ["DATASETS", "STORAGE_ITEMS", "Dataset", "absence", "is_item", "load"]


def _discover() -> dict[str, Dataset]:
    names = sorted(m.name for m in iter_modules(__path__) if m.name != "base" and not m.name.startswith("_"))
    return {name: _dataset_of(name) for name in names}


def _dataset_of(name: str) -> Dataset:
    found = getattr(import_module(f"{__name__}.{name}"), "DATASET", None)
    if not isinstance(found, Dataset) or found.name != name:
        raise ConfigError(f"datasets/{name}.py must hold a constant DATASET of type Dataset named {name!r}")
    return found


DATASETS = _discover()
"""Every dataset by name, in alphabetical order."""


def load(names: Sequence[str] | None = None) -> tuple[Dataset, ...]:
    """The named datasets in alphabetical order, each once, those of storage items last; for ``None`` those by default.

    ``default`` stands for the latter, ``all`` for every one. Raises ``ConfigError`` for a name no file has, and for
    an empty selection.
    """
    every = {"default": [d.name for d in DATASETS.values() if d.by_default], "all": list(DATASETS)}
    names = every["default"] if names is None else [one for name in names for one in every.get(name, [name])]
    for name in names:
        if name not in DATASETS and not is_item(name):
            near = difflib.get_close_matches(name, DATASETS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown dataset {name!r} (known: {', '.join(DATASETS)}){hint}")
    if not names:
        raise ConfigError(f"no dataset selected (known: {', '.join(DATASETS)})")
    items = sorted({name for name in names if name not in DATASETS})
    return (*(dataset for name, dataset in DATASETS.items() if name in names), *map(of_item, items))
