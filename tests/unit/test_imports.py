"""The map in the package's docstring agrees with the listing, and every module says what it owns."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import indexer

ROOT = Path(indexer.__file__).parent
MODULES = sorted(module.name for module in pkgutil.iter_modules(indexer.__path__))
FILES = sorted(path for path in ROOT.rglob("*.py"))


def test_the_map_lists_what_the_folder_holds() -> None:
    mapped = re.findall(r"^\* ``(\w+)`` ", indexer.__doc__ or "", re.M)
    assert sorted(mapped) == MODULES


def test_every_step_of_the_path_is_on_the_map() -> None:
    path = re.search(r"^    (\w+(?: -> \w+)+)$", indexer.__doc__ or "", re.M)
    assert path is not None
    assert set(path[1].split(" -> ")) <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_importing_a_module_starts_nothing_and_needs_no_configuration(name: str) -> None:
    assert importlib.import_module(f"indexer.{name}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_says_what_it_owns_and_stays_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert len(text.splitlines()) <= 400, "has its purpose split?"
