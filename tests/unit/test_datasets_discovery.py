"""Datasets are found by listing the folder, and each is consistent with what it declares."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from indexer.datasets import DATASETS, load
from indexer.datasets._parameters import PARAMETERS
from indexer.errors import ConfigError
from indexer.model import ItemRef
from indexer.scale import Runtime


def test_every_file_is_a_dataset_of_its_name() -> None:
    folder = Path(__file__).resolve().parents[2] / "indexer" / "datasets"
    files = {p.stem for p in folder.glob("*.py") if not p.stem.startswith("_") and p.stem != "base"}
    assert set(DATASETS) == files
    assert files >= {"balances", "blocks", "hyperparameters", "neurons", "stake", "subnets"}
    assert [dataset.name for dataset in load(["all"])] == sorted(files)


LARGE = {"bonds", "events", "extrinsics", "weight_commits", "weights"}


def test_what_is_large_is_kept_only_where_it_is_named() -> None:
    kept = [dataset.name for dataset in load()]
    assert kept == sorted(DATASETS.keys() - LARGE)
    assert [dataset.name for dataset in load(["default"])] == kept
    assert [dataset.name for dataset in load(["bonds", "default"])] == sorted([*kept, "bonds"])
    assert [dataset.name for dataset in load(["bonds", "blocks"])] == ["blocks", "bonds"]


def test_a_selection_is_in_order_and_without_repetition() -> None:
    assert [dataset.name for dataset in load(["stake", "blocks", "stake"])] == ["blocks", "stake"]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown dataset 'balance' \(known: balances, .*blocks, .*did you mean 'balances'"
    ):
        load(["balance"])
    with pytest.raises(ConfigError, match="no dataset selected"):
        load([])


def test_no_table_and_no_item_is_declared_twice_in_a_dataset() -> None:
    tables = Counter(table.name for dataset in load(["all"]) for table in dataset.tables)
    assert set(tables.values()) == {1}
    for dataset in load(["all"]):
        assert len(set(dataset.items)) == len(dataset.items), dataset.name


def test_a_parameter_is_named_once_for_subnets_and_once_for_the_network() -> None:
    names = Counter((parameter.name, parameter.network) for parameter in PARAMETERS)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.realdata
def test_every_parameter_of_the_lists_is_kept_under_its_name(realdata: Path) -> None:
    kept = {(str(parameter.item), parameter.name) for parameter in PARAMETERS}
    with (realdata.parent / "HYPERPARAMS_2026-10.tsv").open(newline="") as file:
        listed = {
            (re.sub(r"\[.\]$", "", row["storage_item"]), row["name"])
            for row in csv.DictReader(file, delimiter="\t")
            if not row["storage_item"].startswith("derived")
        }
    assert len(listed) > 80
    assert listed - kept == set()
    with (realdata.parent / "HYPERPARAMS.tsv").open(newline="") as file:
        items = {f"{row['pallet']}.{row['storage_item']}" for row in csv.DictReader(file, delimiter="\t")}
    assert items - {item for item, _ in kept} == set()
    assert {"yuma_version", "user_liquidity_enabled"} <= {name for _, name in kept}


@pytest.mark.realdata
def test_defaults_of_every_real_runtime_can_be_read_as_columns(realdata: Path) -> None:
    """What the datasets expect of an item's type holds for all runtimes at hand, specs 103 to 424."""
    seen: set[ItemRef] = set()
    for file in sorted((realdata / "metadata").iterdir()):
        runtime = Runtime.from_metadata(file.read_bytes())
        for dataset in load(["all"]):
            for item in dataset.items:
                found = runtime.item(item)
                if found is None:
                    continue
                seen.add(item)
                assert len(found.hashers) in (0, 1, 2, 3)
        for parameter in PARAMETERS:
            default = runtime.default(parameter.item)
            if default is not None:
                value, value_json = parameter.read(default)
                assert value_json is not None, (file.name, parameter.name)
                assert parameter.network == (runtime.item(parameter.item).hashers == ()), parameter.name  # type: ignore[union-attr]
                assert value is not None or not isinstance(default, int), (file.name, parameter.name)
    never = {str(item) for dataset in load(["all"]) for item in dataset.items if item not in seen}
    with (realdata.parent / "STORAGE_2026-10.tsv").open(newline="") as file:
        newer = {f"{row['pallet']}.{row['item']}" for row in csv.DictReader(file, delimiter="\t")}
    assert never - newer == {"Swap.SwapSuperellipse"}, "what no runtime is known to have is a misspelt name"
