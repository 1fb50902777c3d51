"""The units as systemd's own programs judge them, and as our exit codes and options want them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from programs import program
from units import FOLDER, UNITS, read, seconds, variables

from indexer import config
from indexer.errors import EXIT_LOCKED, EXIT_UNDECODABLE, EXIT_USAGE, EXIT_WRONG_CHAIN

EXPOSURE_TENTHS_MAX = 20
INSTANCE = {"bittensor-indexer-standby@.service": "bittensor-indexer-standby@9478.service"}
SERVICES = [name for name in UNITS if read(name)["Type"] == ["notify"]]


def call(*command: str) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which everything is installed as deploy/README.md says, as far as systemd looks."""
    system = next(path for path in map(Path, ("/usr/lib/systemd/system", "/lib/systemd/system")) if path.is_dir())
    shutil.copytree(system, tmp_path / "usr/lib/systemd/system", symlinks=True, ignore_dangling_symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    shutil.copytree(FOLDER, tmp_path / "etc/systemd/system")
    program = tmp_path / "opt/bittensor-indexer/bin/indexer"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_to_say_about_a_unit(name: str, request: pytest.FixtureRequest) -> None:
    analyze = program("systemd-analyze", "systemd")
    root = request.getfixturevalue("root")
    assert call(analyze, "verify", f"--root={root}", INSTANCE.get(name, name)) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_exposed_little(name: str) -> None:
    analyze = program("systemd-analyze", "systemd")
    code, text = call(
        analyze, "security", "--offline=true", f"--threshold={EXPOSURE_TENTHS_MAX}", "--no-pager", str(FOLDER / name)
    )
    found = re.search(r"Overall exposure level for .*: (\S+)", text)
    assert found is not None, text
    assert code == 0, text
    assert float(found[1]) < EXPOSURE_TENTHS_MAX / 10


def test_all_units_are_hardened_alike() -> None:
    blocks = {
        re.search(r"^# What it may reach.*?(?=^\[|\Z)", (FOLDER / name).read_text(), re.M | re.S)[0].strip()  # type: ignore[index]
        for name in UNITS
    }
    assert len(blocks) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_person_has_to_mend_is_not_restarted_and_what_may_pass_is(name: str) -> None:
    unit = read(name)
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == [f"{EXIT_USAGE} {EXIT_WRONG_CHAIN} {EXIT_UNDECODABLE}"]
    # Whoever writes there may have lost its power: Postgres notices in half a minute. As long must the tries last.
    tries_s = seconds(unit["RestartSec"][0]) * int(unit["StartLimitBurst"][0])
    assert EXIT_LOCKED not in map(int, unit["RestartPreventExitStatus"][0].split())
    assert 60 < tries_s < seconds(unit["StartLimitIntervalSec"][0])


@pytest.mark.parametrize("name", SERVICES)
def test_time_limits_leave_the_indexer_its_own(name: str) -> None:
    unit, settings = read(name), config.load({"network": ("local",)})
    assert seconds(unit["TimeoutStopSec"][0]) > settings.stop_timeout_s + 30, "an embedded Postgres stops after it"
    assert seconds(unit["WatchdogSec"][0]) >= settings.progress_timeout_s
    assert unit["KillMode"] == ["mixed"], (
        "a SIGTERM of systemd's would end the embedded Postgres before the last commit"
    )


def test_the_environment_file_and_the_units_set_options_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (FOLDER / "indexer.env").read_text()
    given = variables(text)
    assert given, "nothing is set"
    suggested = variables(re.sub(r"^#(?=INDEXER_)", "", text, flags=re.M))
    in_units = {
        name: value.replace("%S", "/var/lib").replace("%i", "9478")
        for unit in UNITS
        for name, value in (setting.split("=", 1) for setting in read(unit)["Environment"])
        if name.startswith(config.ENV_PREFIX)
    }
    for values in (given, suggested, in_units):
        with monkeypatch.context() as patched:
            for name, value in values.items():
                patched.setenv(name, value)
            config.load()
    assert not re.search(r"://[^\s/]*:[^\s/]*@", text), "a password in an example is used"


def test_user_and_folders_are_made_as_the_units_need_them(tmp_path: Path) -> None:
    sysusers, tmpfiles = program("systemd-sysusers", "systemd"), program("systemd-tmpfiles", "systemd")
    users, folders = (str(FOLDER / f"bittensor-indexer.{kind}.conf") for kind in ("sysusers", "tmpfiles"))
    code, text = call(sysusers, "--dry-run", f"--root={tmp_path}", users)
    user = read("bittensor-indexer.service")["User"][0]
    assert code == 0, text
    assert f"user '{user}'" in text
    if os.geteuid() != 0:
        pytest.skip("only root may make users and give folders away")
    (tmp_path / "etc" / user).mkdir(parents=True)
    secrets = tmp_path / "etc" / user / "indexer.env"
    secrets.write_text("INDEXER_NETWORK=local\n")
    assert call(sysusers, f"--root={tmp_path}", users)[0] == 0
    assert call(tmpfiles, "--create", f"--root={tmp_path}", folders) == (0, "")
    group = re.search(rf"^{user}:[^:]*:(\d+)", (tmp_path / "etc/group").read_text(), re.M)
    assert group is not None
    for path, mode in ((secrets.parent, 0o750), (secrets, 0o640)):
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, 0, int(group[1]))
