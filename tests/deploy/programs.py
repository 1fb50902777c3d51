"""Programs that are no Python packages: found, or the test is skipped with the package's name; CI must have them."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """Path of a program of Debian's ``package``."""
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"needs {name}: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
