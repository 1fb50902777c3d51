"""deploy/README.md names what is there: files, services, objects and the version."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from indexer import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
TEXT = (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_every_path_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?:\btests/)?\bdeploy/[\w./-]*\w", TEXT))
    assert len(named) > 5
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()
    assert {
        name for name in re.findall(r"\boverlays/[\w./-]*\w", TEXT) if not (DEPLOY / "kubernetes" / name).exists()
    } == set()


def test_images_are_of_this_version() -> None:
    assert set(re.findall(r"bittensor-indexer:(\S+)", TEXT)) == {__version__}


def test_services_and_profiles_of_compose_are_those_of_its_file() -> None:
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    commands = re.findall(r"^docker compose .*$", TEXT, re.M)
    assert commands
    for command in commands:
        found = re.search(r" (?:exec|--follow|--rm --build) (\w+)", command)
        assert found is None or found[1] in services, command
        for profile in re.findall(r"--profile (\w+)", command):
            assert any(profile in service.get("profiles", []) for service in services.values()), command
        for file in re.findall(r"--env-file (\S+)", command):
            assert (DEPLOY / "docker" / file).is_file(), command
