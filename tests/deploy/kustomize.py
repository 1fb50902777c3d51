"""What `kubectl kustomize` makes of our folders, and what tests ask of it: objects by kind, pods, containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

KUBERNETES = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
FOLDERS = ("base", "overlays/dev", "overlays/prod", "overlays/ha")
Manifest: TypeAlias = dict[str, Any]


@cache
def _command() -> tuple[str, ...] | None:
    """What renders a folder: kubectl with a kustomize that knows components, or that program itself; None: neither."""
    kubectl, kustomize = shutil.which("kubectl"), shutil.which("kustomize")
    if kubectl is not None:
        told = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True, check=True).stdout
        version = str(json.loads(told).get("kustomizeVersion", "v2"))
        if int(version.lstrip("v").partition(".")[0]) >= 5:
            return (kubectl, "kustomize")
    return None if kustomize is None else (kustomize, "build")


@cache
def _rendered(command: tuple[str, ...], folder: str) -> str:
    done = subprocess.run([*command, str(KUBERNETES / folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    assert not done.stderr, f"{folder}: {done.stderr}"  # a deprecation is told there
    return done.stdout


def rendered(folder: str) -> list[Manifest]:
    """The objects of a folder, as `kubectl apply -k` would send them."""
    command = _command()
    if command is None:
        reason = "needs kubectl 1.27 or newer, or kustomize 5: apt-get install kubernetes-client on Debian 13"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return [found for found in yaml.safe_load_all(_rendered(command, folder)) if found]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod template, with the name of what makes it."""
    for manifest in manifests:
        if manifest["kind"] == "CronJob":
            yield manifest["metadata"]["name"], manifest["spec"]["jobTemplate"]["spec"]["template"]
        elif "template" in manifest.get("spec", {}):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod, those that run before it included."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec.get("containers", []), *spec.get("ephemeralContainers", [])]


def matches(labels: dict[str, str], selector: Manifest) -> bool:
    """Whether a label selector of ``matchLabels`` alone, or a Service's plain map, selects these labels."""
    wanted = selector.get("matchLabels", {}) if set(selector) <= {"matchLabels"} else selector
    assert all(isinstance(value, str) for value in wanted.values()), f"not understood: {selector}"
    return all(labels.get(name) == value for name, value in wanted.items())
